"""What a large mail costs: a process of its own takes 50 MiB into the local store and says how much it grew."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """Once is enough: the probe runs on uvloop."""
    return asyncio.DefaultEventLoopPolicy()


def send(port: int, size: int) -> bytes:
    """Send a mail of `size` random bytes in hexadecimal by DATA; the last reply."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as channel, channel.makefile("rb") as replies:
        replies.readline()
        channel.sendall(b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nDATA\r\n")
        for _ in range(4):
            replies.readline()
        channel.sendall(b"Subject: big\r\n\r\n")
        for _ in range(size // 65536):
            channel.sendall(os.urandom(32767).hex().encode() + b"\r\n")
        channel.sendall(b".\r\n")
        return replies.readline()


def test_50_mib_cost_less_than_30_mib(tmp_path: Path) -> None:
    """Streamed seal, streamed write: the peak of the resident set grows by less than 30 MiB."""
    probe = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.ingress.memory_probe", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with probe:
        if probe.stdin is None or probe.stdout is None:
            raise RuntimeError("no pipes")

        def weigh() -> tuple[int, int]:
            print(file=probe.stdin, flush=True)
            peak, now = probe.stdout.readline().split()  # type: ignore[union-attr]
            return int(peak), int(now)

        port = int(probe.stdout.readline())
        assert send(port, 100_000).startswith(b"250")
        _, idle = weigh()
        assert send(port, 52_400_000).startswith(b"250")
        peak, _ = weigh()
        probe.stdin.close()
    assert peak - idle < 30 * 1024, f"{peak - idle} KiB above {idle} KiB"
    assert sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()) > 25_000_000
    print(f"{peak - idle} KiB above {idle} KiB")
