"""Children are started again when they die, and never outlive their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from services.common.processes import alive, spawn
from services.common.testing import eventually
from services.dev import Supervisor


def _sleeper() -> subprocess.Popen[bytes]:
    return spawn([sys.executable, "-c", "import time; time.sleep(600)"])


async def test_a_child_that_dies_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    """SIGKILL one of two: it has a new pid, the other keeps its own, pids.json follows."""
    supervisor = Supervisor(tmp_path)
    supervisor.add("one", _sleeper)
    supervisor.add("two", _sleeper)
    watch = asyncio.create_task(supervisor.watch())
    try:
        before = supervisor.pids()
        os.kill(before["one"], signal.SIGKILL)
        await eventually(lambda: supervisor.pids().get("one", before["one"]) != before["one"])
        assert supervisor.pids()["two"] == before["two"]
        assert str(supervisor.pids()["one"]) in (tmp_path / "pids.json").read_text()
    finally:
        watch.cancel()
        await supervisor.stop()
    assert not any(alive(pid) for pid in supervisor.pids().values())


async def test_no_orphan_survives_sigkill_of_the_parent() -> None:
    """The kernel ends the child when the parent is killed."""
    program = (
        "import sys, time; from services.common.processes import spawn\n"
        "child = spawn([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert alive(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text())
