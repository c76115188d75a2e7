"""Composition of the directory's keeper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from letterlock.access.v1 import access_pb2_grpc
from letterlock.directory.v1 import directory_pb2_grpc, session_pb2_grpc
from letterlock.system.v1 import system_pb2_grpc

from services.admin.access import Access
from services.admin.adapters.access import AccessServicer
from services.admin.adapters.grpc import DirectoryServicer
from services.admin.adapters.policies import PolicyService
from services.admin.adapters.sessions import SessionServicer
from services.admin.adapters.system import SystemServicer
from services.admin.config import AdminConfig
from services.admin.consent import Consent
from services.admin.edit import Editor
from services.admin.login import LogIn
from services.admin.ports import Policies
from services.admin.world import ApplyWorld
from services.common import rpc
from services.common.app import Context
from services.common.audit_client import AuditLog, Receipt, RemoteAuditLog
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.errors import Unavailable
from services.common.ids import TenantId
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.keys import PublicKeys
from services.common.sealing.writers import load_signer, load_writers


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Serve the directory's API while the context lives."""
    config = ctx.settings.of(AdminConfig)
    lock = asyncio.Lock()
    async with AsyncExitStack() as stack:
        fact_keys = FactKeys(ctx.bus.bucket("factkeys"), PublicKeys(ctx.objects, load_writers(ctx.settings)))
        trail = await stack.enter_async_context(AuditTrail(ctx.bus, fact_keys).running())
        policies: Policies = _Nobody()
        try:
            channel = rpc.connect_service(ctx.settings, me="admin", peer="policy")
        except Unavailable:
            pass  # no address of policy: world files with a policy are answered with "unavailable"
        else:
            stack.push_async_callback(channel.close)
            policies = PolicyService(channel, config.policy_timeout)
        ctx.health.add("directory", ctx.control.check)
        servicer = DirectoryServicer(
            ctx.control, Editor(ctx.control, trail, lock), ApplyWorld(ctx.control, policies, trail, lock)
        )
        ctx.rpc.add(directory_pb2_grpc.add_DirectoryServiceServicer_to_server, servicer)
        log_in = LogIn(ctx.control, load_signer(ctx.settings, "admin"), trail, lasts=config.session)
        ctx.rpc.add(session_pb2_grpc.add_SessionServiceServicer_to_server, SessionServicer(log_in))
        audit: AuditLog
        try:
            log = RemoteAuditLog.of(ctx)
        except Unavailable:
            audit = _NoLog()
        else:
            stack.push_async_callback(log.close)
            audit = log
        rights = AccessServicer(ctx.control, Access(ctx.control, audit, lock), Consent(ctx.control, audit, lock))
        ctx.rpc.add(access_pb2_grpc.add_AccessServiceServicer_to_server, rights)
        ctx.rpc.add(system_pb2_grpc.add_SystemServiceServicer_to_server, SystemServicer(ctx.control))
        yield


class _NoLog:
    """Where no audit log is configured: nothing that must be in it can be done."""

    async def append(self, entry: AuditEntry) -> Receipt:
        """Raises `Unavailable`."""
        raise Unavailable("no audit log is configured")


class _Nobody:
    """Where no policy service is configured."""

    async def current(self, tenant: TenantId) -> str | None:
        """Raises `Unavailable`."""
        raise Unavailable("no policy service is configured")

    async def check(self, tenant: TenantId, document: str, groups: Sequence[str]) -> list[tuple[str, str]]:
        """Raises `Unavailable`."""
        raise Unavailable("no policy service is configured")

    async def apply(self, tenant: TenantId, document: str, note: str) -> bool:
        """Raises `Unavailable`."""
        raise Unavailable("no policy service is configured")
