"""The archive's RPCs (proto/letterlock/archive/v1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from letterlock.archive.v1 import archive_pb2, archive_pb2_grpc

from services.archive.adapters.masking import mask_decision, mask_status
from services.archive.coverage import Coverage
from services.archive.index import IndexFeed
from services.archive.status import Histories, History, status
from services.common import log, rpc
from services.common.errors import InvalidInput, NotFound
from services.common.ids import MailId, TenantId

_log = log.get(__name__)

_SEES_ALL = frozenset({"tenant_admin"})
"""Roles that see every trace of their tenant; others see the mails they sent or got."""
_PROGRESS = 0.5
"""Seconds between two reports of progress."""


class ArchiveServicer(archive_pb2_grpc.ArchiveServiceServicer):
    """Answers from `Histories`, `Coverage` and the `IndexFeed`."""

    def __init__(self, histories: Histories, coverage: Coverage, feed: IndexFeed) -> None:
        self._histories, self._coverage, self._feed = histories, coverage, feed

    async def MailStatus(self, request: archive_pb2.MailStatusRequest, context: Any) -> archive_pb2.MailStatusResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        history = await self._history(tenant, request.mail_id)
        response = status(history, tenant, _name(tenant))
        return mask_status(response) if rpc.principal().kind == "operator" else response

    async def MailWhy(self, request: archive_pb2.MailWhyRequest, context: Any) -> archive_pb2.MailWhyResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        history = await self._history(tenant, request.mail_id)
        if history.decision is None:
            raise NotFound("undecided", public="this mail has not been decided yet")
        decision = mask_decision(history.decision) if rpc.principal().kind == "operator" else history.decision
        mail_id = MailId.parse(request.mail_id)
        return archive_pb2.MailWhyResponse(mail_id=mail_id, tenant=_name(tenant), decision=decision)

    async def Coverage(self, request: archive_pb2.CoverageRequest, context: Any) -> archive_pb2.CoverageResponse:
        """See the proto."""
        response = archive_pb2.CoverageResponse(segments_behind=self._feed.behind())
        for tenant in _tenants(request.tenant):
            covered = await self._coverage.of(tenant)
            shown = response.tenants.add(
                tenant=_name(tenant), in_scope=covered.in_scope, indexed=covered.indexed, reasons=covered.reasons
            )
            for mail_id, reason in covered.unsearchable:
                shown.unsearchable.add(mail_id=mail_id, reason=reason)
            response.in_scope += covered.in_scope
            response.indexed += covered.indexed
        return response

    async def Reindex(
        self, request: archive_pb2.ReindexRequest, context: Any
    ) -> AsyncIterator[archive_pb2.ReindexResponse]:
        """See the proto."""
        tenants = _tenants(request.tenant)
        _log.info("reindex.started", tenants=len(tenants), by=rpc.principal().kind)
        for tenant in tenants:
            self._feed.forget(tenant)
        before = self._feed.progress(tenants)
        work = asyncio.create_task(self._feed.catch_up(tenants))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_PROGRESS)
                yield _progress(self._feed.progress(tenants), before, done=False)
            await work
            yield _progress(self._feed.progress(tenants), before, done=True)
        finally:
            work.cancel()
        _log.info("reindex.done", tenants=len(tenants))

    async def _history(self, tenant: TenantId, mail_id: str) -> History:
        history = await self._histories.of(tenant, MailId.parse(mail_id))
        caller = rpc.principal()
        if caller.kind == "person" and not caller.roles & _SEES_ALL:
            person = rpc.directory().person(caller.address)
            own = {a.lower() for a in (rpc.directory().addresses_of(person) if person else {caller.address})}
            if not own & history.addresses():
                raise NotFound("not theirs", public="no such mail")
        return history


def _progress(now: tuple[int, int, int], before: tuple[int, int, int], *, done: bool) -> archive_pb2.ReindexResponse:
    segments, segments_done, mails = now
    return archive_pb2.ReindexResponse(
        segments=segments, segments_done=segments_done, mails=max(mails - before[2], 0), done=done
    )


def _tenants(named: str) -> list[TenantId]:
    """The tenant that was named, a person's own, or all of an operator's."""
    if not named and rpc.principal().kind == "operator":
        try:
            return [rpc.tenant()]
        except InvalidInput:  # named nowhere
            return sorted(rpc.directory().tenants)
    return [rpc.tenant(named)]


def _name(tenant: TenantId) -> str:
    found = rpc.directory().tenant(tenant)
    return found.name if found is not None else tenant
