"""gRPC of a service: who is let in, what errors look like on the other side, and the front door's honesty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from letterlock.directory.v1 import directory_pb2 as pb
from letterlock.directory.v1 import directory_pb2_grpc as rpcs
from letterlock.system.v1 import system_pb2 as system
from letterlock.system.v1 import system_pb2_grpc as system_rpcs
from prometheus_client import REGISTRY

from services.common import auth, rpc, tls
from services.common.directory import ApiKey, Directory, Domain, Person, Tenant
from services.common.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    Error,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from services.common.frontdoor import FrontDoor
from services.common.ids import INSTALLATION, TenantId

ACME, UMBRELLA = TenantId.new(), TenantId.new()
OPS, ADMIN, USER = "op-0123456789abcdef", "admin-0123456789abcdef", "user-0123456789abcdef"
VIEW = Directory(
    7,
    {ACME: Tenant(ACME, "acme"), UMBRELLA: Tenant(UMBRELLA, "umbrella")},
    {"acme.example": Domain("acme.example", ACME)},
    (),
    {
        "admin@acme.example": Person("admin@acme.example", ACME, frozenset({"tenant_admin"})),
        "alice@acme.example": Person("alice@acme.example", ACME, frozenset({"user"})),
    },
    {},
    {
        key.digest: key
        for key in (
            ApiKey(auth.token_digest(OPS), INSTALLATION, "ops", operator=True),
            ApiKey(auth.token_digest(ADMIN), ACME, "admin@acme.example"),
            ApiKey(auth.token_digest(USER), ACME, "alice@acme.example"),
        )
    },
)


class Directories(rpcs.DirectoryServiceServicer):
    """Answers or fails as the request's name says."""

    async def ListDomains(self, request: Any, context: Any) -> Any:
        return pb.ListDomainsResponse(next_page_token=f"{rpc.tenant(request.tenant)} {rpc.principal().name}")

    async def GetTenant(self, request: Any, context: Any) -> Any:
        failures: dict[str, BaseException] = {
            "not_found": NotFound("no such tenant", public="no such tenant"),
            "conflict": Conflict(),
            "exists": AlreadyExists(),
            "invalid": rpc.invalid([("tenant.name", "too long"), ("tenant.approvals", "negative")]),
            "unavailable": Unavailable(),
            "bug": ValueError("secret dsn"),
        }
        raise failures[request.name]

    async def ApplyWorld(self, request: Any, context: Any) -> Any:
        return pb.ApplyWorldResponse(changes=[rpc.principal().name])


class Systems(system_rpcs.SystemServiceServicer):
    """Its version is public."""

    async def Version(self, request: Any, context: Any) -> Any:
        return system.VersionResponse(version="1")

    async def Status(self, request: Any, context: Any) -> Any:
        return system.StatusResponse(version=rpc.principal().name)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A running server named admin and a front door before it, with channels to both."""
    control: Any = SimpleNamespace(directory=VIEW)
    server = rpc.RpcServer("admin", control, tmp_path)
    server.add(rpcs.add_DirectoryServiceServicer_to_server, Directories())
    server.add(system_rpcs.add_SystemServiceServicer_to_server, Systems())
    address = await server.start("127.0.0.1:0")
    door = FrontDoor(tls_directory=tmp_path, backends={"admin": str(address)})
    front = await door.start("127.0.0.1:0")
    outside = grpc.aio.secure_channel(str(front), grpc.ssl_channel_credentials((tmp_path / "ca.pem").read_bytes()))
    inside = {name: rpc.connect(str(address), tls.ensure(tmp_path, name), peer="admin") for name in ("dev", "archive")}
    yield SimpleNamespace(outside=outside, inside=inside, address=address, tls=tmp_path)
    for channel in (outside, *inside.values()):
        await channel.close()
    await door.stop(0)
    await server.stop(0)


def bearer(token: str, tenant: str = "") -> tuple[tuple[str, str], ...]:
    """Metadata of a caller."""
    named = (("letterlock-tenant", tenant),) if tenant else ()
    return (("authorization", f"Bearer {token}"), *named)


async def test_public_method_needs_no_token(place: SimpleNamespace) -> None:
    """Version answers a stranger through the front door."""
    answer = await system_rpcs.SystemServiceStub(place.outside).Version(system.VersionRequest(), timeout=5)
    assert answer.version == "1"


@pytest.mark.parametrize("metadata", [(), bearer("nobody-0123456789abcdef"), (("authorization", "Basic eDp5"),)])
async def test_unknown_and_missing_tokens_are_unauthenticated(place: SimpleNamespace, metadata: Any) -> None:
    """Neither says more than that nobody is known by it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpcs.DirectoryServiceStub(place.outside).ListDomains(
            pb.ListDomainsRequest(), metadata=metadata, timeout=5
        )
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert isinstance(rpc.translate(caught.value), Unauthenticated)


