"""The bytes of a mail on their way in, chunk by chunk, with state that survives any chunk border.

`DataDecoder` finds the end of DATA and removes dot-stuffing; `NewlineScanner`
says whether a bare CR, a bare LF or a NUL was seen. Both cost a few
searches per chunk, never a step per byte.
"""

from __future__ import annotations

_END = b"\r\n.\r\n"


class DataDecoder:
    """DATA's content up to `<CRLF>.<CRLF>` and nothing else (RFC 5321 §4.1.1.4, §4.5.2).

    The stream is read as if a CRLF stood before it, so that a first line of
    `.` ends an empty mail and a first line of `..` loses its dot.
    """

    def __init__(self) -> None:
        self._tail = b"\r\n"
        self._first = True
        self.done = False
        self.rest = b""
        """What came after the end: commands that were pipelined."""

    def feed(self, chunk: bytes) -> bytes:
        """Return the content that is now certain; after the end, `done` is set and `rest` holds what follows."""
        window = self._tail + chunk
        # Most chunks of a large mail hold no dot at all (base 64), and of the others few begin a line with one.
        dotted = window.find(b"\r\n.") if b"." in window else -1
        end = window.find(_END, dotted) if dotted >= 0 else -1
        if end >= 0:
            self.done, self.rest, self._tail = True, window[end + len(_END) :], b""
            return self._plain(window[: end + 2], stuffed=dotted < end)
        # Up to four bytes may be the beginning of the end; a shorter window is kept whole.
        keep = _overlap(window)
        self._tail = window[len(window) - keep :]
        return self._plain(window[: len(window) - keep], stuffed=dotted >= 0)

    def _plain(self, data: bytes, *, stuffed: bool) -> bytes:
        # The kept tail always starts with the CRLF that a stuffed dot follows, so no pair is ever cut.
        plain = data.replace(b"\r\n.", b"\r\n") if stuffed else data
        if self._first and plain:
            self._first = False
            return plain[2:]
        return plain


def _overlap(window: bytes) -> int:
    """How many bytes at the end of `window` are a beginning of the end mark, or a CRLF whose dot may follow."""
    for length in (4, 3, 2, 1):
        if window.endswith(_END[:length]):
            return length
    return 0


class NewlineScanner:
    """Whether content holds a bare CR, a bare LF or a NUL; `bare` is final after `finish`."""

    def __init__(self) -> None:
        self.bare = False
        self._cr = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        if self.bare or not chunk:
            return
        if self._cr:
            chunk = b"\r" + chunk
        self._cr = chunk.endswith(b"\r")
        if self._cr:
            chunk = chunk[:-1]
        self.bare = _has_bare(chunk)

    def finish(self) -> None:
        """The content is over: a CR that waited for its LF is bare."""
        self.bare = self.bare or self._cr
        self._cr = False


def _has_bare(data: bytes) -> bool:
    # Three counts run at memory speed and are nearly always the whole answer.
    pairs = data.count(b"\r\n")
    return data.count(b"\n") != pairs or data.count(b"\r") != pairs or b"\x00" in data
