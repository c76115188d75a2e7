"""What a tenant adds to the detectors: patterns, weighted words, rows of data, fingerprints of documents.

All of it is bounded when it is written, and what it reads of a mail is counted (`Budget`): a mail that would cost more
fails the rules that ask, of this tenant alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from services.policy.core.detectors import Hit
from services.policy.core.rules import CelIs, Detected, ExactData, Fingerprint, Policy, walk

if TYPE_CHECKING:
    from services.policy.core.own.prints import Prints
    from services.policy.core.own.rows import Rows

NAME = re.compile(r"[a-z][a-z0-9_-]{1,62}")
"""Of a detector or a set."""
MAX_BYTES = 512 << 20
"""Read by one tenant's patterns and words in one mail, all together."""
MAX_PROBES = 2_000_000
"""Digests made for one mail."""


class OwnMissing(Exception):
    """A rule asks for a detector or a set that is no longer there: the rule fails."""


class OwnBudgetSpent(Exception):
    """The mail is too large for so much: the rules that ask fail."""


class Budget:
    """Counts what is done for one mail; the same on every machine."""

    __slots__ = ("probes", "read")

    def __init__(self) -> None:
        self.read, self.probes = 0, 0

    def spend(self, *, read: int = 0, probes: int = 0) -> None:
        """Raises `OwnBudgetSpent`."""
        self.read += read
        self.probes += probes
        if self.read > MAX_BYTES or self.probes > MAX_PROBES:
            raise OwnBudgetSpent


class OwnDetector(Protocol):
    """A tenant's own detector. `screens` are expressions for Hyperscan, one for each pattern; None: ask always."""

    @property
    def name(self) -> str:
        """As rules name it."""

    @property
    def screens(self) -> Sequence[tuple[bytes, int] | None]:
        """Empty: `find` is asked about every mail."""

    def find(self, texts: Sequence[str], possible: Sequence[int], budget: Budget) -> list[tuple[int, Hit]]:
        """(number of the text, find), in order; `possible` are the patterns whose screens are met."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a policy asks for of the tenant's own, ready. `version` differs when anything of it does."""

    detectors: Mapping[str, OwnDetector] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    prints: Mapping[str, Prints] = field(default_factory=dict)
    version: tuple[tuple[str, str, int], ...] = ()


NOTHING = Own()


@dataclass(frozen=True, slots=True)
class Asked:
    """Names that a policy uses."""

    detectors: frozenset[str]
    rows: frozenset[str]
    prints: frozenset[str]


def asked(policy: Policy) -> Asked:
    """Every name in the rules, also of drafts."""
    leaves = [p for rule in policy.rules for p in (*walk(rule.when), *walk(rule.unless))]
    expressions = [name for p in leaves if isinstance(p, CelIs) for name in p.program.detectors]
    return Asked(
        frozenset([*expressions, *(p.detector for p in leaves if isinstance(p, Detected))]),
        frozenset(p.set for p in leaves if isinstance(p, ExactData)),
        frozenset(p.set for p in leaves if isinstance(p, Fingerprint)),
    )
