"""How much a grant and a person may have opened within an hour. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from services.common.errors import Busy

_HOUR = 3600.0
_REMEMBERED = 10_000


class Pace:
    """At most `most` reveals an hour for each name, in this process; 0 sets no limit."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def spend(self, *names: str) -> None:
        """Count one for every name; raises `Busy`, and counts none, when one has had its number."""
        if not self._most:
            return
        now = self._clock()
        for name in names:
            times = self._times.setdefault(name, deque())
            self._times.move_to_end(name)
            while times and now - times[0] >= _HOUR:
                times.popleft()
            if len(times) >= self._most:
                raise Busy("too often", public=f"more than {self._most} reveals within an hour", reason="too_often")
        for name in names:
            self._times[name].append(now)
        while len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)
