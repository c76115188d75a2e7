"""A real S3 server for tests: moto's, in a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.common.testing import eventually


@contextmanager
def s3_server() -> Iterator[str]:
    """Its URL, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status == 200

    try:
        asyncio.run(eventually(answers, timeout=60))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Point the provider's own variables at the server."""
    for name, value in s3_settings(endpoint).items():
        monkeypatch.setenv(name, value)


def s3_settings(endpoint: str) -> dict[str, str]:
    """The provider's own variables for the server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }


def new_bucket(endpoint: str) -> str:
    """A new bucket's name."""
    name = f"b{secrets.token_hex(8)}"
    host = endpoint.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request("PUT", f"/{name}")
    if connection.getresponse().status != 200:
        raise RuntimeError("no bucket")
    connection.close()
    return name
