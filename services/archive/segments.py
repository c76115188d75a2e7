"""Segments: batches of records and of index entries, create-only, one of each per tenant and batch.

`<tid>/record/<day>/<ulid>` is sealed to the tenant's trace key; `<tid>/index/
<day>/<ulid>`, of the same name, is what the index is told and holds codes only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from letterlock.archive.v1 import record_pb2

from services.archive.adapters import wire
from services.archive.core import framing
from services.archive.core.fold import MailState
from services.common.errors import InvalidInput
from services.common.ids import INSTALLATION, TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age

_THREAD = 256 * 1024
"""Bytes from which sealing and opening leave the event loop."""


class TraceKeys(Protocol):
    """Whom records are sealed to."""

    async def trace(self, tenant: TenantId) -> str:
        """The tenant's newest trace recipient. Raises `Unavailable`."""


class TraceIdentities(Protocol):
    """What opens records."""

    async def trace(self, tenant: TenantId, *, newer: bool = False) -> Sequence[str]:
        """The tenant's trace identities. Raises `NotFound`, `Unavailable`."""


class Segments:
    """Writes and reads segments."""

    def __init__(
        self,
        objects: ObjectStore,
        public: TraceKeys,
        identities: TraceIdentities,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects, self._public, self._identities, self._clock = objects, public, identities, clock

    async def write(
        self, tenant: TenantId, records: Sequence[record_pb2.Record]
    ) -> tuple[str, list[record_pb2.IndexEntry]]:
        """Store both segments durably; returns their name and the entries. A second try gets another name.

        Raises `Unavailable` or `Busy`; then nothing, or a copy that folds into the next try's, is there.
        """
        entries = [entry for record in records if (entry := wire.entry_of(record)) is not None]
        recipient = await self._public.trace(tenant)
        plain = [record.SerializeToString() for record in records]

        def seal() -> bytes:
            return age.encrypt(framing.pack(plain), [recipient])

        large = sum(map(len, plain)) > _THREAD
        sealed = await asyncio.to_thread(seal) if large else seal()
        name = framing.new_name(now=self._clock())
        if entries:
            told = framing.pack(entry.SerializeToString() for entry in entries)
            await asyncio.gather(
                self._objects.create(f"{tenant}/record/{name}", sealed),
                self._objects.create(f"{tenant}/index/{name}", told),
            )
        else:
            await self._objects.create(f"{tenant}/record/{name}", sealed)
        return name, entries

    async def names(self, tenant: TenantId, *, after: str = "") -> AsyncIterator[str]:
        """Names of the index segments beyond `after`, oldest first."""
        prefix = f"{tenant}/index/"
        async for meta in self._objects.list(prefix, after=prefix + after if after else ""):
            name = meta.key.removeprefix(prefix)
            if framing.is_name(name):
                yield name

    async def told(self, tenant: TenantId, name: str) -> list[MailState]:
        """What an index segment says. Raises `NotFound`, `Corrupt`, `Unavailable`."""
        data = await self._objects.get(f"{tenant}/index/{name}")
        return [wire.state_of(tenant, name, entry) for entry in wire.read_entries(framing.unpack(data))]

    async def records(self, tenant: TenantId, name: str) -> list[record_pb2.Record]:
        """The records of a segment. Raises `NotFound`, `Corrupt`, `Unavailable`."""
        data = await self._objects.get(f"{tenant}/record/{name}")
        try:
            packed = age.decrypt(data, await self._identities.trace(tenant))
        except age.NoKey:
            packed = age.decrypt(data, await self._identities.trace(tenant, newer=True))
        return wire.read_records(framing.unpack(packed))

    async def tenants(self) -> list[TenantId]:
        """Every tenant that has objects."""
        found: list[TenantId] = []
        for folder in await self._objects.list_folders(""):
            try:
                tenant = TenantId.parse(folder)
            except InvalidInput:
                continue
            if tenant != INSTALLATION:
                found.append(tenant)
        return found
