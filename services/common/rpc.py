"""gRPC of a service: one mTLS listener, one interceptor that lets nobody in by default, one taxonomy of errors.

Callers of the listener are other services and the front door, each known by
its client certificate. A bearer token in the metadata names the person or
operator on whose behalf the front door calls; without one the caller is the
service. An RPC may be called by whom its `permission` option names
(`proto/letterlock/options/v1`); one that declares nothing is refused to all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from letterlock.options.v1 import options_pb2

from services.common import auth, log, telemetry, tls
from services.common.auth import Principal
from services.common.components import ApiConfig, TlsConfig
from services.common.config import Address, Settings
from services.common.control import Control
from services.common.directory import Directory
from services.common.errors import DeadlineExceeded, Denied, Error, InvalidInput, NotFound, Unauthenticated, Unavailable
from services.common.grpc_status import invalid, raise_for, to_status, translate, violations
from services.common.ids import TenantId
from services.common.sessions import PREFIX, Sessions

__all__ = [
    "Principal",
    "RpcServer",
    "acting_as",
    "connect",
    "connect_service",
    "directory",
    "invalid",
    "principal",
    "raise_for",
    "tenant",
    "translate",
    "violations",
]

_log = log.get(__name__)
MAX_REQUEST = 4 * 1024 * 1024
"""Bytes of one message, both ways."""
_LONGEST_CALL = 60.0
_LONGEST_STREAM = 900.0
FRONT_DOOR = "frontdoor"
"""The certificate of the front door: it calls for others and may call nothing by itself."""
_OPEN = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
"""Third-party services whose answers are no secret: health by name, and our published contracts."""


class Calls(Protocol):
    """Who is told of calls, for the audit log; neither may wait or fail."""

    def seen(self, caller: Principal) -> None:
        """A known caller."""

    def refused(self, caller: Principal, method: str) -> None:
        """A known caller who may not."""


@dataclass(frozen=True, slots=True)
class _Call:
    principal: Principal
    directory: Directory
    tenant: str = ""


_call: ContextVar[_Call] = ContextVar("letterlock_call")


def principal() -> Principal:
    """Who makes the call that is being answered."""
    return _call.get().principal


def directory() -> Directory:
    """The directory as it was when the call came."""
    return _call.get().directory


def tenant(named: str = "") -> TenantId:
    """The tenant a call is about. `named` is the request's own field: a name or an id, or empty.

    A person's is their own, and any other does not exist (`NotFound`). An operator or a service names it there or
    by the metadata `letterlock-tenant` (`InvalidInput` without, `NotFound` when there is none such). A service may
    also name, by id, one that this node has not heard of yet.
    """
    call = _call.get()
    named = named or call.tenant
    found = _resolve(call.directory, named) if named else None
    if call.principal.kind == "person":
        own = call.principal.tenant
        if own is None or (named and found != own):
            raise NotFound("no such tenant", public="no such tenant")
        return own
    if not named:
        raise InvalidInput("name a tenant", field="tenant")
    if found is None and call.principal.kind == "service":
        return TenantId.parse(named)
    if found is None:
        raise NotFound("no such tenant", public="no such tenant")
    return found


def _resolve(view: Directory, named: str) -> TenantId | None:
    by_name = view.tenant_named(named)
    if by_name is not None:
        return by_name.id
    return next((t for t in view.tenants if t == named), None)


@contextmanager
def acting_as(caller: Principal, view: Directory, *, tenant: str = "") -> Iterator[None]:
    """Answer calls made inside as if `caller` made them: for the interceptor, and to call a servicer directly."""
    token = _call.set(_Call(caller, view, tenant))
    try:
        yield
    finally:
        _call.reset(token)


def connect(address: str, identity: tls.Identity, *, peer: str) -> grpc.aio.Channel:
    """A channel to the service named `peer`, which must show its certificate, as this service; one per target."""
    key, certificate, ca = identity.pem()
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options: list[tuple[str, Any]] = [
        ("grpc.ssl_target_name_override", peer),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.service_config", '{"loadBalancingConfig":[{"round_robin":{}}]}'),
    ]
    return grpc.aio.secure_channel(address, credentials, options=options)


def connect_service(settings: Settings, *, me: str, peer: str) -> grpc.aio.Channel:
    """A channel from service `me` to service `peer` at the address in `api.services`; raises `Unavailable`."""
    named = dict(entry.partition("=")[::2] for entry in settings.of(ApiConfig).services)
    if peer not in named:
        raise Unavailable(f"api.services has no address of {peer}")
    directory_ = settings.of(TlsConfig).directory or settings.data / "tls"
    return connect(named[peer], tls.ensure(directory_, me), peer=peer)


@cache
def rules_of(method: str) -> tuple[frozenset[int], frozenset[str]]:
    """Permissions and callers that `/package.Service/Method` declares; empty ones when it is unknown."""
    service, _, name = method.lstrip("/").partition("/")
    if service in _OPEN:
        return frozenset({options_pb2.PERMISSION_PUBLIC}), frozenset()
    try:
        declared = descriptor_pool.Default().FindMethodByName(f"{service}.{name}").GetOptions().Extensions
    except KeyError:
        return frozenset(), frozenset()
    # The stubs of generated extensions do not know what they extend.
    permission, caller = cast(Any, options_pb2.permission), cast(Any, options_pb2.caller)
    return frozenset(declared[permission]), frozenset(declared[caller])


class RpcServer:
    """Serves what services `add`, to whom the RPCs' own declarations allow."""

    def __init__(self, service: str, control: Control, tls_directory: Path) -> None:
        self._service, self._control, self._tls = service, control, tls_directory
        self._register: list[Callable[[Any], None]] = []
        self._server: grpc.aio.Server | None = None
        self._health = grpc_health.HealthServicer()
        self._guard = _Guard(service, control)

    def audit(self, calls: Calls) -> None:
        """Tell `calls` of log-ins and refusals from now on."""
        self._guard.calls = calls

    def believe(self, sessions: Sessions) -> None:
        """Take the tokens of people who have logged in, as API keys are taken."""
        self._guard.sessions = sessions

    def add(self, add_servicer: Callable[[Any, Any], None], servicer: object) -> None:
        """Register a servicer by its generated `add_…Servicer_to_server`; before `start`."""
        self._register.append(lambda server: add_servicer(servicer, server))

    async def start(self, listen: str, *, public: str = "") -> Address:
        """Listen with mTLS at `listen` (port 0: a free one) and return the address.

        `public` is a second listener for callers without a certificate, who must bring a token.
        """
        identity = tls.ensure(self._tls, self._service, hosts=_hosts(listen))
        server = grpc.aio.server(
            interceptors=[self._guard],
            options=[
                ("grpc.max_receive_message_length", MAX_REQUEST),
                ("grpc.max_send_message_length", MAX_REQUEST),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
                ("grpc.max_connection_age_ms", 600_000),
                ("grpc.max_connection_age_grace_ms", int(_LONGEST_STREAM * 1000)),
                ("grpc.so_reuseport", 0),
            ],
        )
        names = _Names(server)
        for register in self._register:
            register(names)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        for name in ("", *names.found):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        reflection.enable_server_reflection([*names.found, *sorted(_OPEN)], server)
        bound = _bind(server, listen, _credentials(identity, clients=True))
        if public:
            _bind(server, public, _credentials(identity, clients=False))
        await server.start()
        self._server = server
        _log.info("rpc.listening", port=bound.port, services=len(names.found))
        return bound

    async def stop(self, grace: float = 5.0) -> None:
        """Take no new calls, let running ones finish for `grace` seconds."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(grace)
            self._server = None


class _Names:
    """Passes registrations on and remembers the services' names, for health and reflection."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server
        self.found: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self.found += [h.service_name() for h in handlers]
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        self._server.add_registered_method_handlers(service, handlers)


