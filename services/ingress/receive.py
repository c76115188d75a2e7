"""The accept path: a mail comes in, policy is asked, one object is committed, the peer is answered.

From the commit's return the answer is 250, whatever comes after; before it,
any failure of ours is 451 and nothing is kept. `Incoming.finish` runs as a
task that the connection's end cannot cancel. What is published afterwards is
a convenience: the sweeper finds what was not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry, tracing
from services.common.directory import Tenant
from services.common.errors import Busy, DeadlineExceeded, Error, TooLarge
from services.common.ids import MailId
from services.common.objects import ObjectStore
from services.common.sealing import mailobject
from services.common.sealing.writers import Signer
from services.ingress.adapters.spool import OFF_LOOP, Body, Spool
from services.ingress.core import header, reply
from services.ingress.core.content import NewlineScanner
from services.ingress.core.limits import Limits
from services.ingress.core.parameters import MailCommand
from services.ingress.core.reply import Refusal, Reply
from services.ingress.core.routing import Direction
from services.ingress.core.verdict import Accept, Later, LegView, Refuse, Verdict, judge
from services.ingress.ports import Decider, PublicKeys, Publisher

_log = log.get(__name__)
_BUSY_PAUSE = 0.1
"""Seconds before a busy policy is asked the second time."""
_COPY = 1024 * 1024
_EVENTS = {2: "accepted", 4: "deferred", 5: "refused"}
"""What a reply counts as, by its first digit."""

_DIRECTIONS: dict[Direction, mail_pb2.Direction] = {
    "inbound": mail_pb2.DIRECTION_INBOUND,
    "outbound": mail_pb2.DIRECTION_OUTBOUND,
    "internal": mail_pb2.DIRECTION_INTERNAL,
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """An accepted RCPT TO."""

    address: str
    direction: Direction
    notify: tuple[str, ...] = ()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What the envelope says of the client."""

    address: str
    helo: str
    tls: str = ""
    account: str = ""
    connector: str = ""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One MAIL with its recipients, all of one tenant, before its content."""

    tenant: Tenant
    mail: MailCommand
    recipients: tuple[Recipient, ...]
    peer: PeerFacts
    origin: Literal["relay", "submission"]


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Takes mails in. One per process; `drain` waits for what is under way."""

    objects: ObjectStore
    keys: PublicKeys
    signer: Signer
    decider: Decider
    publisher: Publisher
    hostname: str
    limits: Limits = field(default_factory=Limits)
    decide_within: float = 5.0
    commit_within: float = 120.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def begin(self, transaction: Transaction) -> Incoming:
        """A mail whose content comes next."""
        return Incoming(self, transaction)

    def run[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` to its end whatever becomes of the caller."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, timeout: float) -> None:
        """Wait for the mails that are being accepted and published, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self._tasks and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait(self._tasks, timeout=left)

    async def accept(self, incoming: Incoming) -> Reply:
        """Decide and commit; the reply is 250 only for a durable mail."""
        began = time.monotonic()
        tenant = incoming.transaction.tenant.id
        with tracing.mail(tenant, incoming.mail_id):
            try:
                with telemetry.stage("ingress", "accept"):
                    async with asyncio.timeout(self.commit_within):
                        answer = await self._accept_or_refuse(incoming)
            except Exception as error:
                await incoming.abort()
                code = error.code if isinstance(error, Error) else type(error).__name__
                _log.warning("mail.deferred", code=code, seconds=time.monotonic() - began)
                answer = reply.TEMPORARY
            else:
                _log.info("mail.received", reply=answer.code, size=incoming.size, seconds=time.monotonic() - began)
            telemetry.count("ingress", _EVENTS[answer.code // 100], tenant)
            return answer

    async def _accept_or_refuse(self, incoming: Incoming) -> Reply:
        try:
            return await self._accept(incoming)
        except Refusal as refusal:  # the mail's failure, not the stage's
            await incoming.abort()
            return refusal.reply

    async def _accept(self, incoming: Incoming) -> Reply:
        body = await incoming.body()
        envelope = self._envelope(incoming, body)
        with telemetry.stage("ingress", "decide"):
            decision = await self._decide(envelope, body.raw)
        verdict = _judge(decision, envelope)
        record = mail_pb2.ObjectHeader(
            tenant=envelope.tenant, mail_id=envelope.mail_id, envelope=envelope, blob=body.raw is None
        )
        if decision is not None:
            record.decision.CopyFrom(decision)
        tenant, mail_id = incoming.transaction.tenant, incoming.mail_id
        match verdict:
            case Later():
                await incoming.abort()
                return reply.DOUBT
            case Refuse(text):
                if tenant.keep_refused:
                    await self._keep_refused(incoming, record, body)
                await incoming.abort()
                utf8 = incoming.transaction.mail.smtputf8
                return Reply(550, "5.7.1", reply.public_text(text, utf8=utf8, default="refused by policy"))
            case Accept():
                pass
        sealed = await self._seal(incoming, record, body)
        # From here on the store may have the mail even when it says it has not: its blob must stay.
        incoming.keep()
        with telemetry.stage("ingress", "commit"):
            try:
                await self.objects.create(mailobject.mail_key(tenant.id, mail_id), sealed)
            except Busy:
                incoming.keep(False)  # no room is a certain no
                raise
        trace = mail_pb2.Trace(envelope=envelope, decision=decision, blob=record.blob)
        self.run(self._publish(trace, body.raw))
        return Reply(250, "2.0.0", f"{mail_id} accepted")

    async def _decide(self, envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision | None:
        """The decision, or None when it did not come in time: then the queue decides."""
        deadline = time.monotonic() + self.decide_within
        for last in (False, True):
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            try:
                return await self.decider.decide(envelope, raw, timeout=left)
            except (DeadlineExceeded, TooLarge):
                return None  # too large is the question (a thousand recipients, each with DSN parameters), not the mail
            except Busy:
                if last:
                    return None
                await asyncio.sleep(min(_BUSY_PAUSE, left))
        return None

    async def _seal(self, incoming: Incoming, record: mail_pb2.ObjectHeader, body: Body) -> bytes:
        recipients = await self.keys.recipients(incoming.transaction.tenant.id, incoming.mail_id)
        raw = body.raw or b""
        if len(raw) > OFF_LOOP:
            return await asyncio.to_thread(mailobject.seal, record, raw, recipients=recipients, signer=self.signer)
        return mailobject.seal(record, raw, recipients=recipients, signer=self.signer)

    async def _keep_refused(self, incoming: Incoming, record: mail_pb2.ObjectHeader, body: Body) -> None:
        """Keep a refused attempt beside the mails: never swept, and with its own copy of a large body."""
        tenant, mail_id = incoming.transaction.tenant.id, incoming.mail_id
        key = mailobject.refused_key(tenant, mail_id)
        if body.raw is None:
            await self._copy(mailobject.blob_key(tenant, mail_id), f"{key}.blob")
        await self.objects.create(key, await self._seal(incoming, record, body))

    async def _copy(self, source: str, target: str) -> None:
        writer = await self.objects.open_writer(target)
        try:
            position = 0
            while data := await self.objects.get_range(source, position, _COPY):
                await writer.write(data)
                position += len(data)
                if len(data) < _COPY:
                    break
            await writer.commit()
        finally:
            await writer.abort()

    async def _publish(self, trace: mail_pb2.Trace, raw: bytes | None) -> None:
        try:
            with telemetry.stage("ingress", "publish"):
                await self.publisher.publish(trace, raw)
        except Exception as error:
            code = error.code if isinstance(error, Error) else type(error).__name__
            _log.warning("mail.unpublished", code=code)

    def _envelope(self, incoming: Incoming, body: Body) -> mail_pb2.Envelope:
        transaction = incoming.transaction
        mail, peer = transaction.mail, transaction.peer
        received_at = Timestamp()
        received_at.FromDatetime(self.now())
        return mail_pb2.Envelope(
            tenant=transaction.tenant.id,
            mail_id=incoming.mail_id,
            sender=mail.sender,
            recipients=[
                mail_pb2.Recipient(
                    address=r.address, direction=_DIRECTIONS[r.direction], notify=r.notify, orcpt=r.orcpt
                )
                for r in transaction.recipients
            ],
            received_at=received_at,
            peer=mail_pb2.Peer(
                address=peer.address, helo=peer.helo, tls=peer.tls, account=peer.account, connector=peer.connector
            ),
            body=mail.body,
            smtputf8=mail.smtputf8,
            ret=mail.ret,
            envid=mail.envid,
            size=body.size,
            sha256=body.sha256,
            origin=transaction.origin,
            bare_newlines=incoming.bare,
        )


class Incoming:
    """One mail while its content arrives. What makes it unacceptable is kept for the end; the rest is drained."""

    def __init__(self, receiver: Receiver, transaction: Transaction) -> None:
        self.transaction = transaction
        self.mail_id = MailId.new()
        self.size = 0
        self._receiver = receiver
        self._refusal: Reply | None = None
        self._scanner = NewlineScanner()
        most = receiver.limits.max_bytes
        self._most = min(transaction.tenant.limits.get("max_bytes") or most, most)
        tenant = transaction.tenant.id
        self._spool = Spool(
            receiver.objects,
            mailobject.blob_key(tenant, self.mail_id),
            lambda: receiver.keys.recipients(tenant, self.mail_id),
            self._prepare,
        )
        self._kept = False

    @property
    def bare(self) -> bool:
        """Whether it has bare CR, bare LF or NUL."""
        return self._scanner.bare

    @property
    def refusal(self) -> Reply | None:
        """What `finish` will answer, if that is known already."""
        return self._refusal

    async def write(self, data: bytes) -> None:
        """Take more content."""
        self.size += len(data)
        if self._refusal is None:
            self._scanner.feed(data)
            if self.size > self._most:
                await self.refuse(reply.TOO_LARGE)
            else:
                self._check_bare()
                await (self._spool.abort() if self._refusal else self._spool.write(data))

    async def refuse(self, why: Reply) -> None:
        """Let `finish` answer this; nothing more is kept."""
        self._refusal = self._refusal or why
        await self._spool.abort()

    async def finish(self) -> Reply:
        """The content is whole: accept it, in a task of its own that outlives the connection."""
        return await asyncio.shield(self._receiver.run(self._receiver.accept(self)))

    async def body(self) -> Body:
        """The content as it is stored; raises `Refusal`, or what kept us from storing it."""
        self._scanner.finish()
        self._check_bare()
        if self._refusal is not None:
            raise Refusal(self._refusal)
        return await self._spool.finish()

    def keep(self, kept: bool = True) -> None:
        """The commit is tried: from now on nothing of this mail may be deleted."""
        self._kept = kept

    async def abort(self) -> None:
        """Forget it; harmless once it is kept. Never raises."""
        if not self._kept:
            await self._spool.abort()

    def _check_bare(self) -> None:
        if self._scanner.bare and self.transaction.tenant.bare_newlines == "refuse":
            self._refusal = self._refusal or reply.BARE

    def _prepare(self, head: bytes) -> bytes:
        """Look at the header once it is there; returns what is stored for `head`. Raises `Refusal`."""
        end = header.header_end(head)
        length = len(head) if end < 0 else end
        if length > header.MAX_HEADER:
            raise Refusal(reply.HEADER_TOO_LARGE)
        if header.count_received(head[:length]) > self._receiver.limits.max_hops:
            raise Refusal(reply.LOOP)
        if self.transaction.origin != "submission":
            return head
        _, _, domain = self.transaction.mail.sender.rpartition("@")
        domain = domain if domain and domain.isascii() and not domain.startswith("[") else self._receiver.hostname
        date = format_datetime(self._receiver.now().replace(microsecond=0))
        return header.complete(head, date=date, message_id=f"<{self.mail_id}@{domain}>")


def _judge(decision: mail_pb2.Decision | None, envelope: mail_pb2.Envelope) -> Verdict:
    """What the decision means here; raises `ValueError` for one that is not about this mail."""
    if decision is None:
        return Accept()
    if decision.tenant != envelope.tenant or decision.mail_id != envelope.mail_id:
        raise ValueError("the decision is about another mail")
    legs = [
        LegView(tuple(leg.recipients), leg.disposition == mail_pb2.DISPOSITION_REFUSE, leg.text)
        for leg in decision.legs
    ]
    return judge(
        decision.origin,
        legs,
        envelope_recipients=len(envelope.recipients),
        recipients=len(decision.recipients),
    )
