"""Grants, read from the documents in the store for each use and checked here: no caller's word counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, cast

from services.common import grants
from services.common.control_store import Document
from services.common.directory import Directory
from services.common.errors import Corrupt, Denied
from services.common.grants import Capability, Grant
from services.common.ids import TenantId
from services.encryption.core.receipts import refuse

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Documents(Protocol):
    """Where control documents are read; `control.Control` is one."""

    @property
    def directory(self) -> Directory:
        """The current view."""

    async def get(self, tenant: TenantId, kind: str, key: str, revision: int = 0) -> Document | None:
        """The newest revision from the store."""

    async def list(self, tenant: TenantId, kind: str) -> Sequence[Document]:
        """Every document of a kind."""


class Grants:
    """Finds and checks grants. Raises `Unavailable`."""

    def __init__(self, control: Documents) -> None:
        self._control = control

    async def get(self, tenant: TenantId, grant_id: str) -> Grant:
        """The tenant's grant of this id; raises `Denied` when there is none, or it was changed."""
        document = await self._control.get(tenant, "grant", grant_id) if _ID.fullmatch(grant_id) else None
        if document is None or document.value is None:
            raise refuse("no_grant", "no such grant")
        try:
            grant = grants.read_grant(document.value)
        except Corrupt as error:
            raise refuse("grant_changed", "this grant was changed after it was given") from error
        if grant.id != grant_id or document.tenant != tenant:
            raise refuse("grant_changed", "this grant was changed after it was given")
        return grant

    async def check(
        self, tenant: TenantId, grant: Grant, actor: str, capabilities: Sequence[str], at: datetime
    ) -> None:
        """Return when `actor` may use the grant at that time for one of the capabilities; raises `Denied`."""
        directory = self._control.directory
        owner = directory.tenant(tenant)
        if owner is None:
            raise refuse("no_tenant", "no such tenant")
        capability = next((c for c in capabilities if c in grant.request.capabilities), capabilities[0])
        enrolled = await self._control.list(tenant, "signing-key")
        people = [p for p in directory.people.values() if p.tenant == tenant and p.active]
        if not any(p.address == actor and "auditor" in p.roles for p in people):
            raise refuse("role", "only an auditor may use a grant")
        try:
            grants.check(
                grant,
                tenant=tenant,
                actor=actor,
                capability=cast(Capability, capability),
                at=at,
                keys={d.key: bytes.fromhex(str(d.value["public"])) for d in enrolled if d.value},
                approvers={p.address for p in people if "approver" in p.roles},
                needed=owner.approvals,
            )
        except Denied as error:
            raise refuse(str(error).replace(" ", "_"), error.public) from error

    def is_person(self, tenant: TenantId, address: str) -> bool:
        """Whether somebody of the tenant is called so."""
        person = self._control.directory.person(address)
        return person is not None and person.tenant == tenant and person.active
