"""The gRPC API of a running installation, for tests that ask it hundreds of things."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from letterlock.archive.v1 import archive_pb2, archive_pb2_grpc

from tests.harness.installation import Installation


@asynccontextmanager
async def archive(installation: Installation, token: str) -> AsyncIterator[Archive]:
    """The archive's API with a token."""
    credentials = grpc.ssl_channel_credentials((installation.data / "tls" / "ca.pem").read_bytes())
    async with grpc.aio.secure_channel(installation.ready["api"], credentials) as channel:
        yield Archive(archive_pb2_grpc.ArchiveServiceStub(channel), token)


class Archive:
    """Questions about mails."""

    def __init__(self, stub: Any, token: str) -> None:
        self._stub, self._metadata = stub, (("authorization", f"Bearer {token}"),)

    async def status(self, mail_id: str) -> Any:
        """The `MailStatusResponse`, or None while it is not known."""
        try:
            request = archive_pb2.MailStatusRequest(mail_id=mail_id)
            return await self._stub.MailStatus(request, metadata=self._metadata, timeout=10)
        except grpc.aio.AioRpcError:
            return None

    async def coverage(self) -> Any:
        """The `CoverageResponse`, or None while it cannot be had."""
        try:
            return await self._stub.Coverage(archive_pb2.CoverageRequest(), metadata=self._metadata, timeout=20)
        except grpc.aio.AioRpcError:
            return None
