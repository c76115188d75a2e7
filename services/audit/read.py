"""Read a log: pages for people, the whole for a verifier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.audit.append import Log, Logs, history_path
from services.audit.core.batch import Row
from services.audit.core.values import Values
from services.audit.ports import LogKeys, LogStore
from services.common import log
from services.common.errors import Corrupt, NotFound
from services.common.ids import TenantId
from services.common.tlog import entry, export, proof, tiles

_log = log.get(__name__)
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Item:
    """One entry for people; `opening` is None where its values were erased or cannot be opened."""

    index: int
    leaf: entry.Leaf
    opening: entry.Opening | None


class Reading:
    """Reads logs; raises `Unavailable`, and `Corrupt` for a log that was changed in the store."""

    def __init__(self, logs: Logs, store: LogStore, keys: LogKeys) -> None:
        self._logs, self._store, self._keys = logs, store, keys

    async def page(self, tenant: TenantId, start: int, most: int, action: str = "") -> tuple[list[Item], int | None]:
        """Up to `most` entries from index `start` and where the next page begins; None at the end."""
        opened = await self._fresh(tenant)
        values = await self._values(tenant)
        found: list[Item] = []
        async for first, rows in self._store.batches(tenant, start):
            for index, row in enumerate(rows, first):
                if index < start or index >= opened.size:
                    continue
                if len(found) == most:
                    return found, index
                leaf = _leaf(row)
                if not action or leaf.action == action:
                    found.append(Item(index, leaf, _opening(values, row)))
        return found, None

    async def proof(self, tenant: TenantId, index: int) -> bytes:
        """A tlog-proof of one entry under the newest checkpoint; raises `NotFound` beyond the end."""
        opened = await self._fresh(tenant)
        size, head = opened.size, await self.checkpoint(tenant)
        if not 0 <= index < size:
            raise NotFound("no such entry", public="no such entry in this log")
        leaf = (await self._store.bundle(tenant, index // tiles.WIDTH, size))[index % tiles.WIDTH]
        return proof.Proof(leaf, index, await opened.prove(index, size), head).dump()

    async def consistency(self, tenant: TenantId, first: int, second: int) -> tuple[bytes, ...]:
        """Why the tree of `second` leaves extends that of `first`; raises `NotFound` beyond the end."""
        opened = await self._fresh(tenant)
        if second > opened.size:
            raise NotFound("the log is shorter", public="this log has fewer entries")
        return await opened.consistency(first, second)

    async def checkpoint(self, tenant: TenantId) -> bytes:
        """The newest checkpoint, cosigned where it is; raises `NotFound` while the log is empty."""
        opened = await self._fresh(tenant)
        if not opened.head:
            raise NotFound("the log is empty", public="this log has no entry yet")
        return await self._store.read(tenant, cosigned_path(opened.size)) or opened.head

    async def export(self, tenant: TenantId, *, values: bool) -> AsyncIterator[bytes]:
        """The log as a tar file, as it is now."""
        opened = await self._fresh(tenant)
        size, head = opened.size, await self.checkpoint(tenant)
        yield export.member("manifest.json", export.manifest(opened.key.name, tenant, size, opened.key.text))
        yield export.member("checkpoint", head)
        async for piece in self._history(tenant, size):
            yield piece
        async for piece in self._tiles(tenant, size):
            yield piece
        if values:
            async for piece in self._opened(tenant, size):
                yield piece
        yield export.END

    async def _history(self, tenant: TenantId, size: int) -> AsyncIterator[bytes]:
        number, rows, names = 0, list[str](), list[int]()
        cosigned = {int(name) async for name in self._store.names(tenant, "cosigned/")}
        async for name in self._store.names(tenant, "history/"):
            if int(name) <= size:
                names.append(int(name))
            if len(names) >= _AT_ONCE:
                rows += await asyncio.gather(*(self._signed(tenant, n, n in cosigned) for n in names))
                names = []
            if len(rows) >= export.HISTORY_LINES:
                yield export.member(export.history_name(number), export.lines(rows))
                number, rows = number + 1, []
        rows += await asyncio.gather(*(self._signed(tenant, n, n in cosigned) for n in names))
        if rows:
            yield export.member(export.history_name(number), export.lines(rows))

    async def _signed(self, tenant: TenantId, size: int, cosigned: bool) -> str:
        data = await self._store.read(tenant, cosigned_path(size) if cosigned else history_path(size))
        if data is None:
            raise Corrupt("a checkpoint is missing", size=size)
        return data.decode()

    async def _tiles(self, tenant: TenantId, size: int) -> AsyncIterator[bytes]:
        for level, index, width in tiles.widths(size):
            data = b"".join(await self._store.tile(tenant, level, index, size))
            yield export.member(tiles.tile_path(level, index, width), data)
            if level == 0:
                entries = await self._store.bundle(tenant, index, size)
                yield export.member(tiles.tile_path("entries", index, width), tiles.bundle(entries))

    async def _opened(self, tenant: TenantId, size: int) -> AsyncIterator[bytes]:
        values = await self._values(tenant)
        rows: list[Mapping[str, Any]] = []
        bundle = 0
        async for first, found in self._store.batches(tenant, 0):
            for index, row in enumerate(found, first):
                if index >= size:
                    continue
                if index // tiles.WIDTH != bundle:
                    if rows:
                        yield export.member(export.values_name(bundle), export.lines(rows))
                    bundle, rows = index // tiles.WIDTH, []
                opening = _opening(values, row)
                if opening is not None:
                    rows.append({"index": index, **orjson.loads(opening.dump())})
        if rows:
            yield export.member(export.values_name(bundle), export.lines(rows))

    async def _fresh(self, tenant: TenantId) -> Log:
        opened = self._logs.of(tenant)
        await opened.refresh()
        return opened

    async def _values(self, tenant: TenantId) -> Values | None:
        try:
            return await self._keys.values(tenant)
        except NotFound:  # the tenant's keys are destroyed: the log stays, its values do not
            return None


def cosigned_path(size: int) -> str:
    """Where the checkpoint of a size is kept with cosignatures."""
    return f"cosigned/{size:016d}"


def items(page: Sequence[Item]) -> list[Mapping[str, Any]]:
    """The page as the contract names its fields."""
    return [
        {
            "index": item.index,
            "time": item.leaf.time,
            "actor": item.opening.actor if item.opening else "",
            "action": item.leaf.action,
            "outcome": item.leaf.outcome,
            "case_id": item.leaf.case_id,
            "grant_id": item.leaf.grant_id,
            "mail_ids": item.leaf.mail_ids,
            "detail": _detail(item),
            "service": item.leaf.service,
            "late": item.leaf.late,
        }
        for item in page
    ]


def _detail(item: Item) -> str:
    values = {**item.leaf.facts, **(item.opening.detail if item.opening else {})}
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode() if values else ""


def _leaf(row: Row) -> entry.Leaf:
    try:
        return entry.load(row.leaf)
    except ValueError as error:
        raise Corrupt("an entry of the log is none") from error


def _opening(values: Values | None, row: Row) -> entry.Opening | None:
    try:
        return values.open(row) if values else None
    except Corrupt:
        _log.warning("audit.values_unreadable")
        return None