class _Guard(grpc.aio.ServerInterceptor):
    """Lets in whom the method names, answers errors by one taxonomy, and measures."""

    def __init__(self, service: str, control: Control) -> None:
        self._service, self._control = service, control
        self.calls: Calls | None = None
        self.sessions: Sessions | None = None

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)
        if handler is None:
            return None
        service = details.method.lstrip("/").partition("/")[0]
        if service in _OPEN:
            return handler
        wrap = self._stream if handler.response_streaming else self._unary
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        return make(wrap(details.method, inner), handler.request_deserializer, handler.response_serializer)

    def _admit(self, method: str, context: Any) -> tuple[Principal, Directory, str]:
        metadata = {str(k): v for k, v in context.invocation_metadata() or ()}
        view = self._control.directory
        caller = _caller(view, metadata.get("authorization"), context.auth_context(), self.sessions)
        permissions, callers = rules_of(method)
        if not auth.allowed(caller, permissions, callers):
            nameless = caller.kind == "anonymous" or caller.service == FRONT_DOOR
            if nameless and permissions - {options_pb2.PERMISSION_INTERNAL}:
                raise Unauthenticated("no token")
            self._refused(caller, method)
            raise Denied("not allowed", method=method)
        if self.calls is not None:
            self.calls.seen(caller)
        named = metadata.get("letterlock-tenant", "")
        return caller, view, named if isinstance(named, str) else ""

    def _unary(self, method: str, inner: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, context: Any) -> Any:
            began, code = time.perf_counter(), "cancelled"
            try:
                caller, view, named = self._admit(method, context)
                with acting_as(caller, view, tenant=named), self._watching(caller, method):
                    async with asyncio.timeout(_LONGEST_CALL):
                        response = await inner(request, context)
                        code = "ok"
                        return response
            except grpc.aio.AbortError:
                code = "aborted"
                raise
            except Exception as error:
                code = self._note(method, error)
                await context.abort_with_status(rpc_status.to_status(to_status(_named(error))))
            finally:
                telemetry.RPC_SECONDS.labels(self._service, method, code).observe(time.perf_counter() - began)

        return answer

    def _stream(self, method: str, inner: Callable[[Any, Any], Any]) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            began, code = time.perf_counter(), "cancelled"
            try:
                caller, view, named = self._admit(method, context)
                # Not `acting_as`: an abandoned generator may be closed in another context than it ran in.
                _call.set(_Call(caller, view, named))
                async with asyncio.timeout(_LONGEST_STREAM):
                    with self._watching(caller, method):
                        async for response in inner(request, context):
                            yield response
                code = "ok"
            except grpc.aio.AbortError:
                code = "aborted"
                raise
            except Exception as error:
                code = self._note(method, error)
                await context.abort_with_status(rpc_status.to_status(to_status(_named(error))))
            finally:
                telemetry.RPC_SECONDS.labels(self._service, method, code).observe(time.perf_counter() - began)

        return answer

    @contextmanager
    def _watching(self, caller: Principal, method: str) -> Iterator[None]:
        try:
            yield
        except Denied:
            self._refused(caller, method)
            raise

    def _refused(self, caller: Principal, method: str) -> None:
        if self.calls is not None:
            self.calls.refused(caller, method)

    def _note(self, method: str, error: Exception) -> str:
        named = _named(error)
        if not isinstance(named, Error):
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
            _log.error("rpc.failed", method=method, error=type(error).__name__, where=where)
        code = named.code if isinstance(named, Error) else "internal"
        telemetry.STAGE_ERRORS.labels(self._service, "rpc", code).inc()
        return code


