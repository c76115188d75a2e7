"""Delivery's verb: hand each leg of a mail to its next hop, and say what became of every recipient.

A leg's first pass begins with a fact; what is deferred waits in the broker and
comes back as a retry. Every result is durable as an outcome before the message
that caused it is acked. Where a leg may have been tried before, its
recipients' last fates are read first, and nobody else has the mail meanwhile
(a lease), so that only a kill between the next hop's 250 and our outcome makes
a double.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta

from letterlock.delivery.v1 import delivery_pb2
from letterlock.mail.v1 import mail_pb2

from services.common import log, mailedit, telemetry, tracing
from services.common.bus import Later, Message
from services.common.errors import Corrupt, Error, NotFound, Rejected, Unavailable
from services.common.facts import Facts, MailReader, OpenFact
from services.common.ids import MailId, TenantId
from services.common.legs import SEALING, needs_sealing, waits
from services.common.mailedit import Wish
from services.common.secretmail import is_secret
from services.delivery import closing
from services.delivery.core.routes import domain_of
from services.delivery.fate_report import Mail, Reporter
from services.delivery.notices import Notices
from services.delivery.passes import Passes, Work, all_of
from services.delivery.ports import TERMINAL, Fate, Fates, Leases, Queue
from services.delivery.retry_state import next_attempt, parse
from services.delivery.sealed import Sealed, Share

_log = log.get(__name__)

_HANDLED = mailedit.CHANGES | {"notify", "bcc", "redirect"}
"""Transforms that delivery carries out, or that the decision's recipients and legs already show."""
_NAMES = {mail_pb2.KIND_DECIDED: "decided", mail_pb2.KIND_RELEASED: "released"}


