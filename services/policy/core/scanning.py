"""Which detectors a policy asks about, as one scanner, made once per policy and revision of the tenant's own."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from services.policy.core.detectors import CONFIDENCES, Confidence
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.own import NOTHING, Own
from services.policy.core.rules import CelIs, Detected, Policy, TextHas, walk

_KEPT = 256
_known: OrderedDict[tuple[int, int], tuple[Policy, Own, Scanner, int]] = OrderedDict()
_lock = threading.Lock()
_DEAR = 1000
"""What a set of rows or fingerprints costs of a mail, in patterns."""


def is_ready(policy: Policy, own: Own = NOTHING) -> bool:
    """Whether `scanner_of` answers at once for this policy."""
    if (id(policy), id(own)) not in _known and next(_asked(policy), None) is None:
        scanner_of(policy, own)  # nothing to compile
    return (id(policy), id(own)) in _known


def scanner_of(policy: Policy, own: Own = NOTHING) -> Scanner:
    """The scanner for all detectors in the policy's rules. The first call for a policy compiles: not on the loop."""
    with _lock:
        # Policy and own are kept beside their scanner, so that their identity is nobody else's.
        known = _known.get((id(policy), id(own)))
        if known is not None:
            _known.move_to_end((id(policy), id(own)))
            return known[2]
    asked = dict(_asked(policy))
    floor = min((f for _, f in _asked(policy)), key=CONFIDENCES.index, default=CONFIDENCES[-1])
    built_in = [DETECTORS[name] for name in sorted(asked) if name in DETECTORS]
    scanner = Scanner(built_in, [own.detectors[name] for name in sorted(asked) if name in own.detectors], floor=floor)
    with _lock:
        _known[id(policy), id(own)] = (policy, own, scanner, _weight(policy, own))
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return scanner


def weight(policy: Policy, own: Own = NOTHING) -> int:
    """About how many times patterns of the tenant may read a mail. Answers at once where the scanner is ready."""
    known = _known.get((id(policy), id(own)))
    return _weight(policy, own) if known is None else known[3]


def _weight(policy: Policy, own: Own) -> int:
    written = sum(
        len(p.patterns) for r in policy.rules for p in (*walk(r.when), *walk(r.unless)) if isinstance(p, TextHas)
    )
    added = sum(max(len(d.screens), 1) for d in own.detectors.values())
    return written + added + _DEAR * (len(own.rows) + len(own.prints))


def _asked(policy: Policy) -> Iterator[tuple[str, Confidence]]:
    for rule in policy.rules:
        for predicate in (*walk(rule.when), *walk(rule.unless)):
            match predicate:
                case Detected(detector=name, confidence=confidence):
                    yield name, confidence
                case CelIs(program=program):
                    # Expressions see finds of medium confidence and more.
                    yield from ((name, "medium") for name in program.detectors)
