"""What tenants add, in the object store: small control documents that name what their content is.

`<tid>/control/detector/<name>/…` and `…/dataset/<name>/…` are revisions: every node hears of them at once. The content
that a revision names lies at `<tid>/own/<kind>/<name>/<SHA-256>`, create-only and durable before the revision. A set's
key is in its control document, sealed to the tenant's trace key; its content is digests under that key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson

from services.common import log
from services.common.control import Control, Document
from services.common.errors import AlreadyExists, Corrupt, InvalidInput, NotFound
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age
from services.common.sealing.keys import Identities, PublicKeys
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.own import NAME, NOTHING, Asked, Own, OwnDetector
from services.policy.core.own.patterns import MAX_PATTERNS, MAX_TEXT, pattern_detector
from services.policy.core.own.prints import BadPrints, Prints
from services.policy.core.own.prints import load as load_prints
from services.policy.core.own.rows import BadRows, Rows, digested, merged
from services.policy.core.own.rows import load as load_rows
from services.policy.core.own.words import MAX_WORDS, word_detector

DETECTOR, SET = "detector", "dataset"
EXACT, PRINTS = "exact_data", "fingerprint"
MAX_DETECTORS, MAX_SETS, MAX_PARTS = 100, 20, 1000
_OLD = timedelta(days=1)
_KEPT = 300
_log = log.get(__name__)
type Place = tuple[str, str]
"""Kind and name."""
type Run = Callable[[Callable[[], bytes]], Awaitable[bytes]]
"""Runs work in a thread, fairly."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a document may ask for, besides the built-in detectors."""

    detectors: frozenset[str]
    rows: Mapping[str, int]
    prints: frozenset[str]


