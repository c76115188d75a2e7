"""How often somebody may look: counted over the last hour, per grant and per person."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from services.common.errors import Busy

_HOUR = 3600.0
_REMEMBERED = 10_000


class Rates:
    """At most `most` looks an hour for each name; 0 sets no limit."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._looks: OrderedDict[str, deque[float]] = OrderedDict()

    def spend(self, *names: str) -> None:
        """Count one look for every name; raises `Busy`, and counts none, when one of them has had its number."""
        if not self._most:
            return
        now = self._clock()
        for name in names:
            looks = self._looks.setdefault(name, deque())
            self._looks.move_to_end(name)
            while looks and now - looks[0] >= _HOUR:
                looks.popleft()
            if len(looks) >= self._most:
                minutes = int((_HOUR - (now - looks[0])) // 60) + 1
                said = f"this was asked {self._most} times within an hour: go on in {minutes} minutes"
                raise Busy("too many looks", public=said)
        for name in names:
            self._looks[name].append(now)
        while len(self._looks) > _REMEMBERED:
            self._looks.popitem(last=False)
