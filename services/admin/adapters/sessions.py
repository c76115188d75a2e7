"""People who log in: `letterlock.directory.v1.SessionService`."""

from __future__ import annotations

from typing import Any

import grpc
from letterlock.directory.v1 import session_pb2 as pb
from letterlock.directory.v1 import session_pb2_grpc as rpcs

from services.admin.login import LogIn
from services.common import rpc
from services.common.notices import language_of

_PORTAL = "portal"
type _Context = grpc.aio.ServicerContext[Any, Any]


class SessionServicer(rpcs.SessionServiceServicer):
    """Serves log-ins and log-outs."""

    def __init__(self, log_in: LogIn) -> None:
        self._log_in = log_in

    async def LogIn(self, request: pb.LogInRequest, context: _Context) -> pb.LogInResponse:
        """See the proto."""
        caller = rpc.principal()
        portal = caller.kind == "service" and caller.service == _PORTAL
        token, expires = await self._log_in.begin(
            request.address,
            request.secret,
            request.peer[:64] if portal else "",
            through=_PORTAL if portal else "api",
        )
        answer = pb.LogInResponse(token=token)
        answer.expires_at.FromDatetime(expires)
        return answer

    async def LogOut(self, request: pb.LogOutRequest, context: _Context) -> pb.LogOutResponse:
        """See the proto."""
        await self._log_in.end(rpc.principal())
        return pb.LogOutResponse()

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: _Context) -> pb.WhoAmIResponse:
        """See the proto."""
        caller = rpc.principal()
        tenant, language = self._log_in.whose(caller)
        return pb.WhoAmIResponse(
            name=caller.name, roles=sorted(caller.roles), tenant=tenant, language=language_of(language)
        )
