"""Detectors: each is data with what it must catch and what it must spare, which the tests run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

type Confidence = Literal["low", "medium", "high"]

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Hit:
    """A find in normalised text; `value` tells different ones apart and is never shown, `masked` may be."""

    start: int
    end: int
    value: str
    masked: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Detector:
    """A named kind of content. `find` takes normalised text; `catches` and `spares` are its own test cases."""

    name: str
    about: str
    find: Callable[[str], list[Hit]]
    catches: tuple[str, ...]
    spares: tuple[str, ...]


LATER = frozenset({"tw_national_id", "iban", "email_address", "phone_number", "passport", "api_key", "private_key"})
"""Names that a later version brings."""
