"""A running `letterlock dev`, as a black box: the ready line, its processes, its command line."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.__main__ import main
from services.common.processes import alive, die_with_parent

ROOT = Path(__file__).resolve().parents[2]
LISTENERS = (
    "INGRESS__RELAY_LISTEN", "INGRESS__SUBMISSION_LISTEN", "INGRESS__SUBMISSIONS_LISTEN", "API__LISTEN", "METRICS__LISTEN",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)


@dataclass
class Installation:
    """`letterlock dev` on free ports under `data`, with a world file, or without one."""

    data: Path
    world: dict[str, Any] | None
    processes: str = "many"
    settings: dict[str, str] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    def environment(self) -> dict[str, str]:
        """The environment of the installation and of its command line."""
        ports = {f"LETTERLOCK_{name}": "127.0.0.1:0" for name in LISTENERS}
        own = {f"LETTERLOCK_{name}": value for name, value in self.settings.items()}
        base = {k: v for k, v in os.environ.items() if not k.startswith("LETTERLOCK_")}
        return {**base, **ports, "LETTERLOCK_LOG__FORMAT": "json", **own, "LETTERLOCK_DATA": str(self.data)}

    async def start(self, *, timeout: float = 60) -> Installation:
        """Start it and wait for the ready line."""
        self.data.mkdir(parents=True, exist_ok=True)
        bootstrap: list[str] = []
        if self.world is not None:
            world = self.data / "world.yaml"
            world.write_text(yaml.safe_dump(self.world, allow_unicode=True, sort_keys=False))
            bootstrap = ["--bootstrap", str(world)]
        log = (self.data / "log.jsonl").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", "dev", *bootstrap, "--processes", self.processes,
            cwd=ROOT, env=self.environment(), stdout=asyncio.subprocess.PIPE, stderr=log, preexec_fn=die_with_parent,
        )  # fmt: skip
        log.close()
        if self.process.stdout is None:
            raise RuntimeError("no stdout")
        line = await asyncio.wait_for(self.process.stdout.readline(), timeout)
        if not line:
            tail = (self.data / "log.jsonl").read_text()[-3000:]
            raise RuntimeError(f"letterlock dev ended with {await self.process.wait()}: {tail}")
        self.ready = json.loads(line)
        return self

    async def stop(self) -> int:
        """SIGTERM, then its exit status."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.terminate()
        status = await asyncio.wait_for(self.process.wait(), 60)
        self.process = None
        return status

    def pids(self) -> dict[str, int]:
        """The processes of the moment."""
        return dict(json.loads((self.data / "run" / "pids.json").read_text()))

    def kill(self, name: str) -> bool:
        """SIGKILL one of its processes; False when it is not running right now."""
        pid = self.pids().get(name)
        if pid is None or not alive(pid):
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def host_port(self, name: str) -> tuple[str, int]:
        """An address of the ready line, parsed."""
        host, _, port = self.ready[name].rpartition(":")
        return host, int(port)

    def _asking(self, token: str, tenant: str) -> dict[str, str]:
        asker = {"LETTERLOCK_TOKEN": token, "LETTERLOCK_TENANT": tenant}
        return self.environment() | {"LETTERLOCK_SERVER": self.ready["api"]} | {k: v for k, v in asker.items() if v}

    def ask(self, *arguments: str, token: str = "", tenant: str = "") -> Answer:
        """Run a command of the API in this process: the same code, without the start of a Python. Blocks."""
        out, err = io.StringIO(), io.StringIO()
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self._asking(token, tenant))
        try:
            with redirect_stdout(out), redirect_stderr(err):
                status = main(arguments)
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Answer(status, out.getvalue(), err.getvalue())

    async def cli(self, *arguments: str, token: str = "", tenant: str = "") -> Answer:
        """Run `letterlock …` against it."""
        environment = self._asking(token, tenant)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", *arguments,
            cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return Answer(process.returncode or 0, out.decode(), err.decode())
