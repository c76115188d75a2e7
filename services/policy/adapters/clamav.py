"""An anti-virus that speaks clamd's protocol: INSTREAM in chunks, one mail a connection."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from services.common.config import Address
from services.common.errors import Unavailable
from services.policy.core.filters import FilterVerdict
from services.policy.ports import Question

ANSWERS: frozenset[str] = frozenset({"malware"})
CHUNK = 256 * 1024
"""Bytes sent at once; the engine refuses chunks of its StreamMaxLength and more."""
_MAX_ANSWER = 4096
_ANSWER = re.compile(rb"stream: (?:(?P<clean>OK)|(?P<name>[\x20-\x7e]{1,200}) FOUND)")


class ClamAv:
    """Asks one clamd."""

    answers = ANSWERS

    def __init__(self, address: Address, *, connections: int = 16) -> None:
        self._address = address
        self._slots = asyncio.Semaphore(connections)

    async def ask(self, question: Question) -> FilterVerdict:
        """What it says; raises `Unavailable`, also when the mail is longer than the engine takes."""
        async with self._slots:
            try:
                answer = await self._stream(question.raw)
            except (OSError, EOFError, ValueError) as error:
                raise Unavailable("the anti-virus does not answer") from error
        found = _ANSWER.fullmatch(answer)
        if found is None:
            raise Unavailable("the anti-virus could not read the mail")
        if found["clean"]:
            return FilterVerdict(malware=False)
        return FilterVerdict(malware=True, signature=found["name"].decode("ascii"))

    async def close(self) -> None:
        """Nothing stays open."""

    async def _stream(self, raw: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._address.host, self._address.port, limit=_MAX_ANSWER)
        answer = asyncio.create_task(reader.readuntil(b"\0"))
        try:
            writer.write(b"zINSTREAM\0")
            # The engine says at once that it has had enough, and closes: then its answer counts, not the broken pipe.
            with suppress(ConnectionError):
                for start in range(0, len(raw), CHUNK):
                    if answer.done():
                        break
                    chunk = raw[start : start + CHUNK]
                    writer.write(len(chunk).to_bytes(4) + chunk)
                    await writer.drain()
                if not answer.done():
                    writer.write(bytes(4))
                    await writer.drain()
            return (await answer).removesuffix(b"\0").rstrip(b"\n")
        except asyncio.LimitOverrunError as error:
            raise ValueError("a longer answer than the protocol has") from error
        finally:
            answer.cancel()
            with suppress(asyncio.CancelledError, OSError, EOFError, asyncio.LimitOverrunError):
                await answer
            writer.close()
