"""Fact keys: what travels on the bus is sealed with a random key that only its audience can get.

Each process makes one AES-256-GCM key an hour for each audience and puts it,
age-sealed to the audience, into the bucket `factkeys`; a sealed thing names
its key. So sealing a fact costs microseconds, who listens on the broker reads
nothing, and who has no identity reads back only what it sent. The bucket is a
cache: a key that is missing there is put again by its maker, and a reader who
finds none reads the store instead.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from letterlock.mail.v1 import mail_pb2

from services.common.bus import Bucket
from services.common.errors import Corrupt, InvalidInput, NotFound, Unavailable
from services.common.ids import TenantId
from services.common.sealing import age
from services.common.sealing.keys import Identities, PublicKeys, today

type Audience = tuple[Literal["trace"], TenantId] | tuple[Literal["pipeline"], date]

_LIFE_SECONDS = 3600.0
_VERIFY_SECONDS = 120.0
_MISSED_SECONDS = 1.0
_MADE = 4096
_OPENED = 16384


class KeyGone(Unavailable):
    """The bucket has no such key (now): read the store, or try again later."""


def trace_of(tenant: TenantId) -> Audience:
    """Those who may see a tenant's traces."""
    return ("trace", tenant)


def pipeline_of(day: date | None = None) -> Audience:
    """Those who may see the mails of a day, today by default."""
    return ("pipeline", day or today())


