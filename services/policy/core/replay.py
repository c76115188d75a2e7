"""Decides once more from a decision's own reasons: the truth of each predicate, joined by the revision it names.

What a mail said is gone; what every rule was told of it is in the certificate. From that, the same rules must come
to the same legs, or something was not decided as the policy says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.policy.core.evaluate import Match
from services.policy.core.facts import Groups, MailFacts
from services.policy.core.lattice import Leg, Treatment, Verdict, join
from services.policy.core.message import Direction, Message, NotInspected, Recipient, Transaction
from services.policy.core.rules import (
    AddressIs,
    All,
    AnyOf,
    CelIs,
    Disposition,
    Not,
    NotInspectedFor,
    Policy,
    Predicate,
    Rule,
    walk,
)


@dataclass(frozen=True, slots=True)
class Reason:
    """What a rule was told, as the certificate has it. `recipients` may be cut short, `truths` empty."""

    rule: str
    mode: str
    matched: bool
    recipients: tuple[int, ...]
    truths: Mapping[str, bool]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A decision as values. `recipients` are the envelope's, `added` those that rules added."""

    transaction: Transaction
    added: tuple[Recipient, ...]
    reasons: tuple[Reason, ...]
    not_inspected: tuple[NotInspected, ...]
    legs: tuple[Leg, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What differs, one sentence each, and the rules whose reasons were too few to be judged again."""

    differences: tuple[str, ...]
    not_replayed: tuple[str, ...] = ()


def replay(policy: Policy, certificate: Certificate, groups: Groups) -> Replay:
    """Judge every rule again by the truths that were kept, join, and compare. `groups` are today's."""
    told: list[str] = []
    unsure: list[str] = []
    known = {r.rule: r for r in certificate.reasons}
    matches = []
    for rule in policy.rules:
        concerned = tuple(i for i, r in enumerate(certificate.transaction.recipients) if r.direction in rule.directions)
        if rule.mode == "draft" or not concerned:
            continue
        reason = known.pop(rule.id, None)
        if reason is None:
            told.append(f"rule {rule.id!r} concerns this mail, but the certificate does not name it")
            continue
        matches.append(_again(rule, reason, concerned, certificate, groups, told, unsure))
    told += [f"rule {name!r} is named, but does not concern this mail in that revision" for name in known]
    told += _compare(policy, matches, certificate)
    if any(leg.treatment.rule == SENDER_LIST for leg in certificate.legs):
        unsure.append(SENDER_LIST)
    return Replay(tuple(told), tuple(unsure))


def _again(
    rule: Rule,
    reason: Reason,
    concerned: tuple[int, ...],
    certificate: Certificate,
    groups: Groups,
    told: list[str],
    unsure: list[str],
) -> Match:
    modes = {"enforce": ("enforce",), "canary": ("canary", "shadow"), "shadow": ("shadow",)}[rule.mode]
    if reason.mode not in modes:
        told.append(f"rule {rule.id!r} is in mode {rule.mode}, but was treated as {reason.mode}")
    applies = rule.mode == "enforce" or (rule.mode == "canary" and reason.mode == "canary")
    if reason.error:
        return Match(rule, concerned, applies, error=reason.error)
    if rule.schedule is not None and reason.truths.get("schedule") is False:
        matched: tuple[int, ...] = ()
    else:
        judged = _judged(rule, reason, concerned, certificate, groups, told)
        if judged is None:
            unsure.append(rule.id)
            judged = reason.recipients if reason.matched else ()
            if reason.matched and not judged:
                judged = concerned
        matched = judged
    kept = reason.recipients or (matched if reason.matched else ())
    if bool(matched) != reason.matched or matched[: len(kept)] != kept:
        told.append(f"rule {rule.id!r} matches for recipients {list(matched)} by its predicates, not {list(kept)}")
    handled = frozenset(
        r
        for p in walk(rule.when)
        if isinstance(p, NotInspectedFor) and matched and rule.dispositions and reason.truths.get(p.path)
        for r in p.reasons
    )
    return Match(rule, matched, applies, handled=handled)


SENDER_LIST = "sender-list"
"""The name that stands in a leg for senders that reviewers allowed or blocked; it is applied after the rules."""
_LISTED: frozenset[tuple[Disposition, Disposition]] = frozenset({
    ("deliver", "refuse"), ("delay", "refuse"), ("hold", "refuse"), ("hold", "deliver"),
})  # fmt: skip
"""From what the rules say to what the list makes of it."""


class _Unknown(Exception):
    """A truth that the certificate does not hold."""


def _judged(
    rule: Rule,
    reason: Reason,
    concerned: tuple[int, ...],
    certificate: Certificate,
    groups: Groups,
    told: list[str],
) -> tuple[int, ...] | None:
    """The recipients the rule matches for, or None when a truth is missing."""
    predicates = [*walk(rule.when), *walk(rule.unless)]
    personal = any(
        (isinstance(p, AddressIs) and p.of == "recipient") or (isinstance(p, CelIs) and p.program.personal)
        for p in predicates
    )
    facts = MailFacts(Message(), certificate.transaction, groups)
    matched: list[int] = []
    seen: dict[str, bool] = {}
    try:
        for index in concerned if personal else concerned[:1]:
            address = certificate.transaction.recipients[index].address
            when = rule.when is None or _truth(rule.when, reason.truths, facts, address, seen)
            unless = rule.unless is not None and _truth(rule.unless, reason.truths, facts, address, seen)
            if when and not unless:
                matched.append(index)
    except _Unknown:
        return None
    told += [
        f"rule {rule.id!r}: {path} was told as {str(not truth).lower()}, and is not by what it is made of"
        for path, truth in seen.items()
        if reason.truths.get(path, truth) != truth
    ]
    if matched and (not personal or rule.per == "mail"):
        return concerned
    return tuple(matched)


def _truth(
    predicate: Predicate, truths: Mapping[str, bool], facts: MailFacts, recipient: str, seen: dict[str, bool]
) -> bool:
    match predicate:
        case All(path=path, of=inner):
            truth = min([_truth(p, truths, facts, recipient, seen) for p in inner], default=True)
        case AnyOf(path=path, of=inner):
            truth = max([_truth(p, truths, facts, recipient, seen) for p in inner], default=False)
        case Not(path=path, of=one):
            truth = not _truth(one, truths, facts, recipient, seen)
        case AddressIs(path=path, of="recipient"):
            truth = facts.ask(predicate, recipient).value
        case CelIs(program=program) if program.personal and truths.get(predicate.path) is not False:
            # True for somebody; for whom is not kept.
            raise _Unknown
        case _:
            path = predicate.path
            if path not in truths:
                raise _Unknown
            truth = truths[path]
    seen[path] = seen.get(path, False) or truth
    return truth


def _compare(policy: Policy, matches: Sequence[Match], certificate: Certificate) -> list[str]:
    """Whether the legs follow from the matches: as in the dialogue, or as from the queue, which is not kept."""
    message = Message(not_inspected=certificate.not_inspected)
    directions: dict[str, Direction] = {r.address: r.direction for r in certificate.added}

    def direction_of(address: str) -> Direction:
        return directions.get(address, "outbound")

    told: list[list[str]] = []
    for queued in (False, True):
        verdict = join(policy, matches, message, certificate.transaction, queued=queued, direction_of=direction_of)
        told.append(_differences(verdict, certificate))
    return min(told, key=len)


def _differences(verdict: Verdict, certificate: Certificate) -> list[str]:
    if verdict.tempfail or certificate.origin == "tempfail":
        same = verdict.tempfail == (certificate.origin == "tempfail")
        return [] if same else ["the mail was put off, or would be, and not both"]
    told = []
    before = [a.address for a in certificate.added]
    now = [a.address for a in verdict.added]
    if before != now:
        told.append(f"copies go to {len(now)} addresses, not to {len(before)}, or to others")
    inbound = all(r.direction == "inbound" for r in certificate.transaction.recipients)
    fates = {i: leg.treatment for leg in verdict.legs for i in leg.recipients}
    kept = {i: leg.treatment for leg in certificate.legs for i in leg.recipients}
    for index in sorted({*fates, *kept}):
        told += _treated(index, kept.get(index), fates.get(index), inbound=inbound)
    if not told and verdict.doubted != (certificate.origin == "on_doubt"):
        told.append("doubt decided, or would, and not both")
    return told


def _treated(index: int, kept: Treatment | None, now: Treatment | None, *, inbound: bool) -> list[str]:
    if kept is None or now is None:
        return [f"recipient {index} is {'not ' if now is None else ''}treated by the rules"]
    if kept == now:
        return []
    if kept.rule == SENDER_LIST and inbound and (now.disposition, kept.disposition) in _LISTED:
        now = replace(
            now,
            disposition=kept.disposition,
            rule=kept.rule,
            text=kept.text,
            seconds=0,
            reviewers=(),
            on_expiry="",
            levels=1,
        )
        if kept == now:
            return []
    fields = [f for f in Treatment.__slots__ if getattr(kept, f) != getattr(now, f)]
    if fields == ["transforms"] and replace(kept, transforms=()) == replace(now, transforms=()):
        mine, theirs = [(c.kind, c.rule) for c in now.transforms], [(c.kind, c.rule) for c in kept.transforms]
        return [f"recipient {index}: transforms {mine} with their settings, not {theirs}"]
    return [f"recipient {index}: {f} is {getattr(now, f)!r}, not {getattr(kept, f)!r}" for f in fields]
