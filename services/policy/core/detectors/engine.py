"""Compiled Hyperscan databases: made once per set of patterns, used by any thread with a scratch of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import hyperscan

_CACHED = 128
_MAX_EXPRESSIONS = 0xFFFF


class Database:
    """A set of expressions over bytes. Compiling takes up to seconds: keep it off the event loop."""

    def __init__(self, expressions: Sequence[tuple[bytes, int]]) -> None:
        if len(expressions) > _MAX_EXPRESSIONS:
            raise ValueError(f"more than {_MAX_EXPRESSIONS} patterns")
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        try:
            self._database.compile(
                expressions=[e for e, _ in expressions],
                ids=list(range(len(expressions))),
                elements=len(expressions),
                flags=[f for _, f in expressions],
            )
        except hyperscan.HyperscanError as error:
            raise ValueError(f"a pattern that cannot be compiled: {error}") from error
        self._own = threading.local()
        self._first = threading.Lock()

    def scan(self, data: bytes) -> list[tuple[int, int]]:
        """(end offset, number of the expression) of every match, in order; every end of a match is one."""
        found: list[int] = []
        add = found.append

        def on_match(number: int, start: int, end: int, flags: int, context: Any) -> None:
            add(end << 16 | number)

        self._database.scan(data, match_event_handler=on_match, scratch=self._scratch())
        # Hyperscan orders by end within one engine only, and may report an end twice.
        return [(packed >> 16, packed & 0xFFFF) for packed in sorted(set(found))]

    def _scratch(self) -> Any:
        scratch = getattr(self._own, "scratch", None)
        if scratch is None:
            with self._first:  # cloning reads the prototype
                scratch = self._own.scratch = self._database.scratch.clone()
        return scratch


@lru_cache(_CACHED)
def compiled(expressions: tuple[tuple[bytes, int], ...]) -> Database:
    """The database of these expressions and flags, from the process's cache where it is known."""
    return Database(expressions)
