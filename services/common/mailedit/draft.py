"""A mail being edited: pieces of the original and what was put between them.

Whatever order edits come in, what is left of the original keeps its order, so
that the end result is a list of replaced spans of the original, and nothing
else: the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """An edit: the bytes from `start` to `end` of the current content become `new`."""

    start: int
    end: int
    new: bytes


@dataclass(frozen=True, slots=True)
class Replaced:
    """A span of the original, from `start` to `end`, and where what stands for it is in the result."""

    start: int
    end: int
    at: int
    length: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes of the content: from the original at `origin`, or new ones (-1)."""

    length: int
    origin: int


class Draft:
    """The content as edited so far."""

    def __init__(self, original: bytes) -> None:
        self.content = original
        self._size = len(original)
        self._pieces = [_Piece(len(original), 0)]

    def edit(self, spans: Iterable[Span]) -> None:
        """Make edits at once; their offsets are of the content as it is now, and they do not overlap."""
        ordered = sorted(spans, key=lambda s: (s.start, s.end))
        parts, position = [], 0
        pieces: list[_Piece] = []
        for span in ordered:
            parts += [self.content[position : span.start], span.new]
            pieces += [*self._cut(position, span.start), _Piece(len(span.new), -1)]
            position = span.end
        parts.append(self.content[position:])
        pieces += self._cut(position, len(self.content))
        self.content = b"".join(parts)
        self._pieces = [p for p in pieces if p.length]

    def _cut(self, start: int, end: int) -> list[_Piece]:
        """The pieces of the current content from `start` to `end`."""
        found, at = [], 0
        for piece in self._pieces:
            low, high = max(start, at), min(end, at + piece.length)
            if low < high:
                found.append(_Piece(high - low, piece.origin + low - at if piece.origin >= 0 else -1))
            at += piece.length
            if at >= end:
                break
        return found

    def replaced(self) -> Sequence[Replaced]:
        """What the edits come to, in order."""
        found: list[Replaced] = []
        original, at, new = 0, 0, 0
        for piece in [*self._pieces, _Piece(0, self._size)]:
            if piece.origin < 0:
                new += piece.length
                continue
            if new or piece.origin != original:
                found.append(Replaced(original, piece.origin, at, new))
            at, new = at + new + piece.length, 0
            original = piece.origin + piece.length
        return found
