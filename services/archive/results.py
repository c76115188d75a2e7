"""What searches found, kept for opening: the result's receipt and its documents, so that a later call can prove them.

`<tid>/result/<grant>/<ulid>` is create-only and sealed to the tenant's trace key: it holds ids of mails, no content.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
import zstandard

from services.archive.segments import TraceIdentities, TraceKeys
from services.common.audit_client import Receipt
from services.common.errors import Corrupt, NotFound
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age

_CACHED = 64
_MOST = 64 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """One search's result: `documents` and `mails` in the order of the answer, and the entry that commits to it."""

    receipt: Receipt
    documents: tuple[str, ...]
    mails: tuple[str, ...]


class Results:
    """Keeps and finds results. Raises `Unavailable`."""

    def __init__(
        self,
        objects: ObjectStore,
        public: TraceKeys,
        identities: TraceIdentities,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects, self._public, self._identities, self._clock = objects, public, identities, clock
        self._cache: OrderedDict[str, Result] = OrderedDict()

    async def keep(self, tenant: TenantId, grant_id: str, result: Result) -> None:
        """Durable on return."""
        recipient = await self._public.trace(tenant)
        key = f"{tenant}/result/{grant_id}/{MailId.new(now=self._clock())}"
        data = await asyncio.to_thread(lambda: age.encrypt(_dump(result), [recipient]))
        await self._objects.create(key, data)
        self._remember(key, result)

    async def newest(self, tenant: TenantId, grant_id: str) -> Result:
        """The last search's; raises `NotFound` when there was none."""
        keys = await self._keys(tenant, grant_id)
        if not keys:
            raise NotFound("no search yet", public="search under this grant first")
        return await self._read(tenant, keys[-1])

    async def of(self, tenant: TenantId, grant_id: str, mail_id: MailId) -> tuple[Result, int]:
        """The newest result with this mail, and its place there; raises `NotFound` when no search found it."""
        for key in reversed(await self._keys(tenant, grant_id)):
            result = await self._read(tenant, key)
            if mail_id in result.mails:
                return result, result.mails.index(mail_id)
        raise NotFound("not in a result", public="no search under this grant found this mail")

    async def _keys(self, tenant: TenantId, grant_id: str) -> Sequence[str]:
        return [meta.key async for meta in self._objects.list(f"{tenant}/result/{grant_id}/")]

    async def _read(self, tenant: TenantId, key: str) -> Result:
        found = self._cache.get(key)
        if found is None:
            data = await self._objects.get(key)
            try:
                identities = await self._identities.trace(tenant)
                plain = await asyncio.to_thread(age.decrypt, data, identities)
            except age.NoKey:
                identities = await self._identities.trace(tenant, newer=True)
                plain = await asyncio.to_thread(age.decrypt, data, identities)
            found = _load(plain)
        self._remember(key, found)
        return found

    def _remember(self, key: str, result: Result) -> None:
        self._cache[key] = result
        self._cache.move_to_end(key)
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)


def _dump(result: Result) -> bytes:
    receipt = result.receipt
    document = {
        "entry": _text(receipt.entry),
        "index": receipt.index,
        "proof": [_text(p) for p in receipt.proof],
        "checkpoint": _text(receipt.checkpoint),
        "opening": _text(receipt.opening),
        "documents": result.documents,
        "mails": result.mails,
    }
    return zstandard.ZstdCompressor(level=3).compress(orjson.dumps(document))


def _load(data: bytes) -> Result:
    try:
        plain = orjson.loads(zstandard.ZstdDecompressor().decompress(data, max_output_size=_MOST))
        receipt = Receipt(
            base64.b64decode(plain["entry"]),
            int(plain["index"]),
            tuple(base64.b64decode(p) for p in plain["proof"]),
            base64.b64decode(plain["checkpoint"]),
            base64.b64decode(plain["opening"]),
        )
        return Result(receipt, tuple(plain["documents"]), tuple(plain["mails"]))
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise Corrupt("a kept result is malformed") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
