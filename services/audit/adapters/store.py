"""A log in the object store: `<tid>/log/…`, laid out as C2SP tlog-tiles wants it, with the batches beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from services.audit.core import batch
from services.audit.core.batch import Row
from services.common.errors import AlreadyExists, Corrupt, NotFound
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.tlog import tiles

HEAD = "checkpoint"
_AT_ONCE = 16


def batch_path(start: int) -> str:
    """Where the batch after `start` entries is; sorts by it."""
    return f"batch/{start:016d}"


class StoredLogs:
    """See `LogStore`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def commit(self, tenant: TenantId, start: int, rows: Sequence[Row]) -> None:
        """See `LogStore`."""
        await self._objects.create(_key(tenant, batch_path(start)), batch.dump(rows))

    async def batch(self, tenant: TenantId, start: int) -> list[Row] | None:
        """See `LogStore`."""
        data = await self.read(tenant, batch_path(start))
        return None if data is None else batch.load(data)

    async def batches(self, tenant: TenantId, index: int) -> AsyncIterator[tuple[int, list[Row]]]:
        """See `LogStore`."""
        # A batch has so many entries at most that the one with `index` begins after this name.
        after = f"{index - batch.MAX_ENTRIES:016d}" if index >= batch.MAX_ENTRIES else ""
        waiting: list[str] = []
        async for name in self.names(tenant, "batch/", after=after):
            waiting.append(name)
            if len(waiting) == _AT_ONCE:
                for found in await self._load(tenant, waiting):
                    if found[0] + len(found[1]) > index:
                        yield found
                waiting = []
        for found in await self._load(tenant, waiting):
            if found[0] + len(found[1]) > index:
                yield found

    async def publish(self, tenant: TenantId, pieces: Sequence[tuple[str, bytes]]) -> None:
        """See `LogStore`."""
        await asyncio.gather(*(self._create(_key(tenant, path), data) for path, data in pieces))

    async def read(self, tenant: TenantId, path: str) -> bytes | None:
        """See `LogStore`."""
        try:
            return await self._objects.get(_key(tenant, path))
        except NotFound:
            return None

    async def tile(self, tenant: TenantId, level: int, index: int, size: int) -> list[bytes]:
        """See `LogStore`."""
        width = min(tiles.WIDTH, size // tiles.WIDTH**level - index * tiles.WIDTH)
        data = await self._whole_or_partial(tenant, level, index, width)
        try:
            return tiles.hashes_of(data)[:width]
        except ValueError as error:
            raise Corrupt("a tile is not one", path=tiles.tile_path(level, index)) from error

    async def bundle(self, tenant: TenantId, index: int, size: int) -> list[bytes]:
        """See `LogStore`."""
        width = min(tiles.WIDTH, size - index * tiles.WIDTH)
        data = await self._whole_or_partial(tenant, "entries", index, width)
        try:
            return tiles.unbundle(data)[:width]
        except ValueError as error:
            raise Corrupt("a bundle is not one", path=tiles.tile_path("entries", index)) from error

    async def set_head(self, tenant: TenantId, checkpoint: bytes) -> None:
        """See `LogStore`."""
        await self.put(tenant, HEAD, checkpoint)

    async def put(self, tenant: TenantId, path: str, data: bytes) -> None:
        """See `LogStore`."""
        await self._objects.put(_key(tenant, path), data)

    async def names(self, tenant: TenantId, folder: str, *, after: str = "") -> AsyncIterator[str]:
        """See `LogStore`."""
        prefix = _key(tenant, folder)
        async for meta in self._objects.list(prefix, after=prefix + after if after else ""):
            yield meta.key.removeprefix(prefix)

    async def forget_partial(self, tenant: TenantId, level: int | str, index: int) -> None:
        """See `LogStore`."""
        prefix = _key(tenant, tiles.tile_path(level, index)) + ".p/"
        keys = [meta.key async for meta in self._objects.list(prefix)]
        await asyncio.gather(*(self._objects.delete(key) for key in keys))

    async def _whole_or_partial(self, tenant: TenantId, level: int | str, index: int, width: int) -> bytes:
        paths = [tiles.tile_path(level, index, width)]
        if width < tiles.WIDTH:
            paths.append(tiles.tile_path(level, index))
        for path in paths:
            data = await self.read(tenant, path)
            if data is not None:
                return data
        raise Corrupt("a part of the log is missing", path=paths[0])

    async def _create(self, key: str, data: bytes) -> None:
        try:
            await self._objects.create(key, data)
        except AlreadyExists:
            return  # by another sequencer, or before this one died: it follows from the same batches

    async def _load(self, tenant: TenantId, names: Sequence[str]) -> list[tuple[int, list[Row]]]:
        found = await asyncio.gather(*(self.batch(tenant, int(name)) for name in names))
        return [(int(name), rows) for name, rows in zip(names, found, strict=True) if rows]


def _key(tenant: TenantId, path: str) -> str:
    return f"{tenant}/log/{path}"
