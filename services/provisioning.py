"""What one machine needs before the first start: keys, certificates, the first documents. All of it idempotent."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import grpc
import yaml

from services import runner
from services.common import tls
from services.common.bus import broker
from services.common.config import Address, Settings
from services.common.errors import InvalidInput
from services.common.sealing import writers

OPERATOR_KEY = "operator.key"


def ensure(settings: Settings, services: Iterable[str]) -> None:
    """Make the broker's user keys, the writers' seeds, the master key and the certificates that are missing."""
    names = list(services)
    broker.ensure_keys(runner.nats_keys(settings))
    writers.ensure_dev(writers.trust_folder(settings), names)
    for name in (*names, "dev", "frontdoor"):
        tls.ensure(runner.tls_directory(settings), name)


def world_document(settings: Settings, bootstrap: Path | None) -> str:
    """The world to apply at start: the given file with its secrets resolved, or the first operator's key.

    The key is in `operator.key` (mode 0600) before it is applied, so that a start that dies between goes on.
    """
    if bootstrap is not None:
        from services.cli import world

        return world.read_world(bootstrap)
    file = settings.data / OPERATOR_KEY
    if not file.exists():
        scratch = file.with_suffix(f".{os.getpid()}")
        with open(scratch, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(f"op-{secrets.token_urlsafe(32)}\n")
            out.flush()
            os.fsync(out.fileno())
        scratch.rename(file)
    key = file.read_text().strip()
    if not key:
        raise InvalidInput(f"{file} is empty: remove it, and the next start makes a new one")
    return yaml.safe_dump({"operators": [{"name": "operator", "api_key": key}]})


async def first_documents(settings: Settings, admin: Address, bootstrap: Path | None) -> tuple[str, ...]:
    """Apply the world at `admin`'s gRPC address in the name of `dev`; returns what it changed."""
    from letterlock.directory.v1 import directory_pb2, directory_pb2_grpc

    from services.common import grpc_status, rpc

    document = world_document(settings, bootstrap)
    async with rpc.connect(str(admin), tls.ensure(runner.tls_directory(settings), "dev"), peer="admin") as channel:
        stub = directory_pb2_grpc.DirectoryServiceStub(channel)
        try:
            answer = await stub.ApplyWorld(directory_pb2.ApplyWorldRequest(document=document), timeout=30)
        except grpc.RpcError as error:
            grpc_status.raise_for(error)
    return tuple(answer.changes)
