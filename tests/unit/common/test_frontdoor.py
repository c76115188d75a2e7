"""The front door: streams pass as they come, a caller who leaves ends the work, and limits hold on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from letterlock.archive.v1 import archive_pb2 as pb
from letterlock.archive.v1 import archive_pb2_grpc as rpcs

from services.common import auth, rpc
from services.common.directory import ApiKey, Directory
from services.common.errors import Busy, DeadlineExceeded, Unavailable
from services.common.frontdoor import FrontDoor
from services.common.ids import INSTALLATION
from services.common.testing import eventually

OPS = "op-0123456789abcdef"
KEY = ApiKey(auth.token_digest(OPS), INSTALLATION, "ops", operator=True)
METADATA = (("authorization", f"Bearer {OPS}"),)


class Archives(rpcs.ArchiveServiceServicer):
    """Streams what the tenant's name says; remembers who left."""

    def __init__(self) -> None:
        self.ended = 0
        self.stopped = asyncio.Event()

    async def Reindex(self, request: Any, context: Any) -> AsyncIterator[pb.ReindexResponse]:
        """Three answers, then an error, or answers for ever."""
        try:
            for _ in range(3):
                yield pb.ReindexResponse()
            if request.tenant == "busy":
                raise Busy("full")
            while request.tenant == "endless":
                await asyncio.sleep(0.01)
                yield pb.ReindexResponse()
        finally:
            self.ended += 1

    async def Coverage(self, request: Any, context: Any) -> pb.CoverageResponse:
        """Waits until it is told to stop."""
        await self.stopped.wait()
        return pb.CoverageResponse()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """An archive behind a front door."""
    control: Any = SimpleNamespace(directory=Directory(api_keys={KEY.digest: KEY}))
    server, servicer = rpc.RpcServer("archive", control, tmp_path), Archives()
    server.add(rpcs.add_ArchiveServiceServicer_to_server, servicer)
    address = await server.start("127.0.0.1:0")
    door = FrontDoor(tls_directory=tmp_path, backends={"archive": str(address)})
    front = await door.start("127.0.0.1:0")
    credentials = grpc.ssl_channel_credentials((tmp_path / "ca.pem").read_bytes())
    channel = grpc.aio.secure_channel(str(front), credentials)
    yield SimpleNamespace(stub=rpcs.ArchiveServiceStub(channel), servicer=servicer, server=server)
    servicer.stopped.set()
    await channel.close()
    await door.stop(0)
    await server.stop(0)


async def test_stream_passes_with_its_error_at_the_end(place: SimpleNamespace) -> None:
    """The answers so far arrive, then the error as its class."""
    seen = 0
    with pytest.raises(Busy):
        try:
            async for _ in place.stub.Reindex(pb.ReindexRequest(tenant="busy"), metadata=METADATA, timeout=5):
                seen += 1
        except grpc.aio.AioRpcError as error:
            rpc.raise_for(error)
    assert seen == 3


async def test_caller_who_leaves_ends_the_work(place: SimpleNamespace) -> None:
    """Cancelling at the door cancels the handler behind it."""
    call = place.stub.Reindex(pb.ReindexRequest(tenant="endless"), metadata=METADATA, timeout=30)
    assert await call.read() is not grpc.aio.EOF
    call.cancel()
    await eventually(lambda: place.servicer.ended == 1)


async def test_deadline_passes_through(place: SimpleNamespace) -> None:
    """A caller's deadline ends the call on both sides of the door."""
    with pytest.raises(DeadlineExceeded):
        try:
            await place.stub.Coverage(pb.CoverageRequest(), metadata=METADATA, timeout=0.2)
        except grpc.aio.AioRpcError as error:
            rpc.raise_for(error)


async def test_too_large_a_request_is_refused(place: SimpleNamespace) -> None:
    """A message over 4 MiB does not reach a service."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        request = pb.ReindexRequest(tenant="x" * (5 * 1024 * 1024))
        async for _ in place.stub.Reindex(request, metadata=METADATA, timeout=5):
            pass
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert place.servicer.ended == 0


async def test_service_that_is_away_is_unavailable(place: SimpleNamespace) -> None:
    """And comes back by itself as `Unavailable`, not as a hang."""
    await place.server.stop(0)
    with pytest.raises(Unavailable):
        try:
            async for _ in place.stub.Reindex(pb.ReindexRequest(), metadata=METADATA, timeout=5):
                pass
        except grpc.aio.AioRpcError as error:
            rpc.raise_for(error)
