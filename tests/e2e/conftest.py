"""One installation for the scenarios that leave it as they found it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from services.common.processes import free_port
from tests.harness import world
from tests.harness.installation import Installation
from tests.harness.sink import Sink


@dataclass
class Place:
    """An installation with its next hops."""

    installation: Installation
    inside: Sink
    outside: Sink
    globex: Sink


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Both tenants, every service its own process; globex's way out is a dead destination."""
    inside, outside, globex = await Sink().start(), await Sink().start(), await Sink().start()
    outside.refuse["nobody@partner.example"] = "550 5.1.1 no such user here"
    places = world.two_tenants(
        acme=inside.address, acme_out=outside.address, globex=globex.address, globex_out=f"127.0.0.1:{free_port()}"
    )
    data: Path = tmp_path_factory.mktemp("installation")
    settings = {"ARCHIVE__SWEEP_AFTER": "2s", "DELIVERY__RETRY_AFTER": "1s,2s,2s"}
    installation = Installation(data, places, settings=settings)
    try:
        await installation.start()
        yield Place(installation, inside, outside, globex)
    finally:
        await installation.stop()
        for sink in (inside, outside, globex):
            await sink.stop()
