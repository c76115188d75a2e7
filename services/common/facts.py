"""Facts: what happened to a mail, told on the bus with its addresses and its content sealed.

Everybody publishes, opens, asks and answers through here, so that what lies
on the broker shows tenant id, mail id and kind and nothing else. What a
consumer cannot open it reads from the store, which is the truth.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import zstandard
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Proto
from letterlock.mail.v1 import mail_pb2

from services.common import log, tracing
from services.common.bus import Bus, Message
from services.common.errors import Busy, Corrupt, DeadlineExceeded, Error, NoResponders, TooLarge, Unavailable
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.common.sealing.factkeys import FactKeys, KeyGone, pipeline_of, trace_of

__all__ = ["CONTENT", "DECIDE", "Facts", "MailReader", "OpenFact", "Question"]

type Kind = Literal["accepted", "decided", "released", "sealed"]
type AnyKind = Literal["accepted", "decided", "released", "sealed", "outcome"]

CONTENT = 256 * 1024
"""Raw bytes up to which a fact carries the mail."""
QUESTION = 512 * 1024
"""Raw bytes up to which a question carries the mail."""
PAYLOAD = 960 * 1024
"""No message is larger; the broker's limit is 1 MiB with headers."""
DECIDE = "policy.decide"
_SMALL = 32 * 1024
"""Plain bytes up to which compressing is not worth it."""
_MOST = 8 * 1024 * 1024
"""No trace or decision is unpacked beyond this."""

