"""The key keeper, over mTLS."""

from __future__ import annotations

from datetime import date
from typing import Any

import grpc
from letterlock.keys.v1 import keys_pb2, keys_pb2_grpc

from services.common import rpc
from services.common.config import Settings
from services.common.errors import Unavailable


class RemoteKeeper:
    """See `ports.Keeper`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None

    async def day_complete(self, day: date) -> None:
        """See `ports.Keeper`."""
        if self._channel is None:
            self._channel = rpc.connect_service(self._settings, me="archive", peer="encryption")
        stub: Any = keys_pb2_grpc.KeyServiceStub(self._channel)
        try:
            await stub.CompleteDay(keys_pb2.CompleteDayRequest(day=day.isoformat()), timeout=10)
        except grpc.aio.AioRpcError as error:
            raise Unavailable("the key keeper did not complete the day", status=error.code().name) from error

    async def close(self) -> None:
        """Give up the connection."""
        if self._channel is not None:
            await self._channel.close()
