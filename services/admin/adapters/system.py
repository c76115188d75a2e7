"""What runs here: `letterlock.system.v1.SystemService`."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import grpc
from letterlock.system.v1 import system_pb2 as pb
from letterlock.system.v1 import system_pb2_grpc as rpcs

from services.common import rpc
from services.common.control import Control


class SystemServicer(rpcs.SystemServiceServicer):
    """Serves version and status."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def Version(
        self, request: pb.VersionRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.VersionResponse:
        """See the proto."""
        return pb.VersionResponse(version=_version())

    async def Status(self, request: pb.StatusRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.StatusResponse:
        """See the proto."""
        operator = rpc.principal().kind == "operator"
        own = self._control.revision
        answer = pb.StatusResponse(version=_version(), revision=own)
        for node in await self._control.node_revisions():
            shown = answer.nodes.add(name=node.name, service=node.service, revision=node.revision)
            shown.seen_at.FromDatetime(node.at)
            if operator:
                shown.addresses.update(node.addresses)
        answer.settled = all(node.revision == own for node in answer.nodes)
        return answer


def _version() -> str:
    try:
        return metadata.version("letterlock")
    except metadata.PackageNotFoundError:
        return "0"
