"""What a document is checked against: the tenant's names, what is configured, and how expressions are compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.policy.core.detectors.table import DETECTORS
from services.policy.core.rules import Program

MAX_EXPRESSION = 2000
"""Characters of one expression."""


class BadExpression(Exception):
    """An expression that cannot be one, with the place and the reason."""


def _no_expressions(source: str) -> Program:
    raise BadExpression("expressions cannot be compiled here")


@dataclass(frozen=True, slots=True)
class Known:
    """None is unknown, and then not checked: a revision in force is read again when groups have come and gone."""

    groups: frozenset[str] | None = None
    filters: frozenset[str] | None = None
    """What the configured filters answer, of `filters.FIELDS`."""
    detectors: frozenset[str] | None = frozenset(DETECTORS)
    """The built-in ones and the tenant's own."""
    rows: Mapping[str, int] | None = None
    """The tenant's sets of exact data, with the number of their columns."""
    prints: frozenset[str] | None = None
    """The tenant's sets of fingerprints."""
    compile: Callable[[str], Program] = _no_expressions
    """Raises `BadExpression`."""
