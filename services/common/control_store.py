"""Revisions in the object store: each change is a create-only object, and creation is the compare-and-set.

`<tid>/control/<kind>/<key>/<revision:08d>` holds one JSON document. Nobody
locks: two writers of the same next revision meet at the store, and one of
them learns that it changed meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from services.common.errors import AlreadyExists, Conflict, Corrupt, InvalidInput, NotFound
from services.common.ids import TenantId
from services.common.objects import ObjectStore

MAX_DOCUMENT = 900_000
"""Bytes of one document: below what a message of the broker may carry (1 MiB)."""

_KIND = re.compile(r"[a-z][a-z-]{0,30}")
_SAFE = re.compile(r"[A-Za-z0-9_-]")
_PARALLEL = 16


@dataclass(frozen=True, slots=True)
class Document:
    """One revision of one document; `value` is None when that revision deleted it."""

    tenant: TenantId
    kind: str
    key: str
    revision: int
    value: Mapping[str, Any] | None
    at: datetime
    actor: str

    def dump(self) -> bytes:
        """As it is stored and cached."""
        return orjson.dumps(
            {
                "tenant": str(self.tenant),
                "kind": self.kind,
                "key": self.key,
                "revision": self.revision,
                "value": self.value,
                "at": self.at.isoformat(),
                "actor": self.actor,
            },
            option=orjson.OPT_SORT_KEYS,
        )

    @classmethod
    def parse(cls, data: bytes) -> Document:
        """Read what `dump` wrote; raises `Corrupt`."""
        try:
            raw = orjson.loads(data)
            value = raw["value"]
            if value is not None and not isinstance(value, dict):
                raise TypeError("value")
            return cls(
                TenantId.parse(raw["tenant"]),
                str(raw["kind"]),
                str(raw["key"]),
                int(raw["revision"]),
                value,
                datetime.fromisoformat(raw["at"]),
                str(raw["actor"]),
            )
        except (ValueError, KeyError, TypeError, InvalidInput) as error:
            raise Corrupt("a control document cannot be read") from error


type Documents = list[Document]
"""So named because `list` is a method below."""


def encode_key(key: str) -> str:
    """A key as one path segment that the store and the bucket both take: others than `[A-Za-z0-9_-]` and inner
    single dots become `=XX`; what gets too long becomes its hash (the document itself says its key)."""
    parts: list[str] = []
    for position, character in enumerate(key):
        inner = 0 < position < len(key) - 1
        dot = character == "." and inner and _SAFE.match(key[position - 1]) and _SAFE.match(key[position + 1])
        if _SAFE.match(character) or dot:
            parts.append(character)
        else:
            parts.extend(f"={byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
    encoded = "".join(parts)
    if not encoded:
        raise InvalidInput("empty name", field="name")
    if len(encoded) > 200:
        return "=h" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return encoded


class ControlStore:
    """The truth of control documents. Raises `Unavailable` when the store does not answer."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def put(
        self,
        tenant: TenantId,
        kind: str,
        key: str,
        value: Mapping[str, Any] | None,
        *,
        expected: int | None,
        actor: str,
        at: datetime | None = None,
    ) -> Document:
        """Store the next revision; `value` None deletes.

        `expected` is the revision the change is based on, 0 for "there is none" (or it was deleted), None for
        whatever is there. Raises `Conflict` when the newest is another, `AlreadyExists` when there should be none.
        """
        folder = _folder(tenant, kind, key)
        for _ in range(8):
            newest = await self._newest(folder)
            if expected is not None and newest != expected:
                current = await self._read(folder, newest) if newest else None
                if expected == 0 and (current is None or current.value is not None):
                    raise AlreadyExists("there is one already", kind=kind)
                if expected != 0:
                    raise Conflict("it changed meanwhile", kind=kind, newest=newest)
            document = Document(tenant, kind, key, newest + 1, value, at or datetime.now(UTC), actor)
            data = document.dump()
            if len(data) > MAX_DOCUMENT:
                raise InvalidInput("the document is too large", field=kind)
            try:
                await self._objects.create(f"{folder}{document.revision:08d}", data)
            except AlreadyExists:
                if expected:
                    raise Conflict("it changed meanwhile", kind=kind) from None
                continue
            return document
        raise Conflict("it keeps changing", kind=kind)

    async def get(self, tenant: TenantId, kind: str, key: str, revision: int = 0) -> Document | None:
        """A revision, by default the newest; None when there is none. A deletion is a document without value."""
        folder = _folder(tenant, kind, key)
        number = revision or await self._newest(folder)
        return await self._read(folder, number) if number else None

    async def list(self, tenant: TenantId, kind: str) -> Documents:
        """The newest revision of every document of a kind, deletions included, in the order of encoded keys."""
        return await self.read(tenant, kind, await self.revisions(tenant, kind))

    async def read(self, tenant: TenantId, kind: str, revisions: Mapping[str, int]) -> Documents:
        """The documents at these revisions, by encoded key; those that are not there are left out."""
        return await self._read_all([(f"{tenant}/control/{kind}/{key}/", n) for key, n in revisions.items()])

    async def revisions(self, tenant: TenantId, kind: str) -> dict[str, int]:
        """The newest revision number of every document of a kind, by encoded key."""
        _check_kind(kind)
        newest: dict[str, int] = {}
        async for meta in self._objects.list(f"{tenant}/control/{kind}/"):
            *_, key, number = meta.key.split("/")
            if number.isdigit():
                newest[key] = int(number)
        return newest

    async def history(self, tenant: TenantId, kind: str, key: str) -> Documents:
        """Every revision of a document, oldest first."""
        folder = _folder(tenant, kind, key)
        numbers = [int(m.key.rpartition("/")[2]) async for m in self._objects.list(folder)]
        return await self._read_all([(folder, n) for n in numbers])

    async def tenants(self) -> tuple[TenantId, ...]:
        """Every tenant that has anything in the store, the installation among them when it has."""
        found: list[TenantId] = []
        for folder in await self._objects.list_folders(""):
            try:
                found.append(TenantId.parse(folder.strip("/")))
            except InvalidInput:
                continue
        return tuple(found)

    async def kinds(self, tenant: TenantId) -> frozenset[str]:
        """The kinds of documents a tenant has."""
        return frozenset(k.strip("/") for k in await self._objects.list_folders(f"{tenant}/control/"))

    async def _read_all(self, wanted: Sequence[tuple[str, int]]) -> Documents:
        documents: list[Document] = []
        for start in range(0, len(wanted), _PARALLEL):
            found = await asyncio.gather(*(self._read(f, n) for f, n in wanted[start : start + _PARALLEL]))
            documents += [d for d in found if d is not None]
        return documents

    async def _newest(self, folder: str) -> int:
        number = 0
        async for meta in self._objects.list(folder):
            number = int(meta.key.rpartition("/")[2])
        return number

    async def _read(self, folder: str, number: int) -> Document | None:
        try:
            return Document.parse(await self._objects.get(f"{folder}{number:08d}"))
        except NotFound:
            return None


def _check_kind(kind: str) -> None:
    if not _KIND.fullmatch(kind):
        raise InvalidInput("not a kind of document", field="kind")


def _folder(tenant: TenantId, kind: str, key: str) -> str:
    _check_kind(kind)
    return f"{tenant}/control/{kind}/{encode_key(key)}/"
