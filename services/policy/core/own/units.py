"""Texts as units: a word or number of letters and digits, or one character where words have no spaces between them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.policy.core.text import normalise

_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(f"[{_HAN}]|[^\\W_{_HAN}]+")
_ALONE = re.compile(f"[{_HAN}]")


@dataclass(frozen=True, slots=True)
class Unit:
    """A word, number or character, folded, and where it stands."""

    text: str
    start: int
    end: int

    @property
    def alone(self) -> bool:
        """Whether it is a character of a script without spaces."""
        return len(self.text) == 1 and _ALONE.match(self.text) is not None


def fold(text: str) -> str:
    """Case folded, every character in its place."""
    folded = text.casefold()
    if len(folded) == len(text):
        return folded
    return "".join(c if len(f := c.casefold()) != 1 else f for c in text)


def units(text: str) -> Iterator[Unit]:
    """The units of a normalised text, in order."""
    for found in _UNIT.finditer(fold(text)):
        yield Unit(found[0], found.start(), found.end())


def joined(value: str) -> str:
    """A value as it is compared: normalised, folded, without what separates its units."""
    return "".join(u.text for u in units(normalise(value)))
