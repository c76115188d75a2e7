"""The key ring in the object store, and the master key in a file."""

from __future__ import annotations

from pathlib import Path

from services.common.errors import AlreadyExists
from services.common.objects import ObjectStore
from services.common.sealing.keys import PUBLIC
from services.common.sealing.writers import read_secret

PRIVATE = "keys/private/"


class StoredKeyRing:
    """`keys/private/<name>` (wrapped) and `keys/public/<name>` (signed statements), both create-only."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def private_names(self, prefix: str) -> set[str]:
        """See `KeyRing`."""
        return await self._names(PRIVATE, prefix)

    async def public_names(self, prefix: str) -> set[str]:
        """See `KeyRing`."""
        return await self._names(PUBLIC, prefix)

    async def add_private(self, name: str, wrapped: bytes) -> bool:
        """See `KeyRing`."""
        try:
            await self._objects.create(PRIVATE + name, wrapped)
        except AlreadyExists:
            return False
        return True

    async def private(self, name: str) -> bytes:
        """See `KeyRing`."""
        return await self._objects.get(PRIVATE + name)

    async def publish(self, name: str, statement: bytes) -> None:
        """See `KeyRing`."""
        try:
            await self._objects.create(PUBLIC + name, statement)
        except AlreadyExists:
            return

    async def destroy(self, name: str) -> None:
        """See `KeyRing`."""
        await self._objects.delete(PRIVATE + name)

    async def _names(self, root: str, prefix: str) -> set[str]:
        return {meta.key.removeprefix(root) async for meta in self._objects.list(root + prefix)}


class MasterKeyFile:
    """The master key in a file of mode 0600; read when first needed, then kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = b""

    def get(self) -> bytes:
        """See `MasterKey`."""
        if not self._key:
            self._key = read_secret(self._path)
        return self._key
