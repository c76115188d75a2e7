"""Index what mails say: a fact of a decided mail is acked when its document is in a durable segment.

Reading and blinding happen in threads, files of strangers are read in the sandbox. A mail that comes twice gives the
same document, so that a crash at any place costs nothing but work.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from letterlock.mail.v1 import mail_pb2

from services.archive.adapters import wire
from services.archive.content.segments import BlindSegments, Document, dumped
from services.archive.core.blinding import Facts, document
from services.archive.core.fold import DIRECTIONS, DISPOSITIONS
from services.archive.core.reading import Read, read
from services.archive.ports import IndexKeys, MonthKeys
from services.archive.record import Opens
from services.common import log, telemetry, tracing
from services.common.bus import Message
from services.common.extraction import Extractor
from services.common.ids import MailId, TenantId
from services.common.search.blind import Blinder, month_of

CONSUMER = "archive-content"

_log = log.get(__name__)
_SEGMENT_BYTES = 4 << 20
_MONTHS = 6
"""Months (of all tenants) whose tokens are remembered."""
_DONE = 50_000
_EXTRACTION_SECONDS = 30.0
_SECRET = "system-secret"
_ORDER = ("inbound", "outbound", "internal")


class _Blinder(Blinder):
    _MOST = 40_000


@dataclass
class _Month:
    keys: MonthKeys
    blinder: _Blinder


@dataclass
class _Batch:
    done: asyncio.Future[None]
    documents: list[Document] = field(default_factory=list)
    size: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)


class ContentIndexer:
    """Makes documents, and gathers them per tenant into segments; `tell` hears of each that has become durable."""

    def __init__(
        self,
        keys: IndexKeys,
        segments: BlindSegments,
        extract: Extractor,
        tell: Callable[[TenantId, str], None],
        *,
        window: timedelta,
        threads: int,
    ) -> None:
        self._keys, self._segments, self._extract, self._tell = keys, segments, extract, tell
        self._window = window.total_seconds()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="content")
        self._months: OrderedDict[tuple[TenantId, str], _Month] = OrderedDict()
        self._done: OrderedDict[tuple[TenantId, MailId], None] = OrderedDict()
        self._batches: dict[TenantId, _Batch] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def add(self, trace: mail_pb2.Trace, content: Callable[[], Awaitable[bytes | None]]) -> None:
        """Return when the mail's document is durable. Raises `Unavailable`, `Busy`; `NotFound`, `Corrupt` of it."""
        tenant, mail_id = TenantId.parse(trace.envelope.tenant), MailId.parse(trace.envelope.mail_id)
        if (tenant, mail_id) in self._done or trace.envelope.origin == _SECRET:
            return
        raw = await content()
        if raw is None:
            return
        month = await self._month(tenant, month_of(mail_id.day))
        made = await self._document(facts_of(trace), raw, month)
        await self._gather(tenant, made)
        self._done[tenant, mail_id] = None
        while len(self._done) > _DONE:
            self._done.popitem(last=False)

    def forget(self, tenant: TenantId, mail_id: MailId) -> None:
        """Index this mail again when it comes again."""
        self._done.pop((tenant, mail_id), None)

    async def document_id(self, tenant: TenantId, mail_id: MailId) -> str:
        """The index's name for a mail. Raises `Unavailable`."""
        return (await self._month(tenant, month_of(mail_id.day))).blinder.document_id(mail_id)

    async def drain(self) -> None:
        """Return when nothing is being written any more."""
        while self._writing:
            await asyncio.gather(*self._writing, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _month(self, tenant: TenantId, month: str) -> _Month:
        found = self._months.get((tenant, month))
        if found is None:
            keys = (await self._keys.index_keys(tenant, [month]))[month]
            found = self._months[tenant, month] = _Month(keys, _Blinder(keys.month))
            while len(self._months) > _MONTHS:
                self._months.popitem(last=False)
        self._months.move_to_end((tenant, month))
        return found

    async def _document(self, facts: Facts, raw: bytes, month: _Month) -> Document:
        loop = asyncio.get_running_loop()

        def quick() -> tuple[Read, Document | None]:
            found = read(raw)
            return found, None if found.files else blind(found)

        def blind(found: Read) -> Document:
            return dumped(document(facts, found, month.blinder, month.keys.summary))

        found, made = await loop.run_in_executor(self._threads, quick)
        if made is not None:
            return made
        pieces = await self._extract(facts.tenant, found.files, timeout=_EXTRACTION_SECONDS)
        return await loop.run_in_executor(self._threads, lambda: blind(found.with_pieces(pieces)))

    async def _gather(self, tenant: TenantId, made: Document) -> None:
        batch = self._batches.get(tenant)
        if batch is None:
            batch = self._batches[tenant] = _Batch(asyncio.get_running_loop().create_future())
            task = asyncio.create_task(self._write(tenant, batch))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        batch.documents.append(made)
        batch.size += len(made.source)
        if batch.size >= _SEGMENT_BYTES:
            del self._batches[tenant]
            batch.full.set()
        await asyncio.shield(batch.done)

    async def _write(self, tenant: TenantId, batch: _Batch) -> None:
        tracing.forget_mail()
        with suppress(TimeoutError):
            await asyncio.wait_for(batch.full.wait(), self._window)
        if self._batches.get(tenant) is batch:
            del self._batches[tenant]
        try:
            with telemetry.stage("archive", "content_segment", span=False):
                name = await self._segments.write(tenant, batch.documents)
        except BaseException as error:
            if not batch.done.done():
                batch.done.set_exception(error)
                batch.done.exception()  # whoever waits hears it; nobody waiting is no news
            if not isinstance(error, Exception):
                raise
            return
        _log.debug("content.written", tenant=tenant, segment=name, documents=len(batch.documents))
        self._tell(tenant, name)
        batch.done.set_result(None)


def taking(facts: Opens, indexer: ContentIndexer) -> Callable[[Message], Awaitable[None]]:
    """The handler of the consumer: open, index, and return (which acks) when it is durable."""

    async def take(message: Message) -> None:
        with telemetry.stage("archive", "content", headers=message.headers):
            fact = await facts.open(message)
            if not fact.trace.HasField("decision"):
                return
            with tracing.mail(fact.tenant, fact.mail_id):
                await indexer.add(fact.trace, fact.content)
        telemetry.count("archive", "content_indexed", fact.tenant)

    return take


def facts_of(trace: mail_pb2.Trace) -> Facts:
    """What the trace of a decided mail says for the index."""
    envelope, decision = trace.envelope, trace.decision
    directions = {DIRECTIONS[r.direction] for r in decision.recipients if 0 < r.direction < len(DIRECTIONS)}
    matched = {w.rule for w in decision.why if w.matched} | {leg.rule for leg in decision.legs}
    verdicts = {DISPOSITIONS[leg.disposition] for leg in decision.legs if 0 < leg.disposition < len(DISPOSITIONS)}
    flags = {t.kind for leg in decision.legs for t in leg.transforms if t.kind.isidentifier()}
    added = [r.address for r in decision.recipients]
    return Facts(
        tenant=TenantId(envelope.tenant),
        mail_id=MailId(envelope.mail_id),
        received=wire.milliseconds(envelope.received_at),
        size=envelope.size,
        sender=envelope.sender,
        recipients=tuple(dict.fromkeys([*(r.address for r in envelope.recipients), *added])),
        direction=next((d for d in _ORDER if d in directions), ""),
        directions=tuple(directions),
        verdicts=tuple(verdicts),
        rules=tuple(sorted(r for r in matched if r)),
        flags=tuple(flags | ({"system"} if envelope.origin.startswith("system") else set())),
    )
