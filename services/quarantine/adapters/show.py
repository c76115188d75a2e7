"""Holds and what belongs to them as the API tells it: addresses, times, reasons; nothing of the mail itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2
from letterlock.quarantine.v1 import quarantine_pb2 as pb

from services.common.notices import CATALOGUE, Stored
from services.quarantine.core import holds
from services.quarantine.onward import findings
from services.quarantine.ports import Deputy, Held, Sender, Verdict

_STATES: Mapping[holds.State, pb.HoldState] = {
    "held": pb.HOLD_STATE_HELD,
    "overdue": pb.HOLD_STATE_OVERDUE,
    "released": pb.HOLD_STATE_RELEASED,
    "deleted": pb.HOLD_STATE_DELETED,
    "returned": pb.HOLD_STATE_RETURNED,
    "forwarded": pb.HOLD_STATE_FORWARDED,
    "sealed": pb.HOLD_STATE_SEALED,
    "cancelled": pb.HOLD_STATE_CANCELLED,
}
VERDICTS: Mapping[pb.SenderVerdict, Verdict] = {pb.SENDER_VERDICT_ALLOW: "allow", pb.SENDER_VERDICT_BLOCK: "block"}
_NUMBERS = {name: number for number, name in VERDICTS.items()}


def hold(held: Held) -> pb.Hold:
    """One hold."""
    one, envelope = held.hold, held.trace.envelope
    leg = next((leg for leg in held.trace.decision.legs if leg.number == one.leg), mail_pb2.Leg())
    everyone = held.trace.decision.recipients
    mine = [everyone[i] for i in leg.recipients if 0 <= i < len(everyone)]
    shown = pb.Hold(
        id=one.id,
        mail_id=one.mail_id,
        leg=one.leg,
        state=_STATES[one.state],
        direction=mine[0].direction if mine else mail_pb2.DIRECTION_UNSPECIFIED,
        sender=envelope.sender,
        recipients=[r.address for r in mine],
        size=envelope.size,
        on_expiry=one.on_expiry,
        rule=leg.rule,
        text=leg.text,
        reviewers=one.reviewers,
        decided_by=one.decided_by,
        note=one.note,
        revision=one.revision,
        kind=one.kind,
        levels=one.levels,
        level=one.level,
        target=one.target,
        findings=findings(held),
    )
    if envelope.HasField("received_at"):
        shown.received_at.CopyFrom(envelope.received_at)
    shown.held_at.FromDatetime(one.held_at)
    if one.expires_at is not None:
        shown.expires_at.FromDatetime(one.expires_at)
    if one.decided_at is not None:
        shown.decided_at.FromDatetime(one.decided_at)
    if one.escalated_at is not None:
        shown.escalated_at.FromDatetime(one.escalated_at)
    claimant = one.claimant(datetime.now(UTC))
    if claimant and one.claimed_until is not None:
        shown.claimed_by = claimant
        shown.claimed_until.FromDatetime(one.claimed_until)
    for step in one.steps:
        told = shown.steps.add(
            by=step.by,
            acting_for=step.acting_for,
            what=step.what,
            level=step.level,
            note=step.note,
            detail=step.detail,
            forced=step.forced,
        )
        told.at.FromDatetime(step.at)
    return shown


def deputy(one: Deputy) -> pb.Deputy:
    """Who stands in for a reviewer."""
    shown = pb.Deputy(reviewer=one.reviewer, deputy=one.deputy)
    if one.until is not None:
        shown.until.FromDatetime(one.until)
    return shown


def sender(one: Sender) -> pb.Sender:
    """A sender that is allowed or blocked."""
    shown = pb.Sender(address=one.address, verdict=_NUMBERS[one.verdict], by=one.by, note=one.note)
    shown.at.FromDatetime(one.at)
    return shown


def template(one: Stored) -> pb.Template:
    """The words of a notice."""
    return pb.Template(
        name=one.name,
        language=one.language,
        subject=one.template.subject,
        text=one.template.text,
        revision=one.revision,
        fields=sorted(CATALOGUE[one.name].fields),
    )
