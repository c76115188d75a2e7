"""Texts as units: a word or number of letters and digits, or one character where words have no spaces between them."""

from __future__ import annotations

import array
import re

from services.policy.core.text import normalise

_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(f"[{_HAN}]|[^\\W_{_HAN}]+")
_FIRST_ALONE = "\u3040"


def fold(text: str) -> str:
    """Case folded, every character in its place."""
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join(c if len(f := c.casefold()) != 1 else f for c in text)


def units(text: str) -> list[str]:
    """The units of a normalised text, folded, in order; each different one is in memory once."""
    once: dict[str, str] = {}
    return [once.setdefault(found[0], found[0]) for found in _UNIT.finditer(fold(text))]


def placed(text: str) -> tuple[list[str], array.array[int]]:
    """The units of a normalised text, folded, in order, and where each begins."""
    once: dict[str, str] = {}
    found, starts = list[str](), array.array("L")
    for match in _UNIT.finditer(fold(text)):
        found.append(once.setdefault(match[0], match[0]))
        starts.append(match.start())
    return found, starts


def alone(unit: str) -> bool:
    """Whether it is a character of a script without spaces."""
    return len(unit) == 1 and unit >= _FIRST_ALONE and _UNIT.match(unit) is not None


def joined(value: str) -> str:
    """A value as it is compared: normalised, folded, without what separates its units."""
    return "".join(units(normalise(value)))
