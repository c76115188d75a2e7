"""The object store: the only truth. A port, and the door that opens an adapter by URL.

Keys are `/`-separated, relative, ASCII, without `.` or `..` segments. What
`put` or `create` has returned is durable. A writer that dies leaves nothing
visible.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Meta:
    """What a listing says of an object."""

    key: str
    size: int
    modified: datetime


class Writer(Protocol):
    """An object that is being written; invisible until `commit` returns."""

    async def write(self, data: bytes) -> None:
        """Append; memory stays bounded with the local store. Raises `Busy` (full) or `Unavailable`."""

    async def commit(self) -> None:
        """Make it durable and visible. Raises `AlreadyExists` when the key is taken."""

    async def abort(self) -> None:
        """Forget it; also after an error, and harmless after `commit`."""


class ObjectStore(Protocol):
    """Create-only objects, listing and range reads. Raises `Unavailable`/`Busy` when it cannot."""

    async def create(self, key: str, data: bytes) -> None:
        """Store durably, or raise `AlreadyExists`: creation is the compare-and-set."""

    async def put(self, key: str, data: bytes) -> None:
        """Store durably, replacing what was there."""

    async def open_writer(self, key: str) -> Writer:
        """Begin a large create-only object."""

    async def get(self, key: str) -> bytes:
        """The whole object, or `NotFound`."""

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`, or `NotFound`."""

    async def head(self, key: str) -> Meta:
        """Size and time, or `NotFound`."""

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Meta]:
        """Objects whose key starts with `prefix`, in key order, from the first key > `after`."""

    async def list_folders(self, prefix: str) -> Sequence[str]:
        """The distinct next segments under `prefix` (which ends in `/` or is empty), sorted."""

    async def delete(self, key: str) -> None:
        """Remove it; what is not there is no error."""

    async def check(self) -> None:
        """Return when the store answers; raises `Unavailable` otherwise (readiness)."""


def open_store(url: str) -> ObjectStore:
    """The store at `file:///…`, `s3://…`, `gs://…` or `az://…`; `InvalidInput` for another scheme."""
    from services.common.objects import opening

    return opening.open_store(url)
