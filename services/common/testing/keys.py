"""Keys for tests: made on demand, in memory, for every tenant and day."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

from services.common.bus import Bucket
from services.common.errors import NotFound
from services.common.ids import TenantId
from services.common.sealing import age
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.keys import Identities, PublicKeys, pipeline_name, today
from services.common.sealing.writers import GRANTS, Signer, Writer, Writers


class FakeKeys:
    """One installation's keys: `public`, `identities`, `writers`, and a `signer(service)` for each writer."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[str, str]] = {}
        self.destroyed: set[str] = set()
        """Names (`pipeline/2026-01-01`) whose private half is gone."""
        self.writers = Writers(
            {name: Writer(self.signer(name).public, frozenset(kinds)) for name, kinds in GRANTS.items()}
        )
        self.public: PublicKeys = _Public(self)
        self.identities = Identities(_Source(self))

    def signer(self, service: str) -> Signer:
        """The signer of a service."""
        return Signer(service, hashlib.sha256(b"test seed of " + service.encode()).digest())

    def pair(self, name: str) -> tuple[str, str]:
        """Identity and recipient of `archive/<tid>`, `trace/<tid>` or `pipeline/<day>`."""
        if name not in self._pairs:
            self._pairs[name] = age.generate()
        return self._pairs[name]

    def fact_keys(self, bucket: Bucket, *, identities: bool = True) -> FactKeys:
        """Fact keys over `bucket`, as a service with or without identities has them."""
        return FactKeys(bucket, self.public, Identities(_Source(self)) if identities else None)

    def archive_identities(self, tenant: TenantId) -> Sequence[str]:
        """What opens the archive's copy."""
        return [self.pair(f"archive/{tenant}")[0]]


class _Public(PublicKeys):
    def __init__(self, keys: FakeKeys) -> None:
        self._keys = keys

    async def archive(self, tenant: TenantId) -> str:
        return self._keys.pair(f"archive/{tenant}")[1]

    async def trace(self, tenant: TenantId) -> str:
        return self._keys.pair(f"trace/{tenant}")[1]

    async def pipeline(self, day: date | None = None) -> str:
        return self._keys.pair(pipeline_name(day or today()))[1]


class _Source:
    def __init__(self, keys: FakeKeys) -> None:
        self._keys = keys

    async def pipeline(self, day: date) -> Sequence[str]:
        return self._get(pipeline_name(day))

    async def trace(self, tenant: TenantId) -> Sequence[str]:
        return self._get(f"trace/{tenant}")

    def _get(self, name: str) -> Sequence[str]:
        if name in self._keys.destroyed:
            raise NotFound
        return [self._keys.pair(name)[0]]
