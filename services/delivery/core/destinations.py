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
"""Seconds of an attempt, or without any answer, from which nobody waits for a slot of the destination."""
_PATIENCE, _UNPROVEN = 2.0, 0.25
"""Seconds that mail waits for a slot of a destination that answers, and of one that has not answered yet."""


@dataclass(slots=True)
class Destination:
    """One destination as this process knows it; times are seconds of a monotonic clock."""

    limit: int
    active: int = 0
    failures: int = 0
    down_until: float = 0.0
    average: float = 0.0
    moved_at: float = 0.0
    """When it last answered, or was first asked after a rest."""
    why: Result | None = None

    @property
    def has_room(self) -> bool:
        """Whether another attempt may begin."""
        return self.active < self.limit

    def patience(self, now: float) -> float:
        """How long mail may wait for a slot, seconds: not at all where that would hold up other mail."""
        stalled = self.active > 0 and now - self.moved_at > _SLOW
        if self.failures > 0 or self.average > _SLOW or stalled:
            return 0.0
        return _PATIENCE if self.average > 0 else _UNPROVEN

    def began(self, now: float) -> None:
        """An attempt takes a slot."""
        if self.active == 0:
            self.moved_at = now
        self.active += 1


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

    def answered(self, key: str, seconds: float, now: float) -> None:
        """An attempt reached the host and was answered, whatever it said."""
        known = self.get(key)
        if known.failures:
            known.failures, known.why, known.limit = 0, None, min(_INITIAL, self._most)
        known.limit = min(known.limit + 1, self._most)
        known.moved_at = now
        seconds = max(seconds, 1e-6)
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
