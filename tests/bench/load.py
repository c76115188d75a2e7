"""A load: sessions that send mails of one size as fast as they are answered, and what each answer took."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tests.harness import mails


@dataclass(frozen=True)
class Load:
    """What came of one run."""

    accepted: int
    seconds: float
    latencies: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Accepted mails a second."""
        return self.accepted / self.seconds

    def percentile(self, share: float) -> float:
        """Seconds from the final dot to its reply, at this share of mails."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


async def run(port: int, *, sessions: int, count: int, size: int, source: str = "127.0.0.9") -> Load:
    """Send `count` mails over `sessions` kept connections; every reply must be a success."""
    body = mails.sized("s@elsewhere.example", "alice@acme.example", "bench", size)
    body = body.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    numbers = iter(range(count))
    latencies: list[float] = []

    async def session() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))

        async def said(command: bytes = b"") -> bytes:
            if command:
                writer.write(command)
            while True:
                line = await reader.readline()
                if line[3:4] != b"-":
                    if line[:1] not in (b"2", b"3"):
                        raise RuntimeError(f"{command[:40]!r} was answered {line!r}")
                    return line

        await said()
        await said(b"EHLO bench.test\r\n")
        for _ in numbers:
            await said(b"MAIL FROM:<s@elsewhere.example>\r\n")
            await said(b"RCPT TO:<alice@acme.example>\r\n")
            await said(b"DATA\r\n")
            began = time.perf_counter()
            await said(body)
            latencies.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(session() for _ in range(sessions)))
    return Load(len(latencies), time.perf_counter() - began, tuple(latencies))
