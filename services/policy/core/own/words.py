"""A tenant's weighted words as a detector: a text whose words weigh enough is a find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ahocorasick_rs import AhoCorasick

from services.policy.core.detectors import Confidence, Hit
from services.policy.core.own import Budget
from services.policy.core.own.units import fold
from services.policy.core.text import normalise

MAX_WORDS, MAX_WORD = 10_000, 64
"""Words of a tenant, characters of one."""
MAX_WEIGHT = 1000
_PIECE = 4096
_DENSE = 256
"""What one match costs, in bytes read."""


@dataclass(frozen=True, slots=True)
class WordDetector:
    """Each word counts once in a text; one of Latin letters or digits only as a whole."""

    name: str
    words: tuple[str, ...]
    weights: tuple[int, ...]
    threshold: int
    automaton: Any

    @property
    def screens(self) -> Sequence[tuple[bytes, int] | None]:
        """None: one pass over a text says all."""
        return ()

    def find(self, texts: Sequence[str], possible: Sequence[int], budget: Budget) -> list[tuple[int, Hit]]:
        """See `OwnDetector`."""
        return [(n, hit) for n, text in enumerate(texts) if (hit := self._sum(n, text, budget)) is not None]

    def _sum(self, number: int, text: str, budget: Budget) -> Hit | None:
        folded = fold(text)
        seen: set[int] = set()
        score, first, last = 0, len(folded), 0
        # Piece by piece: a text of nothing but words would otherwise make a list of millions.
        for begin in range(0, len(folded), _PIECE):
            piece = folded[begin : begin + _PIECE + MAX_WORD]
            matches = self.automaton.find_matches_as_indexes(piece, overlapping=True)
            budget.spend(read=len(piece) + _DENSE * len(matches))
            for index, start, end in matches:
                if index in seen or not _whole(folded, begin + start, begin + end):
                    continue
                seen.add(index)
                score += self.weights[index]
                first, last = min(first, begin + start), max(last, begin + end)
            if score >= 2 * self.threshold:
                break
        if score < self.threshold:
            return None
        confidence: Confidence = "high" if score * 2 >= self.threshold * 3 else "medium"
        return Hit(first, last, f"{self.name} {number}", f"{len(seen)} words, weight {score}", confidence)


def word_detector(name: str, words: Sequence[tuple[str, int]], *, threshold: int) -> WordDetector:
    """Ready for use. Raises ValueError with the number of the word, from 1."""
    if not 1 <= len(words) <= MAX_WORDS:
        raise ValueError(f"expected 1 to {MAX_WORDS} words")
    if threshold < 1:
        raise ValueError("the threshold is at least 1")
    weighed: dict[str, int] = {}
    for number, (word, weight) in enumerate(words, 1):
        folded = fold(normalise(word)).strip()
        if not 1 <= len(folded) <= MAX_WORD:
            raise ValueError(f"word {number}: expected 1 to {MAX_WORD} characters")
        if not 1 <= weight <= MAX_WEIGHT:
            raise ValueError(f"word {number}: a weight is from 1 to {MAX_WEIGHT}")
        weighed[folded] = max(weight, weighed.get(folded, 0))
    if sum(weighed.values()) < threshold:
        raise ValueError("all words together weigh less than the threshold, so it can never be met")
    return WordDetector(name, tuple(weighed), tuple(weighed.values()), threshold, AhoCorasick(list(weighed)))


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no letter or digit of ASCII goes on with one at the edge of the word."""
    left = start > 0 and _ascii(text[start]) and _ascii(text[start - 1])
    right = end < len(text) and _ascii(text[end - 1]) and _ascii(text[end])
    return not (left or right)


def _ascii(character: str) -> bool:
    return character.isascii() and character.isalnum()
