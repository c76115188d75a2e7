"""A real nats-server for tests: own folder, free port, the table's streams, one bus per service."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from services.common import processes
from services.common.bus import broker
from services.common.bus.ensure import ensure
from services.common.bus.nats import NatsBus, connect_bus
from services.common.bus.streams import CONSUMERS, STREAMS, Consumer, Stream


class Broker:
    """A running nats-server; `connect` gives a service's bus, which `running_broker` drains at the end."""

    def __init__(self, folder: Path, consumers: Mapping[str, Consumer], streams: Mapping[str, Stream]) -> None:
        self.folder, self._consumers, self._streams = folder, consumers, streams
        self.keys = folder / "keys"
        self.port = processes.free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._buses: list[NatsBus] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id, 0 when it does not run."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the server (again, on the same store and address) and make it look like the table."""
        self.spawn()
        await self.ensure()

    def spawn(self) -> None:
        """Start the server and do not wait."""
        command = broker.command(self.folder, port=self.port)
        with (self.folder / "nats-server.log").open("ab") as output:
            self._process = processes.spawn(command, output=output)

    async def ensure(self) -> None:
        """Wait for it and make it look like the table."""
        await ensure(self.url, keys=self.keys, streams=self._streams, consumers=self._consumers)

    async def connect(self, service: str) -> NatsBus:
        """The bus of a service."""
        bus = await connect_bus(self.url, service, keys=self.keys, consumers=self._consumers)
        self._buses.append(bus)
        return bus

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Drain the buses, then SIGTERM."""
        await asyncio.gather(*(bus.drain() for bus in self._buses))
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            await asyncio.to_thread(process.wait)


@asynccontextmanager
async def running_broker(
    folder: Path, *, consumers: Mapping[str, Consumer] = CONSUMERS, streams: Mapping[str, Stream] = STREAMS
) -> AsyncIterator[Broker]:
    """A broker in `folder` while the context lives: `bus = await broker.connect("ingress")`."""
    running = Broker(folder, consumers, streams)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()
