"""Passwords in the object store, each wrapped under the master key and bound to its place.

`<tid>/password/<sender tag>/<mail id>.<leg>` is how a leg is sealed, create-only: the first try's plan is every
try's. The tag is a keyed hash of the sender's address, so that the store shows nobody's, and a person's own are found
without opening others'. Beside it, `….told` says that the sender knows. Agreed ones are control documents.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from services.common.control_store import ControlStore, Document
from services.common.errors import AlreadyExists, Conflict, Corrupt, NotFound
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.encryption.core import wrapping
from services.encryption.ports import Agreed, MasterKey, Plan, Secret

_KIND = "password"
_TOLD = ".told"
_MOST = 10_000


class StoredBook:
    """`Book` over the object store."""

    def __init__(self, objects: ObjectStore, master: MasterKey) -> None:
        self._objects, self._master = objects, master
        self._control = ControlStore(objects)
        self._known: dict[TenantId, dict[str, tuple[int, Agreed | None]]] = {}

    async def add(self, plan: Plan) -> Plan:
        """See the port."""
        key = self._key(plan)
        plain = orjson.dumps(
            {
                "sender": plan.sender,
                "at": plan.at.isoformat(),
                "secrets": [
                    {
                        "positions": list(s.positions),
                        "recipients": list(s.recipients),
                        "password": s.password,
                        "agreed": s.agreed,
                    }
                    for s in plan.secrets
                ],
            }
        )
        try:
            await self._objects.create(key, self._wrap(key, plain))
        except AlreadyExists:
            return self._plan(plan.tenant, key, await self._objects.get(key))
        return plan

    async def plans(self, tenant: TenantId, senders: Sequence[str], *, mail_id: str = "") -> list[Plan]:
        """See the port."""
        keys: list[str] = []
        for sender in dict.fromkeys(s.lower() for s in senders):
            prefix = f"{tenant}/password/{self._tag(tenant, sender)}/{mail_id}{'.' if mail_id else ''}"
            async for meta in self._objects.list(prefix):
                if not meta.key.endswith(_TOLD):
                    keys.append(meta.key)
        keys.sort(key=lambda k: k.rpartition("/")[2], reverse=True)
        return [self._plan(tenant, key, await self._objects.get(key)) for key in keys[:_MOST]]

    async def told(self, plan: Plan) -> bool:
        """See the port."""
        try:
            await self._objects.head(self._key(plan) + _TOLD)
        except NotFound:
            return False
        return True

    async def set_told(self, plan: Plan) -> None:
        """See the port."""
        try:
            await self._objects.create(self._key(plan) + _TOLD, b"")
        except AlreadyExists:
            return

    async def agreed(self, tenant: TenantId) -> list[Agreed]:
        """See the port."""
        known = self._known.setdefault(tenant, {})
        revisions = await self._control.revisions(tenant, _KIND)
        newer = {k: n for k, n in revisions.items() if k not in known or known[k][0] < n}
        for document in await self._control.read(tenant, _KIND, newer):
            value = self._agreed(tenant, document) if document.value is not None else None
            known[document.key] = document.revision, value
        found = [agreed for _, agreed in known.values() if agreed is not None]
        return sorted(found, key=lambda a: (a.created_at, a.id), reverse=True)

    async def expire(self, tenant: TenantId, *, before: datetime) -> int:
        """See the port."""
        old = [m.key async for m in self._objects.list(f"{tenant}/password/") if m.modified < before]
        for key in old:
            await self._objects.delete(key)
        return len(old)

    async def agree(self, tenant: TenantId, agreed: Agreed, *, actor: str) -> Agreed:
        """See the port."""
        plain = orjson.dumps(
            {
                "partner": agreed.partner,
                "password": agreed.password,
                "created_at": agreed.created_at.isoformat(),
                "valid_from": agreed.valid_from.isoformat() if agreed.valid_from else "",
                "valid_until": agreed.valid_until.isoformat() if agreed.valid_until else "",
                "note": agreed.note,
            }
        )
        value = {"wrapped": base64.b64encode(self._wrap(_agreed_name(tenant, agreed.id), plain)).decode()}
        try:
            await self._control.put(tenant, _KIND, agreed.id, value, expected=0, actor=_plainly(actor))
        except (AlreadyExists, Conflict):
            document = await self._control.get(tenant, _KIND, agreed.id)
            if document is None or document.value is None:
                raise
            return self._agreed(tenant, document)
        return agreed

    async def end(self, tenant: TenantId, id: str, *, actor: str) -> None:
        """See the port."""
        document = await self._control.get(tenant, _KIND, id)
        if document is None:
            raise NotFound("no such password", public="no such password")
        if document.value is not None:
            await self._control.put(tenant, _KIND, id, None, expected=document.revision, actor=_plainly(actor))

    def _key(self, plan: Plan) -> str:
        return f"{plan.tenant}/password/{self._tag(plan.tenant, plan.sender.lower())}/{plan.id}"

    def _tag(self, tenant: TenantId, sender: str) -> str:
        key = hmac.digest(self._master.get(), b"letterlock/v1/password-tag\0" + tenant.encode(), "sha256")
        return hmac.digest(key, sender.encode("utf-8", "surrogateescape"), "sha256")[:16].hex()

    def _wrap(self, name: str, plain: bytes) -> bytes:
        return wrapping.wrap(self._master.get(), name, plain.decode(), nonce=os.urandom(12))

    def _plan(self, tenant: TenantId, key: str, data: bytes) -> Plan:
        value = _loads(wrapping.unwrap(self._master.get(), key, data))
        mail_id, _, leg = key.rpartition("/")[2].partition(".")
        try:
            secrets = tuple(
                Secret(tuple(s["positions"]), tuple(s["recipients"]), s["password"], s["agreed"])
                for s in value["secrets"]
            )
            at = datetime.fromisoformat(value["at"])
            return Plan(tenant, MailId.parse(mail_id), int(leg), str(value["sender"]), at, secrets)
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("a password cannot be read") from error

    def _agreed(self, tenant: TenantId, document: Document) -> Agreed:
        try:
            wrapped = base64.b64decode((document.value or {})["wrapped"], validate=True)
            value = _loads(wrapping.unwrap(self._master.get(), _agreed_name(tenant, document.key), wrapped))
            return Agreed(
                id=document.key,
                partner=str(value["partner"]),
                password=str(value["password"]),
                created_at=datetime.fromisoformat(value["created_at"]),
                valid_from=_time(value["valid_from"]),
                valid_until=_time(value["valid_until"]),
                note=str(value["note"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("a password cannot be read") from error


def _agreed_name(tenant: TenantId, id: str) -> str:
    return f"{tenant}/agreed/{id}"


def _plainly(actor: str) -> str:
    """Control documents stand in clear: they name no person."""
    return "person" if "@" in actor else actor


def _loads(text: str) -> Mapping[str, Any]:
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise Corrupt("a password cannot be read")
    return value


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
