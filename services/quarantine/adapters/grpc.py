"""Holds for those they are routed to: `letterlock.quarantine.v1.HoldService`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
from letterlock.quarantine.v1 import quarantine_pb2 as pb
from letterlock.quarantine.v1 import quarantine_pb2_grpc as rpcs

from services.common import rpc
from services.common.errors import InvalidInput, NotFound
from services.common.ids import TenantId
from services.quarantine.adapters import show
from services.quarantine.core import holds
from services.quarantine.core.holds import FORMATS, Action, Decision
from services.quarantine.links import Links
from services.quarantine.people import People
from services.quarantine.ports import Deputy, Sender, Settings
from services.quarantine.review import Review

type _Context = grpc.aio.ServicerContext[Any, Any]
_USUAL, _MOST, _NOTE = 100, 1000, 1000
_CLAIM, _LONGEST_CLAIM = 900, 86_400
_ADDRESS = re.compile(r"[^\s@<>,;:\"\\()\[\]\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,253}")


class HoldServicer(rpcs.HoldServiceServicer):
    """Serves the callers' own holds; every other does not exist."""

    def __init__(self, review: Review, people: People, settings: Settings, links: Links) -> None:
        self._review, self._people, self._settings, self._links = review, people, settings, links

    async def ListHolds(self, request: pb.ListHoldsRequest, context: _Context) -> pb.ListHoldsResponse:
        """See the proto."""
        if request.page_size < 0:
            raise InvalidInput("expected a positive number", field="page_size")
        size = min(request.page_size or _USUAL, _MOST)
        found = [
            held
            for held in await self._review.routed(rpc.directory(), rpc.tenant(request.tenant), _person())
            if (request.include_decided or held.hold.state in holds.OPEN)
            and (not request.page_token or held.hold.id < request.page_token)
        ]
        shown = [show.hold(h) for h in found]
        if request.rule:
            shown = [h for h in shown if h.rule == request.rule]
        page = shown[:size]
        return pb.ListHoldsResponse(holds=page, next_page_token=page[-1].id if len(shown) > size else "")

    async def GetHold(self, request: pb.GetHoldRequest, context: _Context) -> pb.GetHoldResponse:
        """See the proto."""
        held = await self._review.one(rpc.directory(), rpc.tenant(request.tenant), _person(), request.id)
        return pb.GetHoldResponse(hold=show.hold(held))

    async def ReleaseHold(self, request: pb.ReleaseHoldRequest, context: _Context) -> pb.ReleaseHoldResponse:
        """See the proto."""
        return pb.ReleaseHoldResponse(hold=await self._decide(request, "release", force=request.force))

    async def DeleteHold(self, request: pb.DeleteHoldRequest, context: _Context) -> pb.DeleteHoldResponse:
        """See the proto."""
        return pb.DeleteHoldResponse(hold=await self._decide(request, "delete"))

    async def ReturnHold(self, request: pb.ReturnHoldRequest, context: _Context) -> pb.ReturnHoldResponse:
        """See the proto."""
        return pb.ReturnHoldResponse(hold=await self._decide(request, "return"))

    async def ForwardHold(self, request: pb.ForwardHoldRequest, context: _Context) -> pb.ForwardHoldResponse:
        """See the proto."""
        to = _address(request.to, field="to")
        return pb.ForwardHoldResponse(hold=await self._decide(request, "forward", to, force=request.force))

    async def SealHold(self, request: pb.SealHoldRequest, context: _Context) -> pb.SealHoldResponse:
        """See the proto."""
        format_, password = request.format or FORMATS[0], request.password or "random"
        if format_ not in FORMATS:
            raise InvalidInput(f"expected one of {', '.join(FORMATS)}", field="format")
        if password not in ("random", "agreed"):
            raise InvalidInput("expected random or agreed", field="password")
        target = f"{format_}/{password}"
        return pb.SealHoldResponse(hold=await self._decide(request, "seal", target, force=request.force))

    async def CancelHold(self, request: pb.CancelHoldRequest, context: _Context) -> pb.CancelHoldResponse:
        """See the proto."""
        return pb.CancelHoldResponse(hold=await self._decide(request, "cancel"))

    async def ClaimHold(self, request: pb.ClaimHoldRequest, context: _Context) -> pb.ClaimHoldResponse:
        """See the proto."""
        seconds = request.seconds or _CLAIM
        if not 1 <= seconds <= _LONGEST_CLAIM:
            raise InvalidInput(f"from 1 to {_LONGEST_CLAIM} seconds", field="seconds")
        tenant = rpc.tenant(request.tenant)
        held = await self._review.claim(
            rpc.directory(), tenant, _person(), request.id, seconds=seconds, take_over=request.take_over
        )
        return pb.ClaimHoldResponse(hold=show.hold(held))

    async def UnclaimHold(self, request: pb.UnclaimHoldRequest, context: _Context) -> pb.UnclaimHoldResponse:
        """See the proto."""
        held = await self._review.unclaim(rpc.directory(), rpc.tenant(request.tenant), _person(), request.id)
        return pb.UnclaimHoldResponse(hold=show.hold(held))

    async def NoteHold(self, request: pb.NoteHoldRequest, context: _Context) -> pb.NoteHoldResponse:
        """See the proto."""
        tenant, note = rpc.tenant(request.tenant), _note(request.note)
        notify = request.notify if request.notify in ("", "sender") else _address(request.notify, field="notify")
        held = await self._review.leave(rpc.directory(), tenant, _person(), request.id, note, notify)
        return pb.NoteHoldResponse(hold=show.hold(held))

    async def RequestRelease(self, request: pb.RequestReleaseRequest, context: _Context) -> pb.RequestReleaseResponse:
        """See the proto."""
        tenant, note = rpc.tenant(request.tenant), _note(request.note)
        asked = await self._review.request(rpc.directory(), tenant, _person(), request.mail_id, note)
        return pb.RequestReleaseResponse(asked=asked)

    async def ReadHold(self, request: pb.ReadHoldRequest, context: _Context) -> AsyncIterator[pb.ReadHoldResponse]:
        """See the proto."""
        tenant, purpose = rpc.tenant(request.tenant), _note(request.purpose, field="purpose")
        async for piece in self._review.read(rpc.directory(), tenant, _person(), request.id, purpose):
            yield pb.ReadHoldResponse(piece=piece)

    async def ListSenders(self, request: pb.ListSendersRequest, context: _Context) -> pb.ListSendersResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        _must_review()
        return pb.ListSendersResponse(senders=[show.sender(s) for s in await self._settings.senders(tenant)])

    async def SetSender(self, request: pb.SetSenderRequest, context: _Context) -> pb.SetSenderResponse:
        """See the proto."""
        tenant, person = rpc.tenant(request.tenant), _person()
        _must_review()
        held = await self._review.one(rpc.directory(), tenant, person, request.id)
        address = held.trace.envelope.sender.lower()
        if not address:
            raise InvalidInput("the null sender can be neither allowed nor blocked", field="id")
        verdict = show.VERDICTS.get(request.verdict)
        if verdict is None:
            await self._settings.set_sender(tenant, address, None, actor=person)
            return pb.SetSenderResponse(sender=pb.Sender(address=address, by=person))
        sender = Sender(address, verdict, person, datetime.now(UTC), _note(request.note))
        await self._settings.set_sender(tenant, address, sender, actor=person)
        return pb.SetSenderResponse(sender=show.sender(sender))

    async def ListDeputies(self, request: pb.ListDeputiesRequest, context: _Context) -> pb.ListDeputiesResponse:
        """See the proto."""
        tenant, person = rpc.tenant(request.tenant), _person()
        found = await self._people.deputies(rpc.directory(), tenant)
        return pb.ListDeputiesResponse(deputies=[show.deputy(d) for d in found if person in (d.reviewer, d.deputy)])

    async def SetDeputy(self, request: pb.SetDeputyRequest, context: _Context) -> pb.SetDeputyResponse:
        """See the proto."""
        tenant, person = rpc.tenant(request.tenant), _person()
        _must_review()
        other = rpc.directory().person(request.deputy)
        if other is None or other.tenant != tenant or "reviewer" not in other.roles or other.address == person:
            raise InvalidInput("a deputy is another reviewer of yours", field="deputy")
        until = request.until.ToDatetime(UTC) if request.HasField("until") else None
        deputy = Deputy(person, other.address, until)
        await self._settings.set_deputy(tenant, person, deputy)
        return pb.SetDeputyResponse(deputy=show.deputy(deputy))

    async def ClearDeputy(self, request: pb.ClearDeputyRequest, context: _Context) -> pb.ClearDeputyResponse:
        """See the proto."""
        await self._settings.set_deputy(rpc.tenant(request.tenant), _person(), None)
        return pb.ClearDeputyResponse()

    async def DescribeLink(self, request: pb.DescribeLinkRequest, context: _Context) -> pb.DescribeLinkResponse:
        """See the proto."""
        view = rpc.directory()
        link = await self._links.check(view, request.token)
        held = await self._review.one(view, link.tenant, link.person, link.thing)
        shown = pb.DescribeLinkResponse(
            action=link.action,
            person=link.person,
            hold=show.hold(held),
            language=self._links.language(view, link.tenant),
        )
        shown.expires_at.FromDatetime(link.expires_at)
        return shown

    async def ActByLink(self, request: pb.ActByLinkRequest, context: _Context) -> pb.ActByLinkResponse:
        """See the proto."""
        view, note = rpc.directory(), _note(request.note)
        link = await self._links.check(view, request.token)
        action = self._links.action(link)
        held = await self._review.decide(view, link.tenant, link.person, link.thing, Decision(action, note))
        # After the action, which cannot be done twice anyway: a crash between leaves a link that says so.
        await self._links.use(link)
        return pb.ActByLinkResponse(hold=show.hold(held))

    async def _decide(self, request: Any, action: Action, target: str = "", *, force: bool = False) -> pb.Hold:
        tenant: TenantId = rpc.tenant(request.tenant)
        decision = Decision(action, _note(request.note), target)
        held = await self._review.decide(rpc.directory(), tenant, _person(), request.id, decision, force=force)
        return show.hold(held)


def _person() -> str:
    """The person who calls; anybody else has no holds."""
    caller = rpc.principal()
    if caller.kind != "person":
        raise NotFound("no such hold", public="no such hold")
    return caller.address


def _must_review() -> None:
    if "reviewer" not in rpc.principal().roles:
        raise NotFound("no reviewer", public="this is for reviewers")


def _note(text: str, *, field: str = "note") -> str:
    if len(text) > _NOTE:
        raise InvalidInput(f"at most {_NOTE} characters", field=field)
    if any(ord(c) < 32 and c not in "\r\n\t" for c in text):
        raise InvalidInput("no control characters", field=field)
    return text.strip()


def _address(text: str, *, field: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise InvalidInput("not an address", field=field)
    return text
