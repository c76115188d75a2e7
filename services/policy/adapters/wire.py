"""Protobuf to the core's values and back, in one place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import get_args

from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import policy_pb2

from services.common.errors import InvalidInput
from services.policy.core import replay
from services.policy.core.counts import ASKED, Row
from services.policy.core.evaluate import Match
from services.policy.core.lattice import Change, Leg, Treatment, Verdict, canonical
from services.policy.core.message import Direction, Message, NotInspected, Reason, Recipient, Transaction
from services.policy.core.replay import Certificate
from services.policy.core.rules import Disposition
from services.policy.core.tree import Mistake
from services.policy.ports import Question

_MAX_WHY_RECIPIENTS = 1000
_MAX_NOT_INSPECTED = 100
_REASONS: Mapping[str, Reason] = {reason: reason for reason in get_args(Reason.__value__)}
_MAX_DECISION = 200_000
"""Bytes a decision may have with its reasons: it travels in messages of the broker, beside the mail."""

DIRECTIONS: Mapping[int, Direction] = {
    mail_pb2.DIRECTION_INBOUND: "inbound",
    mail_pb2.DIRECTION_OUTBOUND: "outbound",
    mail_pb2.DIRECTION_INTERNAL: "internal",
}
NUMBERS: Mapping[Direction, mail_pb2.Direction] = {
    "inbound": mail_pb2.DIRECTION_INBOUND,
    "outbound": mail_pb2.DIRECTION_OUTBOUND,
    "internal": mail_pb2.DIRECTION_INTERNAL,
}
_DISPOSITIONS: Mapping[Disposition, mail_pb2.Disposition] = {
    "deliver": mail_pb2.DISPOSITION_DELIVER,
    "delay": mail_pb2.DISPOSITION_DELAY,
    "hold": mail_pb2.DISPOSITION_HOLD,
    "return": mail_pb2.DISPOSITION_RETURN,
    "refuse": mail_pb2.DISPOSITION_REFUSE,
    "delete": mail_pb2.DISPOSITION_DELETE,
}


def transaction(envelope: mail_pb2.Envelope) -> Transaction:
    """The transaction an envelope describes. A direction that is not said counts as outbound: the stricter rules."""
    return Transaction(
        sender=envelope.sender,
        recipients=tuple(Recipient(r.address, DIRECTIONS.get(r.direction, "outbound")) for r in envelope.recipients),
        tls=bool(envelope.peer.tls),
        size=envelope.size,
        at=envelope.received_at.ToDatetime(UTC) if envelope.HasField("received_at") else datetime.now(UTC),
    )


def question(envelope: mail_pb2.Envelope, raw: bytes) -> Question:
    """What the filters beside us are told."""
    return Question(
        mail_id=envelope.mail_id,
        raw=raw,
        sender=envelope.sender,
        recipients=tuple(r.address for r in envelope.recipients),
        address=envelope.peer.address,
        helo=envelope.peer.helo,
        account=envelope.peer.account,
    )


def decision(
    envelope: mail_pb2.Envelope,
    verdict: Verdict,
    matches: Sequence[Match],
    message: Message,
    *,
    revision: int,
    now: datetime,
) -> mail_pb2.Decision:
    """The decision with its reasons."""
    made = mail_pb2.Decision(tenant=envelope.tenant, mail_id=envelope.mail_id, revision=revision)
    made.decided_at.FromDatetime(now)
    made.recipients.extend(envelope.recipients)
    for added in verdict.added:
        made.recipients.add(address=added.address, direction=NUMBERS[added.direction], added=True, notify=["NEVER"])
    made.legs.extend(_leg(leg) for leg in verdict.legs)
    made.why.extend(_why(match) for match in matches)
    made.coverage.CopyFrom(coverage(message))
    if verdict.tempfail:
        made.origin = "tempfail"
    elif verdict.doubted:
        made.origin = "on_doubt"
    else:
        made.origin = "policy" if revision else "no_policy"
    _trim(made)
    return made


def _trim(made: mail_pb2.Decision) -> None:
    """Let go of reasons, the least telling first, until the decision fits; what happens is never trimmed."""
    trims: tuple[Callable[[mail_pb2.RuleWhy], None], ...] = (
        lambda why: None if why.matched else why.ClearField("predicates"),
        lambda why: why.ClearField("predicates"),
        lambda why: why.ClearField("recipients"),
    )
    for trim in trims:
        if made.ByteSize() <= _MAX_DECISION:
            return
        for why in made.why:
            trim(why)


def coverage(message: Message) -> mail_pb2.Coverage:
    """How much of the mail was inspected."""
    told = mail_pb2.Coverage(complete=not message.not_inspected, parts=message.parts)
    for part in message.not_inspected[:_MAX_NOT_INSPECTED]:
        told.not_inspected.add(part=part.part, reason=part.reason)
    told.ambiguities.extend(message.ambiguities[:_MAX_NOT_INSPECTED])
    return told


def revision(number: int, *, at: datetime, actor: str, note: str, rules: int, sha256: str) -> policy_pb2.Revision:
    """A revision without its text."""
    made = policy_pb2.Revision(number=number, actor=actor, note=note, rules=rules, sha256=sha256)
    made.applied_at.FromDatetime(at.astimezone(UTC))
    return made


def certificate(decided: mail_pb2.Decision) -> Certificate:
    """A decision as values; raises `InvalidInput` for one that cannot be replayed."""
    named = [r for r in decided.recipients if not r.added]
    if any(r.address.startswith("*@") for r in decided.recipients):
        raise InvalidInput("addresses are masked in this certificate: ask for one as the tenant", field="decision")
    if any(i >= len(decided.recipients) or i < 0 for leg in decided.legs for i in leg.recipients):
        raise InvalidInput("a leg names a recipient that is not there", field="decision.legs")
    try:
        changes = [
            tuple(Change(t.kind, t.rule, canonical(json.loads(t.settings))) for t in leg.transforms)
            for leg in decided.legs
        ]
        not_inspected = tuple(NotInspected(n.part, _REASONS[n.reason]) for n in decided.coverage.not_inspected)
    except (ValueError, KeyError, RecursionError) as error:
        raise InvalidInput("not a decision", field="decision") from error
    legs = [
        Leg(
            leg.number,
            tuple(leg.recipients),
            Treatment(
                disposition=next((n for n, d in _DISPOSITIONS.items() if d == leg.disposition), "deliver"),
                rule=leg.rule,
                text=leg.text,
                seconds=leg.seconds,
                reviewers=tuple(leg.reviewers),
                on_expiry=leg.on_expiry,
                levels=leg.levels or 1,
                transforms=changed,
                redirect=tuple(leg.redirect),
            ),
        )
        for leg, changed in zip(decided.legs, changes, strict=True)
    ]
    return Certificate(
        transaction=Transaction(
            sender="",
            recipients=tuple(Recipient(r.address, DIRECTIONS.get(r.direction, "outbound")) for r in named),
            tls=False,
            size=0,
            at=decided.decided_at.ToDatetime(UTC),
        ),
        added=tuple(
            Recipient(r.address, DIRECTIONS.get(r.direction, "outbound")) for r in decided.recipients if r.added
        ),
        reasons=tuple(
            replay.Reason(
                rule=w.rule,
                mode=w.mode,
                matched=w.matched,
                recipients=tuple(w.recipients),
                truths={p.path: p.truth for p in w.predicates},
                error=w.error,
            )
            for w in decided.why
        ),
        not_inspected=not_inspected,
        legs=tuple(legs),
        origin=decided.origin,
    )


def shadow_report(counts: Mapping[tuple[str, Row], int]) -> policy_pb2.ShadowReportResponse:
    """Counts as they are told, by day and rule."""
    told = policy_pb2.ShadowReportResponse()
    for (day, row), mails in sorted(counts.items()):
        asked = row.outcome == ASKED
        (told.asked if asked else told.counts).add(
            day=day,
            rule=row.rule,
            mode=row.mode,
            direction=next((n for d, n in NUMBERS.items() if d == row.direction), mail_pb2.DIRECTION_UNSPECIFIED),
            group=row.group,
            outcome="" if asked else row.outcome,
            mails=mails,
        )
    return told


def mistakes(found: Sequence[Mistake]) -> list[policy_pb2.Mistake]:
    """Mistakes as they are told."""
    return [policy_pb2.Mistake(line=m.line, column=m.column, path=m.path, reason=m.reason) for m in found]


def _leg(leg: Leg) -> mail_pb2.Leg:
    treatment = leg.treatment
    made = mail_pb2.Leg(
        number=leg.number,
        recipients=leg.recipients,
        disposition=_DISPOSITIONS[treatment.disposition],
        rule=treatment.rule,
        text=treatment.text,
        seconds=treatment.seconds,
        reviewers=treatment.reviewers,
        on_expiry=treatment.on_expiry,
        redirect=treatment.redirect,
        levels=treatment.levels if treatment.disposition == "hold" else 0,
    )
    for change in treatment.transforms:
        made.transforms.add(kind=change.kind, rule=change.rule, settings=change.settings.encode())
    return made


def _why(match: Match) -> mail_pb2.RuleWhy:
    mode = match.rule.mode
    if mode == "canary" and not match.applies:
        mode = "shadow"
    made = mail_pb2.RuleWhy(
        rule=match.rule.id,
        mode=mode,
        matched=bool(match.recipients) and not match.error,
        recipients=match.recipients[:_MAX_WHY_RECIPIENTS],
        error=match.error,
    )
    for why in match.why:
        made.predicates.add(path=why.path, truth=why.truth, spans=why.spans)
    return made
