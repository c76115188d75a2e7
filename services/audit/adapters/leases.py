"""Whose turn it is on a log: a lease in the bucket `leases`. It saves conflicts; the fence alone keeps logs whole."""

from __future__ import annotations

import time
from dataclasses import dataclass

import orjson

from services.common.bus import Bucket
from services.common.errors import AlreadyExists, Conflict, Error
from services.common.ids import TenantId

SECONDS = 5.0
_RENEW = 2.0


@dataclass(slots=True)
class _Held:
    holder: str
    until: float
    revision: int
    looked: float


class Leases:
    """Leases of one sequencer, known to others by `address`. Without a broker nobody has one and everybody appends."""

    def __init__(self, bucket: Bucket, address: str) -> None:
        self._bucket, self._address = bucket, address
        self._known: dict[TenantId, _Held] = {}

    async def elsewhere(self, tenant: TenantId) -> str:
        """The address of the sequencer whose turn it is; empty when it is this one's."""
        if not self._address:
            return ""
        held, now = self._known.get(tenant), time.time()
        if held is None or now - held.looked > _RENEW or now > held.until:
            try:
                held = await self._take(tenant, now)
            except Error:
                return ""
            self._known[tenant] = held
            if len(self._known) > 10_000:
                self._known.pop(next(iter(self._known)))
        return "" if held.holder in ("", self._address) else held.holder

    def doubt(self, tenant: TenantId) -> None:
        """Look again: who has it does not answer."""
        self._known.pop(tenant, None)

    async def _take(self, tenant: TenantId, now: float) -> _Held:
        entry = await self._bucket.get(tenant)
        if entry is not None and entry.value is not None:
            found = orjson.loads(entry.value)
            holder, until = str(found["holder"]), float(found["until"])
            if holder != self._address and until > now:
                return _Held(holder, until, entry.revision, now)
        value = orjson.dumps({"holder": self._address, "until": now + SECONDS})
        try:
            if entry is None or entry.value is None:
                revision = await self._bucket.create(tenant, value)
            else:
                revision = await self._bucket.update(tenant, value, revision=entry.revision)
        except (AlreadyExists, Conflict):
            return _Held("", now, 0, 0.0)  # somebody else's turn began this moment: append here once, look again
        return _Held(self._address, now + SECONDS, revision, now)
