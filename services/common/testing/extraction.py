"""The extractor without its sandbox: the same readers, in this process, for tests of what uses it.

Passes the conformance suite of the port; what only a process of its own can survive is not shown with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from services.common.extraction import File, Piece
from services.common.extraction.budget import Budget, Limits
from services.common.extraction.walk import Walk, order
from services.common.ids import TenantId


class InProcessExtractor:
    """An `Extractor` in a thread of this process."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    async def __call__(
        self, tenant: TenantId, files: Sequence[File], *, passwords: Sequence[str] = (), timeout: float
    ) -> tuple[Piece, ...]:
        """Read the files; see `Extractor`."""
        return await asyncio.to_thread(self._read, tuple(files), tuple(passwords), time.monotonic() + timeout)

    def _read(self, files: tuple[File, ...], passwords: tuple[str, ...], deadline: float) -> tuple[Piece, ...]:
        budget = Budget(self._limits, deadline)
        pieces: list[Piece] = []
        for file in files:
            found: list[Piece] = []
            Walk(budget, passwords, found.append).top(file)
            pieces += sorted(found, key=order)
        return tuple(pieces)
