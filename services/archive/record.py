"""Record what became of mails: every fact is acked after the segment that holds it is durable.

Facts of a tenant that arrive together share a segment. A crash between the
segment and the ack brings the fact again, and its second copy folds into the
first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from letterlock.archive.v1 import record_pb2
from letterlock.mail.v1 import mail_pb2

from services.archive.adapters import wire
from services.archive.core.fold import MailState
from services.archive.segments import Segments
from services.common import log, telemetry, tracing
from services.common.bus import Message
from services.common.facts import OpenFact
from services.common.ids import TenantId

_log = log.get(__name__)

CONSUMERS = ("archive-decided", "archive-released", "archive-sealed", "archive-outcome")

_SEGMENT_BYTES = 1 << 20
"""A segment is closed when its records reach this size, bytes."""

_KINDS = {
    "decided": mail_pb2.KIND_DECIDED,
    "released": mail_pb2.KIND_RELEASED,
    "sealed": mail_pb2.KIND_SEALED,
    "outcome": mail_pb2.KIND_OUTCOME,
}

type Tell = Callable[[TenantId, str, list[MailState]], None]


class Opens(Protocol):
    """What opens a fact."""

    async def open(self, message: Message) -> OpenFact:
        """See `facts.Facts.open`."""


@dataclass
class _Batch:
    done: asyncio.Future[None]
    records: list[record_pb2.Record] = field(default_factory=list)
    size: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)


class Recorder:
    """Gathers records per tenant into segments; `tell` hears of each segment that has become durable."""

    def __init__(self, segments: Segments, tell: Tell, *, window: timedelta, limit: int) -> None:
        self._segments, self._tell = segments, tell
        self._window, self._limit = window.total_seconds(), limit
        self._batches: dict[TenantId, _Batch] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def add(self, tenant: TenantId, record: record_pb2.Record) -> None:
        """Return when `record` is durable; raises `Unavailable` or `Busy` when it is not."""
        batch = self._batches.get(tenant)
        if batch is None:
            batch = self._batches[tenant] = _Batch(asyncio.get_running_loop().create_future())
            task = asyncio.create_task(self._write(tenant, batch))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        batch.records.append(record)
        batch.size += record.ByteSize()
        if len(batch.records) >= self._limit or batch.size >= _SEGMENT_BYTES:
            del self._batches[tenant]
            batch.full.set()
        await asyncio.shield(batch.done)

    async def drain(self) -> None:
        """Return when nothing is being written any more."""
        while self._writing:
            await asyncio.gather(*self._writing, return_exceptions=True)

    async def _write(self, tenant: TenantId, batch: _Batch) -> None:
        tracing.forget_mail()
        with suppress(TimeoutError):
            await asyncio.wait_for(batch.full.wait(), self._window)
        if self._batches.get(tenant) is batch:
            del self._batches[tenant]
        try:
            with telemetry.stage("archive", "segment", span=False):
                name, entries = await self._segments.write(tenant, batch.records)
        except BaseException as error:
            if not batch.done.done():
                batch.done.set_exception(error)
                batch.done.exception()  # whoever waits hears it; nobody waiting is no news
            if not isinstance(error, Exception):
                raise
            return
        _log.debug("record.written", tenant=tenant, segment=name, records=len(batch.records))
        if entries:
            self._tell(tenant, name, [wire.state_of(tenant, name, entry) for entry in entries])
        batch.done.set_result(None)


def taking(facts: Opens, recorder: Recorder) -> Callable[[Message], Awaitable[None]]:
    """The handler of all four consumers: open, record, and return (which acks) when it is durable."""

    async def take(message: Message) -> None:
        with telemetry.stage("archive", "record", headers=message.headers):
            fact = await facts.open(message)
            record = record_pb2.Record(
                mail_id=fact.mail_id,
                kind=_KINDS[fact.kind],
                trace=fact.trace,
                msg_id=message.headers.get("Nats-Msg-Id", ""),
                recorded_at=wire.now_stamp(),
            )
            with tracing.mail(fact.tenant, fact.mail_id):
                await recorder.add(fact.tenant, record)
        telemetry.count("archive", f"recorded_{fact.kind}", fact.tenant)

    return take
