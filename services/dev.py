"""`letterlock dev`: the whole installation on one machine, with an embedded broker and index.

The parent owns the broker, the index, the front door and the health of the
whole; with `many` it supervises one process per service: one that dies is
started again on the same addresses, with back-off, and the others go on. The
kernel ends every child when the parent dies. Each step can be repeated: a
start on an existing data directory goes on where it was.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from services import runner
from services.common import log, telemetry
from services.common import processes as programs
from services.common.app import Health
from services.common.components import ApiConfig, LogConfig, MetricsConfig, NatsConfig, TelemetryConfig
from services.common.config import Address, Settings
from services.common.errors import InvalidInput, Unavailable

_log = log.get(__name__)
_HEALTHY_AFTER = 5.0
"""Seconds a child must live before its next death counts as the first again."""
_STOP_WITHIN = 30.0
"""Seconds a child has to drain before it is killed."""
_LATER = 10
_CAN_WAIT = frozenset({"archive"})
"""Where the processor is short, mail is taken in and sent on first; records and the index catch up (nice(2))."""


@dataclass
class Child:
    """A supervised program: how it is started, and its process of the moment."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    began: float = 0.0


@dataclass
class Supervisor:
    """Keeps children running and says who they are in `run/pids.json`."""

    directory: Path
    children: dict[str, Child] = field(default_factory=dict)
    inside: dict[str, int] = field(default_factory=dict)
    """Services that run in this process, by name."""
    stopping: bool = False

    def add(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        """Start a child and keep it running."""
        self.children[name] = Child(name, start)
        self._launch(self.children[name])

    def pids(self) -> dict[str, int]:
        """Process ids by name; services that share this process have its id."""
        return {c.name: c.process.pid for c in self.children.values() if c.process is not None} | self.inside

    async def watch(self) -> None:
        """Start again whoever dies, until cancelled; waits 50 ms, then doubles up to 5 s while it keeps dying."""
        retry_at: dict[str, float] = {}
        while True:
            now = time.monotonic()
            for child in self.children.values():
                if child.process is None:
                    if now >= retry_at.get(child.name, 0):
                        self._launch(child)
                elif child.process.poll() is not None and not self.stopping:
                    if now - child.began > _HEALTHY_AFTER:
                        child.deaths = 0
                    wait = min(5.0, 0.05 * 2**child.deaths)
                    child.deaths += 1
                    _log.warning("process.died", component=child.name, status=child.process.returncode, restart_in=wait)
                    retry_at[child.name] = now + wait
                    child.process = None
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Drain everybody in reverse order of starting; whoever does not end in time is killed."""
        self.stopping = True
        for child in reversed(self.children.values()):
            if child.process is None or child.process.poll() is not None:
                continue
            child.process.terminate()
            try:
                await asyncio.to_thread(child.process.wait, _STOP_WITHIN)
            except subprocess.TimeoutExpired:
                _log.error("process.killed", component=child.name)
                child.process.kill()
                child.process.wait()

    def _launch(self, child: Child) -> None:
        child.process = child.start()
        child.began = time.monotonic()
        self.write_pids()

    def write_pids(self) -> None:
        """Write who runs, atomically."""
        self.directory.mkdir(parents=True, exist_ok=True)
        target = self.directory / "pids.json"
        scratch = target.with_suffix(".tmp")
        scratch.write_text(json.dumps(self.pids()))
        scratch.replace(target)


@dataclass(frozen=True)
class Plan:
    """Addresses that are fixed for the life of this installation's parent."""

    nats: int
    index: int
    api: Address
    metrics: Address
    rpc: Mapping[str, Address]
    health: Mapping[str, Address]
    ingress: Mapping[str, Address]


def _fixed(address: Address) -> Address:
    return address if address.port else Address(address.host, programs.free_port(address.host))


def _plan(settings: Settings) -> Plan:
    components = settings.components()
    loopback = "127.0.0.1"
    return Plan(
        nats=programs.free_port(),
        index=programs.free_port(),
        api=_fixed(settings.of(ApiConfig).listen),
        metrics=_fixed(settings.of(MetricsConfig).listen),
        rpc={name: Address(loopback, programs.free_port()) for name in runner.SERVICES},
        health={name: Address(loopback, programs.free_port()) for name in runner.SERVICES},
        ingress={
            name: _fixed(getattr(components["ingress"], f"{name}_listen"))
            for name in ("relay", "submission", "submissions")
        },
    )


def _environment(settings: Settings, plan: Plan, nats_url: str, index_url: str) -> dict[str, str]:
    """What every service of this installation is told, over what the operator said."""
    mapping = {
        "LETTERLOCK_DATA": str(settings.data),
        "LETTERLOCK_NATS__URL": nats_url,
        "LETTERLOCK_ARCHIVE__OPENSEARCH_URL": index_url,
        "LETTERLOCK_API__SERVICES": ",".join(f"{name}={address}" for name, address in plan.rpc.items()),
        "LETTERLOCK_DELIVERY__SELF_RELAY": str(plan.ingress["relay"]),
        **{f"LETTERLOCK_INGRESS__{name.upper()}_LISTEN": str(address) for name, address in plan.ingress.items()},
    }
    inherited = {name: value for name, value in os.environ.items() if name not in mapping}
    return {**inherited, **mapping}


async def run(settings: Settings, *, bootstrap: Path | None, processes: str, file: Path | None) -> int:
    """Run the installation until SIGTERM or SIGINT; prints the ready line of CONTRACT; returns the exit status."""
    log_config, telemetry_config = settings.of(LogConfig), settings.of(TelemetryConfig)
    log.configure("dev", level=log_config.level, format=log_config.format)
    telemetry.configure("dev", endpoint=telemetry_config.endpoint, tenant_labels=telemetry_config.tenant_labels)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        stack.enter_context(_Locked(settings.data))
        await _Installation(settings, stack, processes == "many", file).start(bootstrap)
        await stop.wait()
        _log.info("installation.draining")
    return 0


class _Installation:
    def __init__(self, settings: Settings, stack: AsyncExitStack, many: bool, file: Path | None) -> None:
        self._settings, self._stack, self._many, self._file = settings, stack, many, file
        self._plan = _plan(settings)
        self._supervisor = Supervisor(settings.data / "run")

    async def start(self, bootstrap: Path | None) -> None:
        from services import provisioning

        provisioning.ensure(self._settings, list(runner.SERVICES))
        self._stack.push_async_callback(self._supervisor.stop)
        nats_url = self._start_broker()
        index_url = self._start_index()
        watch = asyncio.create_task(self._supervisor.watch())
        self._stack.callback(watch.cancel)
        environment = _environment(self._settings, self._plan, nats_url, index_url)
        settings = runner.load_settings(environment, self._file)
        await runner.ensure_broker(settings)
        health = Health()
        if self._many:
            for name in runner.SERVICES:
                self._supervisor.add(name, self._starter(name, environment))
                health.add(name, _probe(self._plan.health[name]))
        else:
            everything = await self._stack.enter_async_context(
                runner.running(list(runner.SERVICES), settings, rpc_addresses=self._plan.rpc)
            )
            health = everything.health
            self._supervisor.inside = dict.fromkeys(runner.SERVICES, os.getpid())
            self._supervisor.write_pids()
        await self._open_front_door(settings)
        http, metrics = await self._serve_metrics(health)
        self._stack.push_async_callback(http.cleanup)
        await _ready(health)
        await provisioning.first_documents(settings, self._plan.rpc["admin"], bootstrap)
        self._say_ready(metrics)

    def _start_broker(self) -> str:
        configured = self._settings.of(NatsConfig).url
        if configured:
            return configured
        from services.common.bus import broker

        port = self._plan.nats
        command = broker.command(self._settings.data / "nats", port=port, keys=runner.nats_keys(self._settings))
        self._supervisor.add("nats", lambda: programs.spawn(command, output=subprocess.DEVNULL))
        return f"nats://127.0.0.1:{port}"

    def _start_index(self) -> str:
        configured = self._settings.components()["archive"].opensearch_url
        if configured:
            return str(configured)
        from services.archive.adapters import osmem

        port = self._plan.index
        command = osmem.command(port)
        self._supervisor.add("index", lambda: programs.spawn(command, output=subprocess.DEVNULL, nice=_LATER))
        return f"http://127.0.0.1:{port}"

    def _starter(self, name: str, environment: Mapping[str, str]) -> Callable[[], subprocess.Popen[bytes]]:
        own = {
            **environment,
            "LETTERLOCK_API__LISTEN": str(self._plan.rpc[name]),
            "LETTERLOCK_METRICS__LISTEN": str(self._plan.health[name]),
        }
        command = [sys.executable, "-m", "services", "serve", name]
        if self._file:
            command += ["--config", str(self._file)]
        return lambda: programs.spawn(command, environment=own, nice=_LATER if name in _CAN_WAIT else 0)

    async def _open_front_door(self, settings: Settings) -> None:
        from services.common.frontdoor import FrontDoor

        door = FrontDoor(
            tls_directory=runner.tls_directory(settings),
            backends={name: str(address) for name, address in self._plan.rpc.items()},
        )
        await door.start(str(self._plan.api))
        self._stack.push_async_callback(door.stop)

    async def _serve_metrics(self, health: Health) -> tuple[Any, Address]:
        sources = list(self._plan.health.values()) if self._many else []
        return await telemetry.serve_http(self._plan.metrics, health, others=sources)

    def _say_ready(self, metrics: Address) -> None:
        pids = self._supervisor.pids()
        line: dict[str, Any] = {"event": "ready"}
        line |= {name: str(address) for name, address in self._plan.ingress.items()}
        line |= {
            "api": str(self._plan.api),
            "portal": None,
            "metrics": str(metrics),
            "data": str(self._settings.data),
            "pids": pids,
        }
        print(json.dumps(line), flush=True)


async def _ready(health: Health, *, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while failures := await health.failures():
        if time.monotonic() > deadline:
            raise Unavailable(f"not ready after {within:g} s: {failures}")
        await asyncio.sleep(0.1)


def _probe(address: Address) -> Callable[[], Any]:
    async def ask() -> None:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://{address}/readyz") as answer:
                if answer.status != 200:
                    raise Unavailable("not ready")
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable("does not answer") from error

    return ask


class _Locked:
    """Holds the data directory for one installation at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (self._directory / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidInput(f"{self._directory} is in use by another `letterlock dev`") from error

    def __exit__(self, *_: object) -> None:
        self._file.close()
