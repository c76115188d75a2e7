"""What a large mail costs: a process of its own takes 50 MiB into a store and says how much it grew."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.s3 import new_bucket, s3_server, s3_settings


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


SIZE = 52_400_000


def growth(store: str, settings: dict[str, str]) -> int:
    """KiB by which the peak of the resident set of an ingress over `store` grows while a mail of SIZE comes in."""
    probe = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.ingress.memory_probe", store],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
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
        assert send(port, SIZE).startswith(b"250")
        peak, _ = weigh()
        probe.stdin.close()
    print(f"{peak - idle} KiB above {idle} KiB")
    return peak - idle


def test_50_mib_cost_less_than_30_mib(tmp_path: Path) -> None:
    """Streamed seal, streamed write: nothing grows with the mail."""
    assert growth(f"file://{tmp_path}", {}) < 30 * 1024
    assert sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()) > 25_000_000


def test_50_mib_to_s3_cost_less_than_the_mail_and_40_mib() -> None:
    """A create-only object of S3 is one request, so the sealed mail is held once; its plain text never is."""
    with s3_server() as endpoint:
        grown = growth(f"s3://{new_bucket(endpoint)}/objects", s3_settings(endpoint))
    assert grown < SIZE // 1024 + 40 * 1024
