"""How many mails the store holds, by day: what a search's completeness is measured by."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.archive.stored import StoredMails
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore

_FRESH = 5.0
"""Seconds for which a count is believed, so that a crowd of searches lists the store once."""
_SETTLED = timedelta(hours=1)
"""Ids older than that get no mail any more, but by an import, which is seen when `_OLD` is over."""
_OLD = 600.0
_DAYS = 20_000


@dataclass
class _Day:
    counted: int = 0
    """Mails up to `after`."""
    after: str = ""
    total: int = 0
    at: float = float("-inf")
    whole: float = float("-inf")


class Manifest:
    """Counts mail objects. Raises `Unavailable`."""

    def __init__(self, objects: ObjectStore, *, clock: Callable[[], float] = time.time) -> None:
        self._mails, self._clock = StoredMails(objects), clock
        self._days: OrderedDict[tuple[TenantId, date], _Day] = OrderedDict()
        self._known: dict[TenantId, tuple[float, list[date]]] = {}

    async def days(self, tenant: TenantId) -> list[date]:
        """Days with mail, oldest first."""
        at, days = self._known.get(tenant, (float("-inf"), []))
        if self._clock() - at > _FRESH:
            days = await self._mails.days(tenant)
            self._known[tenant] = self._clock(), days
        return days

    async def counts(self, tenant: TenantId, first: date, last: date) -> Mapping[date, int]:
        """Mails by the day of their id, from `first` to `last`."""
        found = {d: await self._count(tenant, d) for d in await self.days(tenant) if first <= d <= last}
        while len(self._days) > _DAYS:
            self._days.popitem(last=False)
        return found

    async def _count(self, tenant: TenantId, day: date) -> int:
        place = self._days.setdefault((tenant, day), _Day())
        now = self._clock()
        done = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) + _SETTLED
        if now - place.at < (_OLD if now > done.timestamp() else _FRESH):
            return place.total
        if now - place.whole > _OLD:
            place.counted, place.after, place.whole = 0, "", now
        settled = _before(datetime.fromtimestamp(now, UTC) - _SETTLED)
        rest = 0
        async for mail_id, _ in self._mails.mails(tenant, day, after=place.after):
            if mail_id < settled:
                place.counted, place.after = place.counted + 1, mail_id
            else:
                rest += 1
        place.total, place.at = place.counted + rest, now
        return place.total


def _before(moment: datetime) -> str:
    return str(MailId.new(now=max(moment.timestamp(), 0.0), entropy=bytes(10)))
