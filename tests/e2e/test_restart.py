"""Stopping and starting: drains, goes on where it was, leaves nothing running."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from services.common.processes import alive, free_port
from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.installation import Installation
from tests.harness.sink import Sink
from tests.harness.smtp import send_async


@pytest.mark.parametrize("processes", ["one", "many"])
async def test_mail_for_a_dead_next_hop_survives_sigkill_of_all_and_arrives(tmp_path: Path, processes: str) -> None:
    """Accepted, then everything is killed at once; the next start delivers it, and no orphan is left."""
    sink = Sink(port=free_port())
    places = world.two_tenants(acme=sink.address, acme_out=sink.address, globex=sink.address, globex_out=sink.address)
    settings = {"ARCHIVE__SWEEP_AFTER": "2s", "DELIVERY__RETRY_AFTER": "1s,1s,1s,2s"}
    installation = await Installation(tmp_path / "data", places, processes=processes, settings=settings).start()
    try:
        content = mails.plain("s@elsewhere.example", "alice@acme.example", "Later", "patience")
        sent = await send_async(
            *installation.host_port("relay"), "s@elsewhere.example", ["alice@acme.example"], content
        )
        assert sent.mail_id
        pids = installation.pids()
        assert installation.process is not None
        os.kill(installation.process.pid, signal.SIGKILL)
        await installation.process.wait()
        await eventually(lambda: not any(_running(pid) for pid in pids.values()), timeout=20)

        await sink.start()
        await installation.start()
        await eventually(lambda: [m for m in sink.mails if m.mail_id == sent.mail_id], timeout=60)
        assert await installation.stop() == 0
        await eventually(lambda: not any(_running(pid) for pid in installation.pids().values()), timeout=20)
    finally:
        await installation.stop()
        await sink.stop()


def _running(pid: int) -> bool:
    if not alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
