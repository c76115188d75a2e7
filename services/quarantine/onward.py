"""What is told of a hold: the trace that sends its leg on, and the words of its outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Corrupt
from services.common.ids import MailId
from services.quarantine.core.holds import FORMATS, Hold
from services.quarantine.ports import Held

BY_PERSON = "review"
"""The rule that a reviewer's own seal is noted under."""


def new_hold(mail_id: MailId, trace: mail_pb2.Trace, leg: mail_pb2.Leg, now: datetime) -> Hold:
    """The hold of a leg that a rule holds or delays."""
    delayed = leg.disposition == mail_pb2.DISPOSITION_DELAY
    start = now
    if delayed and trace.decision.HasField("decided_at"):
        start = trace.decision.decided_at.ToDatetime(UTC)
    return Hold(
        mail_id=mail_id,
        leg=leg.number,
        held_at=now,
        expires_at=start + timedelta(seconds=leg.seconds) if leg.seconds > 0 or delayed else None,
        on_expiry="release" if delayed else leg.on_expiry or "escalate",
        reviewers=("sender",) if delayed else tuple(leg.reviewers),
        # Whoever writes from outside says what they like: the sender of inbound mail is nobody here.
        sender="" if inbound(trace, leg) else trace.envelope.sender,
        kind="delay" if delayed else "hold",
        levels=max(leg.levels, 1),
    )


def leg_of(held: Held) -> mail_pb2.Leg:
    """The held leg; raises `Corrupt` without one."""
    for leg in held.trace.decision.legs:
        if leg.number == held.hold.leg:
            return leg
    raise Corrupt("a hold without its leg")


def inbound(trace: mail_pb2.Trace, leg: mail_pb2.Leg) -> bool:
    """Whether any of the leg's recipients gets it from outside."""
    everyone = trace.decision.recipients
    mine = [everyone[p] for p in leg.recipients if 0 <= p < len(everyone)]
    return any(r.direction == mail_pb2.DIRECTION_INBOUND for r in mine)


def why(held: Held) -> str:
    """What people read of the reason: the rule's words, or its name and who reviews."""
    leg = leg_of(held)
    if held.hold.kind == "delay":
        return leg.text or "delayed by policy"
    return leg.text or f"held by rule {leg.rule} for review by {', '.join(leg.reviewers) or 'any reviewer'}"


def findings(held: Held) -> list[str]:
    """What was found, masked, for the recipients of this leg: `rule: span`, each once, at most 50."""
    mine = set(leg_of(held).recipients)
    found: dict[str, None] = {}
    for rule in held.trace.decision.why:
        if rule.matched and (not rule.recipients or mine & set(rule.recipients)):
            for predicate in rule.predicates:
                found |= {f"{rule.rule}: {span}": None for span in predicate.spans}
    return list(found)[:50]


def onward(held: Held) -> mail_pb2.Trace:
    """The trace that sends this leg on: as decided, encrypted, to another address, or back with the note."""
    hold = held.hold
    trace = mail_pb2.Trace()
    trace.CopyFrom(held.trace)
    trace.ClearField("outcome")
    del trace.legs[:]
    trace.legs.append(hold.leg)
    trace.actor, trace.note = hold.decided_by, hold.note
    leg = next(one for one in trace.decision.legs if one.number == hold.leg)
    match hold.state:
        case "returned":
            leg.disposition = mail_pb2.DISPOSITION_RETURN
            leg.text = hold.note or leg.text
        case "forwarded":
            del leg.redirect[:]
            leg.redirect.append(hold.target)
        case "sealed":
            _seal(leg, hold.target)
    return trace


def _seal(leg: mail_pb2.Leg, target: str) -> None:
    """A seal of the reviewer's choice in place of those that rules asked for."""
    format_, _, password = target.partition("/")
    if format_ not in FORMATS:
        raise Corrupt("a seal of an unknown format")
    others = [t for t in leg.transforms if t.kind not in ("seal", "link")]
    del leg.transforms[:]
    leg.transforms.extend(others)
    settings = {"format": format_, "password": password or "random"}
    leg.transforms.add(kind="seal", rule=BY_PERSON, settings=orjson.dumps(settings, option=orjson.OPT_SORT_KEYS))
