"""The right to look at archived mail: case, request, approvals, grant; each act in the audit log before it is done.

| kind | key | value |
|---|---|---|
| `case` | case id | `{name, state, created_at, created_by, closed_at, closed_by, request}` |
| `access-request` | request id | `grants.Request.plain()` and `{state, needed, grant_id, request_key, decided_by}` |
| `access-intent` | `<request>.<address>` | `{at}`: when an approval was first told; telling it again is no second one |
| `access-approval` | `<request>.<address>` | `grants.Approval.plain()` |
| `grant` | grant id | `grants.Grant.plain()`; a later revision revokes |

The grant's id is chosen with the request, and its creation is the compare-and-set: of two last approvals one makes it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.common import grants, log
from services.common.audit_client import AuditLog
from services.common.audit_entries import AuditEntry
from services.common.control import Control, Document
from services.common.errors import AlreadyExists, Conflict, Denied, InvalidInput, NotFound, Rejected
from services.common.grants import Approval, Grant, Request, Scope
from services.common.ids import MailId, TenantId
from services.common.search import query as questions

_log = log.get(__name__)
MOST_WAITING = 100
"""Requests of one person that may wait at a time."""
_MOST_TEXT = 2000
_MOST_NAME = 200
_LEAST_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stands. `state` is pending, granted, refused, withdrawn or dead."""

    request: Request
    state: str
    needed: int
    grant_id: str
    approvals: tuple[Approval, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class _Known:
    """Approvals by request, and the ids of all grants."""

    approvals: Mapping[str, list[Approval]]
    granted: frozenset[str]


class Access:
    """The acts. `lock` is shared with whoever else writes the directory in this process."""

    def __init__(
        self,
        control: Control,
        audit: AuditLog,
        lock: asyncio.Lock,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: str(MailId.new()),
    ) -> None:
        self._control, self._audit, self._lock, self._now, self._new_id = control, audit, lock, now, new_id

    async def create_case(self, tenant: TenantId, name: str, *, actor: str, request_id: str) -> Document:
        """A new open case; the same `request_id` again answers with what it made."""
        name = _text(name, "name", _MOST_NAME)
        key = _key_of(actor, request_id)
        async with self._lock:
            for known in await self._control.list(tenant, "case"):
                if key and (known.value or {}).get("request") == key:
                    return known
            case_id = self._new_id()
            await self._tell(tenant, "case.created", actor, {"name": name}, case_id=case_id)
            value = {
                "name": name, "state": "open", "created_at": _stamp(self._now()), "created_by": actor, "request": key,
            }  # fmt: skip
            await self._control.put(tenant, "case", case_id, value, expected=0, actor=actor)
            return await self.case(tenant, case_id)

    async def case(self, tenant: TenantId, case_id: str) -> Document:
        """A case, or `NotFound`."""
        return await self._document(tenant, "case", case_id)

    async def close_case(self, tenant: TenantId, case_id: str, *, actor: str, revision: int = 0) -> Document:
        """Close a case and end its grants; goes on where an interrupted closing stopped."""
        async with self._lock:
            case = await self.case(tenant, case_id)
            if revision and case.revision != revision:
                raise Conflict("it changed meanwhile", newest=case.revision)
            value = dict(case.value or {})
            if value["state"] == "open":
                await self._tell(tenant, "case.closed", actor, {"name": value["name"]}, case_id=case_id)
                value |= {"state": "closed", "closed_at": _stamp(self._now()), "closed_by": actor}
                await self._control.put(tenant, "case", case_id, value, expected=case.revision, actor=actor)
            for document in await self._control.list(tenant, "grant"):
                grant = grants.read_grant(document.value or {})
                if grant.request.case_id == case_id and grant.revoked_at is None:
                    await self._end(tenant, document, grant, actor, "the case was closed")
            return await self.case(tenant, case_id)

    async def request(
        self,
        tenant: TenantId,
        case_id: str,
        *,
        actor: str,
        purpose: str,
        query: str,
        capabilities: frozenset[str],
        seconds: int,
        scope: Scope,
        one_time: bool,
        request_id: str,
    ) -> Asked:
        """A new request; the same `request_id` again answers with what it made.

        Raises `InvalidInput` for a question that cannot be meant, `NotFound` and `Rejected` for a case that is not
        there or closed.
        """
        purpose = _text(purpose, "purpose", _MOST_TEXT)
        await asyncio.to_thread(questions.parse, query)
        if not _LEAST_SECONDS <= seconds <= grants.MOST_SECONDS:
            raise InvalidInput("from one second to 90 days", field="duration")
        key = _key_of(actor, request_id)
        async with self._lock:
            await self._open_case(tenant, case_id)
            mine = [a for a in await self.requests(tenant) if a.request.requester == actor]
            for document in await self._control.list(tenant, "access-request"):
                if key and (document.value or {}).get("request_key") == key:
                    return await self.asked(tenant, document.key)
            if sum(a.state == "pending" for a in mine) >= MOST_WAITING:
                raise Rejected("too many", public=f"at most {MOST_WAITING} of your requests may wait at a time")
            asked = Request(
                id=self._new_id(),
                tenant=tenant,
                case_id=case_id,
                requester=actor,
                purpose=purpose,
                query=query,
                capabilities=capabilities,
                seconds=seconds,
                # As it is kept: canonical bytes have milliseconds.
                created_at=datetime.fromisoformat(self._now().isoformat(timespec="milliseconds")),
                scope=scope,
                one_time=one_time,
            )
            needed, grant_id = self._needed(tenant), self._new_id()
            facts = {
                "request_id": asked.id, "request_hash": asked.hash(), "approvals": needed,
                "capabilities": sorted(capabilities),
            }  # fmt: skip
            detail = {"purpose": purpose, "query": query, "scope": scope.plain(), "seconds": seconds}
            await self._tell(tenant, "access.requested", actor, detail, case_id, grant_id, facts)
            value = asked.plain() | {"state": "pending", "needed": needed, "grant_id": grant_id, "request_key": key}
            await self._control.put(tenant, "access-request", asked.id, value, expected=0, actor=actor)
            return await self.asked(tenant, asked.id)

    async def asked(self, tenant: TenantId, request_id: str) -> Asked:
        """A request as it stands, or `NotFound`."""
        document = await self._document(tenant, "access-request", request_id)
        return self._read(document, await self._approvals(tenant))

    async def requests(self, tenant: TenantId) -> list[Asked]:
        """Every request, in the order they were made."""
        known = await self._approvals(tenant)
        return [self._read(d, known) for d in await self._control.list(tenant, "access-request")]

    async def grants(self, tenant: TenantId) -> list[Grant]:
        """Every grant, in the order of ids."""
        return [grants.read_grant(d.value or {}) for d in await self._control.list(tenant, "grant")]

    async def grant(self, tenant: TenantId, grant_id: str) -> Grant:
        """A grant, or `NotFound`."""
        return grants.read_grant((await self._document(tenant, "grant", grant_id)).value or {})

    async def approve(
        self, tenant: TenantId, request_id: str, *, actor: str, request_hash: str, signature: bytes
    ) -> Asked:
        """Say yes. With enough good approvals the grant is made. Raises `Denied` and `Rejected`, with the reason."""
        async with self._lock:
            asked = await self.asked(tenant, request_id)
            request, wanted = asked.request, asked.request.hash()
            key = await self._key(tenant, actor)
            why = self._refusal(asked, actor, request_hash or wanted, signature, key)
            if why:
                await self._told_denied(tenant, "access.approved", actor, asked, why)
                raise Denied("approval", public=why)
            if asked.state == "granted":
                return asked
            if asked.state != "pending":
                raise Rejected(asked.state, public=f"this request is {asked.state}")
            await self._open_case(tenant, request.case_id)
            if actor not in {a.approver for a in asked.approvals}:
                at = await self._intent(tenant, request, actor)
                facts = {
                    "request_id": request.id, "request_hash": wanted, "approvals": asked.needed,
                    "expires": _leaf_time(at + timedelta(seconds=request.seconds)), "signed": int(key is not None),
                }  # fmt: skip
                detail = {"purpose": request.purpose, "query": request.query, "signature": signature.hex()}
                await self._tell(
                    tenant, "access.approved", actor, detail, request.case_id, asked.grant_id, facts, at=at
                )
                approval = Approval(request.id, wanted, actor, at, signature or None, key)
                place = f"{request.id}.{actor}"
                await self._control.put(tenant, "access-approval", place, approval.plain(), expected=None, actor=actor)
            return await self._granted(tenant, request_id, actor)

    async def refuse(self, tenant: TenantId, request_id: str, *, actor: str, reason: str) -> Asked:
        """Say no, for good."""
        async with self._lock:
            asked = await self.asked(tenant, request_id)
            if asked.state == "granted":
                raise Rejected("granted", public="this request is granted already: revoke its grant")
            if asked.state == "pending":
                await self._decide(tenant, asked, "refused", actor, reason)
            return await self.asked(tenant, request_id)

    async def revoke(
        self, tenant: TenantId, name: str, *, actor: str, anybodys: bool, reason: str
    ) -> tuple[Asked, Grant | None]:
        """End a grant, or take back a request: `name` is either's id. Without `anybodys` only the actor's own."""
        async with self._lock:
            grant_document = await self._control.get(tenant, "grant", name) if _is_id(name) else None
            if grant_document is not None:
                given = grants.read_grant(grant_document.value or {})
                asked = await self.asked(tenant, given.request.id)
            else:
                asked = await self.asked(tenant, name)
                grant_document = await self._control.get(tenant, "grant", asked.grant_id)
            if not anybodys and asked.request.requester != actor:
                raise NotFound("another's", public="no such grant or request")
            if grant_document is None:
                if asked.state == "pending":
                    await self._decide(tenant, asked, "withdrawn", actor, reason)
                return await self.asked(tenant, asked.request.id), None
            grant = grants.read_grant(grant_document.value or {})
            if grant.revoked_at is None:
                await self._end(tenant, grant_document, grant, actor, reason)
            return asked, await self.grant(tenant, grant.id)

    def _refusal(self, asked: Asked, actor: str, request_hash: str, signature: bytes, key: bytes | None) -> str:
        if asked.request.requester == actor:
            return "nobody approves their own request"
        if request_hash != asked.request.hash():
            return "this is not the request that you read: read it again"
        if key is None:
            return "you have not enrolled a signing key" if signature else ""
        approval = Approval(asked.request.id, request_hash, actor, asked.request.created_at, signature, key)
        return "" if grants.signature_is_good(approval, key) else "sign it with the key that you enrolled (--key-file)"

    async def _granted(self, tenant: TenantId, request_id: str, actor: str) -> Asked:
        asked = await self.asked(tenant, request_id)
        request = asked.request
        keys = {d.key: bytes.fromhex(str((d.value or {})["public"])) for d in await self._keys(tenant)}
        people = self._control.directory.people.values()
        approvers = {p.address for p in people if p.tenant == tenant and p.active and "approver" in p.roles}
        good = grants.good_approvals(request, asked.approvals, keys=keys, approvers=approvers)
        if len(good) < asked.needed or await self._control.get(tenant, "grant", asked.grant_id) is not None:
            return asked
        chosen = tuple(a for a in asked.approvals if a.approver in good)
        grant = Grant(asked.grant_id, request, chosen, asked.needed, max(a.at for a in chosen))
        with suppress(AlreadyExists):  # the other last approval made it
            await self._control.put(tenant, "grant", grant.id, grant.plain(), expected=0, actor=actor)
        _log.info("access.granted", tenant=tenant, grant=grant.id, request=request.id, approvals=len(chosen))
        return await self.asked(tenant, request_id)

    async def _intent(self, tenant: TenantId, request: Request, actor: str) -> datetime:
        """When this approval is told to have happened: now, or what a try that died had written."""
        place = f"{request.id}.{actor}"
        known = await self._control.get(tenant, "access-intent", place)
        if known is None:
            at = self._now().isoformat(timespec="milliseconds")
            await self._control.put(tenant, "access-intent", place, {"at": at}, expected=0, actor=actor)
            return datetime.fromisoformat(at)
        return datetime.fromisoformat(str((known.value or {})["at"]))

    async def _decide(self, tenant: TenantId, asked: Asked, state: str, actor: str, reason: str) -> None:
        request = asked.request
        action = "access.refused" if state == "refused" else "access.revoked"
        facts = {"request_id": request.id, "request_hash": request.hash()}
        await self._tell(tenant, action, actor, {"reason": _reason(reason)}, request.case_id, asked.grant_id, facts)
        document = await self._document(tenant, "access-request", request.id)
        value = dict(document.value or {}) | {"state": state, "decided_by": actor}
        await self._control.put(tenant, "access-request", request.id, value, expected=asked.revision, actor=actor)

    async def _end(self, tenant: TenantId, document: Document, grant: Grant, actor: str, reason: str) -> None:
        facts = {"request_id": grant.request.id, "request_hash": grant.request.hash()}
        detail = {"reason": _reason(reason)}
        await self._tell(tenant, "access.revoked", actor, detail, grant.request.case_id, grant.id, facts)
        value = grant.revoked(at=self._now(), by=actor).plain()
        await self._control.put(tenant, "grant", grant.id, value, expected=document.revision, actor=actor)

    async def _told_denied(self, tenant: TenantId, action: str, actor: str, asked: Asked, why: str) -> None:
        request = asked.request
        facts = {"request_id": request.id, "request_hash": request.hash()}
        await self._tell(tenant, action, actor, {"reason": why}, request.case_id, "", facts, outcome="denied")

    async def _tell(
        self,
        tenant: TenantId,
        action: str,
        actor: str,
        detail: Mapping[str, Any],
        case_id: str = "",
        grant_id: str = "",
        facts: Mapping[str, Any] | None = None,
        *,
        outcome: str = "done",
        at: datetime | None = None,
    ) -> None:
        entry = AuditEntry(
            tenant, action, actor, detail, outcome, at=at or self._now(), case_id=case_id, grant_id=grant_id,
            facts=facts or {},
        )  # fmt: skip
        await self._audit.append(entry)

    def _read(self, document: Document, known: _Known) -> Asked:
        value = document.value or {}
        request, state = grants.read_request(value), str(value["state"])
        given, needed = tuple(known.approvals.get(request.id, ())), int(value["needed"])
        if str(value["grant_id"]) in known.granted:
            state = "granted"
        else:
            needed = max(needed, self._needed(document.tenant))
            if state == "pending" and self._now() > request.created_at + grants.REQUEST_LIFE:
                state = "dead"
        return Asked(request, state, needed, str(value["grant_id"]), given, document.revision)

    async def _approvals(self, tenant: TenantId) -> _Known:
        found: dict[str, list[Approval]] = {}
        for document in await self._control.list(tenant, "access-approval"):
            approval = grants.read_approval(document.value or {})
            found.setdefault(approval.request_id, []).append(approval)
        return _Known(found, frozenset(d.key for d in await self._control.list(tenant, "grant")))

    async def _open_case(self, tenant: TenantId, case_id: str) -> None:
        case = await self.case(tenant, case_id)
        if (case.value or {}).get("state") != "open":
            raise Rejected("closed", public="this case is closed")

    async def _document(self, tenant: TenantId, kind: str, key: str) -> Document:
        document = await self._control.get(tenant, kind, key) if _is_id(key) else None
        if document is None:
            what = {"case": "case", "access-request": "request"}.get(kind, kind)
            raise NotFound(f"no such {what}", public=f"no such {what}")
        return document

    async def _keys(self, tenant: TenantId) -> list[Document]:
        return await self._control.list(tenant, "signing-key")

    async def _key(self, tenant: TenantId, address: str) -> bytes | None:
        document = await self._control.get(tenant, "signing-key", address)
        return bytes.fromhex(str((document.value or {})["public"])) if document is not None else None

    def _needed(self, tenant: TenantId) -> int:
        known = self._control.directory.tenant(tenant)
        return max(known.approvals if known is not None else 1, 1)


def _text(text: str, field: str, most: int) -> str:
    text = text.strip()
    if not text or len(text) > most or not all(c.isprintable() or c == "\n" for c in text):
        raise InvalidInput(f"say it in 1 to {most} characters", field=field)
    return text


def _reason(text: str) -> str:
    if len(text) > _MOST_TEXT:
        raise InvalidInput(f"at most {_MOST_TEXT} characters", field="reason")
    return text


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isascii() and text.isalnum()


def _key_of(actor: str, request_id: str) -> str:
    return hashlib.sha256(f"{actor}\0{request_id}".encode()).hexdigest()[:32] if request_id else ""


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _leaf_time(moment: datetime) -> str:
    """As entries of the log have it, so that the verifier compares like with like."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
