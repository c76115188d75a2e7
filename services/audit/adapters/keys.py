"""The logs' keys: random, one a tenant, in the store sealed to the tenant's trace key (`<tid>/log/key`)."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from contextlib import suppress

from services.audit.core.values import Values
from services.common.errors import AlreadyExists, NotFound, Unavailable
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age
from services.common.sealing.keys import Identities, PublicKeys

_KEPT = 1024


class StoredLogKeys:
    """See `LogKeys`."""

    def __init__(self, objects: ObjectStore, public: PublicKeys, identities: Identities) -> None:
        self._objects, self._public, self._identities = objects, public, identities
        self._known: OrderedDict[TenantId, Values] = OrderedDict()
        self._lock = asyncio.Lock()

    async def values(self, tenant: TenantId) -> Values:
        """See `LogKeys`."""
        if (known := self._known.get(tenant)) is not None:
            return known
        async with self._lock:
            if (known := self._known.get(tenant)) is not None:
                return known
            key = await self._read(tenant) or await self._make(tenant)
            self._known[tenant] = made = Values(tenant, key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return made

    async def _make(self, tenant: TenantId) -> bytes:
        box = age.encrypt(os.urandom(32), [await self._public.trace(tenant)])
        with suppress(AlreadyExists):  # another sequencer's came first, and is the key
            await self._objects.create(_key(tenant), box)
        key = await self._read(tenant)
        if key is None:
            raise Unavailable("the log's key is gone again")
        return key

    async def _read(self, tenant: TenantId) -> bytes | None:
        try:
            box = await self._objects.get(_key(tenant))
        except NotFound:
            return None
        try:
            return age.decrypt(box, await self._identities.trace(tenant))
        except age.NoKey:
            return age.decrypt(box, await self._identities.trace(tenant, newer=True))


def _key(tenant: TenantId) -> str:
    return f"{tenant}/log/key"
