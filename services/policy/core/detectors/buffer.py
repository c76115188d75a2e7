"""The texts of one mail in one piece of bytes, and the way back to characters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

_BREAK = b"\n\0\n"


class Buffer:
    """Texts as UTF-8 with a break before, between and after them, so that every boundary is a byte."""

    __slots__ = ("_ascii", "_last", "_starts", "data")

    def __init__(self, texts: Sequence[str]) -> None:
        pieces, starts, at = [_BREAK], [], len(_BREAK)
        for text in texts:
            piece = text.encode("utf-8", "replace")
            starts.append(at)
            pieces += (piece, _BREAK)
            at += len(piece) + len(_BREAK)
        self.data = b"".join(pieces)
        self._starts = starts
        self._ascii = [t.isascii() for t in texts]
        self._last = [(start, 0) for start in starts]

    def text_of(self, offset: int) -> int:
        """The number of the text in which a byte stands."""
        return max(bisect_right(self._starts, offset) - 1, 0)

    def bounds(self, offset: int) -> tuple[int, int]:
        """First and last byte of the text in which a byte stands."""
        text = self.text_of(offset)
        end = self._starts[text + 1] if text + 1 < len(self._starts) else len(self.data)
        return self._starts[text], end - len(_BREAK)

    def position(self, offset: int) -> tuple[int, int]:
        """(number of the text, offset in characters). Cheap when asked in rising order."""
        text = self.text_of(offset)
        if self._ascii[text]:
            return text, offset - self._starts[text]
        known, characters = self._last[text]
        if offset >= known:
            characters += len(self.data[known:offset].decode("utf-8", "ignore"))
        else:
            characters -= len(self.data[offset:known].decode("utf-8", "ignore"))
        self._last[text] = (offset, characters)
        return text, characters
