"""The smallest bus and bucket that facts need; the conformance of the real ones is tested with the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from services.common.bus import Entry, Message
from services.common.errors import NoResponders, Unavailable


class MemoryBucket:
    """Values in a dict; `away` makes every call fail."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.gets = 0
        self.away = False

    async def get(self, key: str) -> Entry | None:
        """See `Bucket`."""
        self.gets += 1
        self._here()
        return Entry(key, self.values[key], 1) if key in self.values else None

    async def put(self, key: str, value: bytes) -> int:
        """See `Bucket`."""
        self._here()
        self.values[key] = value
        return 1

    def _here(self) -> None:
        if self.away:
            raise Unavailable


class MemoryBus:
    """Keeps what was published; answers requests with `responder`."""

    def __init__(self) -> None:
        self.published: list[tuple[Message, str]] = []
        self.responder: Callable[[Message], Awaitable[bytes]] | None = None
        self.asked: list[bytes] = []

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> None:
        """See `Bus`."""
        self.published.append((Message(subject, data, dict(headers or {})), msg_id))

    async def request(
        self, subject: str, data: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """See `Bus`."""
        self.asked.append(data)
        if self.responder is None:
            raise NoResponders
        return await self.responder(Message(subject, data))
