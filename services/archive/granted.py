"""Grants as the archive checks them: from the documents in the store, each time, whatever a caller says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from services.common import grants
from services.common.control import Document
from services.common.directory import Directory
from services.common.errors import Corrupt, Denied, NotFound
from services.common.grants import Capability, Grant
from services.common.ids import TenantId

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Documents(Protocol):
    """Where control documents are read; see `control.Control`."""

    @property
    def directory(self) -> Directory:
        """The current view."""

    async def get(self, tenant: TenantId, kind: str, key: str, revision: int = 0) -> Document | None:
        """The newest revision from the store."""

    async def list(self, tenant: TenantId, kind: str) -> Sequence[Document]:
        """Every document of a kind."""


def is_id(text: str) -> bool:
    """Whether a grant could be called so."""
    return _ID.fullmatch(text) is not None


class Granted:
    """Checks grants."""

    def __init__(self, control: Documents, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._control, self._now = control, now

    async def check(
        self, tenant: TenantId, actor: str, grant_id: str, capabilities: Sequence[Capability]
    ) -> tuple[Grant, Capability]:
        """The grant, and the first of `capabilities` that it has, when `actor` may use it so at this moment.

        Raises `NotFound` when the tenant has no such grant, `Denied` with the reason, `Unavailable`.
        """
        document = await self._control.get(tenant, "grant", grant_id) if is_id(grant_id) else None
        if document is None or document.value is None:
            raise NotFound("no such grant", public="no such grant")
        try:
            grant = grants.read_grant(document.value)
        except Corrupt as error:
            raise Denied("malformed grant", public="this grant was changed after it was given") from error
        capability = next((c for c in capabilities if c in grant.request.capabilities), capabilities[0])
        directory = self._control.directory
        owner = directory.tenant(tenant)
        keys = await self._control.list(tenant, "signing-key")
        grants.check(
            grant,
            tenant=tenant,
            actor=actor,
            capability=capability,
            at=self._now(),
            keys={d.key: bytes.fromhex(str(d.value["public"])) for d in keys if d.value and d.value.get("public")},
            approvers={p.address for p in directory.people.values() if p.tenant == tenant and "approver" in p.roles},
            needed=owner.approvals if owner is not None else 1,
        )
        return grant, capability
