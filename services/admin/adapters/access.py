"""The API of cases, requests, grants, consent and enrolment: each RPC reads its request and shows what is now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
from letterlock.access.v1 import access_pb2 as pb
from letterlock.access.v1 import access_pb2_grpc as rpcs

from services.admin import sod
from services.admin.access import Access, Asked
from services.admin.consent import Code, Consent
from services.admin.core import checks
from services.admin.core.checks import Mistakes
from services.common import grants, rpc
from services.common.auth import WATCHED_ROLES, WATCHING_ROLES, conflicting_roles
from services.common.config import parse_duration
from services.common.control import Control, Document
from services.common.errors import InvalidInput, NotFound
from services.common.grants import Approval, Grant, Scope
from services.common.grpc_status import invalid

type _Context = grpc.aio.ServicerContext[Any, Any]

_MOST, _USUAL, _LONGEST_LIST = 1000, 100, 100
_DEFAULT = ("search", "open")
_STATES = ("pending", "granted", "refused", "withdrawn", "dead")


class AccessServicer(rpcs.AccessServiceServicer):
    """Serves `letterlock.access.v1.AccessService`."""

    def __init__(self, control: Control, access: Access, consent: Consent) -> None:
        self._control, self._access, self._consent = control, access, consent

    async def CreateCase(self, request: pb.CreateCaseRequest, context: _Context) -> pb.CreateCaseResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        case = await self._access.create_case(tenant, request.name, actor=_me(), request_id=_request_id(request))
        return pb.CreateCaseResponse(case_id=case.key)

    async def ListCases(self, request: pb.ListCasesRequest, context: _Context) -> pb.ListCasesResponse:
        """See the proto."""
        found = await self._control.list(rpc.tenant(request.tenant), "case")
        page, token = _page(found, lambda d: d.key, request)
        return pb.ListCasesResponse(cases=map(_case, page), next_page_token=token)

    async def CloseCase(self, request: pb.CloseCaseRequest, context: _Context) -> pb.CloseCaseResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        case = await self._access.close_case(tenant, request.case_id, actor=_me(), revision=request.revision)
        return pb.CloseCaseResponse(case=_case(case))

    async def RequestAccess(self, request: pb.RequestAccessRequest, context: _Context) -> pb.RequestAccessResponse:
        """See the proto."""
        asked = await self._access.request(
            rpc.tenant(request.tenant),
            request.case_id,
            actor=_me(),
            purpose=request.purpose,
            query=request.query,
            capabilities=grants.capabilities(list(request.capabilities) or _DEFAULT),
            seconds=_seconds(request.duration or "2h"),
            scope=_scope(request.scope),
            one_time=request.one_time,
            request_id=_request_id(request),
        )
        return pb.RequestAccessResponse(
            request_id=asked.request.id, state=asked.state, approvals=len(asked.approvals), needed=asked.needed
        )

    async def ListRequests(self, request: pb.ListRequestsRequest, context: _Context) -> pb.ListRequestsResponse:
        """See the proto."""
        if request.state and request.state not in _STATES:
            raise InvalidInput(f"expected one of {', '.join(_STATES)}", field="state")
        found = [
            a
            for a in await self._access.requests(rpc.tenant(request.tenant))
            if _visible(a.request.requester)
            and (not request.case_id or a.request.case_id == request.case_id)
            and (not request.state or a.state == request.state)
        ]
        page, token = _page(found, lambda a: a.request.id, request)
        return pb.ListRequestsResponse(requests=map(_asked, page), next_page_token=token)

    async def GetRequest(self, request: pb.GetRequestRequest, context: _Context) -> pb.GetRequestResponse:
        """See the proto."""
        asked = await self._access.asked(rpc.tenant(request.tenant), request.request_id)
        _only_visible(asked.request.requester, "request")
        return pb.GetRequestResponse(request=_asked(asked), canonical=asked.request.canonical())

    async def Approve(self, request: pb.ApproveRequest, context: _Context) -> pb.ApproveResponse:
        """See the proto."""
        asked = await self._access.approve(
            rpc.tenant(request.tenant),
            request.request_id,
            actor=_me(),
            request_hash=request.hash,
            signature=request.signature,
        )
        granted = asked.grant_id if asked.state == "granted" else ""
        return pb.ApproveResponse(request_id=asked.request.id, grant_id=granted, state=asked.state)

    async def Refuse(self, request: pb.RefuseRequest, context: _Context) -> pb.RefuseResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        asked = await self._access.refuse(tenant, request.request_id, actor=_me(), reason=request.reason)
        return pb.RefuseResponse(request_id=asked.request.id, state=asked.state)

    async def Revoke(self, request: pb.RevokeRequest, context: _Context) -> pb.RevokeResponse:
        """See the proto."""
        asked, grant = await self._access.revoke(
            rpc.tenant(request.tenant), request.id, actor=_me(), anybodys=_sees_all(), reason=request.reason
        )
        return pb.RevokeResponse(
            request_id=asked.request.id,
            grant_id=grant.id if grant else "",
            state="revoked" if grant else asked.state,
        )

    async def ListGrants(self, request: pb.ListGrantsRequest, context: _Context) -> pb.ListGrantsResponse:
        """See the proto."""
        found = [
            g
            for g in await self._access.grants(rpc.tenant(request.tenant))
            if _visible(g.request.requester) and (not request.case_id or g.request.case_id == request.case_id)
        ]
        page, token = _page(found, lambda g: g.id, request)
        return pb.ListGrantsResponse(grants=map(_grant, page), next_page_token=token)

    async def GetGrant(self, request: pb.GetGrantRequest, context: _Context) -> pb.GetGrantResponse:
        """See the proto."""
        grant = await self._access.grant(rpc.tenant(request.tenant), request.grant_id)
        _only_visible(grant.request.requester, "grant")
        return pb.GetGrantResponse(grant=_grant(grant))

    async def ConsentPerson(self, request: pb.ConsentPersonRequest, context: _Context) -> pb.ConsentPersonResponse:
        """See the proto."""
        code = await self._consent.consent(rpc.tenant(request.tenant), request.address, actor=_me())
        answer = pb.ConsentPersonResponse(address=code.address, roles=code.roles, code=code.text)
        answer.code_expires_at.FromDatetime(code.expires_at)
        return answer

    async def IssueCode(self, request: pb.IssueCodeRequest, context: _Context) -> pb.IssueCodeResponse:
        """See the proto."""
        code: Code = await self._consent.issue(rpc.tenant(request.tenant), request.address, actor=_me())
        answer = pb.IssueCodeResponse(address=code.address, code=code.text)
        answer.code_expires_at.FromDatetime(code.expires_at)
        return answer

    async def Enrol(self, request: pb.EnrolRequest, context: _Context) -> pb.EnrolResponse:
        """See the proto."""
        if len(request.address) > 320 or len(request.code) > 128:
            raise InvalidInput("too long", field="code")
        await self._consent.enrol(
            rpc.principal(),
            request.address,
            request.code,
            signing_key=request.signing_key,
            proof=request.proof,
            token_sha256=request.token_sha256,
        )
        return pb.EnrolResponse(
            address=request.address.lower(), signing_key=bool(request.signing_key), token=bool(request.token_sha256)
        )

    async def SodReport(self, request: pb.SodReportRequest, context: _Context) -> pb.SodReportResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        answer = pb.SodReportResponse(sound=True)
        for found in sod.combinations(sod.methods()):
            answer.combinations.add(
                roles=found.roles,
                reaches=sorted(found.reaches),
                rpcs=found.rpcs,
                forbidden=found.forbidden,
                violations=found.violations,
            )
            answer.sound = answer.sound and not found.violations
        keys = {d.key for d in await self._control.list(tenant, "signing-key")}
        for person in await self._control.list(tenant, "person"):
            value = person.value or {}
            roles, pending = value.get("roles") or (), value.get("pending") or ()
            if {*roles, *pending} & {*WATCHED_ROLES, "tenant_admin"}:
                answer.people.add(address=person.key, roles=roles, pending=pending, signing_key=person.key in keys)
                answer.sound = answer.sound and not conflicting_roles(roles)
        return answer


def _me() -> str:
    return rpc.principal().name


def _sees_all() -> bool:
    """Whether the caller watches: an auditor sees and ends what is their own."""
    return bool(rpc.principal().roles & WATCHING_ROLES)


def _visible(requester: str) -> bool:
    return _sees_all() or requester == _me()


def _only_visible(requester: str, what: str) -> None:
    if not _visible(requester):
        raise NotFound("another's", public=f"no such {what}")


def _case(document: Document) -> pb.Case:
    value = document.value or {}
    case = pb.Case(
        case_id=document.key,
        name=str(value["name"]),
        state=str(value["state"]),
        created_by=str(value["created_by"]),
        closed_by=str(value.get("closed_by", "")),
        revision=document.revision,
    )
    case.created_at.FromDatetime(datetime.fromisoformat(str(value["created_at"])))
    if value.get("closed_at"):
        case.closed_at.FromDatetime(datetime.fromisoformat(str(value["closed_at"])))
    return case


def _asked(asked: Asked) -> pb.AccessRequest:
    request = asked.request
    shown = pb.AccessRequest(
        request_id=request.id,
        case_id=request.case_id,
        state=asked.state,
        requester=request.requester,
        purpose=request.purpose,
        query=request.query,
        capabilities=sorted(request.capabilities),
        seconds=request.seconds,
        scope=_shown_scope(request.scope),
        one_time=request.one_time,
        approvals=map(_approval, asked.approvals),
        needed=asked.needed,
        hash=request.hash(),
        grant_id=asked.grant_id if asked.state == "granted" else "",
    )
    shown.created_at.FromDatetime(request.created_at)
    return shown


def _grant(grant: Grant) -> pb.Grant:
    request = grant.request
    state = "expired" if datetime.now(UTC) >= grant.expires_at else "in force"
    shown = pb.Grant(
        grant_id=grant.id,
        request_id=request.id,
        case_id=request.case_id,
        state="revoked" if grant.revoked_at is not None else state,
        requester=request.requester,
        purpose=request.purpose,
        query=request.query,
        capabilities=sorted(request.capabilities),
        scope=_shown_scope(request.scope),
        one_time=request.one_time,
        revoked_by=grant.revoked_by,
        approvals=map(_approval, grant.approvals),
        hash=request.hash(),
    )
    shown.granted_at.FromDatetime(grant.granted_at)
    shown.expires_at.FromDatetime(grant.expires_at)
    if grant.revoked_at is not None:
        shown.revoked_at.FromDatetime(grant.revoked_at)
    return shown


def _approval(approval: Approval) -> pb.Approval:
    shown = pb.Approval(approver=approval.approver, signed=bool(approval.signature))
    shown.at.FromDatetime(approval.at)
    return shown


def _shown_scope(scope: Scope) -> pb.Scope:
    plain = scope.plain()
    return pb.Scope(**plain)


def _scope(given: pb.Scope) -> Scope:
    """The scope that is asked for; raises `InvalidInput` with every field at fault."""
    mistakes = Mistakes()
    domains = checks.items(checks.domain, most=_LONGEST_LIST)(list(given.domains), "scope.domains", mistakes)
    people = checks.items(checks.address, most=_LONGEST_LIST)(list(given.people), "scope.people", mistakes)
    excluded = checks.items(checks.address, most=_LONGEST_LIST)(list(given.excluded), "scope.excluded", mistakes)
    after, before = (_moment(getattr(given, name), f"scope.{name}", mistakes) for name in ("after", "before"))
    if after is not None and before is not None and after >= before:
        mistakes.add("scope.before", "is not later than after")
    if mistakes.found:
        raise invalid(mistakes.found)
    return Scope(tuple(domains), tuple(people), tuple(excluded), after, before)


def _moment(text: str, field: str, mistakes: Mistakes) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        mistakes.add(field, "expected a date such as 2026-10-01, UTC")
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _seconds(text: str) -> int:
    try:
        return int(parse_duration(text).total_seconds())
    except (ValueError, OverflowError) as error:
        raise InvalidInput("expected a duration such as 2h", field="duration") from error


def _page[T](found: Sequence[T], key: Callable[[T], str], request: Any) -> tuple[Sequence[T], str]:
    """The page after the token, which is the last id of the page before; ids are in the order of time."""
    if request.page_size < 0 or len(request.page_token) > 64:
        raise InvalidInput("not a page of ours", field="page_token")
    size = min(request.page_size or _USUAL, _MOST)
    rest = sorted((f for f in found if key(f) > request.page_token), key=key)
    return rest[:size], key(rest[size - 1]) if len(rest) > size else ""


def _request_id(request: Any) -> str:
    text = str(request.request_id)
    if len(text) > 128:
        raise InvalidInput("at most 128 characters", field="request_id")
    return text
