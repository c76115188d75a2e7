"""Control documents as a service sees them: always a whole directory, never further behind than a minute.

The object store is the truth (`control_store.py`); the bucket `control` is a
watched cache of it. With the broker away the last good copy stays and writes
still work, since the store does the compare-and-set; a node that missed the
news reads the store again each minute and when the broker is back. An empty
bucket is filled from the store.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.common import log
from services.common.bus import Bus, Entry
from services.common.bus.streams import ACCESS
from services.common.control_documents import INSTALLATION_KINDS, KINDS, build
from services.common.control_store import ControlStore, Document, Documents, encode_key
from services.common.directory import Directory
from services.common.errors import AlreadyExists, Conflict, Corrupt, Error, Unavailable
from services.common.ids import INSTALLATION, TenantId
from services.common.objects import ObjectStore

__all__ = ["Control", "Document", "Node"]

_log = log.get(__name__)
_CACHED = frozenset({*KINDS, *INSTALLATION_KINDS})
_NODE_FORGOTTEN = timedelta(minutes=3)

type _Place = tuple[TenantId, str, str]


@dataclass(frozen=True, slots=True)
class Node:
    """What one process of a service last said of itself."""

    name: str
    service: str
    revision: int
    at: datetime
    addresses: Mapping[str, str] = field(default_factory=dict)


class Control:
    """Reads and writes control documents and holds the current `directory`. Work inside `running()`."""

    def __init__(
        self,
        objects: ObjectStore,
        bus: Bus,
        *,
        node: str,
        debounce: float = 0.05,
        reread: float = 60.0,
    ) -> None:
        self.store = ControlStore(objects)
        self.addresses: Mapping[str, str] = {}
        self._bus, self._service, self._debounce, self._reread = bus, node, debounce, reread
        # Without the process id: who is started again after a kill takes the place of the one that died.
        self._node = encode_key(f"{node}-{socket.gethostname()}")
        self._documents: dict[_Place, Document] = {}
        self._cached: dict[_Place, int] = {}
        self._directory = Directory()
        self._dirty = False
        self._timer: asyncio.TimerHandle | None = None
        self._callbacks: list[Callable[[Directory], None]] = []
        # Only who writes documents may write their cache; the broker refuses the others.
        self._may_cache = node not in ACCESS or "control" in ACCESS[node].writes
        self._snapshot = asyncio.Event()
        self._kick = asyncio.Event()
        self._loaded = False

    @property
    def directory(self) -> Directory:
        """The current view; what this process wrote is in it at once."""
        if self._dirty:
            self._rebuild()
        return self._directory

    @property
    def revision(self) -> int:
        """Grows with every change; nodes with equal revisions have seen the same documents."""
        return self.directory.revision

    def documents(self) -> Documents:
        """The newest revision of everything the directory is made from, deletions included."""
        return list(self._documents.values())

    def on_change(self, callback: Callable[[Directory], None]) -> Callable[[], None]:
        """Call `callback` with each new view; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Control]:
        """Load the directory, then keep it current while the context lives.

        Enters only with a directory, from the bucket or from the store: without one, every domain would look
        unknown and mail would be refused that must wait.
        """
        tasks = [asyncio.create_task(self._watch())]
        try:
            await self._load()
            tasks.append(asyncio.create_task(self._keep_current()))
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()
            with suppress(Error, TimeoutError):
                await asyncio.wait_for(self._bus.bucket("nodes").delete(self._node), 1)

    async def check(self) -> None:
        """Readiness: there is a directory; raises `Unavailable` otherwise."""
        if not self._loaded:
            raise Unavailable("the directory is not loaded")

    async def put(
        self,
        tenant: TenantId,
        kind: str,
        key: str,
        value: Mapping[str, Any] | None,
        *,
        expected: int | None,
        actor: str,
    ) -> int:
        """Store the next revision durably and return its number; `value` None deletes.

        `expected` is the revision the change is based on, 0 for "there is none", None for whatever is there.
        Raises `Conflict`, `AlreadyExists`, `InvalidInput` (too large) or `Unavailable`.
        """
        document = await self.store.put(tenant, kind, key, value, expected=expected, actor=actor)
        if kind in _CACHED:
            self._documents[_place(document)] = document
            self._dirty = True
            self._rebuild_soon()
            await self._publish(document)
        return document.revision

    async def get(self, tenant: TenantId, kind: str, key: str, revision: int = 0) -> Document | None:
        """A revision from the store, by default the newest; None when there is none or it is deleted."""
        document = await self.store.get(tenant, kind, key, revision)
        return document if document is not None and document.value is not None else None

    async def list(self, tenant: TenantId, kind: str) -> Documents:
        """Every document of a kind that is not deleted, in the order of keys; the directory's kinds from memory."""
        if kind in _CACHED:
            found = [d for (t, k, _), d in self._documents.items() if t == tenant and k == kind]
        else:
            found = await self.store.list(tenant, kind)
        return sorted((d for d in found if d.value is not None), key=lambda d: d.key)

    async def history(self, tenant: TenantId, kind: str, key: str) -> Documents:
        """Every revision from the store, oldest first, deletions included."""
        return await self.store.history(tenant, kind, key)

    async def node_revisions(self) -> tuple[Node, ...]:
        """Every process that spoke in the last three minutes, by name. Raises `Unavailable` without a broker."""
        bucket = self._bus.bucket("nodes")
        nodes: dict[str, Node] = {}
        oldest = datetime.now(UTC) - _NODE_FORGOTTEN
        for name in await bucket.keys():
            entry = await bucket.get(name)
            node = _node(name, entry) if entry is not None and entry.value is not None else None
            if node is not None and node.at >= oldest:
                nodes[name] = node
        return tuple(nodes[name] for name in sorted(nodes))

    async def announce(self) -> None:
        """Say which revision this process runs; silent when the broker is away."""
        value = {
            "service": self._service,
            "revision": self.directory.revision,
            "at": datetime.now(UTC).isoformat(),
            "addresses": dict(self.addresses),
        }
        with suppress(Error):
            await self._bus.bucket("nodes").put(self._node, orjson.dumps(value))

    async def reread(self) -> None:
        """Read what is new from the store and put into the bucket what it lacks. Raises `Unavailable`."""
        before = set(self._documents)
        present: set[_Place] = set()
        for tenant in {INSTALLATION, *await self.store.tenants()}:
            for kind in sorted(await self.store.kinds(tenant) & _CACHED):
                revisions = await self.store.revisions(tenant, kind)
                present.update((tenant, kind, key) for key in revisions)
                newer = {k: n for k, n in revisions.items() if n > self._known((tenant, kind, k))}
                for document in await self.store.read(tenant, kind, newer):
                    self._take(document)
        for place in before - present:
            # Cached, and not in the store: an old broker beside a new store. The store is the truth.
            self._documents.pop(place, None)
            self._rebuild_soon()
            if not self._may_cache:
                continue
            with suppress(Error):
                await self._bus.bucket("control").delete("/".join(place))
        self._loaded = True
        for place, document in list(self._documents.items()):
            if self._cached.get(place, 0) < document.revision:
                await self._publish(document)

    async def _load(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._snapshot.wait(), 2)
        while True:
            try:
                await self.reread()
            except Unavailable as error:
                if self._documents:
                    _log.warning("control.store_away", code=error.code, documents=len(self._documents))
                    self._loaded = True
                else:
                    _log.warning("control.waiting", code=error.code)
                    await asyncio.sleep(0.5)
                    continue
            break
        self._rebuild()
        await self.announce()
        _log.info("control.loaded", documents=len(self._documents), revision=self._directory.revision)

    async def _watch(self) -> None:
        while True:
            try:
                async for entry in self._bus.bucket("control").watch():
                    if entry is None:
                        self._snapshot.set()
                    elif entry.value is not None:
                        self._hear(entry.value)
            except Error as error:
                _log.warning("control.watch_lost", code=error.code)
            except Exception as error:
                _log.error("control.watch_failed", error=type(error).__name__)
            await asyncio.sleep(1)

    def _hear(self, value: bytes) -> None:
        try:
            document = Document.parse(value)
        except Corrupt:
            _log.error("control.unreadable", size=len(value))
            return
        place = _place(document)
        self._cached[place] = max(self._cached.get(place, 0), document.revision)
        self._take(document)

    def _take(self, document: Document) -> None:
        place = _place(document)
        if document.kind in _CACHED and self._known(place) < document.revision:
            self._documents[place] = document
            self._rebuild_soon()

    def _known(self, place: _Place) -> int:
        document = self._documents.get(place)
        return document.revision if document is not None else 0

    async def _keep_current(self) -> None:
        connected, waited = self._bus.connected, 0.0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), min(1.0, self._reread))
            waited += min(1.0, self._reread)
            back = self._bus.connected and not connected
            connected = self._bus.connected
            if self._kick.is_set():
                self._kick.clear()
                await self.announce()
            if back or waited >= self._reread:
                waited = 0.0
                try:
                    await self.reread()
                except Exception as error:
                    _log.warning("control.reread_failed", error=type(error).__name__)
                await self.announce()

    async def _publish(self, document: Document) -> None:
        if not self._may_cache:
            return
        place = _place(document)
        key = "/".join(place)
        bucket = self._bus.bucket("control")
        try:
            for _ in range(3):
                entry = await bucket.get(key)
                if entry is not None and entry.value is not None and _revision(entry.value) >= document.revision:
                    break
                try:
                    if entry is None:
                        await bucket.create(key, document.dump())
                    else:
                        await bucket.update(key, document.dump(), revision=entry.revision)
                    break
                except (Conflict, AlreadyExists):
                    continue
            self._cached[place] = document.revision
        except Error as error:
            # It is durable in the store: the others find it when they read again.
            _log.warning("control.cache_missed", code=error.code)

    def _rebuild_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._debounce, self._rebuild)

    def _rebuild(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._dirty = False
        self._directory = build(self._documents.values())
        self._kick.set()
        for callback in list(self._callbacks):
            try:
                callback(self._directory)
            except Exception as error:
                # One listener's failure must not keep the others on the old view.
                _log.error("control.listener_failed", error=type(error).__name__)


def _place(document: Document) -> _Place:
    return document.tenant, document.kind, encode_key(document.key)


def _revision(value: bytes) -> int:
    try:
        return Document.parse(value).revision
    except Corrupt:
        return 0


def _node(name: str, entry: Entry) -> Node | None:
    try:
        raw = orjson.loads(entry.value or b"")
        return Node(
            name,
            str(raw["service"]),
            int(raw["revision"]),
            datetime.fromisoformat(raw["at"]),
            {str(k): str(v) for k, v in raw["addresses"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
