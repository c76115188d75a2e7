"""Hold mail for a person, or for a while, and carry out what is decided.

A decision is durable before anything is told of it. What was decided and not
told (a crash lies between) is told again at the next start and each minute,
under the same message id, so that nobody hears it twice. Expiry comes by
schedule, and where the schedule was lost, by the same minute's look.

What lets a held mail go is asked of the engines of today first: malware stays,
whoever wants it released.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry, tracing
from services.common.audit_entries import AuditTrail
from services.common.bus import Bus, Later, Message
from services.common.errors import AlreadyExists, Conflict, Error, InvalidInput, NotFound, Unavailable
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.quarantine.core import holds
from services.quarantine.core.holds import Decision, Hold
from services.quarantine.fitness import Fitness
from services.quarantine.onward import new_hold, why
from services.quarantine.ports import Held, Holds
from services.quarantine.tell import Teller

_log = log.get(__name__)
_TRIES = 5
_WAITING = frozenset({mail_pb2.DISPOSITION_HOLD, mail_pb2.DISPOSITION_DELAY})

type Standing = Callable[[Hold], str]
"""For whom the caller decides a hold as it is now (`routing.acts_for`); raises `Rejected`."""


def _now() -> datetime:
    return datetime.now(UTC)


class Quarantine:
    """The service's work over its ports; `now` is the clock, `changed` hears that there may be news of a hold."""

    def __init__(
        self,
        holds_: Holds,
        facts: Facts,
        bus: Bus,
        trail: AuditTrail,
        fitness: Fitness,
        *,
        now: Callable[[], datetime] = _now,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._holds, self._facts, self._now = holds_, facts, now
        self._fitness, self._changed = fitness, changed
        self._teller = Teller(holds_, facts, bus, trail, now=now)

    async def on_decided(self, message: Message) -> None:
        """Take a decided mail: hold its legs that are to be held. Repeats what a crash may have left out."""
        with telemetry.stage("quarantine", "fact", headers=message.headers):
            fact = await self._facts.open(message)
            meant = set(fact.trace.legs)
            with tracing.mail(fact.tenant, fact.mail_id):
                for leg in fact.trace.decision.legs:
                    if leg.disposition in _WAITING and (not meant or leg.number in meant):
                        with telemetry.stage("quarantine", "hold"):
                            await self._hold(fact.tenant, fact.mail_id, fact.trace, leg, again=bool(meant))

    async def _hold(
        self, tenant: TenantId, mail_id: MailId, trace: mail_pb2.Trace, leg: mail_pb2.Leg, *, again: bool
    ) -> None:
        held = await self._holds.get(tenant, f"{mail_id}.{leg.number}")
        if held is None:
            held = Held(new_hold(mail_id, trace, leg, self._now()), trace)
            try:
                held = await self._holds.put(tenant, held, actor="service:quarantine")
            except AlreadyExists:
                raise Later(0.1) from None  # another member has just held it: look again
            _log.info("hold.made", leg=leg.number, hold=held.hold.id, kind=held.hold.kind)
            telemetry.count("quarantine", "held" if held.hold.kind == "hold" else "delayed", tenant)
        if held.hold.state not in holds.OPEN:
            # Asked for by the sweeper, what was told may have been lost on its way: whoever did it knows its fate.
            if again or not held.hold.told:
                await self._teller.tell(tenant, held)
            return
        self._changed()
        await self._teller.schedule(tenant, held.hold)
        if held.hold.kind == "delay":
            await self._teller.outcome(tenant, held, mail_pb2.STATE_DEFERRED, "delayed", why(held))
        else:
            await self._teller.outcome(tenant, held, mail_pb2.STATE_HELD, "held", why(held))

    async def on_due(self, message: Message) -> None:
        """Take a schedule that fired: do what the hold's rule says of its expiry."""
        with telemetry.stage("quarantine", "due", headers=message.headers):
            tenant = TenantId.parse(message.subject.rpartition(".")[2])
            held = await self._holds.get(tenant, _hold_id(message.data))
            if held is None:
                return
            due = holds.next_due(held.hold)
            if due is not None and due > self._now():
                # The clock of the broker is ahead of ours.
                raise Later(max((due - self._now()).total_seconds(), 0.05))
            try:
                await self._expire(tenant, held)
            except Unavailable as error:
                # Policy or the store is away: that is no failure of the hold.
                raise Later(5.0) from error

    async def decide(
        self, tenant: TenantId, hold_id: str, decision: Decision, *, by: str, standing: Standing, force: bool = False
    ) -> Held:
        """Carry out a person's decision; durable, and told or soon told, on return.

        Raises `NotFound`; `Rejected` when it was decided otherwise, is claimed, is another's level, or the engines of
        today say worse of it and it is not forced; `Unavailable`.
        """

        async def change(held: Held) -> Hold:
            if held.hold.state in holds.OPEN:
                acting_for = standing(held.hold)
                decided = holds.decide(
                    held.hold, replace(decision, acting_for=acting_for, forced=force), by=by, at=self._now()
                )
                if decision.action in holds.LETS_GO and held.hold.kind == "hold":
                    await self._fitness.check(tenant, held, decision.note, force=force)
                return decided
            return holds.decide(held.hold, decision, by=by, at=self._now())

        before, held = await self._change(tenant, hold_id, change, by=by)
        if before is held:
            return held
        self._teller.record(tenant, held.hold)
        if held.hold.state in holds.OPEN:
            return held
        try:
            return await self._teller.tell(tenant, held)
        except Error as error:
            # Durable: the resumption tells it. The person need not wait for the broker.
            _log.warning("hold.told_later", hold=hold_id, code=error.code)
            return held

    async def claim(self, tenant: TenantId, hold_id: str, *, by: str, seconds: int, take_over: bool) -> Held:
        """Keep the others from deciding it for a while. Raises `NotFound`, `Rejected`, `Unavailable`."""

        async def change(held: Held) -> Hold:
            now = self._now()
            until = now + timedelta(seconds=seconds)
            return holds.claim(held.hold, by=by, at=now, until=until, take_over=take_over)

        return (await self._change(tenant, hold_id, change, by=by))[1]

    async def unclaim(self, tenant: TenantId, hold_id: str, *, by: str) -> Held:
        """Let the others decide it again. Raises as `claim`."""

        async def change(held: Held) -> Hold:
            return holds.unclaim(held.hold, by=by, at=self._now())

        return (await self._change(tenant, hold_id, change, by=by))[1]

    async def remark(
        self,
        tenant: TenantId,
        hold_id: str,
        what: Literal["pending", "request", "notify"],
        *,
        by: str,
        note: str,
        to: str = "",
    ) -> tuple[Held, bool]:
        """Note something and decide nothing; whether it is new: a second request of the same person is not."""

        async def change(held: Held) -> Hold:
            if what == "request" and any(s.what == what and s.by == by for s in held.hold.steps):
                return held.hold
            return holds.remark(held.hold, what, by=by, at=self._now(), note=note, to=to)

        before, after = await self._change(tenant, hold_id, change, by=by)
        return after, before is not after

    async def _change(
        self, tenant: TenantId, hold_id: str, change: Callable[[Held], Awaitable[Hold]], *, by: str
    ) -> tuple[Held, Held]:
        """Before and after a durable change, the same one when it changes nothing; again when another was faster."""
        for _ in range(_TRIES):
            held = await self._holds.get(tenant, hold_id)
            if held is None:
                raise NotFound("no such hold", public="no such hold")
            changed = await change(held)
            if changed is held.hold:
                return held, held
            try:
                after = await self._holds.put(tenant, replace(held, hold=changed), actor=by)
            except (Conflict, AlreadyExists):
                continue
            self._changed()
            return held, after
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
                            # Its entry may have died with a process; the same bytes again are the same entry.
                            if held.hold.steps:
                                self._teller.record(tenant, held.hold)
                            await self._teller.tell(tenant, held)
                    else:
                        await self._expire(tenant, held)
                except Error as error:
                    _log.warning("hold.resume_failed", tenant=tenant, hold=held.hold.id, code=error.code)

    async def keep_resuming(self, tenants: Callable[[], Iterable[TenantId]], every: timedelta) -> None:
        """Resume now and again, until cancelled."""
        while True:
            await self.resume(tenants())
            await asyncio.sleep(every.total_seconds())

    async def _expire(self, tenant: TenantId, held: Held) -> None:
        now = self._now()
        expired = holds.expire(held.hold, now)
        if holds.release_due(held.hold, now):
            verdict = "" if held.hold.kind == "delay" else await self._fitness.verdict(tenant, held)
            if verdict:
                expired = holds.overdue(held.hold, now, verdict)
            else:
                expired = holds.decide(held.hold, Decision("release"), by=holds.EXPIRY, at=now)
        if expired is held.hold:
            return
        try:
            held = await self._holds.put(tenant, replace(held, hold=expired), actor=holds.EXPIRY)
        except (Conflict, AlreadyExists):
            return  # a person was faster
        _log.info("hold.expired", tenant=tenant, hold=held.hold.id, state=held.hold.state)
        telemetry.count("quarantine", "expired", tenant)
        self._changed()
        self._teller.record(tenant, held.hold)
        if held.hold.state not in holds.OPEN:
            await self._teller.tell(tenant, held)
        else:
            await self._teller.schedule(tenant, held.hold)


def _hold_id(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidInput("not a hold's id") from error
