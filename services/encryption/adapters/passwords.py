"""PasswordService over gRPC: nobody sees a password before the audit log durably says so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from letterlock.encryption.v1 import encryption_pb2 as pb
from letterlock.encryption.v1 import encryption_pb2_grpc as rpcs

from services.common import rpc
from services.common.audit_client import AuditLog
from services.common.audit_entries import AuditEntry
from services.common.errors import Denied, Error, InvalidInput, NotFound
from services.common.ids import MailId, TenantId
from services.encryption.core import passwords
from services.encryption.core.settings import partner_matches
from services.encryption.ports import Agreed, Book, Plan

type _Context = grpc.aio.ServicerContext[Any, Any]
_USUAL, _MOST, _NOTE, _ID = 100, 1000, 200, 64
_TRIED = 20
"""Passwords of a sender's last mails that policy may try."""


class PasswordServicer(rpcs.PasswordServiceServicer):
    """Serves people their own passwords and a tenant's admins the agreed ones; every other does not exist."""

    def __init__(self, book: Book, audit: AuditLog, *, now: Callable[[], datetime]) -> None:
        self._book, self._audit, self._now = book, audit, now

    async def SetAgreedPassword(
        self, request: pb.SetAgreedPasswordRequest, context: _Context
    ) -> pb.SetAgreedPasswordResponse:
        """See the proto."""
        tenant = _own_tenant(request.tenant)
        secret = request.password or passwords.made(os.urandom(128))
        passwords.check(secret)
        since, until = _when(request, "valid_from"), _when(request, "valid_until")
        if since is not None and until is not None and until <= since:
            raise InvalidInput("it would never be in force", field="valid_until")
        if len(request.note) > _NOTE:
            raise InvalidInput(f"at most {_NOTE} characters", field="note")
        now = self._now()
        entropy = None
        if request.request_id:
            entropy = hashlib.sha256(f"{tenant}\0{request.request_id}".encode()).digest()[:10]
        made_at = 0.0 if entropy else now.timestamp()
        agreed = Agreed(
            str(MailId.new(now=made_at, entropy=entropy)), _partner(request.partner), secret, now, since, until,
            request.note.strip(),
        )  # fmt: skip
        actor = rpc.principal().name
        detail = {"action": "set", "id": agreed.id}
        await self._audit.append(AuditEntry(tenant, "password.changed", actor, detail, at=now))
        return pb.SetAgreedPasswordResponse(password=_agreed(await self._book.agree(tenant, agreed, actor=actor)))

    async def ListPasswords(self, request: pb.ListPasswordsRequest, context: _Context) -> pb.ListPasswordsResponse:
        """See the proto."""
        if request.page_size < 0:
            raise InvalidInput("expected a positive number", field="page_size")
        size = min(request.page_size or _USUAL, _MOST)
        tenant = _own_tenant(request.tenant)
        found = [_of_mail(p) for p in await self._book.plans(tenant, self._senders())]
        if _is_admin():
            found += [_agreed(a) for a in await self._book.agreed(tenant)]
        found.sort(key=lambda p: (p.created_at.ToDatetime(), p.id), reverse=True)
        start = int(request.page_token) if request.page_token.isascii() and request.page_token.isdigit() else 0
        page = found[start : start + size]
        token = str(start + size) if start + size < len(found) else ""
        return pb.ListPasswordsResponse(passwords=page, next_page_token=token)

    async def GetPassword(self, request: pb.GetPasswordRequest, context: _Context) -> pb.GetPasswordResponse:
        """See the proto."""
        tenant = _own_tenant(request.tenant)
        named = request.id.strip()
        if not 0 < len(named) <= _ID or not named.replace(".", "").isalnum():
            raise NotFound("no such password", public="no such password")
        mail_id = named.partition(".")[0]
        plans = await self._book.plans(tenant, self._senders(), mail_id=mail_id)
        shown = [
            pb.Shown(password=_of_mail(p, i), secret=s.password)
            for p in plans
            if named in (mail_id, p.id)
            for i, s in enumerate(p.secrets)
        ]
        if not shown and _is_admin():
            agreed = [a for a in await self._book.agreed(tenant) if a.id == named]
            shown = [pb.Shown(password=_agreed(a), secret=a.password) for a in agreed]
        mails = tuple(dict.fromkeys(s.password.mail_id for s in shown if s.password.mail_id))
        detail = {"id": named, "number": len(shown)}
        outcome = "done" if shown else "denied"
        entry = AuditEntry(tenant, "password.viewed", rpc.principal().name, detail, outcome, mails, at=self._now())
        if not shown:
            # Guessing leaves a trace too, but a log that is away must not turn "no such" into something else.
            with suppress(Error):
                await self._audit.append(entry)
            raise NotFound("no such password", public="no such password")
        await self._audit.append(entry)
        return pb.GetPasswordResponse(passwords=shown)

    async def DeleteAgreedPassword(
        self, request: pb.DeleteAgreedPasswordRequest, context: _Context
    ) -> pb.DeleteAgreedPasswordResponse:
        """See the proto."""
        tenant = _own_tenant(request.tenant)
        if request.id not in {a.id for a in await self._book.agreed(tenant)} and not _id(request.id):
            raise NotFound("no such password", public="no such password")
        actor = rpc.principal().name
        detail = {"action": "delete", "id": request.id}
        await self._audit.append(AuditEntry(tenant, "password.changed", actor, detail, at=self._now()))
        await self._book.end(tenant, request.id, actor=actor)
        return pb.DeleteAgreedPasswordResponse()

    async def PasswordsFor(self, request: pb.PasswordsForRequest, context: _Context) -> pb.PasswordsForResponse:
        """See the proto."""
        tenant, now = rpc.tenant(request.tenant), self._now()
        people = [request.sender, *request.recipients]
        agreed = [
            a.password
            for a in await self._book.agreed(tenant)
            if a.in_force(now) and any(partner_matches(a.partner, p) for p in people)
        ]
        plans = await self._book.plans(tenant, [request.sender] if request.sender else [])
        made = [s.password for p in plans[:_TRIED] for s in p.secrets]
        return pb.PasswordsForResponse(passwords=list(dict.fromkeys(agreed + made)))

    def _senders(self) -> list[str]:
        """The addresses that the caller sends from; an address of a group counts, as its members send as it."""
        who, view = rpc.principal(), rpc.directory()
        person = view.person(who.address) if who.kind == "person" else None
        return sorted(view.addresses_of(person)) if person is not None else []


