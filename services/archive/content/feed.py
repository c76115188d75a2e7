"""Keep the content index up to date with its segments, which are the truth it is made of.

What was written here is sent within a window; what could not be sent, what others wrote, and everything when the
index was lost, is read back. `cursor` is the segment up to which the index holds everything; a segment that is
`_SETTLED` seconds old has no unseen elder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from services.archive.content.segments import BlindSegments
from services.archive.core import framing
from services.archive.ports import ContentIndex
from services.common import log, telemetry
from services.common.errors import Corrupt, Error, NotFound
from services.common.ids import TenantId

_log = log.get(__name__)

_SETTLED = 600.0
_TICK = 15.0
_RETRY = (0.5, 1.0, 2.0, 5.0, 10.0)
_WAITING = 10_000
"""Names of segments that wait in memory; beyond that they are found by listing."""


@dataclass
class _Place:
    cursor: str = ""
    known: bool = False
    ahead: set[str] = field(default_factory=set)
    """Segments beyond the cursor that are indexed."""


class ContentFeed:
    """Feeds the content index. `submit` never waits; without the index everything else goes on."""

    def __init__(
        self,
        index: ContentIndex,
        segments: BlindSegments,
        tenants: Callable[[], AsyncIterator[TenantId]],
        *,
        window: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._index, self._segments, self._tenants, self._clock = index, segments, tenants, clock
        self._window = window.total_seconds()
        self._places: dict[TenantId, _Place] = {}
        self._waiting: dict[TenantId, list[str]] = {}
        self._wake, self._kick = asyncio.Event(), asyncio.Event()
        self._work = asyncio.Lock()
        self._generation = ""
        self.refused = 0
        """Documents that the index refused for good since the start."""

    def submit(self, tenant: TenantId, segment: str) -> None:
        """Take news of a durable segment."""
        if sum(map(len, self._waiting.values())) < _WAITING:
            self._waiting.setdefault(tenant, []).append(segment)
        self._wake.set()

    def behind(self) -> int:
        """Segments known to be missing in the index."""
        return sum(map(len, self._waiting.values()))

    def forget(self, tenant: TenantId) -> None:
        """The next pass replays all segments of a tenant."""
        self._places[tenant] = _Place(known=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the context lives; leaving it sends what waits if the index answers."""
        tasks = [asyncio.create_task(self._send_for_ever()), asyncio.create_task(self._catch_up_for_ever())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(5):
                    await self.send()

    async def send(self) -> None:
        """Write what waits. Raises `Unavailable`; what was not written is found by the next pass."""
        async with self._work:
            if not self._generation:
                return  # the first pass sends it
            waiting, self._waiting = self._waiting, {}
            for tenant, names in waiting.items():
                await self._write(tenant, self._places.setdefault(tenant, _Place()), names)

    async def catch_up(self, tenants: Collection[TenantId] | None = None) -> None:
        """One pass: everything beyond each tenant's cursor is in the index on return. Raises `Unavailable`."""
        async with self._work:
            generation = await self._index.ensure()
            if generation != self._generation:
                self._generation = generation
                self._places = {}
            for tenant in [t async for t in self._tenants()] if tenants is None else tenants:
                place = self._places.setdefault(tenant, _Place())
                if not place.known:
                    place.cursor = await self._index.cursor(tenant)
                    place.known = True
                self._waiting.pop(tenant, None)
                names = [n async for n in self._segments.names(tenant, after=place.cursor) if n not in place.ahead]
                await self._write(tenant, place, names)
                await self._advance(tenant, place)

    async def _write(self, tenant: TenantId, place: _Place, names: list[str]) -> None:
        for name in names:
            if name in place.ahead:
                continue
            try:
                documents = await self._segments.read(tenant, name)
            except (Corrupt, NotFound) as error:
                _log.error("content.segment_unreadable", tenant=tenant, segment=name, code=error.code)
                documents = []
            with telemetry.stage("archive", "content_index", span=False):
                self.refused += await self._index.write(tenant, documents)
            place.ahead.add(name)

    async def _advance(self, tenant: TenantId, place: _Place) -> None:
        settled = framing.first_of(self._clock() - _SETTLED)
        reached = max((n for n in place.ahead if n < settled), default="")
        if reached > place.cursor:
            await self._index.set_cursor(tenant, reached)
            place.cursor = reached
            place.ahead = {n for n in place.ahead if n > reached}

    async def _send_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._window)
            self._wake.clear()
            try:
                await self.send()
            except Error as error:
                _log.warning("content.index_away", code=error.code)
                self._kick.set()
            except Exception as error:
                _log.error("content.send_failed", error=type(error).__name__)
                self._kick.set()

    async def _catch_up_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                await self.catch_up()
                failures, pause = 0, _TICK
            except Error as error:
                pause = _RETRY[min(failures, len(_RETRY) - 1)]
                failures += 1
                _log.warning("content.catch_up_failed", code=error.code, again_in=pause)
            except Exception as error:
                failures, pause = failures + 1, _TICK
                _log.error("content.catch_up_failed", code=type(error).__name__, again_in=pause)
            self._kick.clear()
            if failures:  # a kick must not turn the pause into a busy loop
                await asyncio.sleep(pause)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), pause)
