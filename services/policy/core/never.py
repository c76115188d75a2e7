"""Finds rules that can never match: they look like protection and are none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.policy.core.message import Direction
from services.policy.core.rules import (
    All,
    AnyOf,
    AttachmentIs,
    Not,
    Predicate,
    RecipientsAre,
    Rule,
    Schedule,
    SizeIs,
    TlsIs,
)  # fmt: skip


def reason(rule: Rule) -> str:
    """Why the rule can never match, or an empty text."""
    if rule.schedule is not None and (why := _schedule(rule.schedule)):
        return why
    needed = conjuncts(rule.when)
    if why := _contradiction(needed, rule.directions):
        return why
    excluded = {key(p) for p in disjuncts(rule.unless)}
    for predicate in needed:
        if key(predicate) in excluded:
            return "unless takes back what when needs"
    if rule.unless is not None and _always(rule.unless):
        return "unless is always true"
    return ""


def _schedule(schedule: Schedule) -> str:
    if schedule.first and schedule.last:
        length = (schedule.last - schedule.first).days
        if length < 0:
            return "its schedule ends before it begins"
        if length < 7:
            days = {(schedule.first + timedelta(days=i)).weekday() for i in range(length + 1)}
            if not days & schedule.days:
                return "none of its days lies between from and until"
    return ""


def conjuncts(predicate: Predicate | None) -> list[Predicate]:
    """Everything that must hold."""
    match predicate:
        case None:
            return []
        case All(of=inner):
            return [p for i in inner for p in conjuncts(i)]
        case AnyOf(of=(one,)):
            return conjuncts(one)
        case _:
            return [predicate]


def disjuncts(predicate: Predicate | None) -> list[Predicate]:
    """Everything of which one is enough."""
    match predicate:
        case None:
            return []
        case AnyOf(of=inner):
            return [p for i in inner for p in disjuncts(i)]
        case All(of=(one,)):
            return disjuncts(one)
        case _:
            return [predicate]


def _always(predicate: Predicate) -> bool:
    enough = disjuncts(predicate)
    keys = {key(p) for p in enough}
    return any(key(p.of) in keys for p in enough if isinstance(p, Not)) or {True, False} <= {
        p.used for p in enough if isinstance(p, TlsIs)
    }


def _contradiction(needed: list[Predicate], directions: frozenset[Direction]) -> str:
    keys = {key(p) for p in needed}
    low, high = -1, None
    for predicate in needed:
        match predicate:
            case Not(of=inner) if key(inner) in keys:
                return "it needs something and its opposite"
            case TlsIs(used=used) if key(TlsIs("", not used)) in keys:
                return "it needs TLS and no TLS"
            case SizeIs(larger_than=larger, smaller_than=smaller):
                low = max(low, -1 if larger is None else larger)
                high = smaller if high is None else min(high, smaller if smaller is not None else high)
            case RecipientsAre(any_external=True) if directions == {"inbound"} or directions == {"internal"}:
                return "mail of that direction has no external recipient"
            case AttachmentIs(quantifier="no") as none if key(replace(none, quantifier="one")) in keys:
                return "it needs an attachment and forbids it"
            case AnyOf(of=branches) if all(_contradiction(conjuncts(b), directions) for b in branches):
                return "every branch of any contradicts itself"
            case _:
                pass
    if high is not None and high <= low + 1:
        return "nothing is larger and smaller than its sizes"
    return ""


def key(predicate: Predicate) -> str:
    """The same for predicates that say the same at different places."""
    match predicate:
        case All(of=inner) | AnyOf(of=inner):
            return f"{type(predicate).__name__}({','.join(sorted(key(p) for p in inner))})"
        case Not(of=one):
            return f"Not({key(one)})"
        case _:
            fields = (
                f"{n}={getattr(predicate, n)!r}"
                for n in predicate.__slots__
                if n not in ("path", "patterns", "program", "automaton", "screens")
            )
            return f"{type(predicate).__name__}({','.join(fields)})"


def _plain(value: object) -> object:
    # A set has no order of its own.
    return sorted(value) if isinstance(value, frozenset) else value
