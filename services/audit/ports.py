"""What the log needs of the world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from services.audit.core.batch import Row
from services.audit.core.values import Values
from services.common.ids import TenantId


class LogStore(Protocol):
    """One log per tenant, in objects. Raises `Unavailable`/`Busy` when it cannot, `Corrupt` for what is no log's."""

    async def commit(self, tenant: TenantId, start: int, rows: Sequence[Row]) -> None:
        """Append durably after `start` entries, or raise `AlreadyExists`: somebody else did."""

    async def batch(self, tenant: TenantId, start: int) -> list[Row] | None:
        """What was appended after exactly `start` entries; None when nothing was."""

    def batches(self, tenant: TenantId, index: int) -> AsyncIterator[tuple[int, list[Row]]]:
        """Batches in order with their start, from the one that holds `index`."""

    async def publish(self, tenant: TenantId, pieces: Sequence[tuple[str, bytes]]) -> None:
        """Create objects by their paths in the log, durably; what is there already stays."""

    async def read(self, tenant: TenantId, path: str) -> bytes | None:
        """One object of the log."""

    async def tile(self, tenant: TenantId, level: int, index: int, size: int) -> list[bytes]:
        """The hashes of a tile of the tree of `size` leaves; raises `Corrupt` when it is not there."""

    async def bundle(self, tenant: TenantId, index: int, size: int) -> list[bytes]:
        """The entries of a bundle of the tree of `size` leaves; raises `Corrupt`."""

    async def set_head(self, tenant: TenantId, checkpoint: bytes) -> None:
        """Replace `checkpoint`, where readers begin."""

    async def put(self, tenant: TenantId, path: str, data: bytes) -> None:
        """Replace an object of the log that may change: a checkpoint's cosignatures."""

    def names(self, tenant: TenantId, folder: str, *, after: str = "") -> AsyncIterator[str]:
        """The names in a folder of the log, sorted."""

    async def forget_partial(self, tenant: TenantId, level: int | str, index: int) -> None:
        """Remove the partial versions of a tile or bundle that is whole now."""


class LogKeys(Protocol):
    """The logs' own keys, sealed to whom the tenant's traces are."""

    async def values(self, tenant: TenantId) -> Values:
        """What a log's values are made and opened with; made on first use. Raises `Unavailable`; `NotFound` once the
        tenant's keys are destroyed."""
