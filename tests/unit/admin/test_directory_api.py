"""The directory's API through a real server: create, read, change, delete, page, and never another tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from letterlock.directory.v1 import directory_pb2 as pb
from letterlock.directory.v1 import directory_pb2_grpc as rpcs
from letterlock.system.v1 import system_pb2, system_pb2_grpc

from services.admin.adapters.grpc import DirectoryServicer
from services.admin.adapters.system import SystemServicer
from services.admin.edit import Editor
from services.admin.world import ApplyWorld
from services.common import auth, rpc, tls
from services.common.audit_entries import AuditTrail
from services.common.control import Control
from services.common.errors import AlreadyExists, Conflict, Denied, InvalidInput, NotFound, Rejected, Unauthenticated
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from tests.unit.admin.test_world import WORLD, InMemoryPolicies

OPS, ADMIN = "op-0123456789abcdef", "admin-0123456789abcdef"


class Api:
    """Calls as somebody, answers or the error as its class."""

    def __init__(self, channel: grpc.aio.Channel, control: Control) -> None:
        self.stub: Any = rpcs.DirectoryServiceStub(channel)
        self.system: Any = system_pb2_grpc.SystemServiceStub(channel)
        self.control = control

    async def __call__(self, method: str, request: Any, token: str = ADMIN, tenant: str = "") -> Any:
        metadata = [("authorization", f"Bearer {token}")]
        if tenant:
            metadata.append(("letterlock-tenant", tenant))
        try:
            return await getattr(self.stub, method)(request, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            rpc.raise_for(error)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A served directory with CONTRACT's world in it."""
    bus = InMemoryBus("admin", InMemoryBroker())
    control = Control(InMemoryObjects(), bus, node="admin", debounce=0.001)
    trail = AuditTrail(bus, FakeKeys().fact_keys(bus.bucket("factkeys")))
    async with control.running(), trail.running():
        lock = asyncio.Lock()
        world = ApplyWorld(control, InMemoryPolicies(), trail, lock)
        await world(WORLD, dry_run=False, actor="t")
        server = rpc.RpcServer("admin", control, tmp_path)
        servicer = DirectoryServicer(control, Editor(control, trail, lock), world)
        server.add(rpcs.add_DirectoryServiceServicer_to_server, servicer)
        server.add(system_pb2_grpc.add_SystemServiceServicer_to_server, SystemServicer(control))
        address = await server.start("127.0.0.1:0")
        async with rpc.connect(str(address), tls.ensure(tmp_path, "frontdoor"), peer="admin") as channel:
            yield Api(channel, control)
        await server.stop(0)


async def test_person_lives(api: Api) -> None:
    """Created, listed, got, changed by mask, deleted; the password is never shown and the token dies with them."""
    given = pb.Person(address="Bob@ACME.example", roles=["user"], password="correct horse")
    made = (await api("CreatePerson", pb.CreatePersonRequest(person=given))).person
    assert (made.address, made.has_password, made.password) == ("bob@acme.example", True, "")
    key = await api("CreateApiKey", pb.CreateApiKeyRequest(api_key=pb.ApiKey(owner=made.address, name="laptop")))
    assert auth.principal_for(api.control.directory, key.secret) is not None
    request = pb.UpdatePersonRequest(
        address=made.address,
        person=pb.Person(aliases=["robert@acme.example"], disabled=True),
        update_mask=FieldMask(paths=["aliases", "disabled"]),
        revision=made.revision,
    )
    changed = (await api("UpdatePerson", request)).person
    assert (list(changed.roles), list(changed.aliases), changed.disabled) == (["user"], ["robert@acme.example"], True)
    assert changed.has_password
    assert auth.principal_for(api.control.directory, key.secret) is None
    with pytest.raises(Conflict):
        await api("UpdatePerson", request)
    await api("DeletePerson", pb.DeletePersonRequest(address=made.address))
    with pytest.raises(NotFound):
        await api("GetPerson", pb.GetPersonRequest(address=made.address))
    keys = await api("ListApiKeys", pb.ListApiKeysRequest())
    assert made.address not in {k.owner for k in keys.api_keys}


