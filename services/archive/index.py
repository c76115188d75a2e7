"""Keep the index up to date with the index segments, which are the truth it is made of.

What this process recorded is sent within a window. What it could not send,
what other processes recorded, and everything when the index was lost, is read
back from the segments: `cursor` is the segment up to which the index is known
to hold everything. Segments are named when they are written, so one that is
`_SETTLED` seconds old has no unseen elder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from services.archive.core import framing
from services.archive.core.fold import MailState, fold
from services.archive.ports import Index
from services.archive.segments import Segments
from services.common import log, telemetry
from services.common.errors import Corrupt, Error, NotFound
from services.common.ids import MailId, TenantId

_log = log.get(__name__)

_SETTLED = 600.0
_TICK = 15.0
_RETRY = (0.5, 1.0, 2.0, 5.0, 10.0)
_CHUNK = 2000
"""Entries that are folded in memory before they are written."""
_PENDING = 50_000
"""Mails that wait in memory for the index; beyond that it catches up from the segments."""


@dataclass
class _Place:
    """Where the index stands for one tenant."""

    cursor: str = ""
    known: bool = False
    ahead: set[str] = field(default_factory=set)
    """Segments beyond the cursor that are indexed."""
    remaining: int = 0
    total: int = 0
    """Segments of the pass at hand, or of the last one."""
    complete: bool = False
    """A pass over everything beyond the cursor has ended well, and nothing was dropped since."""


@dataclass
class _Pending:
    """States on their way to the index, and the segments they are from."""

    mails: dict[tuple[TenantId, str], MailState] = field(default_factory=dict)
    segments: dict[TenantId, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What can be said without the index: states in memory, and which segments need not be looked into."""

    generation: str
    after: str
    skip: frozenset[str]
    states: dict[MailId, MailState]


