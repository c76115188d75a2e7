"""One pass over a leg: an attempt for every recipient that is due, and what follows from each result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from letterlock.delivery.v1 import delivery_pb2
from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry
from services.common.directory import Directory
from services.common.errors import Unavailable
from services.common.mailedit import Wish
from services.delivery.changes import Changes, Leaving
from services.delivery.core import routes, wire
from services.delivery.core.replies import Result, failed
from services.delivery.core.schedule import Schedule
from services.delivery.fate_report import Mail, Reporter, Told
from services.delivery.ports import Outgoing, Overflow, Queue, Recipient, Transport
from services.delivery.sealed import REQUIRE_TLS, Share

_log = log.get(__name__)
_SLACK = timedelta(seconds=1)
"""Retries that are due this soon go along."""


@dataclass
class Work:
    """A leg at hand. `kept`: the queue knows of it."""

    mail: Mail
    leg: mail_pb2.Leg
    wishes: Sequence[Wish]
    content: Callable[[], Awaitable[bytes | None]]
    kept: bool = False
    shares: Callable[[Sequence[int]], Awaitable[Sequence[Share]]] | None = None
    """Where not everybody gets the mail itself: what the entries at these positions get."""
    ended: Callable[[], Awaitable[None]] | None = None
    """Called when every recipient's last fate is durable."""
    _raw: bytes | None = field(default=None, repr=False)

    async def raw(self) -> bytes:
        """The mail as it is to be delivered, before our edits; raises `Unavailable` when it cannot be opened here."""
        if self._raw is None:
            self._raw = await self.content()
        if self._raw is None:
            raise Unavailable("the content cannot be opened")
        return self._raw

    async def parted(self, positions: Sequence[int]) -> Sequence[Share]:
        """What the entries at these positions get. Raises as `raw`."""
        if self.shares is not None:
            return await self.shares(positions)
        return [Share(await self.raw(), frozenset(positions))]

    @property
    def needs_tls(self) -> bool:
        """Whether it goes by verified TLS or not at all."""
        return any(w.kind == REQUIRE_TLS for w in self.wishes)

    def positions(self, position: int) -> tuple[int, ...]:
        """The decision's recipients that an entry of the queue stands for."""
        return (position,) if position >= 0 else tuple(self.leg.recipients)

    def recipient(self, position: int) -> Recipient:
        """The RCPT TO of an entry. What rules added never makes a next hop write to the sender."""
        if position < 0:
            return Recipient(self.leg.redirect[-1 - position], ("NEVER",))
        named = self.mail.decision.recipients[position]
        return Recipient(named.address, ("NEVER",) if named.added else tuple(named.notify), named.orcpt)


@dataclass(frozen=True)
class _Tried:
    entry: delivery_pb2.RecipientRetry
    result: Result | Overflow


