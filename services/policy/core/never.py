"""Finds rules that can never match: they look like protection and are none."""

from __future__ import annotations

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
    needed = _conjuncts(rule.when)
    if why := _contradiction(needed, rule.directions):
        return why
    excluded = {_key(p) for p in _disjuncts(rule.unless)}
    for predicate in needed:
        if _key(predicate) in excluded:
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


def _conjuncts(predicate: Predicate | None) -> list[Predicate]:
    """Everything that must hold."""
    match predicate:
        case None:
            return []
        case All(of=inner):
            return [p for i in inner for p in _conjuncts(i)]
        case AnyOf(of=(one,)):
            return _conjuncts(one)
        case _:
            return [predicate]


def _disjuncts(predicate: Predicate | None) -> list[Predicate]:
    """Everything of which one is enough."""
    match predicate:
        case None:
            return []
        case AnyOf(of=inner):
            return [p for i in inner for p in _disjuncts(i)]
        case All(of=(one,)):
            return _disjuncts(one)
        case _:
            return [predicate]


def _always(predicate: Predicate) -> bool:
    disjuncts = _disjuncts(predicate)
    keys = {_key(p) for p in disjuncts}
    return any(_key(p.of) in keys for p in disjuncts if isinstance(p, Not)) or {True, False} <= {
        p.used for p in disjuncts if isinstance(p, TlsIs)
    }


def _contradiction(needed: list[Predicate], directions: frozenset[Direction]) -> str:
    keys = {_key(p) for p in needed}
    low, high = -1, None
    for predicate in needed:
        match predicate:
            case Not(of=inner) if _key(inner) in keys:
                return "it needs something and its opposite"
            case TlsIs(used=used) if _key(TlsIs("", not used)) in keys:
                return "it needs TLS and no TLS"
            case SizeIs(larger_than=larger, smaller_than=smaller):
                low = max(low, -1 if larger is None else larger)
                high = smaller if high is None else min(high, smaller if smaller is not None else high)
            case RecipientsAre(any_external=True) if directions == {"inbound"} or directions == {"internal"}:
                return "mail of that direction has no external recipient"
            case AttachmentIs(quantifier="no") as none if (
                _key(AttachmentIs("", "one", none.names, none.types, none.larger_than)) in keys
            ):
                return "it needs an attachment and forbids it"
            case AnyOf(of=branches) if all(_contradiction(_conjuncts(b), directions) for b in branches):
                return "every branch of any contradicts itself"
            case _:
                pass
    if high is not None and high <= low + 1:
        return "nothing is larger and smaller than its sizes"
    return ""


def _key(predicate: Predicate) -> str:
    """The same for predicates that say the same at different places."""
    match predicate:
        case All(of=inner) | AnyOf(of=inner):
            return f"{type(predicate).__name__}({','.join(sorted(_key(p) for p in inner))})"
        case Not(of=one):
            return f"Not({_key(one)})"
        case _:
            fields = (f"{n}={getattr(predicate, n)!r}" for n in predicate.__slots__ if n not in ("path", "patterns"))
            return f"{type(predicate).__name__}({','.join(fields)})"
