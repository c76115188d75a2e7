"""Bytes from the peer, read in bulk and taken out as lines or chunks; never more than the transport's limit is held.

One buffer for commands and content: what was pipelined behind DATA goes back
with `unread`, and `clear` before STARTTLS leaves nothing of the plain text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

CHUNK = 64 * 1024
STREAM_LIMIT = 2**17
"""Bytes; the transport is paused at twice as many."""


class Closed(Exception):
    """The peer has gone, or was told to go."""


class LineTooLong(Exception):
    """A line was longer than allowed; it was read to its end and dropped."""


class Input:
    """What the peer sends. `before_wait` runs before each wait (to flush replies), `after_wait` when bytes came."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        before_wait: Callable[[], Awaitable[None]],
        after_wait: Callable[[], None],
    ) -> None:
        self._reader, self._before, self._after = reader, before_wait, after_wait
        self._buffer = bytearray()

    async def line(self, limit: int) -> bytes:
        """The next line with its LF. Raises `LineTooLong` or `Closed`."""
        searched, dropped = 0, False
        while (end := self._buffer.find(b"\n", searched)) < 0:
            if len(self._buffer) > limit:
                self._buffer.clear()
                dropped = True
            searched = len(self._buffer)
            await self._fill()
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if dropped or len(line) > limit:
            raise LineTooLong
        return line

    async def chunk(self, most: int = CHUNK) -> bytes:
        """At least one byte and at most `most`. Raises `Closed`."""
        if not self._buffer:
            await self._fill()
        data = bytes(self._buffer[:most])
        del self._buffer[:most]
        return data

    def unread(self, data: bytes) -> None:
        """Give back what belongs to the next reader."""
        self._buffer[:0] = data

    def clear(self) -> None:
        """Forget everything that was received, here and in the stream below."""
        self._buffer.clear()
        # As aiosmtpd does at STARTTLS (CVE-2024-34083): the stream offers no public way.
        self._reader._buffer.clear()  # type: ignore[attr-defined]

    async def _fill(self) -> None:
        await self._before()
        try:
            data = await self._reader.read(CHUNK)
        except (OSError, RuntimeError) as error:
            raise Closed from error
        finally:
            self._after()
        if not data:
            raise Closed
        self._buffer += data

    @property
    def waiting(self) -> int:
        """Bytes that are here already."""
        return len(self._buffer)
