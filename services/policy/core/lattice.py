"""From matching rules to what becomes of each recipient, and to legs.

Per recipient all matching rules count. Transforms add up. Dispositions join:
the strongest wins, and among rules that say the same one, the priority
decides whose text and settings count. Recipients that are treated alike form
a leg.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.policy.core.evaluate import Match
from services.policy.core.message import Direction, Message, Recipient, Transaction
from services.policy.core.rules import DISPOSITIONS, Disposition, Doubt, Outcome, Policy

ON_DOUBT = "on_doubt"
"""The name that stands in a leg for what happens to mails that could not be inspected."""

ONCE: frozenset[str] = frozenset({"seal", "link"})
"""Transforms that a mail bears once."""

_STRENGTH: Mapping[Disposition, int] = {d: i for i, d in enumerate(DISPOSITIONS)}
_DOUBT_STRENGTH: Mapping[Doubt, int] = {"pass": 0, "hold": 1, "tempfail": 2}
_NOT_INSPECTED = "part of the mail could not be inspected"


@dataclass(frozen=True, slots=True)
class Change:
    """A transform with the rule that asked for it; the settings are canonical JSON."""

    kind: str
    rule: str
    settings: str


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of a recipient. Seconds are a delay's, or a hold's until it expires (0: never)."""

    disposition: Disposition = "deliver"
    rule: str = ""
    text: str = ""
    seconds: int = 0
    reviewers: tuple[str, ...] = ()
    on_expiry: str = ""
    levels: int = 1
    transforms: tuple[Change, ...] = ()
    redirect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """Recipients treated alike, by their positions; numbers count from 1."""

    number: int
    recipients: tuple[int, ...]
    treatment: Treatment


@dataclass(frozen=True, slots=True)
class Verdict:
    """The legs over the envelope's recipients and then `added`; or "come again later", which has no legs.

    `doubted`: doubt, and not a rule, decided for some recipient.
    """

    legs: tuple[Leg, ...] = ()
    added: tuple[Recipient, ...] = ()
    tempfail: bool = False
    doubted: bool = False


def join(
    policy: Policy,
    matches: Sequence[Match],
    message: Message,
    transaction: Transaction,
    *,
    queued: bool,
    direction_of: Callable[[str], Direction],
) -> Verdict:
    """The verdict over all recipients.

    `queued`: the mail is already accepted, so it can be neither refused nor put off in the dialogue, and a
    tempfail holds. `direction_of` gives the direction of an address that a rule adds.
    """
    applied = [m for m in matches if m.applies and m.recipients]
    members = [frozenset(m.recipients) for m in applied]
    treatments: list[Treatment] = []
    sources: list[list[Match]] = []
    doubted = False
    for index, recipient in enumerate(transaction.recipients):
        mine = [m for m, who in zip(applied, members, strict=True) if index in who]
        if policy.first_match:
            mine = mine[:1]
        treatment = _treatment([m for m in mine if not m.error])
        doubt = _doubt(policy, mine, message, recipient)
        if doubt != "pass" and _STRENGTH[treatment.disposition] < _STRENGTH["hold"]:
            doubted = True
            if doubt == "tempfail" and not queued:
                return Verdict(tempfail=True, doubted=True)
            treatment = _held(treatment)
        treatments.append(treatment)
        sources.append(mine)
    treatments = _possible(treatments, transaction, queued=queued)
    added = _added(sources, treatments, transaction, direction_of)
    grouped: dict[Treatment, list[int]] = {}
    for index, treatment in enumerate([*treatments, *added.values()]):
        grouped.setdefault(treatment, []).append(index)
    legs = tuple(Leg(n, tuple(who), t) for n, (t, who) in enumerate(grouped.items(), 1))
    return Verdict(legs, tuple(Recipient(a, direction_of(a)) for a in added), doubted=doubted)


