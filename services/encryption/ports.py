"""What the keeper needs of the world."""

from __future__ import annotations

from typing import Protocol


class MasterKey(Protocol):
    """The key that wraps all others."""

    def get(self) -> bytes:
        """32 bytes; raises `Unavailable` (not there) or `InvalidInput` (wrong, or readable by others)."""


class KeyRing(Protocol):
    """Halves of keys by name, durable when a call returns. Raises `Unavailable`."""

    async def private_names(self, prefix: str) -> set[str]:
        """Names under `prefix` whose private half is there."""

    async def public_names(self, prefix: str) -> set[str]:
        """Names under `prefix` whose public half is there."""

    async def add_private(self, name: str, wrapped: bytes) -> bool:
        """Store a wrapped private half; False when somebody else already has."""

    async def private(self, name: str) -> bytes:
        """The wrapped private half, or `NotFound`."""

    async def publish(self, name: str, statement: bytes) -> None:
        """Store the statement of a public half; one that is there stays."""

    async def destroy(self, name: str) -> None:
        """Remove the private half for good; what is not there is no error."""