class OwnStore:
    """Reads and writes what tenants add. Raises `Unavailable` while the store or a key is away."""

    def __init__(self, control: Control, objects: ObjectStore, public: PublicKeys, identities: Identities) -> None:
        self._control, self._objects, self._public, self._identities = control, objects, public, identities
        self._ready: OrderedDict[tuple[TenantId, str, str, str], Any] = OrderedDict()
        self._index: tuple[int, dict[TenantId, dict[Place, Document]]] = (-1, {})

    # --- what there is ---------------------------------------------------------------------------------------------

    def there(self, tenant: TenantId) -> Mapping[Place, Document]:
        """The newest of everything of a tenant that this node has heard of."""
        revision = self._control.revision
        if self._index[0] != revision:
            found: dict[TenantId, dict[Place, Document]] = {}
            for document in self._control.documents():
                if document.kind in (DETECTOR, SET) and document.value is not None:
                    found.setdefault(document.tenant, {})[document.kind, document.key] = document
            self._index = revision, found
        return self._index[1].get(tenant, {})

    async def names(self, tenant: TenantId) -> Names:
        """What there is, from the store: what another node made a moment ago is there."""
        detectors = [d.key for d in await self._control.store.list(tenant, DETECTOR) if d.value is not None]
        sets = [(d.key, d.value) for d in await self._control.store.list(tenant, SET) if d.value is not None]
        return Names(
            frozenset(detectors),
            {name: max(len(v.get("columns", ())), 1) for name, v in sets if v.get("type") == EXACT},
            frozenset(name for name, v in sets if v.get("type") == PRINTS),
        )

    async def abouts(self, tenant: TenantId) -> Mapping[str, str]:
        """What each detector of the tenant's own finds, in its author's words."""
        found = await self._control.store.list(tenant, DETECTOR)
        return {d.key: str(d.value.get("about", "")) for d in found if d.value is not None}

    def version(self, tenant: TenantId, names: Asked) -> tuple[tuple[str, str, int], ...]:
        """Differs when what these names mean does; of what is not there, nothing."""
        there = self.there(tenant)
        wanted = [*((DETECTOR, n) for n in names.detectors), *((SET, n) for n in names.rows | names.prints)]
        return tuple(sorted((k, n, there[k, n].revision) for k, n in wanted if (k, n) in there))

    async def load(self, tenant: TenantId, names: Asked) -> Own:
        """What the names mean now, ready. What is not there is left out: rules that ask for it fail."""
        version = self.version(tenant, names)
        if not version:
            return NOTHING
        there = self.there(tenant)
        detectors: dict[str, OwnDetector] = {}
        rows: dict[str, Rows] = {}
        prints: dict[str, Prints] = {}
        for kind, name, _ in version:
            value = _value(there[kind, name])
            if kind == DETECTOR:
                detectors[name] = await self._detector(tenant, name, value)
            elif value.get("type") == EXACT and name in names.rows and value.get("content"):
                key = await self._key(tenant, name, value)
                rows[name] = await self._made(tenant, kind, name, value, partial(load_rows, key=key))
            elif value.get("type") == EXACT and name in names.rows:
                rows[name] = load_rows(digested(("none",), (), b""), b"")  # no rows yet
            elif value.get("type") == PRINTS and name in names.prints:
                key = await self._key(tenant, name, value)
                if value.get("content"):
                    prints[name] = await self._made(tenant, kind, name, value, partial(load_prints, key=key))
                else:
                    prints[name] = Prints({}, key)
        return Own(detectors, rows, prints, version)

    async def _detector(self, tenant: TenantId, name: str, value: Mapping[str, Any]) -> OwnDetector:
        def made(content: bytes) -> OwnDetector:
            return detector_of(name, orjson.loads(content))

        detector: OwnDetector = await self._made(tenant, DETECTOR, name, value, made)
        return detector

    async def _made(
        self, tenant: TenantId, kind: str, name: str, value: Mapping[str, Any], make: Callable[[bytes], Any]
    ) -> Any:
        digest = str(value.get("content", ""))
        place = (tenant, kind, name, digest)
        if place not in self._ready:
            content = await self._content(tenant, kind, name, digest)
            try:
                self._ready[place] = await asyncio.to_thread(make, content)
            except (ValueError, KeyError, TypeError) as error:
                raise Corrupt("a tenant's own detector cannot be read", kind=kind) from error
        self._ready.move_to_end(place)
        while len(self._ready) > _KEPT:
            self._ready.popitem(last=False)
        return self._ready[place]

    async def _content(self, tenant: TenantId, kind: str, name: str, digest: str) -> bytes:
        content = await self._objects.get(f"{_folder(tenant, kind, name)}{digest}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise Corrupt("content is not what its revision names", kind=kind)
        return content

    # --- detectors -------------------------------------------------------------------------------------------------

    async def detector(self, tenant: TenantId, name: str) -> tuple[Document, dict[str, Any]]:
        """The newest revision and its definition; raises `NotFound`."""
        document = await self._get(tenant, DETECTOR, name)
        content = await self._content(tenant, DETECTOR, name, str(_value(document).get("content", "")))
        return document, orjson.loads(content)

    async def put_detector(
        self, tenant: TenantId, name: str, definition: Mapping[str, Any], *, expected: int | None, actor: str
    ) -> Document:
        """The next revision of a detector that was checked. Raises `InvalidInput`, `AlreadyExists`, `Conflict`."""
        _check_name(name)
        if name in DETECTORS:
            raise InvalidInput(f"{name} is a built-in detector's name", field="detector.name")
        content = orjson.dumps(definition, option=orjson.OPT_SORT_KEYS)
        counts = _counts(definition)
        others = [d for d in await self._control.store.list(tenant, DETECTOR) if d.value is not None and d.key != name]
        sums = {k: n + sum(int((d.value or {}).get(k, 0)) for d in others) for k, n in counts.items()}
        if len(others) >= MAX_DETECTORS:
            raise InvalidInput(f"a tenant has at most {MAX_DETECTORS} detectors of its own", field="detector")
        if sums["patterns"] > MAX_PATTERNS or sums["characters"] > MAX_TEXT or sums["words"] > MAX_WORDS:
            raise InvalidInput(
                f"a tenant's detectors have at most {MAX_PATTERNS:,} patterns of together {MAX_TEXT // 1024} KiB, and "
                f"{MAX_WORDS:,} words",
                field="detector",
            )
        value = {**counts, "about": definition.get("about", "")}
        return await self._put(tenant, DETECTOR, name, value, content, expected=expected, actor=actor)

    # --- sets ------------------------------------------------------------------------------------------------------

    async def create_set(self, tenant: TenantId, name: str, kind: str, *, actor: str) -> Document:
        """An empty set with a key of its own. Raises `InvalidInput`, `AlreadyExists`."""
        _check_name(name)
        if len([d for d in await self._control.store.list(tenant, SET) if d.value is not None]) >= MAX_SETS:
            raise InvalidInput(f"a tenant has at most {MAX_SETS} sets", field="name")
        sealed = await asyncio.to_thread(
            age.encrypt, _bound(tenant, name) + os.urandom(32), [await self._public.trace(tenant)]
        )
        value = {"type": kind, "key": base64.b64encode(sealed).decode()}
        await self._control.put(tenant, SET, name, value, expected=0, actor=actor)
        return await self.set(tenant, name)

    async def set(self, tenant: TenantId, name: str, kind: str = "") -> Document:
        """The newest revision of a set, of this kind; raises `NotFound`."""
        document = await self._get(tenant, SET, name)
        if kind and _value(document).get("type") != kind:
            raise NotFound("a set of another kind", public=f"no such set of {kind}")
        return document

    async def sets(self, tenant: TenantId) -> Sequence[Document]:
        """The newest revision of each, by name."""
        found = [d for d in await self._control.store.list(tenant, SET) if d.value is not None]
        return sorted(found, key=lambda d: d.key)

    async def put_part(
        self, tenant: TenantId, name: str, upload: str, part: int, columns: Sequence[str],
        rows: Sequence[Sequence[str]], *, line: int, run: Run,
    ) -> int:  # fmt: skip
        """Digest some rows of an upload and keep them aside; how many. Raises `InvalidInput`, `NotFound`."""
        key = await self._key(tenant, name, _value(await self.set(tenant, name, EXACT)))
        try:
            file = await run(lambda: digested(columns, rows, key, line=line))
        except BadRows as error:
            raise InvalidInput(str(error), field="rows") from error
        await self._objects.put(f"{_parts(tenant, name)}{upload}/{part:04d}", file)
        return len(load_rows(file, key))

    async def commit(
        self,
        tenant: TenantId,
        name: str,
        upload: str,
        parts: int,
        *,
        actor: str,
        run: Callable[[Callable[[], bytes]], Any],
    ) -> Document:
        """Make an upload the set's rows. Raises `InvalidInput`, `NotFound` for a part that is missing, `Conflict`."""
        document = await self.set(tenant, name, EXACT)
        value = _value(document)
        if value.get("upload") == upload:
            return document
        files = [await self._objects.get(f"{_parts(tenant, name)}{upload}/{n:04d}") for n in range(parts)]
        try:
            content = await run(lambda: merged(files))
        except BadRows as error:
            raise InvalidInput(str(error), field="rows") from error
        rows = load_rows(content, b"")
        new = {**value, "upload": upload, "columns": list(rows.columns), "rows": len(rows)}
        stored = await self._put(tenant, SET, name, new, content, expected=document.revision, actor=actor)
        await self._sweep(tenant, name, upload)
        return stored

    async def documents(self, tenant: TenantId, name: str) -> tuple[Document, Prints]:
        """A set of fingerprints; raises `NotFound`."""
        document = await self.set(tenant, name, PRINTS)
        value = _value(document)
        key = await self._key(tenant, name, value)
        if not value.get("content"):
            return document, Prints({}, key)
        content = await self._content(tenant, SET, name, str(value["content"]))
        try:
            return document, await asyncio.to_thread(load_prints, content, key)
        except BadPrints as error:
            raise Corrupt("a set of fingerprints cannot be read") from error

    async def put_documents(self, document: Document, prints: Prints, *, actor: str) -> Document:
        """The next revision of a set of fingerprints, based on `document`; raises `Conflict`."""
        value = {**_value(document), "documents": len(prints.documents)}
        content = await asyncio.to_thread(prints.dump)
        return await self._put(
            document.tenant, SET, document.key, value, content, expected=document.revision, actor=actor
        )

    async def delete(self, tenant: TenantId, kind: str, name: str, *, expected: int, actor: str) -> None:
        """Remove one; raises `NotFound`, `Conflict`. A set's digests go with it."""
        document = await self._get(tenant, kind, name)
        await self._control.put(tenant, kind, name, None, expected=expected or document.revision, actor=actor)
        if kind == SET:
            for prefix in (_folder(tenant, SET, name), _parts(tenant, name)):
                async for meta in self._objects.list(prefix):
                    await self._objects.delete(meta.key)

    # --- within ----------------------------------------------------------------------------------------------------

    async def _get(self, tenant: TenantId, kind: str, name: str) -> Document:
        document = await self._control.get(tenant, kind, name) if NAME.fullmatch(name) else None
        if document is None:
            raise NotFound("no such thing of the tenant's own", public=f"no such {'set' if kind == SET else kind}")
        return document

    async def _put(
        self, tenant: TenantId, kind: str, name: str, value: Mapping[str, Any], content: bytes, *,
        expected: int | None, actor: str,
    ) -> Document:  # fmt: skip
        digest = hashlib.sha256(content).hexdigest()
        with suppress(AlreadyExists):  # the same content again
            await self._objects.create(f"{_folder(tenant, kind, name)}{digest}", content)
        await self._control.put(tenant, kind, name, {**value, "content": digest}, expected=expected, actor=actor)
        return await self._get(tenant, kind, name)

    async def _sweep(self, tenant: TenantId, name: str, upload: str) -> None:
        """Delete the parts of this upload and of those that were given up. What is missed goes next time."""
        async for meta in self._objects.list(_parts(tenant, name)):
            mine = meta.key.startswith(f"{_parts(tenant, name)}{upload}/")
            if mine or meta.modified < datetime.now(UTC) - _OLD:
                await self._objects.delete(meta.key)

    async def _key(self, tenant: TenantId, name: str, value: Mapping[str, Any]) -> bytes:
        try:
            sealed = base64.b64decode(value["key"], validate=True)
            try:
                plain = age.decrypt(sealed, await self._identities.trace(tenant))
            except age.NoKey:
                plain = age.decrypt(sealed, await self._identities.trace(tenant, newer=True))
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("a set's key cannot be read") from error
        bound = _bound(tenant, name)
        if not plain.startswith(bound) or len(plain) != len(bound) + 32:
            raise Corrupt("a set's key stands in another's place")
        return plain[len(bound) :]


def detector_of(name: str, said: Mapping[str, Any]) -> OwnDetector:
    """A definition ready for use; raises ValueError. Takes time."""
    if "words" in said:
        return word_detector(name, [(str(w), int(n)) for w, n in said["words"]], threshold=int(said["threshold"]))
    return pattern_detector(
        name,
        said["patterns"],
        ignore_case=bool(said["ignore_case"]),
        context=said["context"],
        threshold=int(said["threshold"]),
    )


def _counts(definition: Mapping[str, Any]) -> dict[str, int]:
    patterns = definition.get("patterns", ())
    return {"patterns": len(patterns), "characters": sum(map(len, patterns)), "words": len(definition.get("words", ()))}


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidInput("a name has 2 to 63 of a-z, 0-9, _ and -, and begins with a letter", field="name")


def _value(document: Document) -> Mapping[str, Any]:
    return document.value or {}


def _folder(tenant: TenantId, kind: str, name: str) -> str:
    return f"{tenant}/own/{kind}/{name}/"


def _parts(tenant: TenantId, name: str) -> str:
    return f"{tenant}/own/parts/{name}/"


def _bound(tenant: TenantId, name: str) -> bytes:
    """What a key is sealed with, so that it is good in one place only."""
    return f"own key {tenant} {name}\n".encode()
