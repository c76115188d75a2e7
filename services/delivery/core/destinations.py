"""What is remembered of each destination, so that a dead or slow one never delays a live one.

A destination starts with a few slots, earns more with each success, and after
a failure to reach it gets none until its back-off is over, then one. The
memory is this process's own: it costs at most one probe to learn it again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from services.delivery.core.replies import Result

_INITIAL = 4
_REMEMBERED = 10_000
_SLOW = 2.0
"""Seconds of an attempt from which nobody waits for a slot of the destination."""


@dataclass(slots=True)
class Destination:
    """One destination as this process knows it; times are seconds of a monotonic clock."""

    limit: int
    active: int = 0
    failures: int = 0
    down_until: float = 0.0
    average: float = 0.0
    why: Result | None = None

    @property
    def has_room(self) -> bool:
        """Whether another attempt may begin."""
        return self.active < self.limit

    @property
    def is_slow(self) -> bool:
        """Whether waiting for a slot would hold up other mail."""
        return self.failures > 0 or self.average > _SLOW


class Destinations:
    """The memory, bounded: idle destinations are forgotten, the longest unused first.

    `most` slots each; after the first failure `first` seconds of rest, then twice as long each time, up to `longest`.
    """

    def __init__(self, *, most: int, first: float, longest: float = 300.0) -> None:
        self._most = most
        self._first, self._longest = first, longest
        self._known: OrderedDict[str, Destination] = OrderedDict()

    def get(self, key: str) -> Destination:
        """The destination of this name."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Destination(limit=min(_INITIAL, self._most))
            self._forget()
        self._known.move_to_end(key)
        return known

    def answered(self, key: str, seconds: float) -> None:
        """An attempt reached the host and was answered, whatever it said."""
        known = self.get(key)
        if known.failures:
            known.failures, known.why, known.limit = 0, None, min(_INITIAL, self._most)
        known.limit = min(known.limit + 1, self._most)
        known.average = seconds if known.average == 0 else 0.8 * known.average + 0.2 * seconds

    def unreachable(self, key: str, why: Result, now: float) -> None:
        """An attempt found nobody: leave it alone for a while, then probe with one.

        Attempts that began together fail together and count once.
        """
        known = self.get(key)
        known.why, known.limit = why, 1
        if now < known.down_until:
            return
        known.failures += 1
        known.down_until = now + min(self._first * 2.0 ** min(known.failures - 1, 20), self._longest)

    def down(self, key: str, now: float) -> Result | None:
        """Why the destination is left alone now, or None when it may be tried."""
        known = self.get(key)
        return known.why if now < known.down_until else None

    def revive_all(self) -> None:
        """An operator asks to try now: nobody is left alone any more."""
        for known in self._known.values():
            known.down_until = 0.0

    def _forget(self) -> None:
        for key in list(self._known)[: max(0, len(self._known) - _REMEMBERED)]:
            if not self._known[key].active:
                del self._known[key]