def _named(error: Exception) -> Exception:
    if isinstance(error, TimeoutError):
        return DeadlineExceeded("the call took too long")
    if isinstance(error, grpc.RpcError):
        return Unavailable("another service does not answer")
    return error


def _caller(view: Directory, authorization: object, peer: Any, sessions: Sessions | None) -> Principal:
    if isinstance(authorization, str) and authorization:
        scheme, _, token = authorization.partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        if token.startswith(PREFIX):
            found = sessions.principal(view, token) if sessions is not None else None
        else:
            found = auth.principal_for(view, token) if token else None
        if found is None:
            raise Unauthenticated("unknown token")
        return found
    names = (peer or {}).get("x509_common_name") or ()
    for name in names:
        return Principal("service", service=name.decode("ascii", "replace") if isinstance(name, bytes) else str(name))
    return auth.ANONYMOUS


def _hosts(listen: str) -> tuple[str, ...]:
    host = Address.parse(listen).host
    return () if host in ("0.0.0.0", "::", "") else (host,)  # noqa: S104 - compared, not bound


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials) -> Address:
    address = Address.parse(listen)
    try:
        port = server.add_secure_port(str(address), credentials)
    except RuntimeError as error:
        raise Unavailable(f"cannot listen at {address}") from error
    if not port:
        raise Unavailable(f"cannot listen at {address}")
    return Address(address.host, port)


def _credentials(identity: tls.Identity, *, clients: bool) -> grpc.ServerCredentials:
    """Server credentials that follow the files when they are renewed."""
    seen = identity.certificate.stat().st_mtime_ns

    def configuration() -> grpc.ServerCertificateConfiguration:
        key, certificate, ca = identity.pem()
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=ca)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal seen
        try:
            now = identity.certificate.stat().st_mtime_ns
            if now == seen:
                return None
            renewed = configuration()
        except OSError:
            return None  # half replaced: the next connection looks again
        seen = now
        return renewed

    return grpc.dynamic_ssl_server_credentials(configuration(), cast(Any, fetch), require_client_authentication=clients)
