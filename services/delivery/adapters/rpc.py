"""QueueService: what operators see of, and say to, mail that waits. Domains, counts and codes; never an address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from letterlock.delivery.v1 import delivery_pb2, delivery_pb2_grpc

from services.common import log, rpc, telemetry, tracing
from services.common.errors import InvalidInput, NotFound
from services.common.ids import MailId
from services.delivery.adapters.queue import BrokerQueue
from services.delivery.core.destinations import Destinations
from services.delivery.retry_state import next_attempt

_log = log.get(__name__)
_PAGE, _MOST = 100, 1000


class QueueService(delivery_pb2_grpc.QueueServiceServicer):
    """Answers from the queue's shadow; what an operator orders goes the way of a retry that is due."""

    def __init__(self, queue: BrokerQueue, destinations: Destinations) -> None:
        self._queue, self._destinations = queue, destinations

    async def ListQueue(self, request: delivery_pb2.ListQueueRequest, context: Any) -> delivery_pb2.ListQueueResponse:
        """Mail that waits, by tenant and age."""
        size = min(request.page_size or _PAGE, _MOST)
        if size < 0:
            raise InvalidInput("a page has at least one item", field="page_size")
        domain = request.domain.lower()
        keys = await self._queue.keys(tenant=_tenant(request.tenant), after=request.page_token)
        response = delivery_pb2.ListQueueResponse()
        async for key, state in self._queue.read(keys):
            if domain and all(r.domain != domain for r in state.recipients):
                continue
            response.items.append(_queued(state))
            if len(response.items) == size:
                response.next_page_token = key if key != keys[-1] else ""
                break
        return response

    async def Retry(self, request: delivery_pb2.RetryRequest, context: Any) -> delivery_pb2.RetryResponse:
        """Try a mail, or everything to a domain, now."""
        if not request.mail_id and not request.domain:
            raise InvalidInput("name a mail or a domain", field="mail_id")
        now, legs, domain = datetime.now(UTC), 0, request.domain.lower()
        mail_id = MailId.parse(request.mail_id) if request.mail_id else ""
        keys = await self._queue.keys(tenant=_tenant(request.tenant), mail_id=mail_id)
        async for _, state in self._queue.read(keys):
            named = [r for r in state.recipients if not domain or r.domain == domain]
            for recipient in named:
                recipient.next_attempt_at.FromDatetime(now)
            if named:
                # The destination may have gone away for all, by its route or by its domain.
                self._destinations.revive_all()
                with tracing.mail(state.tenant, state.mail_id), telemetry.stage("delivery", "retry_ordered"):
                    await self._queue.put(state)
                legs += 1
        if not legs:
            raise NotFound("nothing that was named waits", public="nothing that was named waits")
        _log.info("queue.retried", legs=legs, actor=rpc.principal().kind)
        return delivery_pb2.RetryResponse(legs=legs)

    async def Fail(self, request: delivery_pb2.FailRequest, context: Any) -> delivery_pb2.FailResponse:
        """Give up a mail now."""
        keys = await self._queue.keys(tenant=_tenant(request.tenant), mail_id=MailId.parse(request.mail_id))
        legs = 0
        async for _, state in self._queue.read(keys):
            state.fail, state.actor, state.note = True, rpc.principal().name, request.note[:500]
            with tracing.mail(state.tenant, state.mail_id), telemetry.stage("delivery", "fail_ordered"):
                await self._queue.schedule(state, at=datetime.now(UTC))
            legs += 1
        if not legs:
            raise NotFound("nothing that was named waits", public="nothing that was named waits")
        _log.info("queue.failed", mail_id=request.mail_id, legs=legs, actor=rpc.principal().kind)
        return delivery_pb2.FailResponse(legs=legs)


def _tenant(named: str) -> str:
    return rpc.tenant(named) if named else ""


def _queued(state: delivery_pb2.RetryState) -> delivery_pb2.QueuedMail:
    item = delivery_pb2.QueuedMail(tenant=state.tenant, mail_id=state.mail_id, leg=state.leg, queued_at=state.queued_at)
    item.next_attempt_at.FromDatetime(next_attempt(state))
    by_domain: dict[str, list[delivery_pb2.RecipientRetry]] = {}
    for recipient in state.recipients:
        by_domain.setdefault(recipient.domain, []).append(recipient)
    for domain, recipients in sorted(by_domain.items()):
        worst = max(recipients, key=lambda r: r.attempts)
        item.destinations.add(
            domain=domain,
            recipients=len(recipients),
            attempts=worst.attempts,
            next_attempt_at=min((r.next_attempt_at for r in recipients), key=lambda t: t.ToMilliseconds()),
            last_code=worst.last_code,
            last_reply_code=worst.last_reply_code,
        )
    return item
