"""Reading files of strangers: archives, documents, mails in mails, in processes that can do nothing but read.

`async with sandbox(config) as extract: pieces = await extract(tenant, files, timeout=5)`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.common.extraction.model import Extractor, File, Piece, Reason

if TYPE_CHECKING:
    from services.common.components import ExtractionConfig

__all__ = ["Extractor", "File", "Piece", "Reason", "sandbox"]


@asynccontextmanager
async def sandbox(config: ExtractionConfig) -> AsyncIterator[Extractor]:
    """An extractor on a pool of confined processes, ended with the block.

    Raises `Unavailable` when none can be started or confined: nothing is read unconfined.
    """
    # Here, because the confined processes import this package too, and need none of what the pool needs.
    from services.common.extraction.pool import Pool

    pool = Pool(config)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()
