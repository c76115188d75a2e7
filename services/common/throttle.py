"""How many failures somebody may have in a while: a sliding count per key, bounded in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class Throttle:
    """Says whether a key has failed too often: `limit` failures within `window` seconds."""

    def __init__(self, limit: int, window: float, *, keys: int = 20_000) -> None:
        self._limit, self._window, self._keys = limit, window, keys
        self._failures: OrderedDict[Hashable, list[float]] = OrderedDict()

    def blocked(self, key: Hashable, now: float) -> bool:
        """Whether `key` must wait."""
        return len(self._recent(key, now)) >= self._limit

    def fail(self, key: Hashable, now: float) -> None:
        """Count a failure; the keys that failed longest ago are forgotten first."""
        self._failures[key] = [*self._recent(key, now)[-self._limit :], now]
        self._failures.move_to_end(key)
        while len(self._failures) > self._keys:
            self._failures.popitem(last=False)

    def succeed(self, key: Hashable) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)

    def _recent(self, key: Hashable, now: float) -> list[float]:
        return [t for t in self._failures.get(key, ()) if t > now - self._window]
