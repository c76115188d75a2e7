"""The front door of one machine: takes gRPC calls by TLS and forwards their bytes to the service that answers.

It knows which area of the API is whose and nothing else: metadata, deadline,
messages, status and details pass unread. Towards the services it is
`frontdoor`, which may call nothing by itself; the caller's token decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health

from services.common import log, tls
from services.common.config import Address
from services.common.errors import Unavailable
from services.common.rpc import FRONT_DOOR, MAX_REQUEST, connect

_log = log.get(__name__)

AREAS: Mapping[str, str] = {
    "directory": "admin",
    "system": "admin",
    "access": "admin",
    "policy": "policy",
    "quarantine": "quarantine",
    "delivery": "delivery",
    "archive": "archive",
    "keys": "encryption",
    "encryption": "encryption",
    "audit": "audit",
}
"""`letterlock.<area>.v1`: the service that answers it."""
_REFLECTION = "grpc.reflection."
_HOP_BY_HOP = frozenset({"user-agent", "te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding"})


class FrontDoor:
    """Listens for anyone and forwards to `backends`, service name → address."""

    def __init__(self, *, tls_directory: Path, backends: Mapping[str, str]) -> None:
        self._tls, self._backends = tls_directory, dict(backends)
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._server: grpc.aio.Server | None = None
        self._health = grpc_health.HealthServicer()

    async def start(self, listen: str, *, name: str = FRONT_DOOR) -> Address:
        """Listen at `listen` (port 0: a free one) and return the address."""
        address = Address.parse(listen)
        identity = tls.ensure(self._tls, name, hosts=(address.host,) if address.host[:1].isdigit() else ())
        key, certificate, _ = identity.pem()
        self._channels = {
            service: connect(backend, identity, peer=service) for service, backend in self._backends.items()
        }
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MAX_REQUEST),
                ("grpc.max_send_message_length", MAX_REQUEST),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
                ("grpc.so_reuseport", 0),
            ]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        server.add_generic_rpc_handlers((_Forward(self._route),))
        try:
            port = server.add_secure_port(str(address), grpc.ssl_server_credentials([(key, certificate)]))
        except RuntimeError as error:
            raise Unavailable(f"cannot listen at {address}") from error
        if not port:
            raise Unavailable(f"cannot listen at {address}")
        await server.start()
        self._server = server
        _log.info("frontdoor.listening", port=port, backends=len(self._backends))
        return Address(address.host, port)

    async def stop(self, grace: float = 5.0) -> None:
        """Take no new calls, let running ones finish for `grace` seconds, close the channels."""
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        self._channels = {}

    def _route(self, method: str) -> grpc.aio.Channel | None:
        service = method.lstrip("/").partition("/")[0]
        if service.startswith(_REFLECTION):
            return self._channels.get("admin")
        package = service.split(".")
        if len(package) < 3 or package[0] != "letterlock":
            return None
        return self._channels.get(AREAS.get(package[1], ""))


class _Forward(grpc.GenericRpcHandler):
    """One handler for every method that has a route: bytes in, bytes out, both ways."""

    def __init__(self, route: Callable[[str], grpc.aio.Channel | None]) -> None:
        self._route = route

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        channel = self._route(method)
        if channel is None:
            return None  # UNIMPLEMENTED
        call: Any = channel.stream_stream(method)

        async def forward(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            metadata = tuple((k, v) for k, v in context.invocation_metadata() or () if k not in _HOP_BY_HOP)
            remaining = context.time_remaining()
            backend = call(requests, metadata=cast(Any, metadata), timeout=remaining)
            try:
                await context.send_initial_metadata(tuple(await backend.initial_metadata()))
                async for message in backend:
                    yield message
                context.set_trailing_metadata(tuple(await backend.trailing_metadata() or ()))
                code = await backend.code()
                context.set_code(code)
                context.set_details(await backend.details() or "")
            except grpc.aio.AioRpcError as error:
                trailing = tuple(error.trailing_metadata() or ())
                await context.abort(error.code(), error.details() or "", trailing)
            finally:
                # A caller who leaves must not keep the service working.
                backend.cancel()

        return grpc.stream_stream_rpc_method_handler(cast(Any, forward))
