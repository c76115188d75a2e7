"""Segments of the content index, `<tid>/blind/<day>/<ulid>`: exactly what OpenSearch is told, create-only.

They hold keyed tokens and sealed summaries, so they lie in clear, and filling a lost index again needs no key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.archive.core import framing
from services.common.errors import Corrupt
from services.common.ids import TenantId
from services.common.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is written: `source` is its JSON."""

    id: str
    tenant: str
    month: str
    source: bytes


def dumped(document: Mapping[str, Any]) -> Document:
    """A document of `core.blinding`, ready to be kept."""
    return Document(document["id"], document["tenant"], document["month"], orjson.dumps(document))


class BlindSegments:
    """Writes and reads them."""

    def __init__(self, objects: ObjectStore, *, clock: Callable[[], float] = time.time) -> None:
        self._objects, self._clock = objects, clock

    async def write(self, tenant: TenantId, documents: Sequence[Document]) -> str:
        """Store documents durably; returns the segment's name. Raises `Unavailable` or `Busy`."""
        data = await asyncio.to_thread(lambda: framing.pack(d.source for d in documents))
        name = framing.new_name(now=self._clock())
        await self._objects.create(f"{tenant}/blind/{name}", data)
        return name

    async def names(self, tenant: TenantId, *, after: str = "") -> AsyncIterator[str]:
        """Names beyond `after`, oldest first."""
        prefix = f"{tenant}/blind/"
        async for meta in self._objects.list(prefix, after=prefix + after if after else ""):
            name = meta.key.removeprefix(prefix)
            if framing.is_name(name):
                yield name

    async def read(self, tenant: TenantId, name: str) -> list[Document]:
        """What a segment says. Raises `NotFound`, `Unavailable`; `Corrupt`, also where it says it of another tenant."""
        data = await self._objects.get(f"{tenant}/blind/{name}")
        return await asyncio.to_thread(_documents, data, tenant)


def _documents(data: bytes, tenant: TenantId) -> list[Document]:
    found: list[Document] = []
    for message in framing.unpack(data):
        try:
            plain = orjson.loads(message)
            document = Document(str(plain["id"]), str(plain["tenant"]), str(plain["month"]), message)
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt("a blind segment holds no documents") from error
        if document.tenant != tenant or b"\n" in message:
            raise Corrupt("a blind segment holds what is not its tenant's")
        found.append(document)
    return found