class Passes:
    """Makes passes; on return outcomes, notifications and what waits are durable."""

    def __init__(
        self,
        *,
        transport: Transport,
        queue: Queue,
        reporter: Reporter,
        schedule: Schedule,
        directory: Callable[[], Directory],
        changes: Changes,
        hostname: str,
        most_recipients: int,
        now: Callable[[], datetime],
    ) -> None:
        self._transport, self._queue, self._reporter, self._schedule = transport, queue, reporter, schedule
        self._directory, self._changes = directory, changes
        self._hostname, self._most, self._now = hostname, most_recipients, now

    async def run(self, work: Work, state: delivery_pb2.RetryState) -> None:
        """Try what is due of `state` and settle it. Raises `Unavailable` when a result could not be recorded."""
        soon = self._now() + _SLACK
        due: list[delivery_pb2.RecipientRetry] = []
        rest: list[delivery_pb2.RecipientRetry] = []
        for entry in state.recipients:
            (due if state.fail or entry.next_attempt_at.ToDatetime(UTC) <= soon else rest).append(entry)
        if state.fail:
            given_up = failed("failed_by_operator", "5.4.7", state.note or "given up by the operator")
            tried = [_Tried(entry, given_up) for entry in due]
        else:
            tried = await self._attempt(work, due) if due else []
        await self._settle(work, state, tried, rest)

    async def _attempt(self, work: Work, due: Sequence[delivery_pb2.RecipientRetry]) -> list[_Tried]:
        shares = await work.parted([e.position for e in due])
        done = await all_of(
            *(self._share(work, one.content, [e for e in due if e.position in one.positions]) for one in shares)
        )
        return [one for share in done for one in share]

    async def _share(self, work: Work, raw: bytes, due: Sequence[delivery_pb2.RecipientRetry]) -> list[_Tried]:
        """An attempt for those who get the same."""
        leaving = await self._changes.make(work.mail.tenant, work.mail.mail_id, work.leg, work.wishes, raw)
        groups: dict[routes.Destination, list[delivery_pb2.RecipientRetry]] = {}
        view = self._directory()
        for entry in due:
            destination = routes.choose(view, work.mail.tenant, entry.domain)
            if work.needs_tls:
                destination = routes.verified(destination)
            groups.setdefault(destination, []).append(entry)
        parts = [
            (destination, entries[i : i + self._most])
            for destination, entries in groups.items()
            for i in range(0, len(entries), self._most)
        ]
        done = await all_of(*(self._group(work, destination, part, leaving) for destination, part in parts))
        return [one for group in done for one in group]

    async def _group(
        self,
        work: Work,
        destination: routes.Destination,
        entries: Sequence[delivery_pb2.RecipientRetry],
        leaving: Leaving,
    ) -> list[_Tried]:
        """Transactions to one destination, more than one only where the host wants recipients apart."""
        results: dict[int, _Tried] = {}
        pending = list(entries)
        while pending:
            try:
                answers = await self._transport.send(destination, self._outgoing(work, pending, leaving))
            except Overflow as overflow:
                results |= {e.position: _Tried(e, overflow) for e in pending if e.position not in results}
                break
            pairs = list(zip(pending, answers, strict=True))
            results |= {e.position: _Tried(e, r) for e, r in pairs}
            delivered = [(e, r) for e, r in pairs if r.fate == "delivered"]
            # At once: until it is recorded, a kill makes a double of it.
            await self._arrived(work, [(e, r) for e, r in delivered if e.position >= 0], leaving.summary)
            pending = [e for e, r in pairs if r.too_many] if delivered else []
        return list(results.values())

    def _outgoing(self, work: Work, entries: Sequence[delivery_pb2.RecipientRetry], leaving: Leaving) -> Outgoing:
        envelope = work.mail.envelope
        recipients = [work.recipient(e.position) for e in entries]
        system = envelope.origin.startswith("system")
        received = wire.Received(
            mail_id=work.mail.mail_id,
            at=work.mail.received_at,
            helo=envelope.peer.helo,
            peer="" if system else envelope.peer.address,
            tls=bool(envelope.peer.tls),
            authenticated=bool(envelope.peer.account),
            smtputf8=envelope.smtputf8,
        )
        only = recipients[0].address if len(recipients) == 1 else None
        headers = wire.trace_headers(received, hostname=self._hostname, recipient=only)
        return Outgoing(
            sender=envelope.sender,
            recipients=recipients,
            content=headers + leaving.content,
            smtputf8=envelope.smtputf8,
            ret=envelope.ret,
            envid=envelope.envid,
        )

    async def _arrived(
        self, work: Work, delivered: Sequence[tuple[delivery_pb2.RecipientRetry, Result]], summary: str
    ) -> None:
        """Record what the next hop took, and as what; tell a success that the sender asked for and nobody else does."""
        if not delivered:
            return
        told = [Told(work.positions(e.position), r, e.attempts + 1) for e, r in delivered]
        relayed = [t for t in told if not t.result.dsn_passed_on]
        if self._reporter.due(work.mail, "relayed", relayed):
            await self._reporter.notify(work.mail, work.leg.number, "relayed", relayed, await work.raw())
        known = [replace(t, result=_with_summary(t.result, summary)) for t in told]
        await self._reporter.outcome(work.mail, work.leg.number, mail_pb2.STATE_DELIVERED, known)
        telemetry.count("delivery", "delivered", work.mail.tenant, len(told))
        _log.info("delivery.delivered", leg=work.leg.number, number=len(told))

    async def _settle(
        self,
        work: Work,
        state: delivery_pb2.RetryState,
        tried: Sequence[_Tried],
        rest: Sequence[delivery_pb2.RecipientRetry],
    ) -> None:
        """Tell and keep what did not arrive."""
        now = self._now()
        queued_at = state.queued_at.ToDatetime(UTC)
        waiting, given_up, late, deferred = list(rest), list[Told](), list[Told](), list[Told]()
        arrived: list[Told] = []
        for one in tried:
            entry, result = one.entry, one.result
            if isinstance(result, Overflow):
                waiting.append(_later(entry, entry.attempts, now + timedelta(seconds=result.seconds), "busy", ""))
                continue
            attempts = entry.attempts + (0 if state.fail else 1)
            told = Told(work.positions(entry.position), result, attempts)
            if result.fate == "delivered":
                if entry.position < 0:
                    arrived.append(told)
                continue
            if result.fate == "failed":
                given_up.append(told)
                continue
            at = self._schedule.next(attempts=attempts, queued_at=queued_at, now=now)
            if at is None:
                given_up.append(replace(told, result=_expired(result)))
                continue
            again = _later(entry, attempts, at, result.code, result.reply_code)
            if not entry.delay_reported and self._schedule.delay_is_due(queued_at=queued_at, now=now):
                late.append(told)
                again.delay_reported = True
            deferred.append(told)
            waiting.append(again)
        if work.leg.redirect:
            given_up, arrived = self._redirected(state, given_up, arrived, last=not waiting)
        until = queued_at + self._schedule.give_up_after
        number = work.leg.number
        await self._tell(work, "failed", given_up)
        await self._tell(work, "delayed", late, until)
        await self._arrived_redirect(work, arrived)
        await self._reporter.outcome(work.mail, number, mail_pb2.STATE_RETURNED, given_up, actor=state.actor)
        await self._reporter.outcome(work.mail, number, mail_pb2.STATE_DEFERRED, deferred)
        for event, group in (("returned", given_up), ("deferred", deferred)):
            if group:
                telemetry.count("delivery", event, work.mail.tenant, len(group))
                codes = sorted({t.result.code for t in group})
                _log.info("delivery.not_delivered", leg=number, state=event, number=len(group), codes=codes)
        await self._keep(work, state, waiting)

    @staticmethod
    def _redirected(
        state: delivery_pb2.RetryState, given_up: list[Told], arrived: list[Told], *, last: bool
    ) -> tuple[list[Told], list[Told]]:
        """Redirected mail has arrived when one copy has and none is on its way, and is lost only when all are."""
        state.some_delivered = state.some_delivered or bool(arrived)
        if not last:
            return [], []
        if state.some_delivered:
            return [], (arrived or given_up)[:1]
        return given_up[:1], []

    async def _arrived_redirect(self, work: Work, arrived: Sequence[Told]) -> None:
        if arrived:
            code = Result("delivered", "redirected", "2.0.0", remote=arrived[0].result.remote)
            told = [replace(arrived[0], result=code)]
            await self._reporter.outcome(work.mail, work.leg.number, mail_pb2.STATE_DELIVERED, told)
            telemetry.count("delivery", "delivered", work.mail.tenant)

    async def _tell(self, work: Work, action: Any, told: Sequence[Told], until: datetime | None = None) -> None:
        if self._reporter.due(work.mail, action, told):
            raw = await work.raw()
            await self._reporter.notify(work.mail, work.leg.number, action, told, raw, retry_until=until)

    async def _keep(
        self, work: Work, state: delivery_pb2.RetryState, waiting: Sequence[delivery_pb2.RecipientRetry]
    ) -> None:
        if waiting:
            kept = delivery_pb2.RetryState()
            kept.CopyFrom(state)
            del kept.recipients[:]
            kept.recipients.extend(sorted(waiting, key=lambda r: r.position))
            kept.fail = False
            await self._queue.put(kept)
        elif work.kept:
            await self._queue.remove(work.mail.tenant, work.mail.mail_id, work.leg.number)
        if not waiting and work.ended is not None:
            await work.ended()


def _with_summary(result: Result, summary: str) -> Result:
    """A result that also says what was changed, and what was not."""
    return replace(result, detail=f"{result.detail}; {summary}".removeprefix("; ")) if summary else result


def _later(
    entry: delivery_pb2.RecipientRetry, attempts: int, at: datetime, code: str, reply_code: str
) -> delivery_pb2.RecipientRetry:
    again = delivery_pb2.RecipientRetry()
    again.CopyFrom(entry)
    again.attempts, again.last_code, again.last_reply_code = attempts, code, reply_code
    again.next_attempt_at.FromDatetime(at)
    return again


def _expired(last: Result) -> Result:
    detail = f"not delivered in time; the last attempt: {last.detail}"[:500]
    return replace(last, fate="failed", code="expired", status="4.4.7", detail=detail)


async def all_of[T](*work: Awaitable[T]) -> list[T]:
    """All results, after all have ended; then the first failure, if any. None is cancelled by another's failure."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [r for r in results if not isinstance(r, BaseException)]
