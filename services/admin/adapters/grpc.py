"""The directory's API: each RPC reads its request, lets the editor or the world applier work, and shows what is now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from letterlock.directory.v1 import directory_pb2 as pb
from letterlock.directory.v1 import directory_pb2_grpc as rpcs

from services.admin.adapters import wire
from services.admin.adapters.wire import Noun
from services.admin.edit import Editor
from services.admin.world import ApplyWorld
from services.common import rpc
from services.common.control import Control, Document
from services.common.errors import Denied, InvalidInput, NotFound
from services.common.ids import INSTALLATION, TenantId

type _Context = grpc.aio.ServicerContext[Any, Any]


class DirectoryServicer(rpcs.DirectoryServiceServicer):
    """Serves `letterlock.directory.v1.DirectoryService`."""

    def __init__(self, control: Control, editor: Editor, apply_world: ApplyWorld) -> None:
        self._control, self._editor, self._apply_world = control, editor, apply_world

    async def ApplyWorld(self, request: pb.ApplyWorldRequest, context: _Context) -> pb.ApplyWorldResponse:
        """See the proto."""
        done = await self._apply_world(request.document, dry_run=request.dry_run, actor=rpc.principal().name)
        return pb.ApplyWorldResponse(changes=done.changes, warnings=done.warnings)

    async def ListTenants(self, request: pb.ListTenantsRequest, context: _Context) -> pb.ListTenantsResponse:
        """See the proto."""
        documents = [d for d in self._control.documents() if d.kind == "tenant" and d.value is not None]
        documents.sort(key=lambda d: str((d.value or {}).get("name", "")))
        page, token = wire.page(documents, request.page_size, request.page_token)
        return pb.ListTenantsResponse(tenants=[self._tenant(d) for d in page], next_page_token=token)

    async def GetTenant(self, request: pb.GetTenantRequest, context: _Context) -> pb.GetTenantResponse:
        """See the proto."""
        document = await self._editor.get(rpc.tenant(_named(request.name)), "tenant", "self")
        return pb.GetTenantResponse(tenant=self._tenant(document))

    async def CreateTenant(self, request: pb.CreateTenantRequest, context: _Context) -> pb.CreateTenantResponse:
        """See the proto."""
        given = wire.TENANT.values(request.tenant)
        given.pop("name", None)
        document = await self._editor.create_tenant(
            request.tenant.name, given, request_id=_request_id(request), actor=rpc.principal().name
        )
        return pb.CreateTenantResponse(tenant=self._tenant(document))

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, context: _Context) -> pb.UpdateTenantResponse:
        """See the proto."""
        tenant = rpc.tenant(_named(request.name))
        document = await self._update(wire.TENANT, tenant, "self", request.tenant, request)
        return pb.UpdateTenantResponse(tenant=self._tenant(document))

    async def DeleteTenant(self, request: pb.DeleteTenantRequest, context: _Context) -> pb.DeleteTenantResponse:
        """See the proto."""
        await self._delete("tenant", rpc.tenant(_named(request.name)), "self", request.revision)
        return pb.DeleteTenantResponse()

    async def ListDomains(self, request: pb.ListDomainsRequest, context: _Context) -> pb.ListDomainsResponse:
        """See the proto."""
        page, token = await self._list(wire.DOMAIN, request)
        return pb.ListDomainsResponse(domains=page, next_page_token=token)

    async def GetDomain(self, request: pb.GetDomainRequest, context: _Context) -> pb.GetDomainResponse:
        """See the proto."""
        document = await self._editor.get(rpc.tenant(request.tenant), wire.DOMAIN.kind, request.name)
        return pb.GetDomainResponse(domain=wire.DOMAIN.show(document))

    async def CreateDomain(self, request: pb.CreateDomainRequest, context: _Context) -> pb.CreateDomainResponse:
        """See the proto."""
        document = await self._create(wire.DOMAIN, request, request.domain.name, request.domain)
        return pb.CreateDomainResponse(domain=wire.DOMAIN.show(document))

    async def UpdateDomain(self, request: pb.UpdateDomainRequest, context: _Context) -> pb.UpdateDomainResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document = await self._update(wire.DOMAIN, tenant, request.name, request.domain, request)
        return pb.UpdateDomainResponse(domain=wire.DOMAIN.show(document))

    async def DeleteDomain(self, request: pb.DeleteDomainRequest, context: _Context) -> pb.DeleteDomainResponse:
        """See the proto."""
        await self._delete(wire.DOMAIN.kind, rpc.tenant(request.tenant), request.name, request.revision)
        return pb.DeleteDomainResponse()

    async def ListConnectors(self, request: pb.ListConnectorsRequest, context: _Context) -> pb.ListConnectorsResponse:
        """See the proto."""
        page, token = await self._list(wire.CONNECTOR, request)
        return pb.ListConnectorsResponse(connectors=page, next_page_token=token)

    async def GetConnector(self, request: pb.GetConnectorRequest, context: _Context) -> pb.GetConnectorResponse:
        """See the proto."""
        document = await self._editor.get(rpc.tenant(request.tenant), wire.CONNECTOR.kind, request.name)
        return pb.GetConnectorResponse(connector=wire.CONNECTOR.show(document))

    async def CreateConnector(
        self, request: pb.CreateConnectorRequest, context: _Context
    ) -> pb.CreateConnectorResponse:
        """See the proto."""
        document = await self._create(wire.CONNECTOR, request, request.connector.name, request.connector)
        return pb.CreateConnectorResponse(connector=wire.CONNECTOR.show(document))

    async def UpdateConnector(
        self, request: pb.UpdateConnectorRequest, context: _Context
    ) -> pb.UpdateConnectorResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document = await self._update(wire.CONNECTOR, tenant, request.name, request.connector, request)
        return pb.UpdateConnectorResponse(connector=wire.CONNECTOR.show(document))

    async def DeleteConnector(
        self, request: pb.DeleteConnectorRequest, context: _Context
    ) -> pb.DeleteConnectorResponse:
        """See the proto."""
        await self._delete(wire.CONNECTOR.kind, rpc.tenant(request.tenant), request.name, request.revision)
        return pb.DeleteConnectorResponse()

    async def ListPeople(self, request: pb.ListPeopleRequest, context: _Context) -> pb.ListPeopleResponse:
        """See the proto."""
        page, token = await self._list(wire.PERSON, request)
        return pb.ListPeopleResponse(people=page, next_page_token=token)

    async def GetPerson(self, request: pb.GetPersonRequest, context: _Context) -> pb.GetPersonResponse:
        """See the proto."""
        document = await self._editor.get(rpc.tenant(request.tenant), wire.PERSON.kind, request.address)
        return pb.GetPersonResponse(person=wire.PERSON.show(document))

    async def CreatePerson(self, request: pb.CreatePersonRequest, context: _Context) -> pb.CreatePersonResponse:
        """See the proto."""
        document = await self._create(wire.PERSON, request, request.person.address, request.person)
        return pb.CreatePersonResponse(person=wire.PERSON.show(document))

    async def UpdatePerson(self, request: pb.UpdatePersonRequest, context: _Context) -> pb.UpdatePersonResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document = await self._update(wire.PERSON, tenant, request.address, request.person, request)
        return pb.UpdatePersonResponse(person=wire.PERSON.show(document))

    async def DeletePerson(self, request: pb.DeletePersonRequest, context: _Context) -> pb.DeletePersonResponse:
        """See the proto."""
        await self._delete(wire.PERSON.kind, rpc.tenant(request.tenant), request.address, request.revision)
        return pb.DeletePersonResponse()

    async def ListGroups(self, request: pb.ListGroupsRequest, context: _Context) -> pb.ListGroupsResponse:
        """See the proto."""
        page, token = await self._list(wire.GROUP, request)
        return pb.ListGroupsResponse(groups=page, next_page_token=token)

    async def GetGroup(self, request: pb.GetGroupRequest, context: _Context) -> pb.GetGroupResponse:
        """See the proto."""
        document = await self._editor.get(rpc.tenant(request.tenant), wire.GROUP.kind, request.name)
        return pb.GetGroupResponse(group=wire.GROUP.show(document))

    async def CreateGroup(self, request: pb.CreateGroupRequest, context: _Context) -> pb.CreateGroupResponse:
        """See the proto."""
        document = await self._create(wire.GROUP, request, request.group.name, request.group)
        return pb.CreateGroupResponse(group=wire.GROUP.show(document))

    async def UpdateGroup(self, request: pb.UpdateGroupRequest, context: _Context) -> pb.UpdateGroupResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        document = await self._update(wire.GROUP, tenant, request.name, request.group, request)
        return pb.UpdateGroupResponse(group=wire.GROUP.show(document))

    async def DeleteGroup(self, request: pb.DeleteGroupRequest, context: _Context) -> pb.DeleteGroupResponse:
        """See the proto."""
        await self._delete(wire.GROUP.kind, rpc.tenant(request.tenant), request.name, request.revision)
        return pb.DeleteGroupResponse()

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: _Context) -> pb.ListApiKeysResponse:
        """See the proto."""
        tenant, kind = self._key_place(request.tenant)
        documents = await self._control.list(tenant, kind)
        page, token = wire.page(documents, request.page_size, request.page_token)
        return pb.ListApiKeysResponse(api_keys=[wire.API_KEY.show(d) for d in page], next_page_token=token)

    async def GetApiKey(self, request: pb.GetApiKeyRequest, context: _Context) -> pb.GetApiKeyResponse:
        """See the proto."""
        return pb.GetApiKeyResponse(api_key=wire.API_KEY.show(await self._key(request.tenant, request.id)))

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: _Context) -> pb.CreateApiKeyResponse:
        """See the proto."""
        given = request.api_key
        if given.operator and rpc.principal().kind != "operator":
            raise Denied("only operators make operators' keys")
        tenant = INSTALLATION if given.operator else rpc.tenant(request.tenant)
        document, secret = await self._editor.create_key(
            tenant,
            given.owner,
            given.name,
            request.secret,
            request_id=_request_id(request),
            actor=rpc.principal().name,
        )
        return pb.CreateApiKeyResponse(api_key=wire.API_KEY.show(document), secret=secret)

    async def UpdateApiKey(self, request: pb.UpdateApiKeyRequest, context: _Context) -> pb.UpdateApiKeyResponse:
        """See the proto."""
        known = await self._key(request.tenant, request.id)
        noun = Noun(known.kind, wire.API_KEY.given, wire.API_KEY.show)
        document = await self._update(noun, known.tenant, known.key, request.api_key, request)
        return pb.UpdateApiKeyResponse(api_key=wire.API_KEY.show(document))

    async def DeleteApiKey(self, request: pb.DeleteApiKeyRequest, context: _Context) -> pb.DeleteApiKeyResponse:
        """See the proto."""
        known = await self._key(request.tenant, request.id)
        await self._delete(known.kind, known.tenant, known.key, request.revision)
        return pb.DeleteApiKeyResponse()

    async def _list(self, noun: Noun, request: Any) -> tuple[list[Any], str]:
        documents = await self._control.list(rpc.tenant(request.tenant), noun.kind)
        page, token = wire.page(documents, request.page_size, request.page_token)
        return [noun.show(d) for d in page], token

    async def _create(self, noun: Noun, request: Any, key: str, message: Any) -> Document:
        tenant = rpc.tenant(request.tenant)
        given, actor = noun.values(message), rpc.principal().name
        return await self._editor.create(tenant, noun.kind, key, given, request_id=_request_id(request), actor=actor)

    async def _update(self, noun: Noun, tenant: TenantId, key: str, message: Any, request: Any) -> Document:
        given = noun.values(message, request.update_mask)
        actor = rpc.principal().name
        return await self._editor.update(tenant, noun.kind, key, given, revision=request.revision, actor=actor)

    async def _delete(self, kind: str, tenant: TenantId, key: str, revision: int) -> None:
        await self._editor.delete(tenant, kind, key, revision=revision, actor=rpc.principal().name)

    def _tenant(self, document: Document) -> pb.Tenant:
        shown: pb.Tenant = wire.TENANT.show(document)
        known = self._control.directory.tenant(document.tenant)
        shown.policy_revision = known.policy_revision if known is not None else 0
        return shown

    def _key_place(self, named: str) -> tuple[TenantId, str]:
        """Where the caller's API keys are: an operator who names no tenant means the operators' own."""
        if rpc.principal().kind == "operator":
            try:
                return rpc.tenant(named), "apikey"
            except InvalidInput:
                return INSTALLATION, "operator"
        return rpc.tenant(named), "apikey"

    async def _key(self, named: str, key_id: str) -> Document:
        tenant, kind = self._key_place(named)
        documents: Sequence[Document] = await self._control.list(tenant, kind)
        found = [d for d in documents if wire.API_KEY.show(d).id == key_id]
        if len(key_id) != 16 or len(found) != 1:
            raise NotFound("no such API key", public="no such API key")
        return found[0]


def _named(name: str) -> str:
    if not name:
        raise InvalidInput("name a tenant", field="name")
    return name


def _request_id(request: Any) -> str:
    text = str(request.request_id)
    if len(text) > 128:
        raise InvalidInput("at most 128 characters", field="request_id")
    return text
