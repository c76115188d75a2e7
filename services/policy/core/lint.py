"""Finds rules that are of no use beside the others: covered by another, or in contradiction with one.

Such a document may be applied; its author is told. Only what is certain is told: a finding is no guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.policy.core.detectors import CONFIDENCES
from services.policy.core.never import conjuncts, disjuncts, key
from services.policy.core.rules import (
    DISPOSITIONS,
    AddressIs,
    AnyOf,
    Detected,
    ExactData,
    Fingerprint,
    NotInspectedFor,
    Policy,
    Predicate,
    Rule,
    SizeIs,
    TextHas,
)  # fmt: skip
from services.policy.core.tree import Mistake

MAX_FINDINGS = 50


class _Known:
    """Conjuncts and keys of the predicates of one policy, each worked out once."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[tuple[Predicate, ...], frozenset[str]]] = {}
        self._keys: dict[int, str] = {}

    def parts(self, predicate: Predicate) -> tuple[tuple[Predicate, ...], frozenset[str]]:
        """What must hold for it, and the keys of that."""
        found = self._parts.get(id(predicate))
        if found is None:
            needs = tuple(conjuncts(predicate))
            found = self._parts[id(predicate)] = needs, frozenset(map(self.key, needs))
        return found

    def key(self, predicate: Predicate) -> str:
        """The same for predicates that say the same."""
        found = self._keys.get(id(predicate))
        if found is None:
            found = self._keys[id(predicate)] = key(predicate)
        return found


@dataclass(frozen=True, slots=True)
class _Side:
    """A rule with what comparing it needs, worked out once: 500 rules are 250,000 pairs."""

    rule: Rule
    place: int
    needs: tuple[Predicate, ...]
    keys: frozenset[str]
    exceptions: frozenset[str]
    known: _Known


def lint(policy: Policy) -> tuple[Mistake, ...]:
    """The findings in the order of the document, the first fifty."""
    known = _Known()
    active = [_side(r, n, known) for n, r in enumerate(policy.rules) if r.mode != "draft"]
    findings: list[Mistake] = []
    for side in sorted(active, key=lambda s: s.rule.line):
        rule = side.rule
        reason = _emptied(side) or next(
            (r for other in active if other is not side and (r := _useless(side, other, policy))), ""
        )
        if reason:
            findings.append(Mistake(rule.line, 0, f"rules[{rule.order}]", f"the rule {rule.id!r} {reason}"))
            if len(findings) == MAX_FINDINGS:
                break
    return tuple(findings)


def _side(rule: Rule, place: int, known: _Known) -> _Side:
    needs = tuple(conjuncts(rule.when))
    exceptions = frozenset(known.key(p) for p in disjuncts(rule.unless))
    return _Side(rule, place, needs, frozenset(map(known.key, needs)), exceptions, known)


def _emptied(side: _Side) -> str:
    if any(_implied(side.needs, side.keys, exception, side.known) for exception in disjuncts(side.rule.unless)):
        return "can never match: unless takes back everything that when takes"
    return ""


def _useless(side: _Side, beside: _Side, policy: Policy) -> str:
    """Why a rule does nothing beside another, or an empty text."""
    rule, other = side.rule, beside.rule
    if not rule.dispositions or other.mode != "enforce":
        return ""
    mine, theirs, before = _strongest(rule), _strongest(other), beside.place < side.place
    place = f"{other.id!r} in line {other.line}"
    if policy.first_match:
        if before and _covers(beside, side):
            return f"is never reached: {place} matches whatever it matches, and the first match decides"
        return ""
    accompanied = rule.transforms or rule.bcc or rule.redirect
    asks = any(isinstance(p, NotInspectedFor) for p in side.needs)
    weaker = theirs > mine or (theirs == mine and before)
    if not weaker or accompanied or asks or not other.dispositions or not _covers(beside, side):
        return ""
    if mine == 0 and theirs > 0:
        return (
            f"contradicts {place}: {DISPOSITIONS[theirs]} is stronger than pass, which lets nothing through; use unless"
        )
    why = "is stronger" if theirs > mine else "comes first"
    return f"is covered by {place}, which matches whatever it matches and {why}"


def _strongest(rule: Rule) -> int:
    return max((DISPOSITIONS.index(o.disposition) for o in rule.dispositions), default=0)


def _covers(wide: _Side, narrow: _Side) -> bool:
    """Whether every recipient of every mail that `narrow` matches is surely matched by `wide` too."""
    one, other = wide.rule, narrow.rule
    return (
        other.directions <= one.directions
        and (one.schedule is None or one.schedule == other.schedule)
        and (other.per == one.per or one.per == "mail")
        and wide.exceptions <= narrow.exceptions
        and all(_implied(narrow.needs, narrow.keys, asked, narrow.known) for asked in wide.needs)
    )


def _implied(given: Sequence[Predicate], keys: frozenset[str], asked: Predicate, known: _Known) -> bool:
    """Whether `asked` is surely true when all of `given` are; `keys` are those of `given`."""
    for needed in known.parts(asked)[0]:
        if known.key(needed) in keys:
            continue
        if isinstance(needed, AnyOf):
            if not any(_implied(given, keys, branch, known) for branch in needed.of):
                return False
        elif not any(_implies(g, needed, known) for g in given):
            return False
    return True


def _implies(given: Predicate, asked: Predicate, known: _Known) -> bool:
    """Whether `asked`, which is not the same, is surely true when `given` is."""
    if isinstance(given, AnyOf):
        return all(_implied(*known.parts(branch), asked, known) for branch in given.of)
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
        case ExactData(), ExactData():
            return given.set == asked.set and given.columns >= asked.columns
        case Fingerprint(), Fingerprint():
            return given.set == asked.set and given.at_least >= asked.at_least
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