async def test_create_is_idempotent_by_request_id(api: Api) -> None:
    """The same request again gives the same answer; another one gets `AlreadyExists`."""
    request = pb.CreateGroupRequest(group=pb.Group(name="hr", members=["lin@acme.example"]), request_id="r1")
    assert await api("CreateGroup", request) == await api("CreateGroup", request)
    request.request_id = "r2"
    with pytest.raises(AlreadyExists):
        await api("CreateGroup", request)
    tenant = pb.CreateTenantRequest(tenant=pb.Tenant(name="umbrella"), request_id="r1")
    assert await api("CreateTenant", tenant, OPS) == await api("CreateTenant", tenant, OPS)
    key = pb.CreateApiKeyRequest(api_key=pb.ApiKey(owner="lin@acme.example"), request_id="r1")
    first, again = await api("CreateApiKey", key), await api("CreateApiKey", key)
    assert (first.api_key, bool(first.secret), again.secret) == (again.api_key, True, "")


async def test_pages_hold_everything_once(api: Api) -> None:
    """In the order of names, to an empty token."""
    for number in range(5):
        await api("CreateGroup", pb.CreateGroupRequest(group=pb.Group(name=f"g{number}")))
    names: list[str] = []
    token = ""
    while True:
        answer = await api("ListGroups", pb.ListGroupsRequest(page_size=2, page_token=token))
        names += [g.name for g in answer.groups]
        token = answer.next_page_token
        if not token:
            break
    assert names == ["g0", "g1", "g2", "g3", "g4", "legal"]
    with pytest.raises(InvalidInput):
        await api("ListGroups", pb.ListGroupsRequest(page_token="é"))


async def test_fields_at_fault_are_named(api: Api) -> None:
    """Several at once, by their path in the request."""
    with pytest.raises(InvalidInput) as caught:
        person = pb.Person(address="nobody", roles=["king"], aliases=["x"])
        await api("CreatePerson", pb.CreatePersonRequest(person=person))
    assert [field for field, _ in rpc.violations(caught.value)] == [
        "person.address",
        "person.roles[0]",
        "person.aliases[0]",
    ]
    with pytest.raises(InvalidInput) as caught:
        request = pb.UpdateGroupRequest(name="legal", update_mask=FieldMask(paths=["revision"]))
        await api("UpdateGroup", request)
    assert caught.value.field == "update_mask"


async def test_another_tenant_does_not_exist(api: Api) -> None:
    """Reading, writing and clashing give nothing away; a free-riding domain is refused."""
    await api("CreateTenant", pb.CreateTenantRequest(tenant=pb.Tenant(name="umbrella")), OPS)
    domain = pb.CreateDomainRequest(domain=pb.Domain(name="umbrella.example"))
    await api("CreateDomain", domain, OPS, "umbrella")
    for tenant in ("umbrella", "nowhere"):
        with pytest.raises(NotFound):
            await api("ListPeople", pb.ListPeopleRequest(tenant=tenant))
    with pytest.raises(AlreadyExists):
        await api("CreateDomain", domain)
    with pytest.raises(InvalidInput):
        await api("CreateDomain", pb.CreateDomainRequest(domain=pb.Domain(name="mail.umbrella.example")))
    with pytest.raises(InvalidInput):
        person = pb.Person(address="eve@umbrella.example")
        await api("CreatePerson", pb.CreatePersonRequest(person=person))
    with pytest.raises(InvalidInput):
        connector = pb.Connector(name="c", networks=["127.0.0.2/32"])
        await api("CreateConnector", pb.CreateConnectorRequest(connector=connector), OPS, "umbrella")


async def test_domain_comes_free_when_it_is_deleted(api: Api) -> None:
    """Not while it has people; then another tenant may have it."""
    with pytest.raises(Rejected):
        await api("DeleteDomain", pb.DeleteDomainRequest(name="acme.example"))
    await api("DeleteDomain", pb.DeleteDomainRequest(name="shop.acme.example"))
    await api("CreateDomain", pb.CreateDomainRequest(domain=pb.Domain(name="shop.acme.example")))
    with pytest.raises(NotFound):
        await api("DeleteDomain", pb.DeleteDomainRequest(name="never.example"))


