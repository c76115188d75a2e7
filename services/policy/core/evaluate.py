"""Evaluates a policy: which rules match for which recipients, and the truth of every predicate.

Every predicate of a rule is evaluated, also where the answer is already
known, because the decision keeps them all as its reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from services.policy.core.facts import Groups, MailFacts, Truth
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.message import Message, Transaction
from services.policy.core.own import NOTHING, Own
from services.policy.core.rules import (
    AddressIs,
    All,
    AnyOf,
    CelIs,
    Mode,
    Not,
    NotInspectedFor,
    Policy,
    Predicate,
    Rule,
    Schedule,
    walk,
)  # fmt: skip
from services.policy.core.scanning import scanner_of

_MAX_PREDICATES = 200


@dataclass(frozen=True, slots=True)
class Why:
    """The truth of one predicate, by its path in the document."""

    path: str
    truth: bool
    spans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule said: the recipients it matched for, and whether it counts (shadow, a canary's rest do not)."""

    rule: Rule
    recipients: tuple[int, ...]
    applies: bool
    why: tuple[Why, ...] = ()
    error: str = ""
    handled: frozenset[str] = frozenset()
    """Reasons for not inspecting that the rule itself asks about: `on_doubt` leaves them to it."""


def evaluate(
    policy: Policy,
    message: Message,
    transaction: Transaction,
    groups: Groups,
    *,
    filters: FilterVerdict = UNKNOWN,
    own: Own = NOTHING,
) -> tuple[Match, ...]:
    """Every rule that concerns the mail, in order of priority. Drafts and other directions' rules do not."""
    scanner = scanner_of(policy, own)
    facts = MailFacts(message, transaction, groups, filters=filters, scanner=scanner, own=own)
    matches = []
    for rule in policy.rules:
        concerned = tuple(i for i, r in enumerate(transaction.recipients) if r.direction in rule.directions)
        if rule.mode == "draft" or not concerned:
            continue
        applies = rule.mode == "enforce" or (rule.mode == "canary" and chosen(rule, transaction.sender))
        truths: dict[str, Truth] = {}
        try:
            matches.append(_match(rule, facts, concerned, applies, truths))
        except Exception as error:
            # A rule that fails must not pass for one that did not match.
            matches.append(Match(rule, concerned, applies, _why(truths), error=type(error).__name__))
    return tuple(matches)


def chosen(rule: Rule, sender: str) -> bool:
    """Whether a canary rule counts for this sender: always the same answer for the same sender."""
    digest = hashlib.sha256(f"{rule.id}\0{sender.lower()}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:4]) % 100 < rule.percent


def in_force(schedule: Schedule, transaction: Transaction) -> bool:
    """Whether the mail came inside the schedule, in the schedule's time zone."""
    at = transaction.at if transaction.at.tzinfo else transaction.at.replace(tzinfo=UTC)
    local = at.astimezone(schedule.timezone)
    day, clock = local.date(), local.time()
    if (schedule.first and day < schedule.first) or (schedule.last and day > schedule.last):
        return False
    if not schedule.hours:
        return day.weekday() in schedule.days
    for start, end in schedule.hours:
        if start < end:
            if start <= clock < end and day.weekday() in schedule.days:
                return True
        # Past midnight the hours belong to the day on which they began.
        elif (clock >= start and day.weekday() in schedule.days) or (
            clock < end and (day.weekday() - 1) % 7 in schedule.days
        ):
            return True
    return False


def _match(rule: Rule, facts: MailFacts, concerned: tuple[int, ...], applies: bool, truths: dict[str, Truth]) -> Match:
    if rule.schedule is not None and not in_force(rule.schedule, facts.transaction):
        return Match(rule, (), applies, (Why("schedule", False),))
    predicates = [*walk(rule.when), *walk(rule.unless)]
    personal = any(
        (isinstance(p, AddressIs) and p.of == "recipient") or (isinstance(p, CelIs) and p.program.personal)
        for p in predicates
    )
    matched = []
    for index in concerned if personal else concerned[:1]:
        address = facts.transaction.recipients[index].address
        when = rule.when is None or _truth(rule.when, facts, address, truths)
        unless = rule.unless is not None and _truth(rule.unless, facts, address, truths)
        if when and not unless:
            matched.append(index)
    if matched and (not personal or rule.per == "mail"):
        matched = list(concerned)
    why = _why(truths)
    handled: frozenset[str] = frozenset()
    if matched and rule.dispositions:
        for predicate in walk(rule.when):
            if isinstance(predicate, NotInspectedFor) and truths[predicate.path].value:
                handled |= predicate.reasons
    return Match(rule, tuple(matched), applies, why, handled=handled)


def _why(truths: Mapping[str, Truth]) -> tuple[Why, ...]:
    return tuple(Why(path, t.value, t.spans) for path, t in list(truths.items())[:_MAX_PREDICATES])


def _truth(predicate: Predicate, facts: MailFacts, recipient: str, truths: dict[str, Truth]) -> bool:
    match predicate:
        case All(path=path, of=inner):
            truth = Truth(min([_truth(p, facts, recipient, truths) for p in inner], default=True))
        case AnyOf(path=path, of=inner):
            truth = Truth(max([_truth(p, facts, recipient, truths) for p in inner], default=False))
        case Not(path=path, of=one):
            truth = Truth(not _truth(one, facts, recipient, truths))
        case _:
            path = predicate.path
            truth = facts.ask(predicate, recipient)
    # Of several recipients, one for whom it holds is what is reported.
    if path not in truths or (truth.value and not truths[path].value):
        truths[path] = truth
    return truth.value


__all__ = ["Match", "Mode", "Why", "chosen", "evaluate", "in_force"]
