"""Append to a tenant's log: durable first, then proved.

One flush takes what waits: a create-only batch object is the commit and the
fence (two sequencers cannot both create the batch after the same size), then
the tiles and the signed checkpoint that follow from it, then the receipts.
While one flush runs the next one gathers, so an idle log is flushed at once
and a busy one in groups. Dying between any two steps loses nothing: whoever
opens the log next follows the batches and publishes what is missing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.audit.core.batch import MAX_BYTES, MAX_ENTRIES, Row
from services.audit.core.edge import Edge
from services.audit.core.values import Made
from services.audit.ports import LogKeys, LogStore
from services.common import log, telemetry
from services.common.audit_client import Receipt
from services.common.audit_entries import AuditEntry
from services.common.errors import AlreadyExists, Busy, Corrupt, Error, NotFound, Unavailable
from services.common.ids import TenantId
from services.common.tlog import checkpoint, entry, merkle, note, tiles

_log = log.get(__name__)
_MOST_WAITING = 8192
_REMEMBERED = 20_000
_LOOKED_BACK = 16
"""Bundles whose ids are read when a log is opened: a repeat of an older entry is appended again."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry in the log: the row that is there (that of the first time, if it was told twice) and its proof."""

    row: Row
    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(slots=True)
class _Waiting:
    made: Made
    placed: asyncio.Future[Placed]


