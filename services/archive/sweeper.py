"""Find mails that nobody is working on, and publish them again.

The bus may lose what it carries; the store does not. Every stored mail whose
recipients are not all done is looked at until they are. What is published
again was opened first: an object that none of our writers signed never leaves
the store. Memory is bounded: a day is listed in pages, and only what is not
done is remembered. A restart begins again at the first day that is not done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Protocol

from letterlock.mail.v1 import mail_pb2

from services.archive.core.fold import MailState
from services.archive.core.patience import Ask, again_after, overdue
from services.archive.look import Look
from services.archive.ports import Index, Keeper
from services.archive.stored import StoredMails
from services.common import log, telemetry, tracing
from services.common.bus import Bus
from services.common.errors import Busy, Corrupt, Error, InvalidInput, NotFound, Unavailable
from services.common.facts import trace_from
from services.common.ids import INSTALLATION, MailId, TenantId
from services.common.objects import ObjectStore

_log = log.get(__name__)

_PAGE = 500
_OPEN = 50_000
"""Mails of a day that are remembered as not done; beyond that the day is listed again."""
_LATE = timedelta(hours=1)
"""How much later than its id says an object may appear: the longest transaction, with a margin."""
_RECENT = timedelta(days=14)
"""How far back is swept while the index is away: longer than retries and most holds."""
_MOST = 2_000
"""Mails of a tenant that are published again in one pass."""


class Reads(Protocol):
    """What opens a stored mail and checks who wrote it."""

    async def header(self, tenant: TenantId, mail_id: MailId) -> mail_pb2.ObjectHeader:
        """See `mailreader.MailReader.header`."""


class Tells(Protocol):
    """What publishes a fact."""

    async def publish(
        self, kind: Literal["accepted", "decided"], trace: mail_pb2.Trace, *, raw: bytes | None, msg_id: str
    ) -> None:
        """See `facts.Facts.publish`."""


@dataclass
class _Open:
    """A mail that is not done: when it was stored (ms), how often it was asked for, and when last."""

    stored: int
    asked: int = 0
    last: int = 0
    tried: int = 0


@dataclass
class _Day:
    after: str = ""
    """Every mail up to this id is done or in `open`."""
    open: dict[MailId, _Open] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Waits:
    """Of one pass: how far `republished` may grow, and whether outcomes or decisions wait to be recorded."""

    most: int
    outcomes: bool
    decisions: bool


class Sweeper:
    """Sweeps until cancelled; see `once`."""

    def __init__(
        self,
        objects: ObjectStore,
        bus: Bus,
        index: Index,
        look: Look,
        reader: Reads,
        facts: Tells,
        keeper: Keeper | None,
        *,
        sweep_after: timedelta,
        orphan_after: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects, self._bus, self._index, self._look = objects, bus, index, look
        self._mails = StoredMails(objects)
        self._reader, self._facts, self._keeper = reader, facts, keeper
        self._sweep_after, self._orphan_after, self._clock = sweep_after, orphan_after, clock
        self._days: dict[tuple[TenantId, date], _Day] = {}
        self._floors: dict[TenantId, date] = {}
        self._blobs: dict[TenantId, str] = {}
        self._blind = False
        self.planted: set[tuple[TenantId, MailId]] = set()
        """Objects that none of our writers signed."""
        self.republished = 0
        self.content: Callable[[TenantId, date], bool] = lambda tenant, day: True
        """Whether what the mails of a day say is indexed; before that the day is not done with."""

    async def run(self, tenants: Callable[[], AsyncIterator[TenantId]]) -> None:
        """Sweep every tenant again and again; what fails is tried in the next pass."""
        pause = min(max(self._sweep_after.total_seconds() / 3, 0.25), 60.0)
        while True:
            try:
                with telemetry.stage("archive", "sweep", span=False):
                    seen = [tenant async for tenant in tenants()]
                    for tenant in seen:
                        await self._guarded(self.once(tenant))
                    await self._guarded(self.complete_days(seen))
            except Error as error:
                _log.info("sweep.interrupted", code=error.code)
            await asyncio.sleep(pause)

    async def _guarded(self, part: Awaitable[object]) -> None:
        """One tenant's trouble must not keep the others from being swept."""
        try:
            await part
        except Error as error:
            _log.info("sweep.interrupted", code=error.code)
        except Exception as error:
            _log.error("sweep.failed", error=type(error).__name__)

    async def once(self, tenant: TenantId) -> int:
        """One pass over a tenant; returns how many mails were published again. Raises `Unavailable`."""
        outcomes, decisions = await asyncio.gather(self._bus.lag("archive-outcome"), self._bus.lag("archive-decided"))
        before = self.republished
        waits = _Waits(before + _MOST, outcomes > 0, decisions > 0)
        for day in await self._unfinished(tenant):
            place = self._days.setdefault((tenant, day), _Day())
            try:
                await self._sweep_day(tenant, day, place, waits)
            except Busy as error:  # its stream is full: another day's facts would not fit either
                _log.info("sweep.day_interrupted", tenant=tenant, day=day.isoformat(), code=error.code)
                break
            if not place.open and day < self._today() and not self._blind:
                await self._raise_floor(tenant, day)
        await self._delete_orphans(tenant)
        return self.republished - before

    async def complete_days(self, tenants: Collection[TenantId]) -> None:
        """Tell the keeper of the keys of each day whose mails are all done, oldest first. Raises `Unavailable`."""
        if self._keeper is None or not tenants:
            return
        # The id is made when a transaction begins, the seal when it ends: a day's key serves the day before it too,
        # so it is done with when that day and its own are; the floor covers both.
        floors = [await self._floor(tenant) for tenant in tenants if await self._mails.any(tenant)]
        if not floors or None in floors:
            return
        last = min(min(f for f in floors if f is not None), self._today() - timedelta(days=2))
        told = await self._index.floor(INSTALLATION)
        day = told + timedelta(days=1) if told is not None else await self._oldest(tenants)
        while day is not None and day <= last:
            await self._keeper.complete(day)
            await self._index.set_floor(INSTALLATION, day)
            _log.info("sweep.day_complete", day=day.isoformat())
            day += timedelta(days=1)

    async def _sweep_day(self, tenant: TenantId, day: date, place: _Day, waits: _Waits) -> None:
        known = list(place.open)
        for start in range(0, len(known), _PAGE):
            page = {m: place.open[m].stored for m in known[start : start + _PAGE]}
            await self._judge(tenant, place, page, waits)
        settled = datetime.fromtimestamp(self._clock(), UTC) - _LATE
        page, advancing = {}, True
        async for mail_id, stored in self._mails.mails(tenant, day, after=place.after):
            if mail_id not in place.open:
                page[mail_id] = stored
            if len(page) >= _PAGE:
                await self._judge(tenant, place, page, waits)
                advancing = self._advance(place, page, settled, advancing)
                page = {}
        await self._judge(tenant, place, page, waits)
        self._advance(place, page, settled, advancing)

    def _advance(self, place: _Day, page: Iterable[MailId], settled: datetime, advancing: bool) -> bool:
        """Do not list again what was judged, unless there was no room to remember all of it."""
        if not advancing or len(place.open) >= _OPEN:
            return False
        place.after = max([place.after, *(m for m in page if m.time < settled)])
        return True

    async def _judge(
        self,
        tenant: TenantId,
        place: _Day,
        page: dict[MailId, int],
        waits: _Waits,
    ) -> None:
        if not page:
            return
        states = await self._look.states(tenant, page)
        now = int(self._clock() * 1000)
        for mail_id, stored in page.items():
            state = states.get(mail_id)
            if (state is not None and state.final) or (tenant, mail_id) in self.planted:
                place.open.pop(mail_id, None)
                continue
            if mail_id not in place.open and len(place.open) >= _OPEN:
                continue
            mail = place.open.setdefault(mail_id, _Open(stored))
            ask = overdue(state, stored=stored, now=now, sweep_after=self._sweep_after)
            if ask is None or self.republished >= waits.most or now < mail.last + self._pause(mail):
                continue
            if waits.outcomes and await self._bus.pending(f"mail.outcome.{tenant}.{mail_id}"):
                continue  # something became of it that is not recorded yet
            if waits.decisions and state is None and now - stored < 4 * self._sweep_after.total_seconds() * 1000:
                continue
            with tracing.mail(tenant, mail_id), telemetry.stage("archive", "republish"):
                published = await self._publish(tenant, mail_id, ask, mail, now, state)
            if published:
                mail.asked, mail.last = mail.asked + 1, now
            else:
                place.open.pop(mail_id, None)

    def _pause(self, mail: _Open) -> int:
        if not mail.asked:
            return 0
        return int(again_after(mail.asked - 1, sweep_after=self._sweep_after).total_seconds() * 1000)

    async def _publish(
        self, tenant: TenantId, mail_id: MailId, ask: Ask, mail: _Open, now: int, state: MailState | None
    ) -> bool:
        """Publish again; False when this object is to be left alone."""
        try:
            header = await self._reader.header(tenant, mail_id)
        except NotFound:
            _log.warning("sweep.unreadable", tenant=tenant, mail_id=mail_id)
            return False
        except Corrupt as error:
            if len(self.planted) < _OPEN:
                self.planted.add((tenant, mail_id))
            telemetry.count("archive", "planted", tenant)
            _log.error("sweep.planted", tenant=tenant, mail_id=mail_id, code=error.code)
            return False
        trace = trace_from(header)
        # Grows with time, so that a restart does not repeat the message id of an earlier try.
        mail.tried = max(mail.tried + 1, int((now - mail.stored) / (self._sweep_after.total_seconds() * 1000 or 1)))
        if header.HasField("decision"):
            trace.legs.extend(ask.legs)
            await self._facts.publish("decided", trace, raw=None, msg_id=f"{mail_id}:d:{mail.tried}")
        else:
            await self._facts.publish("accepted", trace, raw=None, msg_id=f"{mail_id}:a:{mail.tried}")
        self.republished += 1
        telemetry.count("archive", "republished", tenant)
        states = sorted({state.state(p) for p in range(state.positions or 0)}) if state is not None else []
        _log.info(
            "sweep.republished",
            tenant=tenant,
            mail_id=mail_id,
            decided=header.HasField("decision"),
            legs=list(ask.legs),
            states=states,
            attempt=mail.tried,
        )
        return True

    async def _unfinished(self, tenant: TenantId) -> list[date]:
        try:
            floor, self._blind = await self._floor(tenant), False
        except Unavailable:
            # Without the index it is not known what is done with: look at what may still be on its way.
            floor, self._blind = self._today() - _RECENT, True
        return [day for day in await self._mails.days(tenant) if floor is None or day > floor]

    async def _floor(self, tenant: TenantId) -> date | None:
        if tenant not in self._floors:
            floor = await self._index.floor(tenant)
            if floor is None:
                return None
            self._floors[tenant] = floor
        return self._floors[tenant]

    async def _oldest(self, tenants: Collection[TenantId]) -> date | None:
        days = [day for tenant in tenants for day in (await self._mails.days(tenant))[:1]]
        return min(days, default=None)

    async def _raise_floor(self, tenant: TenantId, day: date) -> None:
        """Look at a day whole once more: if each of its mails is final and indexed, it is not swept again."""
        if any(d < day for t, d in self._days if t == tenant):
            return  # an earlier day is not done
        if not self.content(tenant, day):
            return
        if self._clock() < _end(day).timestamp() + _LATE.total_seconds():
            return
        page: list[MailId] = []
        async for mail_id, _ in self._mails.mails(tenant, day):
            page.append(mail_id)
            if len(page) >= _PAGE:
                if not await self._done(tenant, page):
                    return
                page = []
        if await self._done(tenant, page):
            await self._index.set_floor(tenant, day)
            self._floors[tenant] = day
            del self._days[tenant, day]

    async def _done(self, tenant: TenantId, page: list[MailId]) -> bool:
        wanted = [m for m in page if (tenant, m) not in self.planted]
        found = await self._index.read(tenant, wanted)
        return all(m in found and found[m].final for m in wanted)

    async def _delete_orphans(self, tenant: TenantId) -> None:
        """Delete bodies whose mail was never committed. A body that has its mail is not looked at again."""
        prefix, old = f"{tenant}/blob/", self._clock() - self._orphan_after.total_seconds()
        after = self._blobs.get(tenant, "")
        async for meta in self._objects.list(prefix, after=prefix + after if after else ""):
            name = meta.key.removeprefix(prefix)
            try:
                mail_id = MailId.parse(name)
            except InvalidInput:
                continue
            if meta.modified.timestamp() > old:
                return  # ids sort by time: what follows is younger, or comes again in the next pass
            try:
                await self._objects.head(f"{tenant}/mail/{mail_id.day:%Y/%m/%d}/{mail_id}")
            except NotFound:
                await self._objects.delete(meta.key)
                telemetry.count("archive", "orphans_deleted", tenant)
                _log.info("sweep.orphan_deleted", tenant=tenant, mail_id=mail_id, size=meta.size)
            self._blobs[tenant] = name

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()


def _end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
