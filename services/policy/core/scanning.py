"""Which detectors a policy asks about, as one scanner, made once per policy."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from services.policy.core.detectors import CONFIDENCES, Confidence
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.rules import CelIs, Detected, Policy, walk

_KEPT = 256
_known: OrderedDict[int, tuple[Policy, Scanner]] = OrderedDict()
_lock = threading.Lock()


def is_ready(policy: Policy) -> bool:
    """Whether `scanner_of` answers at once for this policy."""
    if id(policy) not in _known and next(_asked(policy), None) is None:
        scanner_of(policy)  # nothing to compile
    return id(policy) in _known


def scanner_of(policy: Policy) -> Scanner:
    """The scanner for all detectors in the policy's rules. The first call for a policy compiles: not on the loop."""
    with _lock:
        # The policy is kept beside its scanner, so that its identity is nobody else's.
        known = _known.get(id(policy))
        if known is not None:
            _known.move_to_end(id(policy))
            return known[1]
    asked = dict(_asked(policy))
    floor = min((f for _, f in _asked(policy)), key=CONFIDENCES.index, default=CONFIDENCES[-1])
    scanner = Scanner([DETECTORS[name] for name in sorted(asked) if name in DETECTORS], floor=floor)
    with _lock:
        _known[id(policy)] = (policy, scanner)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return scanner


def _asked(policy: Policy) -> Iterator[tuple[str, Confidence]]:
    for rule in policy.rules:
        for predicate in (*walk(rule.when), *walk(rule.unless)):
            match predicate:
                case Detected(detector=name, confidence=confidence):
                    yield name, confidence
                case CelIs(program=program):
                    # Expressions see finds of medium confidence and more.
                    yield from ((name, "medium") for name in program.detectors)