@dataclass
class _Made:
    key_id: str
    published: bytes
    born: float
    verified: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class FactKeys:
    """Seals to audiences, and opens what this service is an audience of (nothing without `identities`)."""

    def __init__(self, bucket: Bucket, public: PublicKeys, identities: Identities | None = None) -> None:
        self._bucket, self._public, self._identities = bucket, public, identities
        self._made: OrderedDict[Audience, _Made] = OrderedDict()
        self._ciphers: OrderedDict[str, AESGCM] = OrderedDict()
        self._missed: OrderedDict[str, float] = OrderedDict()
        self._locks: OrderedDict[object, asyncio.Lock] = OrderedDict()

    async def seal(self, audience: Audience, plaintext: bytes, aad: bytes) -> mail_pb2.Sealed:
        """Seal for `audience`, bound to `aad`; raises `Unavailable` when its key cannot be published."""
        made = self._made.get(audience)
        now = time.monotonic()
        if made is None or now - made.born > _LIFE_SECONDS or made.key_id not in self._ciphers:
            async with self._lock(audience):
                made = self._made.get(audience)
                if made is None or now - made.born > _LIFE_SECONDS or made.key_id not in self._ciphers:
                    made = await self._make(audience)
        elif now - made.verified > _VERIFY_SECONDS and not made.lock.locked():
            async with made.lock:
                await self._verify(made)
        return await self.seal_with(made.key_id, plaintext, aad)

    def doubt(self) -> None:
        """Look again, at the next seal, whether the bucket still has this process's keys: a reader missed one."""
        for made in self._made.values():
            made.verified = float("-inf")

    async def seal_with(self, key_id: str, plaintext: bytes, aad: bytes) -> mail_pb2.Sealed:
        """Seal with a key that is already known here (an answer, under its question's key)."""
        cipher = await self._cipher(key_id)
        nonce = os.urandom(12)
        return mail_pb2.Sealed(key_id=key_id, nonce=nonce, box=cipher.encrypt(nonce, plaintext, aad))

    async def open(self, sealed: mail_pb2.Sealed, aad: bytes) -> bytes:
        """The plain bytes; raises `KeyGone` without the key, `Corrupt` when changed or bound to another `aad`."""
        cipher = await self._cipher(sealed.key_id)
        try:
            return cipher.decrypt(sealed.nonce, sealed.box, aad)
        except (InvalidTag, ValueError) as error:
            raise Corrupt("sealed fact was changed") from error

    async def _make(self, audience: Audience) -> _Made:
        recipient = await (
            self._public.trace(audience[1]) if audience[0] == "trace" else self._public.pipeline(audience[1])
        )
        key_id, key = os.urandom(16).hex(), os.urandom(32)
        label = _label(audience)
        box = age.encrypt(key_id.encode() + b"\0" + label + b"\0" + key, [recipient])
        published = label + b"\n" + box
        await self._bucket.put(key_id, published)
        now = time.monotonic()
        made = _Made(key_id, published, now, now)
        self._remember(key_id, key)
        self._made[audience] = made
        self._made.move_to_end(audience)
        while len(self._made) > _MADE:
            self._made.popitem(last=False)
        return made

    async def _verify(self, made: _Made) -> None:
        try:
            if await self._bucket.get(made.key_id) is None:
                await self._bucket.put(made.key_id, made.published)
        except Unavailable:
            return  # whoever publishes next will see for itself that the bus is away
        made.verified = time.monotonic()

    async def _cipher(self, key_id: str) -> AESGCM:
        if (cipher := self._ciphers.get(key_id)) is not None:
            self._ciphers.move_to_end(key_id)
            return cipher
        if len(key_id) != 32 or not set(key_id) <= set("0123456789abcdef"):
            raise Corrupt("not a fact key's id")
        async with self._lock(key_id):
            if (cipher := self._ciphers.get(key_id)) is not None:
                return cipher
            label, _, box = (await self._published(key_id)).partition(b"\n")
            plain = await self._unseal(_audience(label), box)
            expected = key_id.encode() + b"\0" + label + b"\0"
            if not plain.startswith(expected) or len(plain) != len(expected) + 32:
                raise Corrupt("fact key is another's")
            return self._remember(key_id, plain[len(expected) :])

    async def _published(self, key_id: str) -> bytes:
        # A follower of the bucket may be a moment behind: ask again before the key counts as gone, and then
        # not for each of the facts under it.
        if time.monotonic() - self._missed.get(key_id, float("-inf")) < _MISSED_SECONDS:
            raise KeyGone("fact key is not in the bucket")
        for pause in (0.02, 0.1, None):
            entry = await self._bucket.get(key_id)
            if entry is not None and entry.value is not None:
                self._missed.pop(key_id, None)
                return entry.value
            if pause is not None:
                await asyncio.sleep(pause)
        self._missed[key_id] = time.monotonic()
        while len(self._missed) > _MADE:
            self._missed.popitem(last=False)
        raise KeyGone("fact key is not in the bucket")

    async def _unseal(self, audience: Audience, box: bytes) -> bytes:
        if self._identities is None:
            raise KeyGone("no identity for this audience here")
        try:
            if audience[0] == "pipeline":
                return age.decrypt(box, await self._identities.pipeline(audience[1]))
            try:
                return age.decrypt(box, await self._identities.trace(audience[1]))
            except age.NoKey:
                return age.decrypt(box, await self._identities.trace(audience[1], newer=True))
        except NotFound as error:
            raise KeyGone("identity of this audience is gone") from error

    def _remember(self, key_id: str, key: bytes) -> AESGCM:
        cipher = self._ciphers[key_id] = AESGCM(key)
        while len(self._ciphers) > _OPENED:
            self._ciphers.popitem(last=False)
        return cipher

    def _lock(self, what: object) -> asyncio.Lock:
        lock = self._locks.setdefault(what, asyncio.Lock())
        self._locks.move_to_end(what)
        while len(self._locks) > _OPENED and not next(iter(self._locks.values())).locked():
            self._locks.popitem(last=False)
        return lock


def _label(audience: Audience) -> bytes:
    return f"{audience[0]}/{audience[1] if audience[0] == 'trace' else audience[1].isoformat()}".encode()


def _audience(label: bytes) -> Audience:
    kind, _, which = label.decode("ascii", "replace").partition("/")
    try:
        if kind == "trace":
            return ("trace", TenantId.parse(which))
        if kind == "pipeline":
            return ("pipeline", date.fromisoformat(which))
    except (ValueError, InvalidInput) as error:
        raise Corrupt("fact key's audience is malformed") from error
    raise Corrupt("fact key's audience is unknown")
