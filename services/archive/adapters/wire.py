"""Facts and index entries as the core's values, and back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from letterlock.archive.v1 import archive_pb2, record_pb2
from letterlock.mail.v1 import mail_pb2

from services.archive.core import document
from services.archive.core.fold import DIRECTIONS, DISPOSITIONS, STATES, Decided, Event, Leg, MailState
from services.common.errors import Corrupt, InvalidInput
from services.common.ids import MailId, TenantId


def milliseconds(stamp: Timestamp) -> int:
    """A protobuf time as milliseconds since 1970."""
    return stamp.seconds * 1000 + stamp.nanos // 1_000_000


def timestamp(at: int) -> Timestamp:
    """Milliseconds since 1970 as a protobuf time."""
    return Timestamp(seconds=at // 1000, nanos=at % 1000 * 1_000_000)


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else ""


def entry_of(record: record_pb2.Record) -> record_pb2.IndexEntry | None:
    """What the index is told of a record: codes, ids, sizes and times; None when it adds nothing."""
    trace = record.trace
    if record.kind == mail_pb2.KIND_DECIDED:
        if not trace.HasField("decision"):
            return None
        return record_pb2.IndexEntry(mail_id=record.mail_id, mail=_mail(trace))
    if record.kind == mail_pb2.KIND_OUTCOME:
        outcome = trace.outcome
        return record_pb2.IndexEntry(
            mail_id=record.mail_id,
            event=record_pb2.IndexEvent(
                leg=outcome.leg,
                recipients=sorted(outcome.recipients),
                state=outcome.state,
                code=document.code(outcome.code),
                at=outcome.at,
                n=outcome.n,
                service=document.code(outcome.service),
                attempts=outcome.attempts,
            ),
        )
    if record.kind == mail_pb2.KIND_RELEASED:
        return _released(record)
    return None


def _released(record: record_pb2.Record) -> record_pb2.IndexEntry:
    """A release of legs: `<id>:<leg>:r:<revision>` is its message id; the revision tells releases of a leg apart."""
    meant = set(record.trace.legs)
    legs = [leg for leg in record.trace.decision.legs if not meant or leg.number in meant]
    revision = record.msg_id.rpartition(":")[2]
    return record_pb2.IndexEntry(
        mail_id=record.mail_id,
        event=record_pb2.IndexEvent(
            leg=legs[0].number if legs else min(meant, default=0),
            recipients=sorted(p for leg in legs for p in leg.recipients),
            at=record.recorded_at,
            n=int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 9 else 0,
            service="quarantine",
        ),
    )


def _mail(trace: mail_pb2.Trace) -> record_pb2.IndexMail:
    envelope, decision = trace.envelope, trace.decision
    matched = {w.rule for w in decision.why if w.matched} | {leg.rule for leg in decision.legs}
    return record_pb2.IndexMail(
        received_at=envelope.received_at,
        size=envelope.size,
        origin=document.code(envelope.origin),
        blob=trace.blob,
        directions=[r.direction for r in decision.recipients],
        revision=decision.revision,
        decided_at=decision.decided_at,
        decision_origin=document.code(decision.origin),
        legs=[
            record_pb2.IndexLeg(
                number=leg.number,
                recipients=leg.recipients,
                disposition=leg.disposition,
                rule=leg.rule,
                seconds=leg.seconds,
                transforms=[document.code(t.kind) for t in leg.transforms],
            )
            for leg in decision.legs
        ],
        rules=sorted(r for r in matched if r),
        inspected=decision.coverage.complete or not decision.HasField("coverage"),
        not_inspected=sorted({document.code(n.reason) for n in decision.coverage.not_inspected}),
    )


def state_of(tenant: TenantId, segment: str, entry: record_pb2.IndexEntry) -> MailState:
    """One entry as a state that can be merged with others of its mail."""
    decided = _decided(entry.mail) if entry.HasField("mail") else None
    events = (_event(entry.event),) if entry.HasField("event") else ()
    return MailState(str(tenant), entry.mail_id, decided, events, frozenset({segment}))


def _decided(mail: record_pb2.IndexMail) -> Decided:
    return Decided(
        decided=milliseconds(mail.decided_at),
        received=milliseconds(mail.received_at),
        size=mail.size,
        directions=tuple(_name(DIRECTIONS, d) for d in mail.directions),
        legs=tuple(
            Leg(
                number=leg.number,
                recipients=tuple(leg.recipients),
                disposition=_name(DISPOSITIONS, leg.disposition),
                rule=leg.rule,
                seconds=leg.seconds,
                transforms=tuple(leg.transforms),
            )
            for leg in mail.legs
        ),
        origin=mail.origin,
        blob=mail.blob,
        revision=mail.revision,
        decision_origin=mail.decision_origin,
        rules=tuple(mail.rules),
        inspected=mail.inspected,
        not_inspected=tuple(mail.not_inspected),
    )


def _event(event: record_pb2.IndexEvent) -> Event:
    return Event(
        at=milliseconds(event.at),
        leg=event.leg,
        recipients=tuple(event.recipients),
        state=_name(STATES, event.state) or "accepted",
        n=event.n,
        code=event.code,
        service=event.service,
        attempts=event.attempts,
    )


def read_entries(messages: Iterable[bytes]) -> list[record_pb2.IndexEntry]:
    """Entries of an index segment; raises `Corrupt`."""
    try:
        entries = [record_pb2.IndexEntry.FromString(m) for m in messages]
        for entry in entries:
            MailId.parse(entry.mail_id)
    except (DecodeError, InvalidInput) as error:
        raise Corrupt("an index segment holds no entries") from error
    return entries


def read_records(messages: Iterable[bytes]) -> list[record_pb2.Record]:
    """Records of a record segment; raises `Corrupt`."""
    try:
        return [record_pb2.Record.FromString(m) for m in messages]
    except DecodeError as error:
        raise Corrupt("a record segment holds no records") from error


def fates(state: MailState | None) -> archive_pb2.FatesResponse:
    """The last outcome of each recipient that has any; none for one that was released from a hold since."""
    response = archive_pb2.FatesResponse()
    if state is None:
        return response
    for position, event in sorted(state.latest.items()):
        if event.state == "released":
            continue
        response.outcomes.add(
            tenant=state.tenant,
            mail_id=state.mail_id,
            leg=event.leg,
            recipients=[position],
            state=mail_pb2.State.ValueType(STATES.index(event.state)),
            code=event.code,
            at=timestamp(event.at),
            n=event.n,
            service=event.service,
            attempts=event.attempts,
        )
    return response


def now_stamp(now: datetime | None = None) -> Timestamp:
    """The present as a protobuf time."""
    stamp = Timestamp()
    stamp.FromDatetime((now or datetime.now(UTC)).astimezone(UTC))
    return stamp
