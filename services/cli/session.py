"""A connection to the API: where it is, who asks, and failures as exit statuses."""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from services.cli.command import Usage
from services.cli.views import printable
from services.common.config import Address, parse_duration

DEFAULT_SERVER = "127.0.0.1:2550"
DEFAULT_TIMEOUT = 60.0
"""Seconds; a world file of thousands of people takes a while."""

_MAX_ANSWER = 64 * 1024 * 1024

_STATUS = {
    grpc.StatusCode.NOT_FOUND: 3,
    grpc.StatusCode.PERMISSION_DENIED: 4,
    grpc.StatusCode.UNAUTHENTICATED: 4,
    grpc.StatusCode.UNAVAILABLE: 5,
    grpc.StatusCode.DEADLINE_EXCEEDED: 5,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 5,
}
"""Exit statuses; every other failure is 1."""


class Failure(Exception):
    """The server refused or did not answer; `status` is the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """Where the API is and who asks."""

    server: str
    token: str
    tenant: str
    authority: bytes | None
    """CAs in PEM; None: the system's."""
    timeout: float = DEFAULT_TIMEOUT


def target(options: Mapping[str, Any], environment: Mapping[str, str]) -> Target:
    """What options and environment say; options win. Raises `Usage`."""
    data = Path(environment.get("LETTERLOCK_DATA") or ".letterlock")
    server = options.get("server") or environment.get("LETTERLOCK_SERVER") or DEFAULT_SERVER
    try:
        Address.parse(server)
        timeout = parse_duration(options["timeout"]).total_seconds() if options.get("timeout") else DEFAULT_TIMEOUT
    except ValueError as error:
        raise Usage(f"--server or --timeout: {error}") from None
    token = options.get("token") or environment.get("LETTERLOCK_TOKEN") or _first_line(data / "operator.key")
    if not token.isascii() or not token.isprintable():
        raise Usage("the token has characters that no API key has")
    tenant = options.get("tenant") or environment.get("LETTERLOCK_TENANT") or ""
    return Target(server, token, tenant, _authority(environment.get("LETTERLOCK_CA"), data), timeout)


def _authority(named: str | None, data: Path) -> bytes | None:
    path = Path(named) if named else data / "tls" / "ca.pem"
    try:
        return path.read_bytes()
    except OSError as error:
        if named:
            raise Usage(f"LETTERLOCK_CA: {path}: {error.strerror}") from None
    # gRPC would use CAs of its own, which know nothing of what this machine trusts.
    system = ssl.get_default_verify_paths().cafile
    return Path(system).read_bytes() if system else None


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").split("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Session:
    """Calls by name, `area.Service.Method`; raises `Failure`."""

    def __init__(self, where: Target, channel: grpc.Channel | None = None) -> None:
        self.where = where
        self._channel = channel or grpc.secure_channel(
            where.server,
            grpc.ssl_channel_credentials(where.authority),
            options=[("grpc.max_receive_message_length", _MAX_ANSWER), ("grpc.enable_http_proxy", 0)],
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def request(self, rpc: str) -> Message:
        """An empty request of this RPC."""
        return message_factory.GetMessageClass(_method(rpc).input_type)()

    def call(self, rpc: str, request: Message, *, timeout: float | None = None) -> Message:
        """The answer."""
        method = _method(rpc)
        call = self._channel.unary_unary(
            _path(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        try:
            answer: Message = call(request, timeout=timeout or self.where.timeout, metadata=self._metadata())
        except grpc.RpcError as error:
            raise self.failure(error) from error
        return answer

    def stream(self, rpc: str, request: Message) -> Iterator[Message]:
        """Each answer as it comes, without a limit in time."""
        method = _method(rpc)
        call = self._channel.unary_stream(
            _path(method),
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        try:
            yield from call(request, metadata=self._metadata())
        except grpc.RpcError as error:
            raise self.failure(error) from error

    def serving(self) -> str:
        """What the standard health service says: `serving`, `not_serving` or `unknown`."""
        from grpc_health.v1 import health_pb2

        call = self._channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = call(health_pb2.HealthCheckRequest(), timeout=self.where.timeout, metadata=self._metadata())
        except grpc.RpcError as error:
            raise self.failure(error) from error
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)).lower()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        found = []
        if self.where.token:
            found.append(("authorization", f"Bearer {self.where.token}"))
        if self.where.tenant.isascii() and self.where.tenant.isprintable() and self.where.tenant:
            found.append(("letterlock-tenant", self.where.tenant))
        return tuple(found)

    def failure(self, error: grpc.RpcError) -> Failure:
        """The error with where it is and what to do, on one line."""
        code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
        details = (error.details() if isinstance(error, grpc.Call) else "") or code.name.lower()
        server = self.where.server
        match code:
            case grpc.StatusCode.UNAVAILABLE if not _answered(error):
                details = f"no answer from {server}: is it running there? (--server, LETTERLOCK_SERVER, LETTERLOCK_CA)"
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                details = f"no answer from {server} in {self.where.timeout:g} s: try again, or give --timeout"
            case grpc.StatusCode.UNIMPLEMENTED if not _answered(error):
                details = f"{server} does not offer this: compare letterlock version"
            case grpc.StatusCode.UNAUTHENTICATED:
                details += ": give an API key with --token or LETTERLOCK_TOKEN"
        violations = [f"{v.field}: {v.description}" if v.field else v.description for v in _violations(error)]
        if code is grpc.StatusCode.INVALID_ARGUMENT and not self.where.tenant and _fields(error) == ["tenant"]:
            return Failure("which tenant? Give --tenant or LETTERLOCK_TENANT", 2)
        text = "; ".join(violations) if violations else details
        return Failure(printable(text.strip().replace("\n", "; ")), _STATUS.get(code, 1))


def _method(rpc: str) -> Any:
    area, service, method = rpc.split(".")
    services = importlib.import_module(f"letterlock.{area}.v1.{area}_pb2").DESCRIPTOR.services_by_name
    if service not in services:  # it has a file of its own
        own = service.removesuffix("Service").lower()
        services = importlib.import_module(f"letterlock.{area}.v1.{own}_pb2").DESCRIPTOR.services_by_name
    return services[service].methods_by_name[method]


def _path(method: Any) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _status(error: grpc.RpcError) -> Any:
    """The google.rpc.Status that came with an error, or None."""
    from grpc_status import rpc_status

    try:
        return rpc_status.from_call(error)
    except (ValueError, AttributeError):
        return None


def _answered(error: grpc.RpcError) -> bool:
    """Whether a server of ours said it, not the connection."""
    return _status(error) is not None


def _fields(error: grpc.RpcError) -> list[str]:
    return [v.field for v in _violations(error)]


def _violations(error: grpc.RpcError) -> list[Any]:
    from google.rpc import error_details_pb2

    found = []
    status = _status(error)
    for detail in status.details if status is not None else ():
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            found += list(request.field_violations)
    return found
