"""What reviewers set, and the key of links, as control documents: `deputy`, `senderlist`, `linkkey`, sealed inside.

The keys are hashes and the values are sealed to the tenant's trace key, so that a bucket shows no address.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from services.common.actionlinks import KEY_BYTES
from services.common.control_store import ControlStore, Document
from services.common.errors import AlreadyExists, Corrupt
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age
from services.common.sealing.keys import Identities, PublicKeys
from services.quarantine.ports import Deputy, Sender

DEPUTY, SENDERS, LINK_KEY = "deputy", "senderlist", "linkkey"


class StoredSettings:
    """`Settings` and `LinkKeys` over the object store."""

    def __init__(self, objects: ObjectStore, public: PublicKeys, identities: Identities) -> None:
        self._store, self._public, self._identities = ControlStore(objects), public, identities
        self._keys: dict[TenantId, bytes] = {}

    async def deputies(self, tenant: TenantId) -> Sequence[Deputy]:
        """See the port."""
        return [
            Deputy(v["reviewer"], v["deputy"], datetime.fromisoformat(v["until"]) if v["until"] else None)
            for v in await self._all(tenant, DEPUTY)
        ]

    async def set_deputy(self, tenant: TenantId, reviewer: str, deputy: Deputy | None) -> None:
        """See the port."""
        value = None
        if deputy is not None:
            until = deputy.until.astimezone(UTC).isoformat() if deputy.until else ""
            value = {"reviewer": reviewer, "deputy": deputy.deputy, "until": until}
        await self._put(tenant, DEPUTY, reviewer, value)

    async def senders(self, tenant: TenantId) -> Sequence[Sender]:
        """See the port."""
        return [
            Sender(v["address"], v["verdict"], v["by"], datetime.fromisoformat(v["at"]), v["note"])
            for v in await self._all(tenant, SENDERS)
        ]

    async def set_sender(self, tenant: TenantId, address: str, sender: Sender | None, *, actor: str) -> None:
        """See the port."""
        value = None
        if sender is not None:
            value = {
                "address": address,
                "verdict": sender.verdict,
                "by": actor,
                "at": sender.at.isoformat(),
                "note": sender.note,
            }
        await self._put(tenant, SENDERS, address, value)

    async def key(self, tenant: TenantId) -> bytes:
        """See `LinkKeys`."""
        known = self._keys.get(tenant)
        if known is None:
            if not await self._all(tenant, LINK_KEY):
                with suppress(AlreadyExists):  # another member was faster: its key is the key
                    await self._put(tenant, LINK_KEY, "key", {"key": secrets.token_hex(KEY_BYTES)}, expected=0)
            (value,) = await self._all(tenant, LINK_KEY)
            known = self._keys[tenant] = bytes.fromhex(value["key"])
        return known

    async def _put(
        self, tenant: TenantId, kind: str, name: str, value: dict[str, Any] | None, *, expected: int | None = None
    ) -> None:
        key = hashlib.sha256(f"{tenant}\0{name}".encode()).hexdigest()[:40]
        if value is None and await self._store.get(tenant, kind, key) is None:
            return
        document = None
        if value is not None:
            plain = orjson.dumps({**value, "tenant": tenant, "kind": kind})
            document = {"sealed": base64.b64encode(age.encrypt(plain, [await self._public.trace(tenant)])).decode()}
        await self._store.put(tenant, kind, key, document, expected=expected, actor="person")

    async def _all(self, tenant: TenantId, kind: str) -> list[dict[str, Any]]:
        documents = await self._store.list(tenant, kind)
        return [await self._open(tenant, kind, d) for d in documents if d.value is not None]

    async def _open(self, tenant: TenantId, kind: str, document: Document) -> dict[str, Any]:
        try:
            box = base64.b64decode((document.value or {})["sealed"], validate=True)
            try:
                plain = age.decrypt(box, await self._identities.trace(tenant))
            except age.NoKey:
                plain = age.decrypt(box, await self._identities.trace(tenant, newer=True))
            value: dict[str, Any] = orjson.loads(plain)
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("a setting cannot be read") from error
        if (value.get("tenant"), value.get("kind")) != (tenant, kind):
            raise Corrupt("a setting stands in another's place")
        return value
