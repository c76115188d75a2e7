"""Say what became of a mail: from its records, or, before there are any, from the stored mail itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from letterlock.archive.v1 import archive_pb2, record_pb2
from letterlock.mail.v1 import mail_pb2

from services.archive.adapters import wire
from services.archive.core.fold import DIRECTIONS, STATES, TERMINAL, MailState
from services.archive.look import Look
from services.archive.segments import Segments
from services.archive.sweeper import Reads
from services.common import log
from services.common.errors import Corrupt, NotFound
from services.common.ids import MailId, TenantId

_log = log.get(__name__)


@dataclass
class History:
    """All that was recorded of one mail."""

    envelope: mail_pb2.Envelope | None = None
    decision: mail_pb2.Decision | None = None
    records: list[record_pb2.Record] = field(default_factory=list)

    @property
    def recipients(self) -> Sequence[mail_pb2.Recipient]:
        """The decision's recipients; the envelope's while undecided."""
        if self.decision is not None:
            return self.decision.recipients
        return self.envelope.recipients if self.envelope is not None else ()

    def addresses(self) -> set[str]:
        """Everybody the mail concerns, lower case."""
        named = {r.address.lower() for r in self.recipients}
        return named | ({self.envelope.sender.lower()} if self.envelope is not None else set())


class Histories:
    """Finds histories. Raises `NotFound`, `Unavailable`."""

    def __init__(self, look: Look, segments: Segments, reader: Reads) -> None:
        self._look, self._segments, self._reader = look, segments, reader

    async def of(self, tenant: TenantId, mail_id: MailId) -> History:
        """The history of a mail of this tenant."""
        state = (await self._look.states(tenant, [mail_id])).get(mail_id)
        history = History()
        for name in sorted(state.segments if state is not None else ()):
            try:
                records = await self._segments.records(tenant, name)
            except (Corrupt, NotFound) as error:
                _log.error("status.segment_unreadable", tenant=tenant, segment=name, code=error.code)
                continue
            history.records += (r for r in records if r.mail_id == mail_id)
        _gather(history)
        if history.envelope is None or history.decision is None or not history.decision.why:
            # Not recorded yet, or so large that the fact left parts of it to the stored mail.
            await self._complete(tenant, mail_id, history)
        if history.envelope is None:
            raise NotFound("no such mail", public="no such mail")
        return history

    async def _complete(self, tenant: TenantId, mail_id: MailId, history: History) -> None:
        try:
            header = await self._reader.header(tenant, mail_id)
        except (Corrupt, NotFound):
            return
        history.envelope = header.envelope
        if header.HasField("decision"):
            history.decision = header.decision


def _gather(history: History) -> None:
    for record in history.records:
        trace = record.trace
        if trace.HasField("envelope") and history.envelope is None:
            history.envelope = trace.envelope
        if record.kind == mail_pb2.KIND_DECIDED and trace.HasField("decision"):
            known = history.decision
            if known is None or _decided(trace.decision) < _decided(known):
                history.decision = trace.decision


def _decided(decision: mail_pb2.Decision) -> int:
    return wire.milliseconds(decision.decided_at)


def status(history: History, tenant: TenantId, tenant_name: str) -> archive_pb2.MailStatusResponse:
    """The answer: each recipient's fate, and the events that led to it in order."""
    envelope = history.envelope or mail_pb2.Envelope()
    response = archive_pb2.MailStatusResponse(
        mail_id=envelope.mail_id,
        tenant=tenant_name,
        sender=envelope.sender,
        received_at=envelope.received_at,
        size=envelope.size,
        origin=envelope.origin,
    )
    present = {DIRECTIONS[r.direction] for r in history.recipients if 0 <= r.direction < len(DIRECTIONS)}
    response.direction = next((d for d in ("inbound", "outbound", "internal") if d in present), "")
    state, outcomes = _fold(history, tenant)
    for position, recipient in enumerate(history.recipients):
        event = state.latest.get(position)
        shown = response.recipients.add(
            address=recipient.address, state=state.state(position), added=recipient.added, at=envelope.received_at
        )
        if event is not None:
            outcome = outcomes.get((event.key, event.at))
            shown.at.CopyFrom(wire.timestamp(event.at))
            shown.code, shown.attempts = event.code, event.attempts
            shown.detail = outcome.detail if outcome is not None and event.state != "released" else ""
    response.final = bool(response.recipients) and all(r.state in TERMINAL for r in response.recipients)
    response.events.extend(_events(history, state, outcomes))
    return response


type _Outcomes = dict[tuple[tuple[int, str, int, tuple[int, ...]], int], mail_pb2.Outcome]


def _fold(history: History, tenant: TenantId) -> tuple[MailState, _Outcomes]:
    """The mail's state from its records, and the outcome each event was made of."""
    mail_id = history.envelope.mail_id if history.envelope is not None else ""
    state = MailState(str(tenant), mail_id)
    outcomes: _Outcomes = {}
    for record in history.records:
        entry = wire.entry_of(record)
        if entry is None:
            continue
        one = wire.state_of(tenant, "", entry)
        state = state.merge(one)
        if record.kind == mail_pb2.KIND_OUTCOME:
            for event in one.events:
                outcomes.setdefault((event.key, event.at), record.trace.outcome)
    return state, outcomes


def _events(history: History, state: MailState, outcomes: _Outcomes) -> Iterable[archive_pb2.MailEvent]:
    recipients = history.recipients
    everybody = [r.address for r in recipients]
    envelope, decision = history.envelope, history.decision
    if envelope is not None:
        named = [r.address for r in envelope.recipients]
        yield archive_pb2.MailEvent(event="accepted", at=envelope.received_at, recipients=named, service="ingress")
    if decision is not None:
        rules = {leg.rule for leg in decision.legs if leg.rule}
        yield archive_pb2.MailEvent(
            event="decided",
            at=decision.decided_at,
            recipients=everybody,
            code=decision.origin,
            service="policy",
            rule=", ".join(sorted(rules)),
        )
    rule_of = {leg.number: leg.rule for leg in decision.legs} if decision is not None else {}
    releases = _releases(history)
    for event in state.events:
        shown = archive_pb2.MailEvent(
            event=event.state,
            at=wire.timestamp(event.at),
            leg=event.leg,
            recipients=[recipients[p].address for p in event.recipients if 0 <= p < len(recipients)],
            code=event.code,
            service=event.service,
            attempts=event.attempts,
            rule=rule_of.get(event.leg, ""),
        )
        outcome = outcomes.get((event.key, event.at))
        if outcome is not None:
            shown.detail, shown.actor, shown.remote = outcome.detail, outcome.actor, outcome.remote
        elif event.state == STATES[0] and (release := releases.get((event.leg, event.at))) is not None:
            shown.detail, shown.actor = release.note, release.actor
        yield shown


def _releases(history: History) -> dict[tuple[int, int], mail_pb2.Trace]:
    found: dict[tuple[int, int], mail_pb2.Trace] = {}
    for record in history.records:
        entry = wire.entry_of(record) if record.kind == mail_pb2.KIND_RELEASED else None
        if entry is not None:
            found[entry.event.leg, wire.milliseconds(entry.event.at)] = record.trace
    return found
