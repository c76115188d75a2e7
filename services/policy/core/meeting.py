"""How single predicates are met: words and patterns in a text, and what filters said."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.policy.core.filters import FilterVerdict, VerdictUnknown
from services.policy.core.rules import TextHas, VerdictIs

MAX_SPANS = 5
"""Reasons that one predicate tells."""
_PIECE = 1 << 16


def possible(predicate: TextHas, utf8: bytes) -> Iterator[Any]:
    """The patterns that may match: those of groups of which one does."""
    for screen, group in predicate.screens:
        if screen is None or screen.search(utf8) is not None:
            yield from group


def words(predicate: TextHas, folded: str) -> Iterator[tuple[int, str]]:
    """The first place of words that are in a text: of all of a few, of some of many, at least one if one is there."""
    if predicate.automaton is None:
        for word in predicate.words:
            at = folded.find(word)
            if at >= 0:
                yield at, word
        return
    seen: set[int] = set()
    overlap = max(map(len, predicate.words)) - 1
    # Piece by piece: a text of nothing but hits would otherwise make a list of millions.
    for start in range(0, len(folded), _PIECE):
        piece = folded[start : start + _PIECE + overlap]
        for number, at, _ in predicate.automaton.find_matches_as_indexes(piece):
            if number not in seen:
                seen.add(number)
                yield start + at, predicate.words[number]
                if len(seen) >= MAX_SPANS:
                    return


def judged(predicate: VerdictIs, said: FilterVerdict) -> tuple[bool, tuple[str, ...]]:
    """Whether a verdict is as asked, with what was said; raises `VerdictUnknown`.

    What is known to be otherwise makes it false; only then is what nobody said a failure.
    """
    held: list[bool | None] = []
    spans = []
    if predicate.spam is not None:
        compare, limit = predicate.spam
        held.append(None if said.spam is None else _COMPARE[compare](said.spam, limit))
        spans.append(f"spam {said.spam:g}" if said.spam is not None else "")
    for name, wanted in predicate.flags:
        found = getattr(said, name)
        held.append(None if found is None else found == wanted)
        spans.append(f"{name} {said.signature if name == 'malware' and found else ''}".strip())
    for name, allowed in predicate.results:
        result = getattr(said, name)
        held.append(None if result is None else result in allowed)
        spans.append(f"{name} {result}")
    if False in held:
        return False, ()
    if None in held:
        raise VerdictUnknown("a filter did not answer")
    return True, tuple(spans[:MAX_SPANS])


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt,
}  # fmt: skip
