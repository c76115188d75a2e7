"""Holds for those they are routed to: `letterlock.quarantine.v1.HoldService`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from letterlock.mail.v1 import mail_pb2
from letterlock.quarantine.v1 import quarantine_pb2 as pb
from letterlock.quarantine.v1 import quarantine_pb2_grpc as rpcs

from services.common import rpc
from services.common.errors import InvalidInput, NotFound
from services.common.ids import MailId, TenantId
from services.quarantine.core import holds
from services.quarantine.core.holds import Action, Caller
from services.quarantine.hold import Quarantine
from services.quarantine.ports import Held, Holds

type _Context = grpc.aio.ServicerContext[Any, Any]
_STATES: Mapping[str, pb.HoldState] = {
    "held": pb.HOLD_STATE_HELD,
    "overdue": pb.HOLD_STATE_OVERDUE,
    "released": pb.HOLD_STATE_RELEASED,
    "deleted": pb.HOLD_STATE_DELETED,
    "returned": pb.HOLD_STATE_RETURNED,
}
_USUAL, _MOST, _NOTE = 100, 1000, 1000


class HoldServicer(rpcs.HoldServiceServicer):
    """Serves the callers' own holds; every other does not exist."""

    def __init__(self, store: Holds, quarantine: Quarantine) -> None:
        self._store, self._quarantine = store, quarantine

    async def ListHolds(self, request: pb.ListHoldsRequest, context: _Context) -> pb.ListHoldsResponse:
        """See the proto."""
        if request.page_size < 0:
            raise InvalidInput("expected a positive number", field="page_size")
        size = min(request.page_size or _USUAL, _MOST)
        found = [
            held
            for held in await self._routed(rpc.tenant(request.tenant))
            if (request.include_decided or held.hold.state in holds.OPEN)
            and (not request.page_token or held.hold.id < request.page_token)
        ]
        page = found[:size]
        token = page[-1].hold.id if len(found) > size else ""
        return pb.ListHoldsResponse(holds=[show(h) for h in page], next_page_token=token)

    async def GetHold(self, request: pb.GetHoldRequest, context: _Context) -> pb.GetHoldResponse:
        """See the proto."""
        return pb.GetHoldResponse(hold=show(await self._one(rpc.tenant(request.tenant), request.id)))

    async def ReleaseHold(self, request: pb.ReleaseHoldRequest, context: _Context) -> pb.ReleaseHoldResponse:
        """See the proto."""
        return pb.ReleaseHoldResponse(hold=await self._decide(request, "release"))

    async def DeleteHold(self, request: pb.DeleteHoldRequest, context: _Context) -> pb.DeleteHoldResponse:
        """See the proto."""
        return pb.DeleteHoldResponse(hold=await self._decide(request, "delete"))

    async def ReturnHold(self, request: pb.ReturnHoldRequest, context: _Context) -> pb.ReturnHoldResponse:
        """See the proto."""
        return pb.ReturnHoldResponse(hold=await self._decide(request, "return"))

    async def _decide(self, request: Any, action: Action) -> pb.Hold:
        if len(request.note) > _NOTE:
            raise InvalidInput(f"at most {_NOTE} characters", field="note")
        tenant = rpc.tenant(request.tenant)
        held = await self._one(tenant, request.id)
        by = rpc.principal().address
        return show(await self._quarantine.decide(tenant, held.hold.id, action, by=by, note=request.note.strip()))

    async def _one(self, tenant: TenantId, named: str) -> Held:
        mail_id, dot, leg = named.partition(".")
        try:
            MailId.parse(mail_id)
        except InvalidInput:
            raise _missing() from None
        if dot:
            held = await self._store.get(tenant, named) if leg.isascii() and leg.isdigit() else None
            if held is None or not self._is_routed(tenant, held):
                raise _missing()
            return held
        found = [h for h in await self._routed(tenant) if h.hold.mail_id == mail_id]
        if not found:
            raise _missing()
        if len(found) > 1:
            ids = ", ".join(sorted(h.hold.id for h in found))
            raise InvalidInput(f"this mail has more than one hold: {ids}", field="id")
        return found[0]

    async def _routed(self, tenant: TenantId) -> Sequence[Held]:
        return [held for held in await self._store.all(tenant) if self._is_routed(tenant, held)]

    def _is_routed(self, tenant: TenantId, held: Held) -> bool:
        caller, view = rpc.principal(), rpc.directory()
        person = view.person(caller.address)
        if caller.kind != "person" or person is None or person.tenant != tenant:
            return False
        own = frozenset({person.address, *person.aliases})
        known = Caller(own, view.addresses_of(person), caller.roles)
        return holds.routed_to(held.hold, known, lambda name: view.group(tenant, name))


def _missing() -> NotFound:
    return NotFound("no such hold", public="no such hold")


def show(held: Held) -> pb.Hold:
    """A hold as the API tells it: addresses, times, reasons; nothing of the mail itself."""
    hold, envelope = held.hold, held.trace.envelope
    leg = next((leg for leg in held.trace.decision.legs if leg.number == hold.leg), mail_pb2.Leg())
    everyone = held.trace.decision.recipients
    mine = [everyone[i] for i in leg.recipients if 0 <= i < len(everyone)]
    shown = pb.Hold(
        id=hold.id,
        mail_id=hold.mail_id,
        leg=hold.leg,
        state=_STATES[hold.state],
        direction=mine[0].direction if mine else mail_pb2.DIRECTION_UNSPECIFIED,
        sender=hold.sender,
        recipients=[r.address for r in mine],
        size=envelope.size,
        on_expiry=hold.on_expiry,
        rule=leg.rule,
        text=leg.text,
        reviewers=hold.reviewers,
        decided_by=hold.decided_by,
        note=hold.note,
        revision=hold.revision,
    )
    if envelope.HasField("received_at"):
        shown.received_at.CopyFrom(envelope.received_at)
    shown.held_at.FromDatetime(hold.held_at)
    if hold.expires_at is not None:
        shown.expires_at.FromDatetime(hold.expires_at)
    if hold.decided_at is not None:
        shown.decided_at.FromDatetime(hold.decided_at)
    return shown
