"""Say what became of a hold: where its leg goes from here, or that it ends here, and who decided so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry, tracing
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.bus import Bus
from services.common.errors import AlreadyExists, Conflict
from services.common.facts import Facts
from services.common.ids import TenantId
from services.quarantine.core import holds
from services.quarantine.core.holds import Hold
from services.quarantine.onward import leg_of, onward
from services.quarantine.ports import Held, Holds

_log = log.get(__name__)
_DROPPED = {"deleted": "deleted_by_reviewer", "cancelled": "cancelled_by_sender"}


class Teller:
    """Tells by facts, outcomes, schedules and entries; whatever is told twice has the same id."""

    def __init__(
        self, holds_: Holds, facts: Facts, bus: Bus, trail: AuditTrail, *, now: Callable[[], datetime]
    ) -> None:
        self._holds, self._facts, self._bus, self._trail, self._now = holds_, facts, bus, trail, now

    async def tell(self, tenant: TenantId, held: Held) -> Held:
        """Say where the mail goes from here, then note that it is said. Raises `Unavailable`, `Busy`."""
        with tracing.mail(tenant, held.hold.mail_id), telemetry.stage("quarantine", "tell"):
            return await self._tell(tenant, held)

    async def _tell(self, tenant: TenantId, held: Held) -> Held:
        hold = held.hold
        if hold.state in _DROPPED:
            await self.outcome(tenant, held, mail_pb2.STATE_DELETED, _DROPPED[hold.state], hold.note)
        else:
            msg_id = f"{hold.mail_id}:{hold.leg}:r:{hold.decision}"
            await self._facts.publish("released", onward(held), raw=None, msg_id=msg_id)
        await self._bus.unschedule(f"quarantine.due.{tenant}", key=hold.id)
        telemetry.count("quarantine", hold.state, tenant)
        _log.info("hold.told", tenant=tenant, hold=hold.id, state=hold.state)
        if hold.told:
            return held
        try:
            told = replace(held, hold=replace(hold, told=True))
            return await self._holds.put(tenant, told, actor="service:quarantine")
        except (Conflict, AlreadyExists):
            return held  # another member told it too, under the same id

    async def schedule(self, tenant: TenantId, hold: Hold) -> None:
        """Be woken when time does something with a hold next."""
        due = holds.next_due(hold)
        if due is not None:
            at = max(due, self._now())
            subject = f"quarantine.due.{tenant}"
            await self._bus.schedule(subject, hold.id.encode(), at=at, key=hold.id, headers=tracing.inject())

    async def outcome(self, tenant: TenantId, held: Held, state: mail_pb2.State, code: str, detail: str) -> None:
        """What became of the leg's recipients."""
        leg = leg_of(held)
        outcome = mail_pb2.Outcome(
            tenant=tenant,
            mail_id=held.hold.mail_id,
            leg=leg.number,
            recipients=leg.recipients,
            state=state,
            code=code,
            detail=detail,
            service="quarantine",
            actor=held.hold.decided_by,
        )
        outcome.at.FromDatetime(held.hold.decided_at or held.hold.held_at)
        await self._facts.outcome(held.trace, outcome)

    def record(self, tenant: TenantId, hold: Hold) -> None:
        """The entry of a hold's newest step, the same whenever it is recorded."""
        step = hold.steps[-1]
        detail = {
            "action": step.what,
            "leg": hold.leg,
            "state": hold.state,
            "note": step.note,
            "level": step.level,
            "acting_for": step.acting_for,
            "detail": step.detail,
            "forced": step.forced,
        }
        self._trail.record(AuditEntry(tenant, "hold.decided", step.by, detail, mail_ids=(hold.mail_id,), at=step.at))
