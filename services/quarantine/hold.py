"""Hold mail for a person and carry out what the person decides.

A decision is durable before anything is told of it. What was decided and not
told (a crash lies between) is told again at the next start and each minute,
under the same message id, so that nobody hears it twice. Expiry comes by
schedule, and where the schedule was lost, by the same minute's look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry, tracing
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.bus import Bus, Later, Message
from services.common.errors import AlreadyExists, Conflict, Corrupt, Error, InvalidInput, NotFound
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.quarantine.core import holds
from services.quarantine.core.holds import Action, Hold
from services.quarantine.ports import Held, Holds

_log = log.get(__name__)
_TRIES = 5


def _now() -> datetime:
    return datetime.now(UTC)


class Quarantine:
    """The service's work over its ports; `now` is the clock."""

    def __init__(
        self, holds_: Holds, facts: Facts, bus: Bus, trail: AuditTrail, *, now: Callable[[], datetime] = _now
    ) -> None:
        self._holds, self._facts, self._bus, self._trail, self._now = holds_, facts, bus, trail, now

    async def on_decided(self, message: Message) -> None:
        """Take a decided mail: hold its legs that are to be held. Repeats what a crash may have left out."""
        with telemetry.stage("quarantine", "fact", headers=message.headers):
            fact = await self._facts.open(message)
            meant = set(fact.trace.legs)
            with tracing.mail(fact.tenant, fact.mail_id):
                for leg in fact.trace.decision.legs:
                    if leg.disposition == mail_pb2.DISPOSITION_HOLD and (not meant or leg.number in meant):
                        with telemetry.stage("quarantine", "hold"):
                            await self._hold(fact.tenant, fact.mail_id, fact.trace, leg)

    async def _hold(self, tenant: TenantId, mail_id: MailId, trace: mail_pb2.Trace, leg: mail_pb2.Leg) -> None:
        held = await self._holds.get(tenant, f"{mail_id}.{leg.number}")
        if held is None:
            held = Held(_new_hold(mail_id, trace, leg, self._now()), trace)
            try:
                held = await self._holds.put(tenant, held, actor="service:quarantine")
            except AlreadyExists:
                raise Later(0.1) from None  # another member has just held it: look again
            _log.info("hold.made", leg=leg.number, hold=held.hold.id)
            telemetry.count("quarantine", "held", tenant)
        if held.hold.state not in holds.OPEN:
            if not held.hold.told:
                await self._tell(tenant, held)
            return
        if held.hold.expires_at is not None and held.hold.state == "held":
            await self._schedule(tenant, held.hold)
        await self._outcome(tenant, held, mail_pb2.STATE_HELD, "held", _why(held))

    async def on_due(self, message: Message) -> None:
        """Take a schedule that fired: do what the hold's rule says of its expiry."""
        with telemetry.stage("quarantine", "due", headers=message.headers):
            tenant = TenantId.parse(message.subject.rpartition(".")[2])
            held = await self._holds.get(tenant, _hold_id(message.data))
            if held is None:
                return
            expires = held.hold.expires_at
            if held.hold.state == "held" and expires is not None and expires > self._now():
                # The clock of the broker is ahead of ours.
                raise Later(max((expires - self._now()).total_seconds(), 0.05))
            await self._expire(tenant, held)

    async def decide(self, tenant: TenantId, hold_id: str, action: Action, *, by: str, note: str) -> Held:
        """Carry out a person's decision; durable, and told or soon told, on return.

        Raises `NotFound`, `Rejected` when it was decided otherwise, `Unavailable`.
        """
        for _ in range(_TRIES):
            held = await self._holds.get(tenant, hold_id)
            if held is None:
                raise NotFound("no such hold", public="no such hold")
            decided = holds.decide(held.hold, action, by=by, at=self._now(), note=note)
            if decided is held.hold:
                return held
            try:
                held = await self._holds.put(tenant, replace(held, hold=decided), actor=by)
            except (Conflict, AlreadyExists):
                continue
            self._record(tenant, held.hold, action)
            try:
                return await self._tell(tenant, held)
            except Error as error:
                # Durable: the resumption tells it. The person need not wait for the broker.
                _log.warning("hold.told_later", hold=hold_id, code=error.code)
                return held
        raise Conflict("it keeps changing")

    async def resume(self, tenants: Iterable[TenantId]) -> None:
        """Tell what was decided and not told, and do what has expired; one failure does not keep the others."""
        for tenant in tenants:
            try:
                everything = await self._holds.all(tenant)
            except Error as error:
                _log.warning("hold.resume_failed", tenant=tenant, code=error.code)
                continue
            for held in everything:
                try:
                    if held.hold.state not in holds.OPEN:
                        if not held.hold.told:
                            await self._tell(tenant, held)
                    elif holds.expire(held.hold, self._now()) is not held.hold:
                        await self._expire(tenant, held)
                except Error as error:
                    _log.warning("hold.resume_failed", tenant=tenant, hold=held.hold.id, code=error.code)

    async def keep_resuming(self, tenants: Callable[[], Iterable[TenantId]], every: timedelta) -> None:
        """Resume now and again, until cancelled."""
        while True:
            await self.resume(tenants())
            await asyncio.sleep(every.total_seconds())

    async def _expire(self, tenant: TenantId, held: Held) -> None:
        expired = holds.expire(held.hold, self._now())
        if expired is held.hold:
            return
        try:
            held = await self._holds.put(tenant, replace(held, hold=expired), actor=holds.EXPIRY)
        except (Conflict, AlreadyExists):
            return  # a person was faster
        _log.info("hold.expired", tenant=tenant, hold=held.hold.id, state=held.hold.state)
        telemetry.count("quarantine", "expired", tenant)
        self._record(tenant, held.hold, "expire")
        if held.hold.state not in holds.OPEN:
            await self._tell(tenant, held)

    async def _tell(self, tenant: TenantId, held: Held) -> Held:
        """Say where the mail goes from here, then note that it is said."""
        with tracing.mail(tenant, held.hold.mail_id), telemetry.stage("quarantine", "tell"):
            return await self._tell_of(tenant, held)

    async def _tell_of(self, tenant: TenantId, held: Held) -> Held:
        hold = held.hold
        if hold.state == "deleted":
            await self._outcome(tenant, held, mail_pb2.STATE_DELETED, "deleted_by_reviewer", hold.note)
        else:
            trace = _onward(held)
            await self._facts.publish(
                "released", trace, raw=None, msg_id=f"{hold.mail_id}:{hold.leg}:r:{hold.decision}"
            )
        await self._bus.unschedule(f"quarantine.due.{tenant}", key=hold.id)
        telemetry.count("quarantine", hold.state, tenant)
        _log.info("hold.told", tenant=tenant, hold=hold.id, state=hold.state)
        try:
            return await self._holds.put(
                tenant, replace(held, hold=replace(hold, told=True)), actor="service:quarantine"
            )
        except (Conflict, AlreadyExists):
            return held  # another member told it too, under the same id

    async def _schedule(self, tenant: TenantId, hold: Hold) -> None:
        if hold.expires_at is not None:
            await self._bus.schedule(
                f"quarantine.due.{tenant}",
                hold.id.encode(),
                at=max(hold.expires_at, self._now()),
                key=hold.id,
                headers=tracing.inject(),
            )

    async def _outcome(self, tenant: TenantId, held: Held, state: mail_pb2.State, code: str, detail: str) -> None:
        leg = _leg(held)
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

    def _record(self, tenant: TenantId, hold: Hold, action: str) -> None:
        detail = {"action": action, "leg": hold.leg, "state": hold.state, "note": hold.note}
        actor = hold.decided_by or holds.EXPIRY
        self._trail.record(AuditEntry(tenant, "hold.decided", actor, detail, mail_ids=(hold.mail_id,)))


