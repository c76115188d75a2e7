"""An API in a few lines: answers by RPC name, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import message_factory

from services.cli.session import Session, Target, _method


@dataclass
class FakeApi(grpc.GenericRpcHandler):
    """Set `answers["area.Service.Method"]` to a message, an exception or a function of the request."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of one method."""
        package, _, method = details.method.lstrip("/").rpartition("/")
        area, service = package.split(".")[1], package.split(".")[-1]
        rpc = f"{area}.{service}.{method}"
        if rpc not in self.answers:
            return None
        descriptor = _method(rpc)
        self.metadata.append({str(k): str(v) for k, v in details.invocation_metadata})

        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self.asked.append((rpc, request))
            found = self.answers[rpc]
            found = found(request, context) if isinstance(found, Callable) else found  # type: ignore[arg-type]
            if isinstance(found, BaseException):
                raise found
            return found

        make = (
            grpc.unary_stream_rpc_method_handler if descriptor.server_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(
            answer,
            request_deserializer=message_factory.GetMessageClass(descriptor.input_type).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    @contextmanager
    def session(self, *, token: str = "key", tenant: str = "") -> Iterator[Session]:
        """A session that is connected to it."""
        server = grpc.server(ThreadPoolExecutor(2), handlers=[self])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            where = Target(f"127.0.0.1:{port}", token, tenant, None, timeout=10)
            yield Session(where, grpc.insecure_channel(where.server))
        finally:
            server.stop(0).wait()


def abort(code: grpc.StatusCode, details: str) -> Callable[[Any, grpc.ServicerContext], Any]:
    """An answer that is a failure."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(code, details)

    return answer
