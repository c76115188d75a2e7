"""Buckets in memory, for `InMemoryBus`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from services.common.bus import Entry
from services.common.errors import AlreadyExists, Conflict, Denied, InvalidInput


class InMemoryBucket:
    """The values of one bucket; services use it through `view`."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.revision = 0
        self.watchers: set[asyncio.Queue[Entry]] = set()

    def view(self, reach: Callable[[], None], *, writable: bool) -> BucketView:
        """The bucket as one service sees it; `reach` raises when the broker is away."""
        return BucketView(self, reach, writable)

    def set(self, key: str, value: bytes | None) -> int:
        """Keep a value and tell the watchers."""
        self.revision += 1
        entry = Entry(key, value, self.revision)
        self.entries[key] = entry
        for watcher in self.watchers:
            watcher.put_nowait(entry)
        return self.revision


class BucketView:
    """A service's bucket."""

    def __init__(self, bucket: InMemoryBucket, reach: Callable[[], None], writable: bool) -> None:
        self._bucket, self._reach, self._writable = bucket, reach, writable

    async def get(self, key: str) -> Entry | None:
        """The newest value, or None."""
        self._check(key)
        entry = self._bucket.entries.get(key)
        return None if entry is None or entry.value is None else entry

    async def put(self, key: str, value: bytes) -> int:
        """Set; returns the revision."""
        self._check(key, write=True)
        return self._bucket.set(key, value)

    async def create(self, key: str, value: bytes) -> int:
        """Set if absent, else `AlreadyExists`."""
        self._check(key, write=True)
        if (entry := self._bucket.entries.get(key)) is not None and entry.value is not None:
            raise AlreadyExists("the key is there")
        return self._bucket.set(key, value)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Set if still at `revision`, else `Conflict`."""
        self._check(key, write=True)
        entry = self._bucket.entries.get(key)
        if (entry.revision if entry else 0) != revision:
            raise Conflict("changed meanwhile")
        return self._bucket.set(key, value)

    async def delete(self, key: str) -> None:
        """Remove."""
        self._check(key, write=True)
        self._bucket.set(key, None)

    async def keys(self) -> list[str]:
        """All keys; empty when there are none."""
        self._reach()
        return [key for key, entry in self._bucket.entries.items() if entry.value is not None]

    async def watch(self) -> AsyncIterator[Entry | None]:
        """Every present entry, then None once, then each change for ever."""
        news: asyncio.Queue[Entry] = asyncio.Queue()
        self._bucket.watchers.add(news)
        try:
            for entry in list(self._bucket.entries.values()):
                if entry.value is not None:
                    yield entry
            yield None
            while True:
                yield await news.get()
        finally:
            self._bucket.watchers.discard(news)

    def _check(self, key: str, *, write: bool = False) -> None:
        self._reach()
        if not key or "" in key.split(".") or any(c.isspace() or c in "*>" for c in key):
            raise InvalidInput("a key has no spaces, wildcards or empty parts", field="key")
        if write and not self._writable:
            raise Denied("this service may not write this bucket")
