"""Finds rules that are of no use beside the others: covered by another, or in contradiction with one.

Such a document may be applied; its author is told. Only what is certain is told: a finding is no guess.
"""

from __future__ import annotations

from services.policy.core.detectors import CONFIDENCES
from services.policy.core.never import conjuncts, disjuncts, key
from services.policy.core.rules import (
    DISPOSITIONS,
    AddressIs,
    AnyOf,
    Detected,
    NotInspectedFor,
    Policy,
    Predicate,
    Rule,
    SizeIs,
    TextHas,
    walk,
)  # fmt: skip
from services.policy.core.tree import Mistake

MAX_FINDINGS = 50


def lint(policy: Policy) -> tuple[Mistake, ...]:
    """The findings in the order of the document, the first fifty."""
    findings: list[Mistake] = []
    active = [r for r in policy.rules if r.mode != "draft"]
    for rule in sorted(active, key=lambda r: r.line):
        reason = _emptied(rule) or next(
            (r for other in active if other is not rule and (r := _useless(rule, other, policy))), ""
        )
        if reason:
            findings.append(Mistake(rule.line, 0, f"rules[{rule.order}]", f"the rule {rule.id!r} {reason}"))
    return tuple(findings[:MAX_FINDINGS])


def _emptied(rule: Rule) -> str:
    needed = conjuncts(rule.when)
    if any(_implied(needed, exception) for exception in disjuncts(rule.unless)):
        return "can never match: unless takes back everything that when takes"
    return ""


def _useless(rule: Rule, other: Rule, policy: Policy) -> str:
    """Why `rule` does nothing beside `other`, or an empty text."""
    if not rule.dispositions or other.mode != "enforce" or not _covers(other, rule):
        return ""
    place = f"{other.id!r} in line {other.line}"
    before = policy.rules.index(other) < policy.rules.index(rule)
    if policy.first_match and before:
        return f"is never reached: {place} matches whatever it matches, and the first match decides"
    accompanied = rule.transforms or rule.bcc or rule.redirect
    asks = any(isinstance(p, NotInspectedFor) for p in walk(rule.when))
    if policy.first_match or accompanied or asks or not other.dispositions:
        return ""
    mine, theirs = _strongest(rule), _strongest(other)
    if mine == 0 and theirs > 0:
        return (
            f"contradicts {place}: {DISPOSITIONS[theirs]} is stronger than pass, which lets nothing through; use unless"
        )
    if theirs > mine or (theirs == mine and before):
        why = "is stronger" if theirs > mine else "comes first"
        return f"is covered by {place}, which matches whatever it matches and {why}"
    return ""


def _strongest(rule: Rule) -> int:
    return max((DISPOSITIONS.index(o.disposition) for o in rule.dispositions), default=0)


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Whether every recipient of every mail that `narrow` matches is surely matched by `wide` too."""
    return (
        narrow.directions <= wide.directions
        and (wide.schedule is None or wide.schedule == narrow.schedule)
        and (narrow.per == wide.per or wide.per == "mail")
        and (wide.when is None or _implied(conjuncts(narrow.when), wide.when))
        and {key(p) for p in disjuncts(wide.unless)} <= {key(p) for p in disjuncts(narrow.unless)}
    )


def _implied(given: list[Predicate], asked: Predicate) -> bool:
    """Whether `asked` is surely true when all of `given` are."""
    for needed in conjuncts(asked):
        if isinstance(needed, AnyOf):
            if not any(_implied(given, branch) for branch in needed.of) and key(needed) not in {key(g) for g in given}:
                return False
        elif not any(_implies(g, needed) for g in given):
            return False
    return True


def _implies(given: Predicate, asked: Predicate) -> bool:
    if key(given) == key(asked):
        return True
    if isinstance(given, AnyOf):
        return all(_implied(conjuncts(branch), asked) for branch in given.of)
    match given, asked:
        case TextHas(), TextHas():
            return (
                (given.of, given.header) == (asked.of, asked.header)
                and bool(given.words or given.sources)
                and set(given.words) <= set(asked.words)
                and set(given.sources) <= set(asked.sources)
            ) or ((given.of, given.header) == (asked.of, asked.header) and not (asked.words or asked.sources))
        case AddressIs(), AddressIs():
            return (
                given.of == asked.of
                and set(given.addresses) <= set(asked.addresses)
                and set(given.domains) <= set(asked.domains)
                and set(given.groups) <= set(asked.groups)
            )
        case Detected(), Detected():
            return (
                (given.detector, given.unique) == (asked.detector, asked.unique)
                and given.at_least >= asked.at_least
                and CONFIDENCES.index(given.confidence) >= CONFIDENCES.index(asked.confidence)
            )
        case SizeIs(), SizeIs():
            low = asked.larger_than is None or (
                given.larger_than is not None and given.larger_than >= asked.larger_than
            )
            high = asked.smaller_than is None or (
                given.smaller_than is not None and given.smaller_than <= asked.smaller_than
            )
            return low and high
        case NotInspectedFor(), NotInspectedFor():
            return given.reasons <= asked.reasons
        case _:
            return False
