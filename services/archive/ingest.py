"""Seal each day's mails into the ingest log, and prove that a mail is in it.

A tree is `<tid>/ingest/<name>/`: `leaves/<n>` (in clear), `openings/<n>` (sealed to the tenant's trace key), and
`root`, a signed note that is written last: with it the tree is sealed. `<name>` is the UTC day; `<day>.p<ulid>` a
provisional tree of a day that is not over. All of it is create-only; a build that died goes on behind the parts
that it wrote. A day is read whole once, and its pipeline key is kept until then; afterwards nothing here needs a key
but the openings.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import orjson
from google.protobuf.json_format import MessageToDict
from letterlock.mail.v1 import mail_pb2

from services.archive.core import framing
from services.archive.segments import TraceIdentities, TraceKeys
from services.archive.stored import StoredMails
from services.common import ingestlog, log, telemetry
from services.common.audit_client import AuditLog
from services.common.audit_entries import AuditEntry
from services.common.errors import AlreadyExists, Busy, Corrupt, NotFound
from services.common.ids import MailId, TenantId
from services.common.ingestlog import Leaf, Opening, Proof, Root
from services.common.objects import ObjectStore
from services.common.sealing import age, mailobject
from services.common.sealing.writers import Signer, Writers
from services.common.tlog import merkle

_log = log.get(__name__)

PART = 2048
"""Leaves of one part."""
SETTLE = timedelta(hours=1)
"""How long after its end a day is sealed: an id is made when a transaction begins."""
_AT_ONCE = 16
_CHUNK = 4 << 20
_PROVISIONAL_EVERY = 60.0
"""Seconds between two provisional trees of a tenant: each reads the whole day."""
_MOST_PROVED = 4_000_000
"""Leaves of a tree that a proof is made from in memory."""

type Entry = tuple[Leaf, Opening | None]
type KeepDays = Callable[[TenantId], int | None]


class Pipeline(Protocol):
    """What opens recent mail."""

    async def pipeline(self, day: date) -> Sequence[str]:
        """The identities of a day. Raises `NotFound` (destroyed), `Unavailable`."""


class IngestLog:
    """Builds, reads and proves. Raises `Unavailable` when the store or the audit log does not answer."""

    def __init__(
        self,
        objects: ObjectStore,
        public: TraceKeys,
        traces: TraceIdentities,
        pipeline: Pipeline,
        writers: Writers,
        signer: Signer,
        audit: AuditLog,
        *,
        keep_days: KeepDays,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects, self._public, self._traces, self._pipeline = objects, public, traces, pipeline
        self._writers, self._signer, self._audit = writers, signer, audit
        self._keep_days, self._clock = keep_days, clock
        self._mails = StoredMails(objects)
        self._provisional: dict[TenantId, float] = {}
        self._sealed: set[tuple[TenantId, date]] = set()

    @property
    def public(self) -> bytes:
        """The public key that roots are signed with."""
        return self._signer.public

    async def names(self, tenant: TenantId, *, after: str = "") -> list[str]:
        """Every tree beyond `after`, sealed or not, by day."""
        return [name for name in await self._objects.list_folders(f"{tenant}/ingest/") if name > after]

    async def root(self, tenant: TenantId, name: str) -> Root:
        """A sealed tree's root; raises `NotFound` (not sealed), `Corrupt` (not signed by the archive)."""
        data = await self._objects.get(f"{tenant}/ingest/{name}/root")
        return ingestlog.read_root(data, tenant, name, self._writers.public(self._signer.name))

    async def leaves(self, tenant: TenantId, name: str) -> AsyncIterator[Leaf]:
        """A tree's leaves in order. Raises `Corrupt`."""
        async for number in self._parts(tenant, name):
            data = await self._objects.get(f"{tenant}/ingest/{name}/leaves/{number}")
            for leaf in framing.unpack(data):
                yield ingestlog.read_leaf(leaf)

    async def seal_days(self, tenant: TenantId) -> int:
        """Seal every day that is over and is not sealed; returns how many were."""
        settled = datetime.fromtimestamp(self._clock(), UTC) - SETTLE
        done = 0
        for day in await self._mails.days(tenant):
            if day >= settled.date() or self.complete(tenant, day):
                continue
            if not await self._is_sealed(tenant, day.isoformat()):
                await self.seal(tenant, day, day.isoformat())
                done += 1
            self._sealed.add((tenant, day))
        return done

    def complete(self, tenant: TenantId, day: date) -> bool:
        """Whether the day is known to be sealed, so that its key may go."""
        return (tenant, day) in self._sealed

    async def seal(self, tenant: TenantId, day: date, name: str) -> Root:
        """Make a tree over the day's mails and sign it; the audit log has its root before the tree is sealed."""
        with telemetry.stage("archive", "ingest_seal", span=False):
            tree, after, number = merkle.Growing(), "", 0
            async for leaf in self.leaves(tenant, name):
                tree.append(leaf.hash)
                after = leaf.mail_id
            async for _ in self._parts(tenant, name):
                number += 1
            page: list[MailId] = []
            async for mail_id, _ in self._mails.mails(tenant, day, after=after):
                page.append(mail_id)
                if len(page) == PART:
                    await self._write_part(tenant, name, number, await self._entries(tenant, page), tree)
                    page, number = [], number + 1
            if page:
                await self._write_part(tenant, name, number, await self._entries(tenant, page), tree)
            return await self._sign(Root(tenant, name, tree.size, tree.root()), TenantId(tenant))

    def entry(self, envelope: mail_pb2.Envelope, sealed: str, blob: str, received: date, tenant: TenantId) -> Entry:
        """The leaf and opening of a mail whose sealed objects have these hashes."""
        opening = Opening(
            os.urandom(16).hex(), envelope.sha256.hex(), hashlib.sha256(envelope_json(envelope)).hexdigest()
        )
        until = ingestlog.until(received, self._keep_days(tenant))
        return Leaf(envelope.mail_id, sealed, blob, opening.commitment, until), opening

    async def prove(self, tenant: TenantId, mail_id: MailId) -> Proof:
        """The proof of a mail, by its day's tree or a provisional one that is made for it.

        Raises `NotFound` (no such mail), `Busy` (a provisional tree was made a moment ago), `Corrupt`.
        """
        await self._objects.head(mailobject.mail_key(tenant, mail_id))
        day = mail_id.day.isoformat()
        names = await self.names(tenant)
        candidates = [n for n in names if n == day]
        candidates += sorted((n for n in names if n.startswith(f"{day}.p")), reverse=True)[:1]
        for name in candidates:
            if await self._is_sealed(tenant, name):
                found = await self._prove_in(tenant, name, mail_id)
                if found is not None:
                    return found
        if mail_id.day < (datetime.fromtimestamp(self._clock(), UTC) - SETTLE).date() and day in names:
            raise NotFound("not in the ingest log", public="this mail is not in the ingest log of its day")
        last = self._provisional.get(tenant, float("-inf"))
        if self._clock() - last < _PROVISIONAL_EVERY:
            raise Busy("a provisional tree was made a moment ago")
        self._provisional[tenant] = self._clock()
        name = f"{day}.p{MailId.new(now=self._clock())}"
        await self.seal(tenant, mail_id.day, name)
        found = await self._prove_in(tenant, name, mail_id)
        if found is None:
            raise NotFound("not in the ingest log", public="this mail is not in the ingest log")
        return found

    async def _prove_in(self, tenant: TenantId, name: str, mail_id: MailId) -> Proof | None:
        root = await self.root(tenant, name)
        if root.size > _MOST_PROVED:
            raise Busy("the tree is too large to prove from here")
        hashes: list[bytes] = []
        place, found = -1, None
        async for leaf in self.leaves(tenant, name):
            if leaf.mail_id == mail_id:
                place, found = len(hashes), leaf
            hashes.append(leaf.hash)
        if found is None:
            return None
        path = await asyncio.to_thread(ingestlog.path_of, hashes, place)
        opening = await self._opening(tenant, name, place) if found.mail else None
        signed = await self._objects.get(f"{tenant}/ingest/{name}/root")
        return Proof(found, opening, place, path, signed, name)

    async def _opening(self, tenant: TenantId, name: str, place: int) -> Opening | None:
        number = place // PART
        leaves = await self._objects.get(f"{tenant}/ingest/{name}/leaves/{number:08d}")
        data = await self._objects.get(_openings_key(tenant, name, number, leaves))
        try:
            plain = age.decrypt(data, await self._traces.trace(tenant))
        except age.NoKey:
            plain = age.decrypt(data, await self._traces.trace(tenant, newer=True))
        opening = list(framing.unpack(plain))[place % PART]
        return ingestlog.read_opening(opening) if opening else None

    async def _entries(self, tenant: TenantId, page: Sequence[MailId]) -> list[Entry]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(mail_id: MailId) -> Entry | None:
            async with gate:
                try:
                    return await self._entry(tenant, mail_id)
                except NotFound:  # disposed of meanwhile
                    return None

        made = await asyncio.gather(*(one(m) for m in page))
        return [entry for entry in made if entry is not None]

    async def _entry(self, tenant: TenantId, mail_id: MailId) -> Entry:
        data = await self._objects.get(mailobject.mail_key(tenant, mail_id))
        sealed = hashlib.sha256(data).hexdigest()
        try:
            header = await self._header(tenant, mail_id, data)
        except (Corrupt, NotFound) as error:  # planted, or of a day whose key is gone
            _log.error("ingest.unreadable", tenant=tenant, mail_id=mail_id, code=error.code)
            return Leaf(mail_id, sealed, until=ingestlog.until(mail_id.day, self._keep_days(tenant))), None
        blob = await hash_of(self._objects, mailobject.blob_key(tenant, mail_id)) if header.blob else ""
        digest = hashlib.sha256(envelope_json(header.envelope)).hexdigest()
        opening = Opening(os.urandom(16).hex(), header.envelope.sha256.hex(), digest)
        until = ingestlog.until(mail_id.day, self._keep_days(tenant))
        return Leaf(mail_id, sealed, blob, opening.commitment, until), opening

    async def _header(self, tenant: TenantId, mail_id: MailId, data: bytes) -> mail_pb2.ObjectHeader:
        async def opened(day: date) -> mail_pb2.ObjectHeader:
            identities = list(await self._pipeline.pipeline(day))

            def work() -> mail_pb2.ObjectHeader:
                return mailobject.open(
                    data, identities=identities, writers=self._writers, tenant=tenant, mail_id=mail_id
                )[0]

            return await asyncio.to_thread(work)

        try:
            return await opened(mail_id.day)
        except age.NoKey:  # midnight lay between the id and the seal
            return await opened(mail_id.day + timedelta(days=1))

    async def _write_part(
        self, tenant: TenantId, name: str, number: int, entries: Sequence[Entry], tree: merkle.Growing
    ) -> None:
        leaves = framing.pack(leaf.dump() for leaf, _ in entries)
        openings = framing.pack(b"" if o is None else _opening_json(o) for _, o in entries)
        recipient = await self._public.trace(tenant)
        sealed = await asyncio.to_thread(age.encrypt, openings, [recipient])
        # What is proved about leaves is durable before they are, under their own hash: of two archives that seal a day
        # at once one writes the leaves, and its openings are the ones that are found.
        await self._objects.create(_openings_key(tenant, name, number, leaves), sealed)
        await self._objects.create(f"{tenant}/ingest/{name}/leaves/{number:08d}", leaves)
        for leaf, _ in entries:
            tree.append(leaf.hash)

    async def _sign(self, root: Root, tenant: TenantId) -> Root:
        facts: Mapping[str, str | int] = {"name": root.name, "size": root.size, "root": root.root.hex()}
        await self._audit.append(AuditEntry(tenant, "ingest.sealed", "service:archive", facts, facts=facts))
        await self._put_root(root, tenant)
        telemetry.count("archive", "ingest_sealed", tenant)
        _log.info("ingest.sealed", tenant=tenant, day=root.name, mails=root.size)
        return root

    async def _put_root(self, root: Root, tenant: TenantId) -> None:
        data = ingestlog.seal_root(root, self._signer.public, self._signer.sign)
        try:
            await self._objects.create(f"{tenant}/ingest/{root.name}/root", data)
        except AlreadyExists:
            if (await self.root(tenant, root.name)) != root:
                raise Corrupt("another root stands where this one was to be") from None

    async def _is_sealed(self, tenant: TenantId, name: str) -> bool:
        try:
            await self._objects.head(f"{tenant}/ingest/{name}/root")
        except NotFound:
            return False
        return True

    async def _parts(self, tenant: TenantId, name: str) -> AsyncIterator[str]:
        prefix = f"{tenant}/ingest/{name}/leaves/"
        async for meta in self._objects.list(prefix):
            yield meta.key.removeprefix(prefix)


def envelope_json(envelope: mail_pb2.Envelope) -> bytes:
    """An envelope as canonical JSON: sorted keys, no spaces, field names of the proto."""
    return orjson.dumps(MessageToDict(envelope, preserving_proto_field_name=True), option=orjson.OPT_SORT_KEYS)


async def hash_of(objects: ObjectStore, key: str) -> str:
    """SHA-256 of an object, hex, in bounded memory. Raises `NotFound`."""
    digest, at = hashlib.sha256(), 0
    size = (await objects.head(key)).size
    while at < size:
        piece = await objects.get_range(key, at, _CHUNK)
        if not piece:
            break
        await asyncio.to_thread(digest.update, piece)
        at += len(piece)
    return digest.hexdigest()


def _openings_key(tenant: TenantId, name: str, number: int, leaves: bytes) -> str:
    return f"{tenant}/ingest/{name}/openings/{number:08d}-{hashlib.sha256(leaves).hexdigest()[:32]}"


def _opening_json(opening: Opening) -> bytes:
    return orjson.dumps({"salt": opening.salt, "raw": opening.raw, "envelope": opening.envelope})