class IndexFeed:
    """Feeds the index. `submit` never waits; without the index everything else goes on."""

    def __init__(
        self, index: Index, segments: Segments, *, window: timedelta, clock: Callable[[], float] = time.time
    ) -> None:
        self._index, self._segments, self._clock = index, segments, clock
        self._window = window.total_seconds()
        self._places: dict[TenantId, _Place] = {}
        self._pending, self._sending = _Pending(), _Pending()
        self._wake, self._kick = asyncio.Event(), asyncio.Event()
        self._generation = ""
        self._pass, self._sends = asyncio.Lock(), asyncio.Lock()
        self.replayed = 0
        """Documents written by replaying since the start."""
        self.refused = 0
        """Documents the index refused for good since the start."""

    def submit(self, tenant: TenantId, segment: str, states: list[MailState]) -> None:
        """Take what a durable segment says."""
        if len(self._pending.mails) >= _PENDING:
            self._drop(self._pending)
            self._pending = _Pending()
        self._pending.segments.setdefault(tenant, set()).add(segment)
        for state in states:
            key = tenant, state.mail_id
            known = self._pending.mails.get(key)
            self._pending.mails[key] = state if known is None else known.merge(state)
        self._wake.set()

    def standing(self, tenant: TenantId, mail_ids: Collection[MailId]) -> Standing:
        """A consistent view of this moment; ask the index after it, not before."""
        place = self._places.setdefault(tenant, _Place())
        states: dict[MailId, MailState] = {}
        skip = set(place.ahead)
        for pending in (self._sending, self._pending):
            skip |= pending.segments.get(tenant, set())
            for mail_id in mail_ids:
                found = pending.mails.get((tenant, mail_id))
                if found is not None:
                    states[mail_id] = found if mail_id not in states else states[mail_id].merge(found)
        return Standing(self._generation, place.cursor, frozenset(skip), states)

    @property
    def generation(self) -> str:
        """The index that is fed; another one when it was lost."""
        return self._generation

    def behind(self) -> int:
        """Segments known to be missing in the index."""
        waiting = sum(len(s) for p in (self._pending, self._sending) for s in p.segments.values())
        return waiting + sum(place.remaining for place in self._places.values())

    def complete(self, tenant: TenantId) -> bool:
        """Whether the index holds, or is being sent by this process, all segments of a tenant that are known."""
        place = self._places.get(tenant)
        return place is not None and place.complete

    def progress(self, tenants: Collection[TenantId]) -> tuple[int, int, int]:
        """Of the tenants' passes: segments, segments done; and documents replayed since the start, of all tenants."""
        places = [self._places[t] for t in tenants if t in self._places]
        total = sum(p.total for p in places)
        return total, total - sum(min(p.remaining, p.total) for p in places), self.replayed

    def forget(self, tenant: TenantId) -> None:
        """The next pass replays all segments of a tenant."""
        self._places[tenant] = _Place(known=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the context lives; leaving it sends what is pending if the index answers."""
        tasks = [asyncio.create_task(self._send_for_ever()), asyncio.create_task(self._catch_up_for_ever())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await asyncio.wait_for(self._send(), 5)
            except (Error, TimeoutError):
                _log.info("index.left_behind", segments=self.behind())

    async def catch_up(self, tenants: Collection[TenantId] | None = None) -> None:
        """One pass: everything beyond each tenant's cursor is in the index on return. Raises `Unavailable`."""
        async with self._pass:
            generation = await self._index.ensure()
            if generation != self._generation:
                if self._generation:
                    _log.warning("index.lost")
                self._generation = generation
                self._places = {}
            await self._send()
            for tenant in await self._segments.tenants() if tenants is None else tenants:
                await self._replay(tenant)

    async def _send_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._window)
            self._wake.clear()
            try:
                await self._send()
            except Error as error:
                _log.warning("index.away", code=error.code)
                self._kick.set()
            except Exception as error:
                _log.error("index.send_failed", error=type(error).__name__)
                self._kick.set()

    async def _send(self) -> None:
        async with self._sends:
            if not self._pending.mails or not self._generation:
                return  # before the index has answered for the first time, the first pass sends what is pending
            self._sending, self._pending = self._pending, _Pending()
            sending = self._sending
            try:
                with telemetry.stage("archive", "index", span=False):
                    self.refused += await self._index.write(list(sending.mails.values()))
            except BaseException:
                self._drop(sending)
                raise
            else:
                for tenant, names in sending.segments.items():
                    self._places.setdefault(tenant, _Place()).ahead |= names
            finally:
                self._sending = _Pending()

    def _drop(self, pending: _Pending) -> None:
        for tenant, names in pending.segments.items():
            place = self._places.setdefault(tenant, _Place())
            place.complete = False
            place.remaining += len(names)

    async def _catch_up_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                await self.catch_up()
                failures = 0
                pause = _TICK
            except Error as error:
                pause = _RETRY[min(failures, len(_RETRY) - 1)]
                failures += 1
                _log.warning("index.catch_up_failed", code=error.code, again_in=pause)
            except Exception as error:
                pause = _TICK
                _log.error("index.catch_up_failed", code=type(error).__name__, again_in=pause)
            self._kick.clear()
            if failures:  # a kick must not turn the pause into a busy loop
                await asyncio.sleep(pause)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), pause)

    async def _replay(self, tenant: TenantId) -> None:
        place = self._places.setdefault(tenant, _Place())
        if not place.known:
            place.cursor = max(place.cursor, await self._index.cursor(tenant))
            place.known = True
        names = [n async for n in self._segments.names(tenant, after=place.cursor) if self._missing(place, tenant, n)]
        place.remaining = place.total = len(names)
        states: list[MailState] = []
        gathered: list[str] = []
        if len(names) > 1:
            _log.info("index.catching_up", tenant=tenant, segments=len(names))
        for number, name in enumerate(names, start=1):
            try:
                states += await self._segments.told(tenant, name)
            except (Corrupt, NotFound) as error:
                _log.error("index.segment_unreadable", tenant=tenant, segment=name, code=error.code)
            gathered.append(name)
            if len(states) >= _CHUNK or number == len(names):
                mails = fold(states)
                self.refused += await self._index.write(list(mails.values()))
                self.replayed += len(mails)
                place.ahead.update(gathered)
                place.remaining = len(names) - number
                states, gathered = [], []
        if self._places.get(tenant) is place:
            await self._advance(tenant, place)
            place.complete = True

    def _missing(self, place: _Place, tenant: TenantId, name: str) -> bool:
        own = self._pending.segments.get(tenant, set()) | self._sending.segments.get(tenant, set())
        return name not in place.ahead and name not in own

    async def _advance(self, tenant: TenantId, place: _Place) -> None:
        settled = framing.first_of(self._clock() - _SETTLED)
        own = self._pending.segments.get(tenant, set()) | self._sending.segments.get(tenant, set())
        limit = min([settled, *own])
        reached = max((n for n in place.ahead if n < limit), default="")
        if reached > place.cursor:
            await self._index.set_cursor(tenant, reached)
            place.cursor = reached
            place.ahead = {n for n in place.ahead if n > reached}