async def test_role_decides(place: SimpleNamespace) -> None:
    """A tenant's admin lists domains; a user is denied; an admin may not apply a world."""
    stub = rpcs.DirectoryServiceStub(place.outside)
    answer = await stub.ListDomains(pb.ListDomainsRequest(), metadata=bearer(ADMIN), timeout=5)
    assert answer.next_page_token == f"{ACME} admin@acme.example"
    for call in (
        stub.ListDomains(pb.ListDomainsRequest(), metadata=bearer(USER), timeout=5),
        stub.ApplyWorld(pb.ApplyWorldRequest(), metadata=bearer(ADMIN), timeout=5),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert isinstance(rpc.translate(caught.value), Denied)


async def test_people_stay_in_their_tenant(place: SimpleNamespace) -> None:
    """Another tenant, and one that is not there, look the same to a person."""
    stub = rpcs.DirectoryServiceStub(place.outside)
    for tenant in ("umbrella", str(UMBRELLA), "nowhere"):
        for request, metadata in (
            (pb.ListDomainsRequest(tenant=tenant), bearer(ADMIN)),
            (pb.ListDomainsRequest(), bearer(ADMIN, tenant)),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListDomains(request, metadata=metadata, timeout=5)
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "no such tenant")


async def test_operator_names_a_tenant(place: SimpleNamespace) -> None:
    """By metadata or field, name or id; without one it is an invalid argument at field `tenant`."""
    stub = rpcs.DirectoryServiceStub(place.outside)
    for named in ("umbrella", str(UMBRELLA)):
        for request, metadata in (
            (pb.ListDomainsRequest(tenant=named), bearer(OPS)),
            (pb.ListDomainsRequest(), bearer(OPS, named)),
        ):
            answer = await stub.ListDomains(request, metadata=metadata, timeout=5)
            assert answer.next_page_token == f"{UMBRELLA} operator:ops"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListDomains(pb.ListDomainsRequest(), metadata=bearer(OPS), timeout=5)
    assert rpc.violations(rpc.translate(caught.value)) == (("tenant", "name a tenant"),)


async def test_internal_method_is_for_the_named_service(place: SimpleNamespace) -> None:
    """`dev` may apply a world by its certificate, `archive` may not, and a stranger without one cannot connect."""
    answer = await rpcs.DirectoryServiceStub(place.inside["dev"]).ApplyWorld(pb.ApplyWorldRequest(), timeout=5)
    assert list(answer.changes) == ["service:dev"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpcs.DirectoryServiceStub(place.inside["archive"]).ApplyWorld(pb.ApplyWorldRequest(), timeout=5)
    assert isinstance(rpc.translate(caught.value), Denied)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpcs.DirectoryServiceStub(place.outside).ApplyWorld(pb.ApplyWorldRequest(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    ca = (place.tls / "ca.pem").read_bytes()
    async with grpc.aio.secure_channel(str(place.address), grpc.ssl_channel_credentials(ca)) as stranger:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await system_rpcs.SystemServiceStub(stranger).Version(system.VersionRequest(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_channel_insists_on_the_service_it_wants(place: SimpleNamespace) -> None:
    """A server that holds another service's certificate is not talked to."""
    async with rpc.connect(str(place.address), tls.ensure(place.tls, "archive"), peer="encryption") as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await system_rpcs.SystemServiceStub(channel).Version(system.VersionRequest(), timeout=5)


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("not_found", NotFound, grpc.StatusCode.NOT_FOUND),
        ("conflict", Conflict, grpc.StatusCode.ABORTED),
        ("exists", AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
        ("invalid", InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
        ("unavailable", Unavailable, grpc.StatusCode.UNAVAILABLE),
        ("bug", Error, grpc.StatusCode.INTERNAL),
    ],
)
async def test_errors_come_back_as_themselves(
    place: SimpleNamespace, name: str, kind: type[Error], code: grpc.StatusCode
) -> None:
    """Through two hops the class, the words and the fields survive, and nothing internal shows."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpcs.DirectoryServiceStub(place.outside).GetTenant(
            pb.GetTenantRequest(name=name), metadata=bearer(OPS), timeout=5
        )
    assert caught.value.code() is code
    assert "secret" not in str(caught.value)
    assert type(rpc.translate(caught.value)) is kind
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "letterlock"
    if kind is InvalidInput:
        assert rpc.violations(rpc.translate(caught.value)) == (
            ("tenant.name", "too long"),
            ("tenant.approvals", "negative"),
        )


async def test_front_door_knows_no_other_areas(place: SimpleNamespace) -> None:
    """What has no route is unimplemented."""
    call = place.outside.unary_unary("/other.v1.Service/Do")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_and_reflection_answer(place: SimpleNamespace) -> None:
    """The front door is healthy, the service too, and its contracts can be listed."""
    for channel, service in (
        (place.outside, ""),
        (place.inside["archive"], "letterlock.directory.v1.DirectoryService"),
    ):
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service), timeout=5
        )
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def ask() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with asyncio.timeout(5):
        call = reflection_pb2_grpc.ServerReflectionStub(place.outside).ServerReflectionInfo(ask())
        names = {s.name async for answer in call for s in answer.list_services_response.service}
    assert "letterlock.directory.v1.DirectoryService" in names


async def test_method_that_declares_nothing_is_refused() -> None:
    """Denied by default, whoever asks."""
    assert rpc.rules_of("/letterlock.directory.v1.DirectoryService/Nothing") == (frozenset(), frozenset())
    for kind in (auth.ANONYMOUS, auth.Principal("operator", roles=frozenset(auth.ROLE_PERMISSIONS))):
        assert not auth.allowed(kind, frozenset(), frozenset())


async def test_certificates_are_private_and_stay(tmp_path: Path) -> None:
    """Keys are 0600, a second start makes nothing new, and a given folder without a CA key is not written."""
    identity = tls.ensure(tmp_path, "archive", hosts=("mx.acme.example",))
    before = identity.certificate.read_bytes()
    assert identity.key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert tls.ensure(tmp_path, "archive").certificate.read_bytes() == before
    assert tls.ensure(tmp_path, "archive", hosts=("other.example",)).certificate.read_bytes() != before
    (tmp_path / "ca.key").unlink()
    with pytest.raises(InvalidInput):
        tls.ensure(tmp_path, "policy")


async def test_every_call_is_timed_by_method_and_code(place: SimpleNamespace) -> None:
    """What was let in and what was refused, under the names of the protos and of our errors only."""
    method = "/letterlock.directory.v1.DirectoryService/GetTenant"

    def counted(code: str, of: str = method) -> float:
        labels = {"service": "admin", "method": of, "code": code}
        return REGISTRY.get_sample_value("letterlock_rpc_seconds_count", labels) or 0.0

    listing = method.replace("GetTenant", "ListDomains")
    before = counted("not_found"), counted("unauthenticated"), counted("ok", listing)
    stub = rpcs.DirectoryServiceStub(place.outside)
    for metadata in (bearer(OPS), bearer("nobody")):
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetTenant(pb.GetTenantRequest(name="not_found"), metadata=metadata)
    await stub.ListDomains(pb.ListDomainsRequest(), metadata=bearer(ADMIN))
    assert (counted("not_found"), counted("unauthenticated"), counted("ok", listing)) == tuple(b + 1 for b in before)