def _new_hold(mail_id: MailId, trace: mail_pb2.Trace, leg: mail_pb2.Leg, now: datetime) -> Hold:
    return Hold(
        mail_id=mail_id,
        leg=leg.number,
        held_at=now,
        expires_at=now + timedelta(seconds=leg.seconds) if leg.seconds > 0 else None,
        on_expiry=leg.on_expiry or "escalate",
        reviewers=tuple(leg.reviewers),
        sender=trace.envelope.sender,
    )


def _leg(held: Held) -> mail_pb2.Leg:
    for leg in held.trace.decision.legs:
        if leg.number == held.hold.leg:
            return leg
    raise Corrupt("a hold without its leg")


def _why(held: Held) -> str:
    """What people read of the reason: the rule's words, or its name and who reviews."""
    leg = _leg(held)
    return leg.text or f"held by rule {leg.rule} for review by {', '.join(leg.reviewers) or 'any reviewer'}"


def _onward(held: Held) -> mail_pb2.Trace:
    """The trace that sends this leg on: released as decided, or given back with the note."""
    trace = mail_pb2.Trace()
    trace.CopyFrom(held.trace)
    trace.ClearField("outcome")
    del trace.legs[:]
    trace.legs.append(held.hold.leg)
    trace.actor, trace.note = held.hold.decided_by, held.hold.note
    if held.hold.state == "returned":
        for leg in trace.decision.legs:
            if leg.number == held.hold.leg:
                leg.disposition = mail_pb2.DISPOSITION_RETURN
                leg.text = held.hold.note or leg.text
    return trace


def _hold_id(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidInput("not a hold's id") from error