def _treatment(mine: Sequence[Match]) -> Treatment:
    """One recipient's, from the matching rules in order of priority."""
    strongest: tuple[str, Outcome] = ("", Outcome("deliver"))
    for match in mine:
        for outcome in match.rule.dispositions:
            if _STRENGTH[outcome.disposition] > _STRENGTH[strongest[1].disposition]:
                strongest = match.rule.id, outcome
    rule, outcome = strongest
    changes = _changes(mine)
    return Treatment(
        disposition=outcome.disposition,
        rule=rule,
        text=outcome.text,
        seconds=outcome.seconds,
        reviewers=outcome.reviewers,
        on_expiry=outcome.on_expiry,
        levels=outcome.levels,
        transforms=tuple(changes),
        redirect=tuple(dict.fromkeys(a for m in mine for a in m.rule.redirect)),
    )


def _changes(mine: Sequence[Match]) -> list[Change]:
    """All of them in order of priority, but one seal and one link: the first rule's settings are in force."""
    changes: list[Change] = []
    for match in mine:
        for transform in match.rule.transforms:
            if transform.kind in ONCE and any(c.kind == transform.kind for c in changes):
                continue
            changes.append(Change(transform.kind, match.rule.id, canonical(transform.settings)))
    return changes


def canonical(settings: Mapping[str, Any]) -> str:
    """Settings as JSON that is the same for the same settings."""
    return json.dumps(settings, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _held(treatment: Treatment) -> Treatment:
    return replace(
        treatment,
        disposition="hold",
        rule=ON_DOUBT,
        text=_NOT_INSPECTED,
        seconds=0,
        reviewers=(),
        on_expiry="",
        levels=1,
    )


def _doubt(policy: Policy, mine: Sequence[Match], message: Message, recipient: Recipient) -> Doubt:
    """What doubt asks for: of what was not read and no rule asked about, and of rules that failed."""
    default = policy.on_doubt[recipient.direction]
    asked = [m.rule.on_error or default for m in mine if m.error]
    handled = frozenset(r for m in mine for r in m.handled)
    if message.doubts - handled:
        asked.append(default)
    return max(asked, key=_DOUBT_STRENGTH.__getitem__, default="pass")


def _possible(treatments: list[Treatment], transaction: Transaction, *, queued: bool) -> list[Treatment]:
    """A refusal that cannot be said to all in the dialogue, and a return to a stranger, become what they can be.

    Outbound and internal, who is refused is returned to the sender. Inbound, who is returned is kept as refused,
    silently: nothing is ever sent to a stranger. Only where that would refuse the whole mail aloud it stays a
    return, which is closed without a notice.
    """
    if not queued and all(t.disposition == "refuse" for t in treatments):
        return treatments
    possible = []
    for treatment, recipient in zip(treatments, transaction.recipients, strict=True):
        inbound = recipient.direction == "inbound"
        if treatment.disposition == "refuse" and not inbound:
            treatment = replace(treatment, disposition="return")
        elif treatment.disposition == "return" and inbound:
            treatment = replace(treatment, disposition="refuse")
        possible.append(treatment)
    if not queued and all(t.disposition == "refuse" for t in possible):
        return treatments
    return possible


def _added(
    sources: Sequence[Sequence[Match]],
    treatments: Sequence[Treatment],
    transaction: Transaction,
    direction_of: Callable[[str], Direction],
) -> dict[str, Treatment]:
    """Blind copies, with the mildest treatment of the recipients they accompany: a copy never leaves before them.

    A mail that reaches none of them is not copied either.
    """
    present = {r.address.lower() for r in transaction.recipients}
    added: dict[str, Treatment] = {}
    for mine, treatment in zip(sources, treatments, strict=True):
        if _STRENGTH[treatment.disposition] > _STRENGTH["hold"]:
            continue
        for address in (a for m in mine if not m.error for a in m.rule.bcc):
            if address.lower() in present:
                continue
            copy = replace(treatment, redirect=())
            known = added.get(address)
            if known is None or _STRENGTH[copy.disposition] < _STRENGTH[known.disposition]:
                added[address] = copy
    return added
