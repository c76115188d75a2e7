"""The port's two sides: the sandbox, started once for all, and its double."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from services.common.components import ExtractionConfig
from services.common.extraction import File, Piece
from services.common.extraction.pool import Pool
from services.common.ids import TenantId
from services.common.testing.extraction import InProcessExtractor

TENANT = TenantId.new()
CONFIG = replace(ExtractionConfig(), workers=2)

type Read = Callable[..., tuple[Piece, ...]]


@pytest.fixture(scope="session")
def sandboxed() -> Iterator[tuple[asyncio.Runner, Pool]]:
    """A running pool, and the loop that it lives on."""
    with asyncio.Runner() as runner:
        pool = Pool(CONFIG)
        runner.run(pool.start())
        yield runner, pool
        runner.run(pool.close())


@pytest.fixture(params=["sandbox", "double"])
def read(request: pytest.FixtureRequest) -> Read:
    """Reads one file, with each of the two extractors."""

    def run(content: bytes, *passwords: str, content_type: str = "", timeout: float = 60) -> tuple[Piece, ...]:
        files = [File("2", "name.bin", content_type, content)]
        if request.param == "double":
            return asyncio.run(InProcessExtractor()(TENANT, files, passwords=passwords, timeout=timeout))
        runner, pool = request.getfixturevalue("sandboxed")
        found: tuple[Piece, ...] = runner.run(pool(TENANT, files, passwords=passwords, timeout=timeout))
        return found

    return run