async def test_tenant_is_changed_renamed_and_deleted(api: Api) -> None:
    """By an operator alone; the old name comes free; one with domains stays."""
    await api("CreateTenant", pb.CreateTenantRequest(tenant=pb.Tenant(name="umbrella", retention="7y")), OPS)
    request = pb.UpdateTenantRequest(
        name="umbrella",
        tenant=pb.Tenant(name="parasol", next_hop=pb.Route(address="192.0.2.1:25")),
        update_mask=FieldMask(paths=["name", "next_hop"]),
    )
    with pytest.raises(Denied):
        await api("UpdateTenant", request)
    changed = (await api("UpdateTenant", request, OPS)).tenant
    assert (changed.name, changed.next_hop.tls, changed.retention) == ("parasol", "opportunistic", "7y")
    listed = await api("ListTenants", pb.ListTenantsRequest(), OPS)
    assert [t.name for t in listed.tenants] == ["acme", "parasol"]
    await api("CreateTenant", pb.CreateTenantRequest(tenant=pb.Tenant(name="umbrella")), OPS)
    await api("DeleteTenant", pb.DeleteTenantRequest(name="parasol"), OPS)
    with pytest.raises(Rejected):
        await api("DeleteTenant", pb.DeleteTenantRequest(name="acme"), OPS)
    with pytest.raises(NotFound):
        await api("GetTenant", pb.GetTenantRequest(name="parasol"), OPS)


async def test_suspended_tenant_is_locked_out(api: Api) -> None:
    """Its people's tokens are nobody's until it is back."""
    request = pb.UpdateTenantRequest(
        name="acme", tenant=pb.Tenant(suspended=True), update_mask=FieldMask(paths=["suspended"])
    )
    await api("UpdateTenant", request, OPS)
    with pytest.raises(Unauthenticated):
        await api("ListDomains", pb.ListDomainsRequest())


async def test_operators_make_operators(api: Api) -> None:
    """An operator's key can be made and revoked by an operator, and by nobody else."""
    request = pb.CreateApiKeyRequest(api_key=pb.ApiKey(owner="second", operator=True))
    with pytest.raises(Denied):
        await api("CreateApiKey", request)
    made = await api("CreateApiKey", request, OPS)
    assert (await api("ListTenants", pb.ListTenantsRequest(), made.secret)).tenants
    await api("DeleteApiKey", pb.DeleteApiKeyRequest(id=made.api_key.id), OPS)
    with pytest.raises(Unauthenticated):
        await api("ListTenants", pb.ListTenantsRequest(), made.secret)


async def test_status_shows_addresses_to_operators_only(api: Api) -> None:
    """Everyone sees which revision runs; where things listen is the operators'."""
    api.control.addresses = {"relay": "127.0.0.1:25"}
    await api.control.announce()
    for token, shows in ((OPS, True), (ADMIN, False)):
        answer = await api.system.Status(
            system_pb2.StatusRequest(), metadata=[("authorization", f"Bearer {token}")], timeout=5
        )
        assert answer.revision == api.control.revision
        assert [n.service for n in answer.nodes] == ["admin"]
        assert bool(answer.nodes[0].addresses) is shows
        assert answer.settled


async def test_world_is_applied_by_operators(api: Api) -> None:
    """Dry run and mistakes come over the wire."""
    request = pb.ApplyWorldRequest(document="tenants: [{name: umbrella}]", dry_run=True)
    assert list((await api("ApplyWorld", request, OPS)).changes) == ["+ tenant umbrella"]
    with pytest.raises(Denied):
        await api("ApplyWorld", request)
    with pytest.raises(InvalidInput) as caught:
        await api("ApplyWorld", pb.ApplyWorldRequest(document="tenants: [{}, {name: X}]"), OPS)
    assert [f for f, _ in rpc.violations(caught.value)] == ["tenants[0].name", "tenants[1].name"]
