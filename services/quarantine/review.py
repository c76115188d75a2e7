"""What people do with holds: find those that are routed to them, and decide in their own name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal

from letterlock.mail.v1 import mail_pb2

from services.common.audit_entries import AuditEntry
from services.common.directory import Directory
from services.common.errors import InvalidInput, NotFound, Rejected
from services.common.ids import MailId, TenantId
from services.quarantine.core import holds, routing
from services.quarantine.core.holds import Decision, Hold
from services.quarantine.core.routing import Caller
from services.quarantine.hold import Quarantine
from services.quarantine.onward import leg_of
from services.quarantine.people import People
from services.quarantine.ports import Held, Holds, Reveal


class Review:
    """Every call names the person; a hold that is not routed to them does not exist for them (`NotFound`)."""

    def __init__(self, store: Holds, quarantine: Quarantine, people: People, reveal: Reveal) -> None:
        self._store, self._quarantine, self._people, self._reveal = store, quarantine, people, reveal

    async def routed(self, view: Directory, tenant: TenantId, person: str) -> Sequence[Held]:
        """Every hold that a person may see, newest mail first."""
        caller = await self._people.caller(view, tenant, person)
        if caller is None:
            return []
        return [h for h in await self._store.all(tenant) if _sees(view, tenant, h.hold, caller)]

    async def one(self, view: Directory, tenant: TenantId, person: str, named: str) -> Held:
        """The hold `<mail id>.<leg>`, or the only one of a mail id; raises `NotFound`, `InvalidInput` for several."""
        mail_id, dot, leg = named.partition(".")
        try:
            MailId.parse(mail_id)
        except InvalidInput:
            raise _missing() from None
        if dot:
            held = await self._store.get(tenant, named) if leg.isascii() and leg.isdigit() else None
            caller = await self._people.caller(view, tenant, person)
            if held is None or caller is None or not _sees(view, tenant, held.hold, caller):
                raise _missing()
            return held
        found = [h for h in await self.routed(view, tenant, person) if h.hold.mail_id == mail_id]
        if not found:
            raise _missing()
        if len(found) > 1:
            ids = ", ".join(sorted(h.hold.id for h in found))
            raise InvalidInput(f"this mail has more than one hold: {ids}", field="id")
        return found[0]

    async def decide(
        self,
        view: Directory,
        tenant: TenantId,
        person: str,
        named: str,
        decision: Decision,
        *,
        force: bool = False,
    ) -> Held:
        """Decide in a person's name. Raises as `one` and as `Quarantine.decide`."""
        held = await self.one(view, tenant, person, named)
        caller = await self._people.caller(view, tenant, person)
        if caller is None:
            raise _missing()

        def standing(hold: Hold) -> str:
            if decision.action == "cancel":
                if "sender" in hold.reviewers and routing.is_sender(hold, caller):
                    return ""
                raise Rejected("not the sender", public="only its sender can cancel it", hold=hold.id)
            return routing.acts_for(hold, caller, _members(view, tenant), decision.action)

        return await self._quarantine.decide(tenant, held.hold.id, decision, by=person, standing=standing, force=force)

    async def claim(
        self, view: Directory, tenant: TenantId, person: str, named: str, *, seconds: int, take_over: bool
    ) -> Held:
        """Keep others from deciding it for a while. Raises as `one`; `Rejected` when another has claimed it."""
        held = await self.one(view, tenant, person, named)
        return await self._quarantine.claim(tenant, held.hold.id, by=person, seconds=seconds, take_over=take_over)

    async def unclaim(self, view: Directory, tenant: TenantId, person: str, named: str) -> Held:
        """Let others decide it again. Raises as `one`."""
        held = await self.one(view, tenant, person, named)
        return await self._quarantine.unclaim(tenant, held.hold.id, by=person)

    async def leave(
        self, view: Directory, tenant: TenantId, person: str, named: str, note: str, notify: str = ""
    ) -> Held:
        """Leave it pending, with a note that `notify` reads too: `sender`, or an address of the tenant's domains.

        Raises as `one`, `InvalidInput` without a note, or for who may not be told.
        """
        if not note:
            raise InvalidInput("say something", field="note")
        held = await self.one(view, tenant, person, named)
        to = held.hold.sender if notify == "sender" else notify
        domain = view.domain_of(to) if to else None
        if notify and (domain is None or domain.tenant != tenant):
            raise InvalidInput("only people of your own are told", field="notify")
        what: Literal["notify", "pending"] = "notify" if to else "pending"
        return (await self._quarantine.remark(tenant, held.hold.id, what, by=person, note=note, to=to))[0]

    async def request(self, view: Directory, tenant: TenantId, person: str, mail_id: str, note: str) -> bool:
        """Ask for a mail that is held from a person who is one of its recipients; False: it was asked for before.

        Raises `NotFound` when there is nothing to ask for: also for mail that is another's.
        """
        caller = await self._people.caller(view, tenant, person)
        new, found = False, False
        for held in await self._store.all(tenant) if caller is not None else ():
            if held.hold.mail_id == mail_id and caller is not None and _is_for(held, caller):
                found = True
                what: Literal["request"] = "request"
                new |= (await self._quarantine.remark(tenant, held.hold.id, what, by=person, note=note))[1]
        if not found:
            raise _missing()
        return new

    async def read(
        self, view: Directory, tenant: TenantId, person: str, named: str, purpose: str
    ) -> AsyncIterator[bytes]:
        """The held mail in pieces, after the audit log has who reads it. Raises as `one`, `Unavailable`."""
        held = await self.one(view, tenant, person, named)
        detail = {"leg": held.hold.leg, "purpose": purpose, "state": held.hold.state}
        entry = AuditEntry(tenant, "hold.viewed", person, detail, mail_ids=(held.hold.mail_id,))
        async for piece in self._reveal(tenant, MailId.parse(held.hold.mail_id), entry):
            yield piece


def _sees(view: Directory, tenant: TenantId, hold: Hold, caller: Caller) -> bool:
    return routing.routed_to(hold, caller, _members(view, tenant))


def _members(view: Directory, tenant: TenantId) -> routing.Members:
    def members(name: str) -> Collection[str]:
        return view.group(tenant, name)

    return members


def _is_for(held: Held, caller: Caller) -> bool:
    if held.hold.state not in holds.OPEN or held.hold.kind != "hold":
        return False
    everyone = held.trace.decision.recipients
    mine = (everyone[p] for p in leg_of(held).recipients if 0 <= p < len(everyone))
    return any(r.address.lower() in caller.senders and r.direction != mail_pb2.DIRECTION_OUTBOUND for r in mine)


def _missing() -> NotFound:
    return NotFound("no such hold", public="no such hold")
