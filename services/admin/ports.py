"""What the directory's keeper needs of the world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.common.ids import TenantId


class Policies(Protocol):
    """The policy service, which owns policy documents. Raises `Unavailable` when it does not answer."""

    async def current(self, tenant: TenantId) -> str | None:
        """The text of the newest revision, or None when the tenant has none."""

    async def check(self, tenant: TenantId, document: str, groups: Sequence[str]) -> list[tuple[str, str]]:
        """What is wrong with a document: (where in it, what) each; empty when it may be applied."""

    async def apply(self, tenant: TenantId, document: str, note: str) -> bool:
        """Make it the newest revision; False when the newest says the same. Raises `InvalidInput`."""