_KINDS: dict[int, AnyKind] = {
    mail_pb2.KIND_ACCEPTED: "accepted",
    mail_pb2.KIND_DECIDED: "decided",
    mail_pb2.KIND_RELEASED: "released",
    mail_pb2.KIND_SEALED: "sealed",
    mail_pb2.KIND_OUTCOME: "outcome",
}
_NUMBERS = {name: number for number, name in _KINDS.items()}

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class OpenFact:
    """A fact that was opened. `from_store`: its trace was not readable, and is the stored one."""

    tenant: TenantId
    mail_id: MailId
    kind: AnyKind
    trace: mail_pb2.Trace
    content: Callable[[], Awaitable[bytes | None]]
    """The raw mail, from the fact or the store; None where neither can be opened here."""
    from_store: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question to policy. `content` gives the raw mail; its failures are of the store and the keys."""

    tenant: TenantId
    mail_id: MailId
    envelope: mail_pb2.Envelope
    content: Callable[[], Awaitable[bytes]]
    key_id: str
    """The fact key that the answer is sealed under."""


class Facts:
    """One service's way to tell and to hear. `reader` is for those who have the pipeline's keys."""

    def __init__(self, bus: Bus, fact_keys: FactKeys, reader: MailReader | None = None) -> None:
        self._bus, self._keys, self._reader = bus, fact_keys, reader

    async def publish(self, kind: Kind, trace: mail_pb2.Trace, *, raw: bytes | None, msg_id: str) -> None:
        """Tell `mail.<kind>.<tid>`, durable in the stream on return; raises `Unavailable`, `Busy`, `TooLarge`."""
        subject = f"mail.{kind}.{trace.envelope.tenant}"
        data = await self.encode(subject, kind, trace, raw=raw)
        await self._bus.publish(subject, data, msg_id=msg_id, headers=tracing.inject())

    async def outcome(self, about: mail_pb2.Envelope | mail_pb2.Trace | None, outcome: mail_pb2.Outcome) -> None:
        """Tell `mail.outcome.<tid>.<mid>`; `about` is what the record keeper should also know. Raises as `publish`."""
        trace = mail_pb2.Trace(outcome=outcome)
        if isinstance(about, mail_pb2.Envelope):
            trace.envelope.CopyFrom(about)
        elif about is not None:
            trace.CopyFrom(about)
            trace.outcome.CopyFrom(outcome)
        subject = f"mail.outcome.{outcome.tenant}.{outcome.mail_id}"
        state = mail_pb2.State.Name(outcome.state).removeprefix("STATE_").lower()
        data = await self.encode(subject, "outcome", trace)
        msg_id = f"{outcome.mail_id}:{outcome.leg}:{state}:{outcome.n}"
        await self._bus.publish(subject, data, msg_id=msg_id, headers=tracing.inject())

    async def encode(self, subject: str, kind: AnyKind, trace: mail_pb2.Trace, *, raw: bytes | None = None) -> bytes:
        """A fact for `subject`, also for `bus.schedule`; it opens only as a message of that subject."""
        source: mail_pb2.Envelope | mail_pb2.Outcome = trace.envelope if trace.HasField("envelope") else trace.outcome
        tenant, mail_id = TenantId.parse(source.tenant), MailId.parse(source.mail_id)
        plain = _pack(trace)
        fact = mail_pb2.Fact(tenant=tenant, mail_id=mail_id, kind=_NUMBERS[kind])  # type: ignore[arg-type]
        fact.trace.CopyFrom(await self._keys.seal(trace_of(tenant), plain, _aad("trace", subject, mail_id)))
        if raw is not None and len(raw) <= CONTENT and len(raw) + len(plain) < PAYLOAD:
            box = await self._keys.seal(pipeline_of(), raw, _aad("content", subject, mail_id))
            fact.content.CopyFrom(box)
        return fact.SerializeToString()

    async def open(self, message: Message) -> OpenFact:
        """The fact in a message.

        Raises `Corrupt` when it is none, `Unavailable` when its trace can neither be opened nor be
        had from the store. Only what was accepted or decided is read there: what a release or an
        outcome says stands nowhere else.
        """
        fact = _parse(mail_pb2.Fact(), message.data)
        tenant, mail_id = _ids(fact.tenant, fact.mail_id)
        kind = _KINDS.get(fact.kind)
        if kind is None:
            raise Corrupt("fact of an unknown kind")
        from_store = False
        try:
            plain = await self._keys.open(fact.trace, _aad("trace", message.subject, mail_id))
            trace = _unpack(mail_pb2.Trace(), plain)
        except KeyGone:
            if self._reader is None or kind not in ("accepted", "decided"):
                raise
            _log.info("fact.read_from_store", tenant=tenant, mail_id=mail_id, kind=kind)
            header = await self._reader.header(tenant, mail_id)
            trace, from_store = trace_from(header), True
        if trace.HasField("envelope") and _differs(trace.envelope, tenant, mail_id):
            raise Corrupt("fact is about another mail")
        if trace.HasField("outcome") and _differs(trace.outcome, tenant, mail_id):
            raise Corrupt("outcome is of another mail")

        async def content() -> bytes | None:
            if fact.HasField("content"):
                try:
                    return await self._keys.open(fact.content, _aad("content", message.subject, mail_id))
                except KeyGone:
                    pass
            return None if self._reader is None else (await self._reader.read(tenant, mail_id))[1]

        return OpenFact(tenant, mail_id, kind, trace, content, from_store)

    async def ask_decide(self, envelope: mail_pb2.Envelope, raw: bytes | None, *, timeout: float) -> mail_pb2.Decision:
        """Ask policy about a mail that is not committed; `raw` None: its body is in the blob object.

        Raises `Busy` (the member that was asked has no room: ask again), `NoResponders`, `DeadlineExceeded`
        (policy is late), `Unavailable` (it could not be asked), `Corrupt`.
        """
        tenant, mail_id = TenantId.parse(envelope.tenant), MailId.parse(envelope.mail_id)
        until = time.monotonic() + timeout
        try:
            async with asyncio.timeout(timeout):
                request = await self._question(envelope, tenant, mail_id, raw)
        except (TimeoutError, DeadlineExceeded) as error:
            raise Unavailable("no key for the question in time") from error
        data = request.SerializeToString()
        if len(data) > PAYLOAD:
            raise TooLarge("question is too large", size=len(data))
        left = max(until - time.monotonic(), 0.001)
        try:
            answer = await self._bus.request(DECIDE, data, timeout=left, headers=tracing.inject())
        except (Busy, NoResponders, DeadlineExceeded):
            raise
        except Error:
            self._keys.doubt()
            raise
        response = _parse(mail_pb2.DecideResponse(), answer)
        if response.busy:
            raise Busy("policy has no room")
        if response.decision.key_id != request.trace.key_id:
            raise Corrupt("answer is under another key")
        opened = await self._keys.open(response.decision, _aad("reply", DECIDE, mail_id))
        decision = _unpack(mail_pb2.Decision(), opened)
        if _differs(decision, tenant, mail_id):
            raise Corrupt("decision is another mail's")
        return decision

    async def _question(
        self, envelope: mail_pb2.Envelope, tenant: TenantId, mail_id: MailId, raw: bytes | None
    ) -> mail_pb2.DecideRequest:
        inline = raw is not None and len(raw) <= QUESTION
        plain = _pack(mail_pb2.Trace(envelope=envelope, blob=not inline))
        request = mail_pb2.DecideRequest(tenant=tenant, mail_id=mail_id)
        request.trace.CopyFrom(await self._keys.seal(trace_of(tenant), plain, _aad("trace", DECIDE, mail_id)))
        if inline and raw is not None:
            box = await self._keys.seal(pipeline_of(), raw, _aad("content", DECIDE, mail_id))
            request.content.CopyFrom(box)
        return request

    async def open_question(self, message: Message) -> Question:
        """The question in a request; raises `Corrupt`, or `Unavailable` when its key cannot be had."""
        request = _parse(mail_pb2.DecideRequest(), message.data)
        tenant, mail_id = _ids(request.tenant, request.mail_id)
        trace = _unpack(mail_pb2.Trace(), await self._keys.open(request.trace, _aad("trace", DECIDE, mail_id)))
        if _differs(trace.envelope, tenant, mail_id):
            raise Corrupt("question is about another mail")

        async def content() -> bytes:
            if request.HasField("content"):
                return await self._keys.open(request.content, _aad("content", DECIDE, mail_id))
            if self._reader is None:
                raise Unavailable("no reader for large mails here")
            return await self._reader.blob(trace.envelope)

        return Question(tenant, mail_id, trace.envelope, content, request.trace.key_id)

    async def seal_answer(self, question: Question, decision: mail_pb2.Decision) -> bytes:
        """The answer with a decision, for the asker alone; raises `TooLarge`."""
        plain = _pack(decision)
        box = await self._keys.seal_with(question.key_id, plain, _aad("reply", DECIDE, question.mail_id))
        return mail_pb2.DecideResponse(decision=box).SerializeToString()

    @staticmethod
    def busy_answer() -> bytes:
        """The answer that says: no room here, ask again."""
        return mail_pb2.DecideResponse(busy=True).SerializeToString()


def trace_from(header: mail_pb2.ObjectHeader) -> mail_pb2.Trace:
    """The trace of a stored mail."""
    trace = mail_pb2.Trace(envelope=header.envelope, blob=header.blob)
    if header.HasField("decision"):
        trace.decision.CopyFrom(header.decision)
    return trace


def _pack[M: (mail_pb2.Trace, mail_pb2.Decision)](message: M) -> bytes:
    """The bytes to seal: compressed when large, and without a decision's reasons when that is not enough.

    The reasons are for people, and stand in the object. A thousand recipients with all their DSN parameters fit.
    """
    packed = _compressed(message.SerializeToString())
    if len(packed) <= PAYLOAD // 2:
        return packed
    smaller = type(message)()
    smaller.CopyFrom(message)
    if isinstance(smaller, mail_pb2.Decision):
        smaller.ClearField("why")
    elif smaller.HasField("decision"):
        smaller.decision.ClearField("why")
    packed = _compressed(smaller.SerializeToString())
    if len(packed) > PAYLOAD:
        raise TooLarge("too large for the bus", size=len(packed))
    return packed


def _compressed(plain: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(plain) if len(plain) > _SMALL else plain


def _unpack[M: Proto](message: M, data: bytes) -> M:
    # None of our messages begins with these four bytes: they would be a field that none has, or a bool of 2^n.
    if data.startswith(zstandard.FRAME_HEADER):
        try:
            reader = zstandard.ZstdDecompressor(max_window_size=_MOST).stream_reader(data)
            plain = reader.read(_MOST + 1)
        except zstandard.ZstdError as error:
            raise Corrupt("packed message is malformed") from error
        if len(plain) > _MOST:
            raise Corrupt("packed message is too large")
        data = plain
    return _parse(message, data)


def _aad(part: str, subject: str, mail_id: str) -> bytes:
    return f"{part}\0{subject}\0{mail_id}".encode()


def _differs(what: mail_pb2.Envelope | mail_pb2.Outcome | mail_pb2.Decision, tenant: TenantId, mail_id: MailId) -> bool:
    return (what.tenant, what.mail_id) != (tenant, mail_id)


def _ids(tenant: str, mail_id: str) -> tuple[TenantId, MailId]:
    return TenantId.parse(tenant), MailId.parse(mail_id)


def _parse[M: Proto](message: M, data: bytes) -> M:
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Corrupt("message is malformed") from error
    return message
