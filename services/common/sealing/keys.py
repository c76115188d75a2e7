"""Public keys from signed statements in the store; private ones from their keeper, in memory only.

A statement `keys/public/<name>` says which age recipient a name has, signed
by `encryption`; so whoever holds the bucket cannot slip in a key of their own.
Names: `archive/<tid>/<version>`, `trace/<tid>/<version>`, `pipeline/<day>`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from services.common.errors import Corrupt, NotFound, Unavailable
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.sealing.writers import Signer, Writers, signed

if TYPE_CHECKING:
    from services.common.app import Context

PUBLIC = "keys/public/"
type TenantKind = Literal["archive", "trace"]

_FRESH_SECONDS = 300.0
"""How long a tenant's newest key is believed to be the newest: the delay of a rotation."""
_IDENTITY_SECONDS = 3600.0
_NEWER_SECONDS = 5.0
_KEPT = 10_000


def today() -> date:
    """The UTC day, whose pipeline key is in use."""
    return datetime.now(UTC).date()


def pipeline_name(day: date) -> str:
    """The name of a day's pipeline key."""
    return f"pipeline/{day.isoformat()}"


def tenant_name(kind: TenantKind, tenant: TenantId, version: int) -> str:
    """The name of one version of a tenant's key; versions count from 1 and sort as text."""
    return f"{kind}/{tenant}/{version:08d}"


def statement(name: str, recipient: str, signer: Signer) -> bytes:
    """The signed statement that `name` has `recipient`."""
    signature = signer.sign(signed("public_key", name.encode(), recipient.encode()))
    document = {
        "name": name,
        "recipient": recipient,
        "writer": signer.name,
        "signature": base64.b64encode(signature).decode(),
    }
    return json.dumps(document, sort_keys=True).encode()


def read_statement(name: str, data: bytes, writers: Writers) -> str:
    """The recipient that a statement says `name` has; raises `Corrupt`."""
    try:
        document = json.loads(data)
        said, recipient, writer = (str(document[k]) for k in ("name", "recipient", "writer"))
        signature = base64.b64decode(document["signature"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("key statement is malformed", key=name) from error
    writers.verify(writer, signature, signed("public_key", name.encode(), recipient.encode()), kind="public_key")
    if said != name:
        raise Corrupt("key statement is for another name", key=name)
    return recipient


class PublicKeys:
    """Whom to seal to. Raises `Unavailable` while there is no key or no store, `Corrupt` for a forged statement.

    A key that is missing is waited for, `wait` seconds at most: a tenant that was made a moment
    ago has one soon.
    """

    def __init__(self, objects: ObjectStore, writers: Writers, *, wait: float = 3.0) -> None:
        self._objects, self._writers, self._wait = objects, writers, wait
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def archive(self, tenant: TenantId) -> str:
        """The tenant's newest archive key."""
        return await self._newest(f"archive/{tenant}/")

    async def trace(self, tenant: TenantId) -> str:
        """The tenant's newest trace key."""
        return await self._newest(f"trace/{tenant}/")

    async def pipeline(self, day: date | None = None) -> str:
        """The key of `day`, today by default."""
        name = pipeline_name(day or today())
        return await self._cached(name, float("inf"), lambda: self._read(name))

    async def check(self) -> None:
        """Return when today's pipeline key is there (readiness)."""
        await self.pipeline()

    async def _newest(self, prefix: str) -> str:
        return await self._cached(prefix, _FRESH_SECONDS, lambda: self._read_newest(prefix))

    async def _read_newest(self, prefix: str) -> str:
        newest = ""
        async for meta in self._objects.list(PUBLIC + prefix):
            newest = meta.key
        if not newest:
            raise NotFound
        return await self._read(newest.removeprefix(PUBLIC))

    async def _read(self, name: str) -> str:
        return read_statement(name, await self._objects.get(PUBLIC + name), self._writers)

    async def _cached(self, name: str, fresh: float, read: Callable[[], Awaitable[str]]) -> str:
        known = self._known.get(name)
        if known is not None and time.monotonic() - known[1] < fresh:
            return known[0]
        async with self._locks.setdefault(name, asyncio.Lock()):
            known = self._known.get(name)
            if known is not None and time.monotonic() - known[1] < fresh:
                return known[0]
            try:
                value = await self._patiently(read)
            except (Unavailable, NotFound) as error:
                if known is None:
                    raise Unavailable("no key to seal to yet", key=name) from error
                value = known[0]
            self._known[name] = (value, time.monotonic())
            self._known.move_to_end(name)
            while len(self._known) > _KEPT:
                self._locks.pop(self._known.popitem(last=False)[0], None)
            return value

    async def _patiently(self, read: Callable[[], Awaitable[str]]) -> str:
        until, pause = time.monotonic() + self._wait, 0.02
        while True:
            try:
                return await read()
            except NotFound:
                if time.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.25)


class IdentitySource(Protocol):
    """Where private keys come from. Raises `NotFound` (none, or destroyed), `Denied` or `Unavailable`."""

    async def pipeline(self, day: date) -> Sequence[str]:
        """The identities of a day."""

    async def trace(self, tenant: TenantId) -> Sequence[str]:
        """Every version of a tenant's trace identity, newest first."""


class Identities:
    """Private keys of the pipeline, kept in memory and asked for again hourly."""

    def __init__(self, source: IdentitySource) -> None:
        self._source = source
        self._known: OrderedDict[str, tuple[Sequence[str], float]] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def pipeline(self, day: date) -> Sequence[str]:
        """What opens the pipeline's copies of `day`; raises `NotFound` once destroyed, `Unavailable`."""
        return await self._cached(pipeline_name(day), lambda: self._source.pipeline(day))

    async def trace(self, tenant: TenantId, *, newer: bool = False) -> Sequence[str]:
        """What opens the tenant's traces; `newer` asks again, for what was sealed after a rotation."""
        name = f"trace/{tenant}"
        if newer:
            known = self._known.get(name)
            if known is not None and time.monotonic() - known[1] > _NEWER_SECONDS:
                del self._known[name]
        return await self._cached(name, lambda: self._source.trace(tenant))

    async def check(self) -> None:
        """Return when today's identity is at hand (readiness); raises what is wrong."""
        await self.pipeline(today())

    async def _cached(self, name: str, ask: Callable[[], Awaitable[Sequence[str]]]) -> Sequence[str]:
        known = self._known.get(name)
        if known is not None and time.monotonic() - known[1] < _IDENTITY_SECONDS:
            return known[0]
        async with self._locks.setdefault(name, asyncio.Lock()):
            known = self._known.get(name)
            if known is not None and time.monotonic() - known[1] < _IDENTITY_SECONDS:
                return known[0]
            try:
                value = await ask()
            except NotFound:
                self._known.pop(name, None)
                raise
            except Unavailable:
                if known is None:
                    raise
                # The keeper is away: what was right an hour ago still is; ask again in a minute.
                self._known[name] = (known[0], time.monotonic() - _IDENTITY_SECONDS + 60)
                return known[0]
            self._known[name] = (value, time.monotonic())
            while len(self._known) > _KEPT:
                self._locks.pop(self._known.popitem(last=False)[0], None)
            return value


def connect(ctx: Context) -> Identities:
    """The identities of this installation, from `encryption` over mTLS in the name of `ctx`'s service."""
    from services.common.sealing.keeper import RemoteKeeper

    return Identities(RemoteKeeper.of(ctx))
