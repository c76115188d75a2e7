"""Edit the directory one document at a time: create, update, delete, each checked like a line of the world file."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

from services.admin.core import checks, consent
from services.admin.core.checks import Check, Mistakes
from services.admin.core.state import Known, Place, clashes
from services.admin.world import state_of
from services.common import auth
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.control import Control, Document
from services.common.errors import AlreadyExists, Conflict, NotFound, Rejected
from services.common.grpc_status import invalid
from services.common.ids import INSTALLATION, TenantId

FIELDS: Mapping[str, Mapping[str, Check]] = {
    "tenant": checks.TENANT,
    "domain": checks.DOMAIN,
    "connector": checks.CONNECTOR,
    "person": checks.PERSON,
    "group": checks.GROUP,
    "apikey": {"name": checks.text(200)},
}
_KEYS: Mapping[str, Check] = {
    "domain": checks.domain,
    "connector": checks.name,
    "person": checks.address,
    "group": checks.name,
}
_KEY_FIELD: Mapping[str, str] = {"person": "address"}
_TENANT_KEY = "self"


class Editor:
    """Writes the directory's documents. `lock` is shared with whoever else writes it in this process."""

    def __init__(self, control: Control, trail: AuditTrail, lock: asyncio.Lock) -> None:
        self._control, self._trail, self._lock = control, trail, lock

    async def get(self, tenant: TenantId, kind: str, key: str) -> Document:
        """The newest revision, or `NotFound`."""
        document = await self._control.get(tenant, kind, _found_key(kind, key))
        if document is None:
            raise NotFound(f"no such {kind}", public=f"no such {kind}")
        return document

    async def create(
        self, tenant: TenantId, kind: str, key: str, given: Mapping[str, Any], *, request_id: str, actor: str
    ) -> Document:
        """Make a document. The same `request_id` again answers with what it made; else `AlreadyExists`.

        Raises `InvalidInput` with every field at fault.
        """
        mistakes = Mistakes()
        field = f"{kind}.{_KEY_FIELD.get(kind, 'name')}"
        key = _KEYS[kind](key, field, mistakes) if kind in _KEYS else key
        value = await self._checked(kind, given, mistakes)
        if kind == "connector" and not any(value.get(k) for k in ("networks", "tls_client", "username")):
            mistakes.add("connector.networks", "needs networks, tls_client or username")
        _raise(mistakes)
        async with self._lock:
            document = await self._control.get(tenant, kind, key)
            if document is not None:
                return self._repeated(document, kind, request_id)
            value = {k: v for k, v in value.items() if v is not None} | _request(request_id)
            extra = {(INSTALLATION, "domain-claim", key): {"tenant": tenant}} if kind == "domain" else {}
            self._no_clash({(tenant, kind, key): value, **extra}, kind)
            if kind == "person":
                value = consent.held(None, value, actor)
            if kind == "domain":
                await self._claim("domain-claim", key, tenant, actor, "domain.name")
            return await self._put(tenant, kind, key, value, 0, actor)

    async def create_tenant(self, name: str, given: Mapping[str, Any], *, request_id: str, actor: str) -> Document:
        """Make a tenant; as `create`."""
        mistakes = Mistakes()
        name = checks.label(name, "tenant.name", mistakes)
        value = await self._checked("tenant", given, mistakes)
        _raise(mistakes)
        async with self._lock:
            tenant = self._named(name)
            document = await self._control.get(tenant, "tenant", _TENANT_KEY) if tenant else None
            if document is not None:
                return self._repeated(document, "tenant", request_id)
            tenant = tenant or TenantId.new()
            await self._claim("tenant-name", name, tenant, actor, "tenant.name")
            value = {k: v for k, v in {"name": name, **value}.items() if v is not None} | _request(request_id)
            return await self._put(tenant, "tenant", _TENANT_KEY, value, None, actor)

    async def update(
        self, tenant: TenantId, kind: str, key: str, given: Mapping[str, Any], *, revision: int, actor: str
    ) -> Document:
        """Change the given fields, None removes one. `revision` 0: whatever is there; else `Conflict` if it is not."""
        mistakes = Mistakes()
        given = dict(given)
        renamed = (
            checks.label(given.pop("name"), "tenant.name", mistakes) if kind == "tenant" and "name" in given else ""
        )
        value = await self._checked(kind, given, mistakes)
        _raise(mistakes)
        key = _found_key(kind, key)
        async with self._lock:
            document = await self.get(tenant, kind, key)
            if revision and document.revision != revision:
                raise Conflict("it changed meanwhile", newest=document.revision)
            before = dict(document.value or {})
            if renamed and renamed != before.get("name"):
                await self._claim("tenant-name", renamed, tenant, actor, "tenant.name")
                value = {**value, "name": renamed}
            after = {k: v for k, v in {**before, **value}.items() if v is not None}
            if kind == "person" and "roles" in value:
                after = consent.held(before, after, actor)
            if after == before:
                return document
            if kind == "person":
                await self._keeps_watch(tenant, key, after)
            self._no_clash({(tenant, kind, key): after}, kind)
            document = await self._put(tenant, kind, key, after, document.revision, actor)
            if value.get("name") and kind == "tenant":
                await self._control.put(
                    INSTALLATION, "tenant-name", str(before.get("name")), None, expected=None, actor=actor
                )
            return document

    async def delete(self, tenant: TenantId, kind: str, key: str, *, revision: int, actor: str) -> None:
        """Remove a document, or `NotFound`. `Rejected` for a tenant with domains, a domain with people, a connector's
        never."""
        key = _found_key(kind, key)
        async with self._lock:
            document = await self.get(tenant, kind, key)
            if revision and document.revision != revision:
                raise Conflict("it changed meanwhile", newest=document.revision)
            await self._may_go(tenant, kind, key)
            if kind == "person":
                await self._keeps_watch(tenant, key, None)
            await self._put(tenant, kind, key, None, document.revision, actor)
            if kind == "domain":
                await self._control.put(INSTALLATION, "domain-claim", key, None, expected=None, actor=actor)
            if kind == "tenant":
                name = str((document.value or {}).get("name"))
                await self._control.put(INSTALLATION, "tenant-name", name, None, expected=None, actor=actor)
            if kind == "person":
                for owned in await self._control.list(tenant, "apikey"):
                    if owned.value and owned.value.get("owner") == key:
                        await self._put(tenant, "apikey", owned.key, None, owned.revision, actor)

    async def create_key(
        self, tenant: TenantId, owner: str, name: str, secret: str, *, request_id: str, actor: str
    ) -> tuple[Document, str]:
        """Make an API key for a person, in INSTALLATION for an operator; answers with the token.

        Such a key never speaks for the roles of its owner that read or approve: for those they enrol their own.

        The same `request_id` again answers with the same key, without its token.
        """
        kind = "operator" if tenant == INSTALLATION else "apikey"
        async with self._lock:
            for known in await self._control.list(tenant, kind):
                if request_id and (known.value or {}).get("request") == _request(request_id)["request"]:
                    return known, ""
            mistakes = Mistakes()
            view = self._control.directory
            if kind == "operator":
                owner = checks.label(owner, "api_key.owner", mistakes)
            else:
                person = view.people.get(owner.lower())
                if person is None or person.tenant != tenant:
                    mistakes.add("api_key.owner", "no such person")
            checks.text(200)(name, "api_key.name", mistakes)
            _raise(mistakes)
            if secret:
                auth.check_api_key(secret, field="secret")
            token = secret or auth.new_token()
            digest = auth.token_digest(token)
            if digest in view.api_keys:
                raise AlreadyExists("this key is in use", public="this key is in use")
            if kind == "operator":
                value = {"digest": digest, "name": name} | _request(request_id)
                return await self._put(tenant, kind, owner, value, 0, actor), token
            owned = {"owner": owner.lower(), "name": name, "limited": True} | _request(request_id)
            return await self._put(tenant, kind, digest, owned, 0, actor), token

    async def _may_go(self, tenant: TenantId, kind: str, key: str) -> None:
        if kind == "tenant" and await self._control.list(tenant, "domain"):
            raise Rejected("the tenant has domains", public="the tenant still has domains: delete them first")
        if kind == "domain":
            ending = f"@{key}"
            if any(d.key.endswith(ending) for d in await self._control.list(tenant, "person")):
                raise Rejected("the domain has people", public="the domain still has people: delete them first")

    async def _keeps_watch(self, tenant: TenantId, key: str, after: Mapping[str, Any] | None) -> None:
        people = await self._control.list(tenant, "person")
        others = [d.value for d in people if d.key != key]
        if consent.loses_last_watcher([d.value for d in people], [*others, after]):
            raise Rejected(
                "the last watcher",
                public="this is the last approver or data protection officer: let another take office first",
            )

    async def _checked(self, kind: str, given: Mapping[str, Any], mistakes: Mistakes) -> dict[str, Any]:
        value = checks.fields(given, FIELDS[kind], kind, mistakes)
        if "password" in value:
            password = value.pop("password")
            good = password is not None and not mistakes.found
            value["password_hash"] = await asyncio.to_thread(auth.hash_password, password) if good else None
        return value

    def _no_clash(self, changed: Mapping[Place, Mapping[str, Any]], kind: str) -> None:
        state = state_of(self._control)
        state.update({place: Known(value) for place, value in changed.items()})
        mistakes = Mistakes()
        for clash in clashes(state):
            if clash.place in changed:
                mistakes.add(f"{kind}.{clash.field}", clash.text)
        _raise(mistakes)

    async def _claim(self, kind: str, key: str, tenant: TenantId, actor: str, field: str) -> None:
        claimed = await self._control.get(INSTALLATION, kind, key)
        if claimed is None:
            await self._control.put(INSTALLATION, kind, key, {"tenant": tenant}, expected=0, actor=actor)
        elif (claimed.value or {}).get("tenant") != tenant:
            raise AlreadyExists("taken", public=f"{field}: is taken", field=field)

    def _named(self, name: str) -> TenantId | None:
        known = state_of(self._control).get((INSTALLATION, "tenant-name", name))
        return TenantId(known.value["tenant"]) if known is not None and known.value is not None else None

    def _repeated(self, document: Document, kind: str, request_id: str) -> Document:
        if request_id and (document.value or {}).get("request") == _request(request_id)["request"]:
            return document
        raise AlreadyExists(f"there is such a {kind}", public=f"there is such a {kind} already")

    async def _put(
        self,
        tenant: TenantId,
        kind: str,
        key: str,
        value: Mapping[str, Any] | None,
        expected: int | None,
        actor: str,
    ) -> Document:
        number = await self._control.put(tenant, kind, key, value, expected=expected, actor=actor)
        if tenant != INSTALLATION:
            detail = {"kind": kind, "key": key, "revision": number, "deleted": value is None}
            self._trail.record(AuditEntry(tenant, "directory.changed", actor, detail))
        document = await self._control.store.get(tenant, kind, key, number)
        if document is None:
            raise NotFound("it is gone again")
        return document


def _request(request_id: str) -> dict[str, str]:
    return {"request": hashlib.sha256(request_id.encode()).hexdigest()[:32]} if request_id else {}


def _found_key(kind: str, key: str) -> str:
    """A key as it is stored; what could be none is one that is not there."""
    if kind not in _KEYS:
        return key
    mistakes = Mistakes()
    found = _KEYS[kind](key, "name", mistakes)
    if mistakes.found:
        raise NotFound(f"no such {kind}", public=f"no such {kind}")
    return str(found)


def _raise(mistakes: Mistakes) -> None:
    if mistakes.found:
        raise invalid(mistakes.found)
