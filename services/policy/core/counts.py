"""What is counted of rules that do not count yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

ASKED = "asked"
"""The outcome of every mail that a rule was asked about."""


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """What is counted apart."""

    rule: str
    mode: str
    direction: str
    group: str
    outcome: str


type Counts = Counter[tuple[str, Row]]
"""Mails by day (ISO) and row."""