def _own_tenant(named: str) -> TenantId:
    if rpc.principal().kind != "person":
        raise Denied("who runs the system knows no password", public="only people of the tenant may")
    return rpc.tenant(named)


def _is_admin() -> bool:
    return "tenant_admin" in rpc.principal().roles


def _partner(text: str) -> str:
    partner = text.strip().lower()
    local, at, domain = partner.rpartition("@")
    good = 0 < len(domain) <= 253 and "." in domain and not any(c.isspace() or c in '<>,;"/' for c in partner)
    if not good or (at and not 0 < len(local) <= 64):
        raise InvalidInput("expected a domain or an address", field="partner")
    return partner


def _id(text: str) -> bool:
    try:
        MailId.parse(text)
    except InvalidInput:
        return False
    return True


def _when(request: pb.SetAgreedPasswordRequest, name: str) -> datetime | None:
    if not request.HasField(name):  # type: ignore[arg-type]
        return None
    value: Timestamp = getattr(request, name)
    try:
        return value.ToDatetime(UTC)
    except ValueError as error:
        raise InvalidInput("not a time", field=name) from error


def _of_mail(plan: Plan, index: int | None = None) -> pb.Password:
    secrets = plan.secrets if index is None else plan.secrets[index : index + 1]
    shown = pb.Password(
        id=plan.id,
        kind="agreed" if all(s.agreed for s in secrets) else "random",
        mail_id=plan.mail_id,
        recipients=[r for s in secrets for r in s.recipients],
    )
    shown.created_at.FromDatetime(plan.at)
    return shown


def _agreed(agreed: Agreed) -> pb.Password:
    shown = pb.Password(id=agreed.id, kind="agreed", recipients=[agreed.partner], note=agreed.note)
    shown.created_at.FromDatetime(agreed.created_at)
    if agreed.valid_from is not None:
        shown.valid_from.FromDatetime(agreed.valid_from)
    if agreed.valid_until is not None:
        shown.valid_until.FromDatetime(agreed.valid_until)
    return shown
