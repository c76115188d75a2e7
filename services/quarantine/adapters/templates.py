"""The words of notices for who administers a tenant: `letterlock.quarantine.v1.NoticeService`."""

from __future__ import annotations

from typing import Any

import grpc
from letterlock.quarantine.v1 import quarantine_pb2 as pb
from letterlock.quarantine.v1 import quarantine_pb2_grpc as rpcs

from services.common import rpc
from services.common.directory import Directory
from services.common.ids import TenantId
from services.common.notices import Template, Templates
from services.quarantine.adapters import show

type _Context = grpc.aio.ServicerContext[Any, Any]


class NoticeServicer(rpcs.NoticeServiceServicer):
    """Serves the templates. The interceptor has checked the permission before it comes here."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def ListTemplates(self, request: pb.ListTemplatesRequest, context: _Context) -> pb.ListTemplatesResponse:
        """See the proto."""
        found = await self._templates.list(rpc.tenant(request.tenant))
        return pb.ListTemplatesResponse(templates=[show.template(s) for s in found])

    async def GetTemplate(self, request: pb.GetTemplateRequest, context: _Context) -> pb.GetTemplateResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        found = await self._templates.get(tenant, request.name, _language(tenant, request.language))
        return pb.GetTemplateResponse(template=show.template(found))

    async def SetTemplate(self, request: pb.SetTemplateRequest, context: _Context) -> pb.SetTemplateResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        template = Template(request.subject.strip(), request.text)
        language, actor = _language(tenant, request.language), rpc.principal().name
        stored = await self._templates.set(tenant, request.name, language, template, actor=actor)
        return pb.SetTemplateResponse(template=show.template(stored))

    async def ResetTemplate(self, request: pb.ResetTemplateRequest, context: _Context) -> pb.ResetTemplateResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        language, actor = _language(tenant, request.language), rpc.principal().name
        stored = await self._templates.reset(tenant, request.name, language, actor=actor)
        return pb.ResetTemplateResponse(template=show.template(stored))


def _language(tenant: TenantId, wanted: str) -> str:
    """The language that is asked for, or the tenant's."""
    view: Directory = rpc.directory()
    hosted = view.tenant(tenant)
    return wanted or (hosted.language if hosted is not None else "")
