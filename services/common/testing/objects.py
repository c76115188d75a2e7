"""An object store in memory, for tests: the promises of the port, and switches for its bad days."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from services.common.errors import AlreadyExists, Busy, InvalidInput, NotFound, Unavailable
from services.common.objects import Meta, Writer
from services.common.objects.keys import check_folder, check_key, check_prefix


class InMemoryObjects:
    """Objects in a dict. Set `full`, `read_only` or `unavailable` to see what the code above does then."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, datetime] = {}
        """When each object was written; tests may make one older."""
        self.full = False
        self.read_only = False
        self.unavailable = False

    async def create(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        check_key(key)
        self._writable()
        if key in self.objects:
            raise AlreadyExists("this object exists")
        self._set(key, data)

    async def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        check_key(key)
        self._writable()
        self._set(key, data)

    async def open_writer(self, key: str) -> Writer:
        """See `ObjectStore`."""
        check_key(key)
        self._writable()
        return _MemoryWriter(self, key)

    async def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        check_key(key)
        self._reachable()
        if key not in self.objects:
            raise NotFound("no such object")
        return self.objects[key]

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        if start < 0 or length < 0:
            raise InvalidInput("a range begins and ends inside the object", field="range")
        return (await self.get(key))[start : start + length]

    async def head(self, key: str) -> Meta:
        """See `ObjectStore`."""
        return Meta(key, len(await self.get(key)), self.modified[key])

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Meta]:
        """See `ObjectStore`."""
        check_prefix(prefix)
        self._reachable()
        for key in sorted(k for k in self.objects if k.startswith(prefix) and k > after):
            if key in self.objects:
                yield await self.head(key)

    async def list_folders(self, prefix: str) -> builtins.list[str]:
        """See `ObjectStore`."""
        check_folder(prefix)
        self._reachable()
        rest = (k[len(prefix) :] for k in self.objects if k.startswith(prefix))
        return sorted({r.partition("/")[0] for r in rest if "/" in r})

    async def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        check_key(key)
        if self.read_only:
            raise Unavailable("object store: read only")
        self._reachable()
        self.objects.pop(key, None)
        self.modified.pop(key, None)

    async def check(self) -> None:
        """See `ObjectStore`."""
        self._writable()

    def _set(self, key: str, data: bytes) -> None:
        self.objects[key] = bytes(data)
        self.modified[key] = datetime.now(UTC)

    def _reachable(self) -> None:
        if self.unavailable:
            raise Unavailable("object store: unavailable")

    def _writable(self) -> None:
        self._reachable()
        if self.read_only:
            raise Unavailable("object store: read only")
        if self.full:
            raise Busy("object store full")


class _MemoryWriter:
    def __init__(self, store: InMemoryObjects, key: str) -> None:
        self._store, self._key = store, key
        self._buffer: bytearray | None = bytearray()

    async def write(self, data: bytes) -> None:
        """See `Writer`."""
        self._store._writable()
        self._open().extend(data)

    async def commit(self) -> None:
        """See `Writer`."""
        data = self._open()
        self._buffer = None
        await self._store.create(self._key, bytes(data))

    async def abort(self) -> None:
        """See `Writer`."""
        self._buffer = None

    def _open(self) -> bytearray:
        if self._buffer is None:
            raise Unavailable("this writer is closed")
        return self._buffer