class Deliver:
    """Takes facts and retries; returns when their effects are durable. Raises `Later` when a part of ours is away."""

    def __init__(
        self,
        *,
        facts: Facts,
        sealed_facts: Facts,
        reader: MailReader,
        sealed: Sealed,
        fates: Fates,
        queue: Queue,
        passes: Passes,
        reporter: Reporter,
        notices: Notices,
        leases: Leases,
        fresh_for: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._facts, self._reader, self._fates, self._queue = facts, reader, fates, queue
        # Knows no store: what the reader would give for a sealed leg is the mail before it was sealed.
        self._sealed_facts, self._sealed = sealed_facts, sealed
        self._passes, self._reporter, self._notices, self._now = passes, reporter, notices, now
        self._leases, self._fresh_for = leases, fresh_for
        self._busy: set[str] = set()

    async def fact(self, message: Message) -> None:
        """Do the legs that a decided, released or sealed fact gives to delivery."""
        with _patient(), telemetry.stage("delivery", "fact", headers=message.headers):
            fact = await self._open(message)
            with tracing.mail(fact.tenant, fact.mail_id):
                fresh = self._is_fresh(fact, message)
                async with self._alone(fact.tenant, fact.mail_id, fresh=fresh):
                    await self._fact(fact, message, fresh=fresh)

    async def _open(self, message: Message) -> OpenFact:
        sealed = message.subject.startswith("mail.sealed.")
        return await (self._sealed_facts if sealed else self._facts).open(message)

    def _is_fresh(self, fact: OpenFact, message: Message) -> bool:
        """Whether nobody was given this mail before: the fact comes for the first time, and not late.

        A late one may have been published anew meanwhile, and done.
        """
        first = message.deliveries == 1 and _try_number(message) == 0
        whole = fact.kind == "decided" and not fact.trace.legs
        return first and whole and self._now() - fact.mail_id.time < self._fresh_for

    async def _fact(self, fact: OpenFact, message: Message, *, fresh: bool) -> None:
        trace = fact.trace
        if not trace.HasField("decision"):
            raise Rejected("a fact for delivery without a decision")
        if (fact.kind == "sealed") != message.subject.startswith("mail.sealed."):
            raise Corrupt("a fact of another kind than its subject")
        mail = Mail(fact.tenant, fact.mail_id, trace.envelope, trace.decision)
        fates = {} if fresh else await self._fates.of(fact.tenant, fact.mail_id)
        legs = [leg for leg in trace.decision.legs if not trace.legs or leg.number in trace.legs]
        await all_of(*(self._leg(mail, leg, fact, message, fates) for leg in legs))

    async def _leg(
        self, mail: Mail, leg: mail_pb2.Leg, fact: OpenFact, message: Message, fates: dict[int, Fate]
    ) -> None:
        wishes = _wishes(leg)
        if fact.kind == "decided" and not fact.trace.legs:
            await self._notices.send(mail, leg, wishes)
        positions = [p for p in leg.recipients if p not in fates or fates[p].state not in TERMINAL]
        if not positions or await self._is_gone(mail):
            return
        content = self._content(fact)
        if leg.disposition in closing.CODES:
            await closing.close(self._reporter, mail, leg, positions, content)
            return
        if waits(leg, released=fact.kind in ("released", "sealed")) or (fact.kind != "sealed" and needs_sealing(leg)):
            return
        unknown = {w.kind for w in wishes} - _HANDLED - SEALING
        if unknown and fact.kind != "sealed":
            raise Rejected("the leg asks for a change that is not delivery's", kinds=sorted(unknown))
        kept = await self._kept(mail, leg, positions, fates)
        state = kept or self._new_state(mail, leg, positions, fates, fact, message)
        work = self._work(mail, leg, content, sealed=fact.kind == "sealed", kept=kept is not None)
        if next_attempt(state) > self._now():
            await self._queue.put(state)
        else:
            await self._passes.run(work, state)

    def _content(self, fact: OpenFact) -> Callable[[], Awaitable[bytes | None]]:
        """The mail of a fact as it came; of a notice that bears a secret, that."""

        async def secret() -> bytes:
            return (await self._sealed.secret(fact.tenant, fact.mail_id))[1]

        async def stored() -> bytes:
            return (await self._reader.read(fact.tenant, fact.mail_id))[1]

        if is_secret(fact.trace.envelope):
            return secret
        return stored if fact.kind == "sealed" else fact.content

    def _work(
        self,
        mail: Mail,
        leg: mail_pb2.Leg,
        content: Callable[[], Awaitable[bytes | None]],
        *,
        sealed: bool,
        kept: bool,
    ) -> Work:
        """A leg at hand. What is sealed comes from the store; what can be done to it from outside is to tag it."""
        wishes = _wishes(leg)
        work = Work(mail, leg, wishes, content, kept=kept)
        if is_secret(mail.envelope):

            async def ended() -> None:
                await self._sealed.forget_secret(mail.tenant, mail.mail_id)

            work.ended = ended
        if sealed and needs_sealing(leg):

            async def shares(wanted: Sequence[int]) -> Sequence[Share]:
                return await self._sealed.shares(mail.tenant, mail.mail_id, leg, wanted)

            async def first() -> bytes:
                wanted = [-1] if leg.redirect else [leg.recipients[0]]
                return (await shares(wanted))[0].content

            work.wishes = [w for w in wishes if w.kind == "tag"]
            work.shares, work.content = shares, first
        return work

    async def _kept(
        self, mail: Mail, leg: mail_pb2.Leg, positions: Sequence[int], fates: dict[int, Fate]
    ) -> delivery_pb2.RetryState | None:
        """What the queue knows of a leg that was tried before, without what has ended since."""
        if not any(p in fates and fates[p].state == mail_pb2.STATE_DEFERRED for p in positions):
            return None
        state = await self._queue.get(mail.tenant, mail.mail_id, leg.number)
        return _unfinished(state, leg, fates) if state is not None else None

    def _new_state(
        self,
        mail: Mail,
        leg: mail_pb2.Leg,
        positions: Sequence[int],
        fates: dict[int, Fate],
        fact: OpenFact,
        message: Message,
    ) -> delivery_pb2.RetryState:
        """A leg's state before its first attempt, or as far as its outcomes tell when the queue lost it."""
        now = self._now()
        state = delivery_pb2.RetryState(tenant=mail.tenant, mail_id=mail.mail_id, leg=leg.number)
        tried = any(p in fates and fates[p].attempts > 0 for p in positions)
        state.queued_at.FromDatetime(mail.received_at if tried else now)
        if fact.kind != "decided" or is_secret(mail.envelope):
            kept_fact = mail_pb2.Fact.FromString(message.data)
            if fact.kind == "released":
                kept_fact.ClearField("content")
            state.fact = kept_fact.SerializeToString()
        if leg.redirect:
            targets = [(-1 - i, a) for i, a in enumerate(leg.redirect)]
        else:
            targets = [(p, mail.decision.recipients[p].address) for p in positions]
        for position, address in targets:
            attempts = fates[position].attempts if position in fates else 0
            entry = state.recipients.add(position=position, domain=domain_of(address), attempts=attempts)
            entry.next_attempt_at.FromDatetime(now)
        return state

    async def retry(self, message: Message) -> None:
        """Try again what waited in the broker."""
        with _patient(), telemetry.stage("delivery", "retry", headers=message.headers):
            state = parse(message.data)
            tenant, mail_id = TenantId.parse(state.tenant), MailId.parse(state.mail_id)
            if message.subject.rpartition(".")[2] != tenant:
                raise Corrupt("retry state is of another tenant")
            with tracing.mail(tenant, mail_id):
                async with self._alone(tenant, mail_id, fresh=False):
                    await self._retry(tenant, mail_id, state)

    async def _retry(self, tenant: TenantId, mail_id: MailId, state: delivery_pb2.RetryState) -> None:
        fates = await self._fates.of(tenant, mail_id)
        mail, content, sealed = await self._again(tenant, mail_id, state)
        if await self._is_gone(mail):
            await self._queue.remove(tenant, mail_id, state.leg)
            return
        leg = next((one for one in mail.decision.legs if one.number == state.leg), None)
        if leg is None:
            raise Corrupt("retry of a leg that the decision has not")
        left = _unfinished(state, leg, fates)
        if left is None:
            await self._queue.remove(tenant, mail_id, state.leg)
            return
        await self._passes.run(self._work(mail, leg, content, sealed=sealed, kept=True), left)

    async def _again(
        self, tenant: TenantId, mail_id: MailId, state: delivery_pb2.RetryState
    ) -> tuple[Mail, Callable[[], Awaitable[bytes | None]], bool]:
        """The mail of a retry, and whether it is sealed: from the fact that is kept with it, else from the store."""
        if state.fact:
            name = _NAMES.get(mail_pb2.Fact.FromString(state.fact).kind, "sealed")
            fact = await self._open(Message(f"mail.{name}.{tenant}", state.fact))
            mail = Mail(tenant, mail_id, fact.trace.envelope, fact.trace.decision)
            return mail, self._content(fact), fact.kind == "sealed"
        header, raw = await self._reader.read(tenant, mail_id)

        async def content() -> bytes:
            return raw

        return Mail(tenant, mail_id, header.envelope, header.decision), content, False

    async def _is_gone(self, mail: Mail) -> bool:
        """Whether it is a secret notice that was delivered or given up just before we died: nothing is left to do."""
        if not is_secret(mail.envelope):
            return False
        try:
            await self._sealed.secret(mail.tenant, mail.mail_id)
        except NotFound:
            return True
        return False

    @asynccontextmanager
    async def _alone(self, tenant: TenantId, mail_id: MailId, *, fresh: bool) -> AsyncIterator[None]:
        """Work on a mail once at a time, the reading of its fates included: the same work may come by two ways."""
        if mail_id in self._busy:
            raise Later(1.0)
        self._busy.add(mail_id)
        try:
            async with self._leases.hold(tenant, mail_id, fresh=fresh):
                yield
        finally:
            self._busy.discard(mail_id)


def _unfinished(
    state: delivery_pb2.RetryState, leg: mail_pb2.Leg, fates: dict[int, Fate]
) -> delivery_pb2.RetryState | None:
    """The state without recipients that have ended; None when all have."""
    done = {p for p in leg.recipients if p in fates and fates[p].state in TERMINAL}
    all_done = done == set(leg.recipients)
    waiting = [r for r in state.recipients if not all_done and r.position not in done]
    if not waiting:
        return None
    left = delivery_pb2.RetryState()
    left.CopyFrom(state)
    del left.recipients[:]
    left.recipients.extend(waiting)
    return left


def _wishes(leg: mail_pb2.Leg) -> list[Wish]:
    return [mailedit.read(t.kind, t.rule, t.settings) for t in leg.transforms]


@contextmanager
def _patient() -> Iterator[None]:
    """Wait for parts of ours that are away: it is no failure of the mail."""
    try:
        yield
    except Unavailable as error:
        _log.info("delivery.waits", code=error.code)
        raise Later(random.uniform(1.0, 3.0)) from error  # noqa: S311
    except Error as error:
        _log.warning("delivery.failed", code=error.code)
        raise


def _try_number(message: Message) -> int:
    """Which publication of the fact it is: the last part of its id, `<id>:d:<try>`."""
    last = message.headers.get("Nats-Msg-Id", "").rpartition(":d:")[2]
    return int(last) if last.isdigit() else 0
