"""Detectors: each is data with what it must catch and what it must spare, which the tests run.

A detector is a list of *shapes* (a candidate's form, its checksum, and how sure it makes us alone and beside a context
word), or a list of weighted *words* whose sum in one passage tells a kind of document, or a `find` of its own for
what one expression cannot say. `scanner.py` runs all of them in one pass.

Confidence means: `low`, the form alone, as many harmless things have it; `medium`, somebody who reads it would take it
for what it is; `high`, a checksum and a context word, or a checksum that chance does not meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

type Confidence = Literal["low", "medium", "high"]
type Language = Literal["zh-Hant", "zh-Hans", "ja", "ko", "en", "de", "fr", "es", "it", "nl", "pl", "sv", "fi", "da"]

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Hit:
    """A find in normalised text; `value` tells different ones apart and is never shown, `masked` may be."""

    start: int
    end: int
    value: str
    masked: str
    confidence: Confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One form of what a detector finds.

    `expression` is for the bytes of UTF-8 text, in what Hyperscan and `re` have in common (no look-around, no `\\b`:
    `left` and `right` name the bytes that may not stand beside it, empty: any may). `~` is an optional separator
    (space, dash, dot, slash, line break). `width` bounds a match in bytes. `check` takes the value without separators
    when `compact`, else as it stands. `bare` is the confidence without a context word (None: then it is no find),
    `near` the one beside it. `run` says that every match holds seven digits with at most separators between them; such
    shapes are sought around runs of digits only. `hint` is what to look for first where the whole expression is dear:
    it ends where a match ends.
    """

    expression: str
    bare: Confidence | None
    near: Confidence
    check: Callable[[str], bool] | None = None
    compact: bool = True
    caseless: bool = False
    left: str = "0-9A-Za-z"
    right: str = "0-9A-Za-z"
    width: int = 96
    run: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """An expression that counts `weight` for a document's kind, at most `most` times in one passage."""

    expression: str
    weight: int = 1
    most: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A named kind of content. `catches` and `spares` are its own test cases, `source` says where its rule is written.

    `find` takes normalised text around the candidates that `shapes` mark. `threshold` is the sum of `words` within
    one passage that makes a find. `keep` characters at the end of a value may be shown.
    """

    name: str
    about: str
    source: str
    catches: tuple[str, ...]
    spares: tuple[str, ...]
    shapes: tuple[Shape, ...] = ()
    words: tuple[Word, ...] = ()
    threshold: int = 0
    find: Callable[[str], list[Hit]] | None = None
    checksum: str = ""
    context: Mapping[Language, tuple[str, ...]] = field(default_factory=dict)
    keep: int = 2
