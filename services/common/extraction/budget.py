"""What one mail's files may cost, all levels together: time, bytes, files, depth, text."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from services.common.extraction.model import Reason

_FREE = 1024 * 1024
"""Bytes that any container may unpack to, whatever its ratio: small files of spaces are no bombs."""


class Stop(Exception):
    """This file is read no further, and why; `whole`: nor is any other of the same mail."""

    def __init__(self, reason: Reason, *, whole: bool = False) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.whole = whole


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds; `services.common.components.ExtractionConfig` says what each means."""

    depth: int = 8
    files: int = 1000
    total: int = 256 * 1024**2
    member: int = 64 * 1024**2
    ratio: int = 200
    text: int = 4_000_000
    memory: int = 256 * 1024**2


class Budget:
    """What is left for one mail's files."""

    def __init__(self, limits: Limits, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._deadline = deadline
        self._clock = clock
        self._bytes = limits.total
        self._files = limits.files
        self._text = 4 * limits.text

    def check(self) -> None:
        """Raises `Stop("timeout")` when the time is up."""
        if self._clock() > self._deadline:
            raise Stop("timeout", whole=True)

    @property
    def seconds(self) -> float:
        """Time left, at least 0."""
        return max(self._deadline - self._clock(), 0.0)

    def file(self) -> None:
        """Count one more file found."""
        self.check()
        if self._files <= 0:
            raise Stop("too_large", whole=True)
        self._files -= 1

    def unpacked(self, size: int) -> None:
        """Count bytes that came out of a container."""
        self.check()
        self._bytes -= size
        if self._bytes < 0:
            raise Stop("too_large", whole=True)

    def text(self, wanted: int) -> int:
        """How many characters of `wanted` there is room for; they are taken."""
        given = min(wanted, self._text)
        self._text -= given
        return given


class Unpacking:
    """The bytes that come out of one container of `packed` bytes: its ratio, each member, and the whole mail."""

    def __init__(self, budget: Budget, packed: int) -> None:
        self._budget = budget
        self._room = _FREE + budget.limits.ratio * packed
        self._member = 0

    def begin(self) -> None:
        """The next member begins."""
        self._budget.check()
        self._member = 0

    def chunk(self, size: int) -> None:
        """Count a chunk, before it is kept; raises `Stop("too_large")`."""
        self._budget.unpacked(size)
        self._member += size
        self._room -= size
        if self._member > self._budget.limits.member or self._room < 0:
            raise Stop("too_large")

    @property
    def spent(self) -> bool:
        """Whether the ratio is used up: no other member is worth a try."""
        return self._room < 0