class Log:
    """One tenant's log, as one sequencer sees it."""

    def __init__(self, tenant: TenantId, store: LogStore, key: note.Key, sign: note.Sign) -> None:
        self.tenant, self.key = tenant, key
        self.head, self.size = b"", 0
        """The newest published checkpoint, a signed note (empty while the log is), and its size."""
        self._store, self._sign = store, sign
        self._edge: Edge | None = None
        self._tail: list[bytes] = []
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._whole: list[tuple[int | str, int]] = []
        self._queue: deque[_Waiting] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether something waits or is being appended."""
        return self._flushing is not None

    async def append(self, made: Made) -> Placed:
        """Append and prove; raises `Unavailable` when it could not be made durable, `Busy` when too much waits."""
        if len(self._queue) >= _MOST_WAITING:
            raise Busy("too many entries wait for this log")
        waiting = _Waiting(made, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_all())
        return await waiting.placed

    async def refresh(self) -> None:
        """Know the log's end: follow what other sequencers appended. Raises `Unavailable`."""
        async with self._lock:
            await self._open()
            await self._follow()

    async def prove(self, index: int, size: int) -> tuple[bytes, ...]:
        """The inclusion proof of an entry in the tree of `size` leaves."""
        async with self._lock:
            await self._open()
            return await self._prove(index, size)

    async def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The proof that the tree of `second` leaves extends that of `first`."""

        def work(node: merkle.Node) -> tuple[bytes, ...]:
            return merkle.consistency_proof(first, second, node)

        async with self._lock:
            await self._open()
            edge = self._opened()
            await self._fetch(edge, tiles.tiles_for(work), second)
            return work(tiles.Tree(edge.tile).node)

    async def _prove(self, index: int, size: int) -> tuple[bytes, ...]:
        edge = self._opened()

        def work(node: merkle.Node) -> tuple[bytes, ...]:
            return merkle.inclusion_proof(index, size, node)

        await self._fetch(edge, tiles.tiles_for(work), size)
        return work(tiles.Tree(edge.tile).node)

    async def _flush_all(self) -> None:
        while self._queue:
            batch, size = [self._queue.popleft()], 0
            while self._queue and len(batch) < MAX_ENTRIES and size < MAX_BYTES:
                batch.append(self._queue.popleft())
                size += batch[-1].made.row.size
            try:
                async with self._lock:
                    await self._flush(batch)
            except Exception as error:
                # What became durable is not known here: open the log again before the next entry.
                self._edge = None
                named = error if isinstance(error, Error) and error.retry else Unavailable("the log cannot be written")
                _log.error("audit.not_written", tenant=self.tenant, error=getattr(error, "code", type(error).__name__))
                for waiting in batch:
                    if not waiting.placed.done():
                        waiting.placed.set_exception(named)
        self._flushing = None

    async def _flush(self, batch: Sequence[_Waiting]) -> None:
        await self._open()
        fresh: dict[str, Made] = {}
        while True:
            fresh = {w.made.id: w.made for w in batch if w.made.id not in self._ids}
            if not fresh:
                break
            rows = [made.row for made in fresh.values()]
            try:
                with telemetry.stage("audit", "commit", span=False):
                    await self._store.commit(self.tenant, self._opened().size, rows)
            except AlreadyExists:
                await self._follow()
                continue
            await self._extend(rows)
            break
        await self._answer(batch, fresh)
        await self._tidy()

    async def _answer(self, batch: Sequence[_Waiting], fresh: Mapping[str, Made]) -> None:
        edge = self._opened()
        places = {w.made.id: self._ids[w.made.id] for w in batch}

        def prove() -> dict[str, tuple[bytes, ...]]:
            node = tiles.Tree(edge.tile).node
            return {name: merkle.inclusion_proof(index, edge.size, node) for name, index in places.items()}

        try:
            proofs = await asyncio.to_thread(prove)
        except KeyError:  # a repeat of an entry whose tiles are no longer at hand
            proofs = {name: await self._prove(index, edge.size) for name, index in places.items()}
        for waiting in batch:
            name = waiting.made.id
            row = fresh[name].row if name in fresh else await self._row(places[name])
            if not waiting.placed.done():
                waiting.placed.set_result(Placed(row, places[name], proofs[name], self.head))

    async def _tidy(self) -> None:
        """Let readers begin at the new end, and remove partial tiles that are whole now."""
        await self._store.set_head(self.tenant, self.head)
        whole, self._whole = self._whole, []
        for level, index in whole:
            await self._store.forget_partial(self.tenant, level, index)

    async def _row(self, index: int) -> Row:
        async for start, rows in self._store.batches(self.tenant, index):
            return rows[index - start]
        raise Corrupt("an entry of the log is missing")

    async def _open(self) -> None:
        """Read the newest published state, then follow the batches after it."""
        if self._edge is not None:
            return
        head = await self._store.read(self.tenant, "checkpoint")
        size, edge = 0, Edge()
        if head is not None:
            try:
                opened, _ = checkpoint.opened(head, self.key)
            except ValueError as error:
                raise Corrupt("the log's checkpoint is not ours") from error
            size = opened.size
            known = [(lv, i, await self._store.tile(self.tenant, lv, i, size)) for lv, i, _ in tiles.edge(size)]
            edge = Edge(size, known)
            if edge.root() != opened.root:
                _log.error("audit.log_changed", tenant=self.tenant, size=size)
                raise Corrupt("the log's tiles do not have the root that was signed")
        self._ids.clear()
        first = max(0, (size - 1) // tiles.WIDTH - _LOOKED_BACK) if size else 0
        leaves: list[bytes] = []
        for index in range(first, (size + tiles.WIDTH - 1) // tiles.WIDTH):
            leaves = await self._store.bundle(self.tenant, index, size)
            self._remember(leaves, index * tiles.WIDTH)
        self._tail = leaves if size % tiles.WIDTH else []
        self._edge, self.head, self.size = edge, head or b"", size
        await self._follow()

    async def _follow(self) -> None:
        """Take in what was appended after the size that is known, by whomever, and publish what is missing of it."""
        moved = False
        while rows := await self._store.batch(self.tenant, self._opened().size):
            await self._extend(rows)
            moved = True
        if moved:
            await self._tidy()

    async def _extend(self, rows: Sequence[Row]) -> None:
        """Take committed rows in and publish their tiles, bundles and checkpoint, durably."""
        edge = self._opened()
        old, leaves = edge.size, [row.leaf for row in rows]
        pieces, head = await asyncio.to_thread(self._grow, edge, leaves)
        self._remember(leaves, old)
        with telemetry.stage("audit", "publish", span=False):
            await self._store.publish(self.tenant, pieces)
        self.head, self.size = head, edge.size
        for level, index, width in tiles.new_tiles(old, edge.size):
            if width == tiles.WIDTH:
                self._whole += [(level, index), *([("entries", index)] if level == 0 else [])]

    def _grow(self, edge: Edge, leaves: list[bytes]) -> tuple[list[tuple[str, bytes]], bytes]:
        old = edge.size
        edge.extend(map(merkle.leaf_hash, leaves))
        pieces = [
            (tiles.tile_path(level, index, width), b"".join(edge.tile(level, index)[:width]))
            for level, index, width in tiles.new_tiles(old, edge.size)
        ]
        first = old // tiles.WIDTH
        entries = self._tail + leaves
        for index in range(first, (edge.size + tiles.WIDTH - 1) // tiles.WIDTH):
            part = entries[(index - first) * tiles.WIDTH :][: tiles.WIDTH]
            pieces.append((tiles.tile_path("entries", index, len(part)), tiles.bundle(part)))
        rest = edge.size % tiles.WIDTH
        self._tail = entries[-rest:] if rest else []
        head = checkpoint.Checkpoint(self.key.name, edge.size, edge.root())
        signed = note.sign(head.text, self.key, self._sign).dump()
        pieces.append((history_path(edge.size), signed))
        return pieces, signed

    def _remember(self, leaves: Sequence[bytes], start: int) -> None:
        for index, leaf in enumerate(leaves, start):
            self._ids[entry.load(leaf).id] = index
        while len(self._ids) > _REMEMBERED:
            self._ids.popitem(last=False)

    async def _fetch(self, edge: Edge, wanted: set[tiles.Tile], size: int) -> None:
        for level, index in wanted:
            width = min(tiles.WIDTH, size // tiles.WIDTH**level - index * tiles.WIDTH)
            if len(edge.tiles.get((level, index), ())) < width:
                edge.remember(level, index, await self._store.tile(self.tenant, level, index, size))

    def _opened(self) -> Edge:
        if self._edge is None:
            raise Unavailable("the log is not open")
        return self._edge


def history_path(size: int) -> str:
    """Where the checkpoint of a size is kept."""
    return f"history/{size:016d}"


class Logs:
    """Every tenant's log; at most so many are kept open."""

    MOST_OPEN = 1024

    def __init__(self, store: LogStore, keys: LogKeys, origin: str, public: bytes, sign: note.Sign) -> None:
        self._store, self._keys, self._origin, self._public, self._sign = store, keys, origin, public, sign
        self._logs: OrderedDict[TenantId, Log] = OrderedDict()

    def of(self, tenant: TenantId) -> Log:
        """A tenant's log; nothing is read before it is asked for something."""
        found = self._logs.get(tenant)
        if found is None:
            key = note.Key(f"{self._origin}/{tenant}", self._public)
            found = self._logs[tenant] = Log(tenant, self._store, key, self._sign)
            spare = len(self._logs) - self.MOST_OPEN
            for old in [t for t, kept in self._logs.items() if not kept.busy and t != tenant][: max(0, spare)]:
                del self._logs[old]
        self._logs.move_to_end(tenant)
        return found

    def opened(self) -> list[Log]:
        """The logs in use here."""
        return list(self._logs.values())

    async def append(self, told: bytes, found: AuditEntry, service: str) -> Receipt:
        """Append what `service` told; see `AuditLog.append`."""
        try:
            values = await self._keys.values(found.tenant)
        except (NotFound, Corrupt) as error:
            raise Unavailable("the log's key cannot be had", code=error.code) from error
        made = await asyncio.to_thread(values.make, told, found, service)
        placed = await self.of(found.tenant).append(made)
        opening = made.opening
        if placed.row.leaf != made.row.leaf:
            first = values.open(placed.row)
            if first is None:
                raise Unavailable("the values of this entry were erased")
            opening = first.dump()
        return Receipt(placed.row.leaf, placed.index, placed.proof, placed.checkpoint, opening)
