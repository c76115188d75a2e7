"""How many there may be of a key at once."""

from __future__ import annotations

from collections.abc import Hashable


class Counts:
    """How many there are of each key, up to a limit: connections of a peer, of a tenant."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}

    def enter(self, key: Hashable, limit: int) -> bool:
        """Count one more unless there are `limit`."""
        count = self._counts.get(key, 0)
        if count >= limit:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, key: Hashable) -> None:
        """One less."""
        count = self._counts.get(key, 0) - 1
        if count > 0:
            self._counts[key] = count
        else:
            self._counts.pop(key, None)
