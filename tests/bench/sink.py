"""The cheapest sink: a protocol that counts mails and reads nothing into them."""

from __future__ import annotations

import asyncio
from typing import cast


class CountingSink:
    """Counts; `until(n)` waits for the n-th mail since `reset`."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> CountingSink:
        """Listen on a free port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Session(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def counted(self) -> None:
        """One more mail is here."""
        self.count += 1
        self._changed.set()

    async def until(self, count: int, *, timeout: float = 120) -> None:
        """Wait until `count` mails have come."""
        async with asyncio.timeout(timeout):
            while self.count < count:
                self._changed.clear()
                await self._changed.wait()

    def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()


class _Session(asyncio.Protocol):
    def __init__(self, sink: CountingSink) -> None:
        self._sink, self._tail, self._data, self._buffer = sink, b"", False, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        while data:
            if self._data:
                window = self._tail + data
                end = window.find(b"\r\n.\r\n")
                if end < 0:
                    self._tail = window[-4:]
                    return
                self._data, self._tail = False, b""
                data = window[end + 5 :]
                self._sink.counted()
                self._transport.write(b"250 2.0.0 OK\r\n")
                continue
            self._buffer += data
            data = b""
            while b"\r\n" in self._buffer and not self._data:
                line, _, self._buffer = self._buffer.partition(b"\r\n")
                self._command(line.upper())
            if self._data:
                data, self._buffer, self._tail = self._buffer, b"", b"\r\n"

    def _command(self, line: bytes) -> None:
        if line.startswith(b"EHLO"):
            self._transport.write(b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250 SMTPUTF8\r\n")
        elif line.startswith(b"DATA"):
            self._data = True
            self._transport.write(b"354 go\r\n")
        elif line.startswith(b"QUIT"):
            self._transport.write(b"221 2.0.0 bye\r\n")
            self._transport.close()
        else:
            self._transport.write(b"250 2.0.0 OK\r\n")
