"""The sandbox, started when the first file of a stranger has to be read: most mails have none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.common.components import ExtractionConfig
from services.common.extraction import Extractor, File, Piece, sandbox
from services.common.ids import TenantId


class LateExtractor:
    """An `Extractor`; close it in the end."""

    def __init__(self, config: ExtractionConfig) -> None:
        self._config, self._stack = config, AsyncExitStack()
        self._extract: Extractor | None = None
        self._lock = asyncio.Lock()

    async def __call__(
        self, tenant: TenantId, files: Sequence[File], *, passwords: Sequence[str] = (), timeout: float
    ) -> tuple[Piece, ...]:
        """See `Extractor`."""
        async with self._lock:
            if self._extract is None:
                self._extract = await self._stack.enter_async_context(sandbox(self._config))
        return await self._extract(tenant, files, passwords=passwords, timeout=timeout)

    async def close(self) -> None:
        """End the sandbox if it was started."""
        await self._stack.aclose()
