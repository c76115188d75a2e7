"""What this service has seen of the logs, and which receipts were used: durable, create-only, forward only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import orjson

from services.common import log
from services.common.errors import AlreadyExists, Error, NotFound, Rejected, Unavailable
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.tlog import checkpoint, merkle, note
from services.common.tlog.checkpoint import Checkpoint
from services.encryption.core.receipts import refuse

_PINS = "keys/pins/"
_USED = "used/"
_log = log.get(__name__)


class Consistency(Protocol):
    """Who proves that a log only grew."""

    async def consistency(self, tenant: TenantId, first: int, second: int) -> tuple[bytes, ...]:
        """RFC 6962 2.1.2; raises `NotFound` when the log has fewer entries, `Unavailable`."""


class Pins:
    """`keys/pins/<tid>/<size>`: the newest checkpoint of each log that was believed, as it was signed.

    Whatever is believed afterwards must be a tree before it or after it of the same log. The first of a log is taken
    as it is.
    """

    def __init__(self, objects: ObjectStore, proofs: Consistency) -> None:
        self._objects, self._proofs = objects, proofs
        self._known: dict[TenantId, Checkpoint] = {}
        self._locks: dict[TenantId, asyncio.Lock] = {}

    async def believe(self, tenant: TenantId, head: Checkpoint, signed: bytes) -> None:
        """Return when `head` is of the same log as all before it, and is pinned if it is the newest.

        Raises `Denied` (fork), loudly, and `Unavailable`.
        """
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            known = await self._newest(tenant)
            if known is not None:
                await self._consistent(tenant, *sorted((known, head), key=lambda c: c.size))
                if head.size <= known.size:
                    return
            await self._pin(tenant, head, signed, known)

    async def _newest(self, tenant: TenantId) -> Checkpoint | None:
        # Another of us may have seen more: what is durable counts, and memory where the store lost it.
        known, newest = self._known.get(tenant), ""
        async for meta in self._objects.list(f"{_PINS}{tenant}/"):
            newest = meta.key
        if newest and (known is None or int(newest.rpartition("/")[2]) > known.size):
            with suppress(NotFound):  # another of us pinned a newer one and removed it
                found = _head(await self._objects.get(newest))
                if known is not None:
                    await self._consistent(tenant, known, found)
                known = self._known[tenant] = found
        return known

    async def _consistent(self, tenant: TenantId, old: Checkpoint, new: Checkpoint) -> None:
        try:
            if old.origin != new.origin:
                raise ValueError("another origin")
            path: tuple[bytes, ...] = ()
            if 0 < old.size < new.size:
                path = await self._proofs.consistency(tenant, old.size, new.size)
            merkle.check_consistency(old.size, new.size, old.root, new.root, path)
        except (ValueError, Rejected) as error:
            _log.error("custody.fork", tenant=tenant, old=old.size, new=new.size)
            raise refuse("fork", "the audit log is not the one that was seen before") from error

    async def _pin(self, tenant: TenantId, head: Checkpoint, signed: bytes, before: Checkpoint | None) -> None:
        key = _key(tenant, head.size)
        try:
            await self._objects.create(key, signed)
        except AlreadyExists:
            with suppress(NotFound):
                await self._consistent(tenant, head, _head(await self._objects.get(key)))
        self._known[tenant] = head
        if before is not None:
            with suppress(Error):
                await self._objects.delete(_key(tenant, before.size))


class Used:
    """`used/<tid>/<index>`: what a receipt was used for. There is one such object, so that there is one use."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def use(self, tenant: TenantId, index: int, what: Mapping[str, str]) -> None:
        """Use up a receipt, durably; raises `Denied` when it was used before, `Unavailable`."""
        try:
            await self._objects.create(f"{_USED}{tenant}/{index}", orjson.dumps(dict(what)))
        except AlreadyExists as error:
            raise refuse("replayed", "this receipt was used before") from error

    async def once(self, tenant: TenantId, grant_id: str, what: str) -> None:
        """Use up the one time of a one-time grant; raises as `use`."""
        try:
            await self._objects.create(f"{_USED}{tenant}/once/{grant_id}/{what}", b"{}")
        except AlreadyExists as error:
            raise refuse("used_up", "this grant was good for one time") from error


def _key(tenant: TenantId, size: int) -> str:
    return f"{_PINS}{tenant}/{size:016d}"


def _head(signed: bytes) -> Checkpoint:
    # It was checked before it was written; who changed it since makes reveals fail, no more.
    try:
        return checkpoint.parse(note.parse(signed).text)
    except ValueError as error:
        raise Unavailable("a pinned checkpoint is malformed") from error
