"""A tenant's patterns as a detector: RE2 says what is found, Vectorscan which of them need be asked.

Vectorscan reads all texts once, together with the built-in detectors, and says of each pattern only whether it is
there at all; a pattern that it might miss where RE2 would not (see `screen`) is asked of every text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hyperscan
import re2

from services.policy.core.detectors import Confidence, Hit
from services.policy.core.detectors.engine import Database
from services.policy.core.detectors.scanner import masked
from services.policy.core.own import Budget
from services.policy.core.own.units import fold
from services.policy.core.text import normalise

MAX_PATTERNS, MAX_PATTERN, MAX_TEXT = 1000, 1000, 64 * 1024
"""Patterns of a tenant, characters of one, characters of all."""
MAX_CONTEXT = 200
MAX_HITS = 10_000
_BEFORE, _AFTER = 60, 30
"""Characters around a find in which a context word counts."""
_MEMORY = 1 << 20
_ANCHORS = re.compile(r"\\[AzZ]")


@dataclass(frozen=True, slots=True)
class PatternDetector:
    """Finds are of medium confidence; with context words, high beside one and low without. Fewer finds in a mail than
    `threshold` are none."""

    name: str
    patterns: tuple[Any, ...]
    screens: tuple[tuple[bytes, int] | None, ...]
    context: tuple[str, ...] = ()
    threshold: int = 1

    def find(self, texts: Sequence[str], possible: Sequence[int], budget: Budget) -> list[tuple[int, Hit]]:
        """See `OwnDetector`."""
        found: list[tuple[int, Hit]] = []
        if not possible:
            return found
        for number, text in enumerate(texts):
            utf8 = text.encode("utf-8", "replace")
            folded = fold(text) if self.context else ""
            spans: set[tuple[int, int]] = set()
            for index in possible:
                budget.spend(read=len(utf8))
                for match in self.patterns[index].finditer(utf8):
                    spans.add((match.start(), match.end()))
                    if len(spans) + len(found) >= MAX_HITS:
                        break
            found += self._hits(number, utf8, text.isascii(), folded, spans)
        return found if len(found) >= self.threshold else []

    def _hits(
        self, number: int, utf8: bytes, ascii: bool, folded: str, spans: set[tuple[int, int]]
    ) -> list[tuple[int, Hit]]:
        hits: list[tuple[int, Hit]] = []
        at, characters, last = 0, 0, -1
        for start, end in sorted(spans, key=lambda s: (s[0], -s[1])):
            if start < last or start == end:
                continue  # inside of the one before
            last = end
            value = utf8[start:end].decode("utf-8", "replace")
            characters += start - at if ascii else len(utf8[at:start].decode("utf-8", "replace"))
            at = start
            place = (characters, characters + len(value))
            hits.append((number, Hit(*place, value, masked(value, 2), self._confidence(folded, *place))))
        return hits

    def _confidence(self, folded: str, start: int, end: int) -> Confidence:
        if not self.context:
            return "medium"
        around = folded[max(0, start - _BEFORE) : end + _AFTER]
        return "high" if any(word in around for word in self.context) else "low"


def pattern_detector(
    name: str, sources: Sequence[str], *, ignore_case: bool = False, context: Sequence[str] = (), threshold: int = 1
) -> PatternDetector:
    """Ready for use. Raises ValueError with the number of the pattern, from 1, and the reason. Takes time."""
    patterns, screens = [], []
    if not 1 <= len(sources) <= MAX_PATTERNS or sum(map(len, sources)) > MAX_TEXT:
        raise ValueError(f"expected 1 to {MAX_PATTERNS} patterns, together {MAX_TEXT // 1024} KiB")
    for number, source in enumerate(sources, 1):
        try:
            patterns.append(_compiled(source, ignore_case))
            screens.append(screen(source, ignore_case))
        except ValueError as error:
            raise ValueError(f"pattern {number}: {error}") from error
    words = tuple(fold(normalise(w)).strip() for w in context)
    if len(words) > MAX_CONTEXT or not all(words) or any(len(w) > _AFTER for w in words):
        raise ValueError(f"expected at most {MAX_CONTEXT} context words of 1 to {_AFTER} characters")
    return PatternDetector(name, tuple(patterns), tuple(screens), words, threshold)


def check(detector: PatternDetector) -> None:
    """Whether Vectorscan takes all of the patterns; raises ValueError. Compiles: up to seconds."""
    for number, expression in enumerate(detector.screens, 1):
        if expression is not None:
            try:
                Database((expression,))
            except ValueError as error:
                raise ValueError(f"pattern {number}: {error}") from error


def screen(source: str, ignore_case: bool) -> tuple[bytes, int] | None:
    """An expression that matches wherever the pattern does, in texts that stand behind each other; None: there is none.

    Lines are ends of texts for it, which is more than RE2 means by `^` and `$`. Case of letters outside of ASCII, and
    what is anchored to a text's ends, it would see otherwise.
    """
    if _ANCHORS.search(source) or (not source.isascii() and (ignore_case or "(?" in source)):
        return None
    if r"\S" in source or ("[^" in source and r"\s" in source):
        return None  # the vertical tab is a space for one of them only
    flags = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_MULTILINE | hyperscan.HS_FLAG_SINGLEMATCH
    return source.encode(), flags | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)


def _compiled(source: str, ignore_case: bool) -> Any:
    if not source.strip() or len(source) > MAX_PATTERN:
        raise ValueError(f"expected 1 to {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(source, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise ValueError(f"not RE2: {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}") from error
    if compiled.search("") is not None:
        raise ValueError("matches where there is nothing")
    return compiled
