"""Where a mail's bytes go while they arrive: RAM up to 512 KiB, then a sealed stream into the blob object.

Nothing is visible in the store before `commit`; `abort` leaves nothing
behind. Memory does not grow with the mail. A failure of the store or the
keys is kept and raised at the end, so that the rest of the content can be
drained and the peer gets its 451.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.common.errors import Error, Unavailable
from services.common.objects import ObjectStore, Writer
from services.common.sealing.mailobject import INLINE, BlobSealer

_BATCH = 256 * 1024
"""Bytes handed to the sealing thread at once: large enough that the hop costs little."""
OFF_LOOP = 64 * 1024
"""Work on more bytes than this leaves the event loop."""


@dataclass(frozen=True, slots=True)
class Body:
    """A mail's content, whole: `raw` is None when it went to the blob object."""

    size: int
    sha256: bytes
    raw: bytes | None


class Spool:
    """One mail's content on its way in."""

    def __init__(
        self,
        objects: ObjectStore,
        key: str,
        recipients: Callable[[], Awaitable[list[str]]],
        prepare: Callable[[bytes], bytes],
    ) -> None:
        """`prepare` gets the first bytes, the whole header at least, and returns what is stored in their place."""
        self._objects, self._key, self._recipients, self._prepare = objects, key, recipients, prepare
        self._buffer = bytearray()
        self._streaming = False
        self._hash = hashlib.sha256()
        self._size = 0
        self._sealer: BlobSealer | None = None
        self._writer: Writer | None = None
        self._committed = False
        self._failure: Exception | None = None

    async def write(self, data: bytes) -> None:
        """Append. Never raises for the store's sake: `finish` does."""
        if self._failure is not None:
            return
        self._buffer += data
        if len(self._buffer) <= (_BATCH if self._streaming else INLINE):
            return
        try:
            if not self._streaming:
                await self._begin()
            await self._flush()
        except Exception as error:
            await self._fail(error)

    async def finish(self) -> Body:
        """The whole content, in the store when it is large. Raises what went wrong."""
        if self._failure is None and not self._streaming:
            raw = self._prepare(bytes(self._buffer))
            self._buffer.clear()
            if len(raw) <= INLINE:
                digest = await asyncio.to_thread(_digest, raw) if len(raw) > OFF_LOOP else _digest(raw)
                return Body(len(raw), digest, raw)
            # Completing a submission can push a mail over the border.
            await self._try(self._open, raw)
        await self._try(self._close)
        if self._failure is not None:
            raise self._failure
        return Body(self._size, self._hash.digest(), None)

    async def abort(self) -> None:
        """Forget the content; a blob that was already visible is deleted. Never raises."""
        self._failure = self._failure or Unavailable("the mail was given up")
        self._buffer.clear()
        try:
            if self._committed:
                self._committed = False
                await self._objects.delete(self._key)
            elif self._writer is not None:
                await self._writer.abort()
        except Error:
            pass  # the sweeper deletes a blob that has no mail object after 24 h
        self._writer = None

    async def _try(self, step: Callable[..., Awaitable[None]], *arguments: bytes) -> None:
        if self._failure is None:
            try:
                await step(*arguments)
            except Exception as error:
                await self._fail(error)

    async def _fail(self, error: Exception) -> None:
        self._failure = error
        await self.abort()

    async def _begin(self) -> None:
        raw = self._prepare(bytes(self._buffer))
        self._buffer.clear()
        await self._open(raw)

    async def _open(self, raw: bytes) -> None:
        self._sealer = BlobSealer(await self._recipients())
        self._writer = await self._objects.open_writer(self._key)
        self._streaming = True
        self._buffer += raw

    async def _flush(self) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        self._size += len(data)
        sealed = await asyncio.to_thread(self._seal, data)
        if sealed and self._writer is not None:
            await self._writer.write(sealed)

    def _seal(self, data: bytes) -> bytes:
        self._hash.update(data)
        return self._sealer.update(data) if self._sealer is not None else b""

    async def _close(self) -> None:
        if self._sealer is None or self._writer is None:
            raise Unavailable("the spool was given up")
        await self._flush()
        rest = await asyncio.to_thread(self._sealer.finish)
        await self._writer.write(rest)
        await self._writer.commit()
        self._committed = True


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()
