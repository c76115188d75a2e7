"""Consent and enrolment: roles that read or approve take effect by a second person's word, and a key of their own.

A role of `auth.WATCHED_ROLES` that is given after the first world file waits in the person's document (`pending`),
where nothing reads it. An approver or officer who did not give it consents and gets a code to pass on; with it the
person registers a token that they made, of which only the hash comes here. A token that anyone else makes for them
never speaks for such a role (`ApiKey.limited`). So nobody who administers people ever holds a working reviewer's,
auditor's or approver's token.

| kind | key | value |
|---|---|---|
| `enrolment` | address | `{digest, purpose: consent or signing, issued_by, expires_at, used_for}`: the code's hash |
| `signing-key` | address | `{public, enrolled_at}`: Ed25519, hex |
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.common.audit_client import AuditLog
from services.common.audit_entries import AuditEntry
from services.common.auth import Principal
from services.common.control import Control, Document
from services.common.errors import AlreadyExists, Conflict, Denied, InvalidInput, NotFound, Rejected
from services.common.ids import TenantId

CODE_LIFE = timedelta(days=7)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONTEXT = b"letterlock-enrolment-v1\0"


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code, said this once."""

    address: str
    roles: tuple[str, ...]
    text: str
    expires_at: datetime


def enrolment_bytes(address: str, code: str) -> bytes:
    """What a new signing key signs to show that its owner has it."""
    return _CONTEXT + address.encode() + b"\0" + code.encode()


class Consent:
    """The acts. `lock` is shared with whoever else writes the directory in this process."""

    def __init__(
        self,
        control: Control,
        audit: AuditLog,
        lock: asyncio.Lock,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._control, self._audit, self._lock, self._now = control, audit, lock, now

    async def consent(self, tenant: TenantId, address: str, *, actor: str) -> Code:
        """Make a person's waiting roles effective; asked again before the code was used, only the code is new.

        Raises `NotFound`, `Denied` for who gave the roles and for the person, `Rejected` when nothing waits.
        """
        async with self._lock:
            person = await self._person(tenant, address)
            value = dict(person.value or {})
            pending = [str(r) for r in value.get("pending") or ()]
            code = await self._control.get(tenant, "enrolment", person.key)
            if not pending and not _unused(code):
                raise Rejected("nothing waits", public="no role of this person waits for consent")
            detail = {"kind": "person", "key": person.key, "roles": pending or list(value.get("roles") or ())}
            if actor in (person.key, value.get("pending_by")):
                await self._audit.append(AuditEntry(tenant, "consent.given", actor, detail, "denied", at=self._now()))
                raise Denied("own", public="consent is given by somebody who neither gave the role nor receives it")
            await self._audit.append(AuditEntry(tenant, "consent.given", actor, detail, at=self._now()))
            # The code first: without it, roles in force would have nobody who can use them.
            made = await self._code(tenant, person.key, "consent", actor, code)
            if pending:
                value["roles"] = sorted({*(value.get("roles") or ()), *pending})
                value.pop("pending"), value.pop("pending_by", None)
                await self._control.put(tenant, "person", person.key, value, expected=person.revision, actor=actor)
            return Code(person.key, tuple(value["roles"]), made, self._now() + CODE_LIFE)

    async def issue(self, tenant: TenantId, address: str, *, actor: str) -> Code:
        """A code by which a person who has a token of their own registers a signing key."""
        async with self._lock:
            person = await self._person(tenant, address)
            code = await self._control.get(tenant, "enrolment", person.key)
            if _unused(code):
                raise Rejected("unused", public="this person has a code of their consent that they have not used yet")
            detail = {"kind": "enrolment", "key": person.key}
            await self._audit.append(AuditEntry(tenant, "directory.changed", actor, detail, at=self._now()))
            made = await self._code(tenant, person.key, "signing", actor, code)
            roles = tuple((person.value or {}).get("roles") or ("user",))
            return Code(person.key, roles, made, self._now() + CODE_LIFE)

    async def enrol(
        self, caller: Principal, address: str, code: str, *, signing_key: bytes, proof: bytes, token_sha256: str
    ) -> None:
        """Register a person's own key and token by their code. Raises `Denied` for a code that is not good."""
        if not signing_key and not token_sha256:
            raise InvalidInput("a signing key, a token, or both", field="signing_key")
        if token_sha256 and not _DIGEST.fullmatch(token_sha256):
            raise InvalidInput("expected a SHA-256 in hex", field="token_sha256")
        if signing_key and not _proves(signing_key, proof, address.lower(), code):
            raise InvalidInput("the proof is not by this key", field="proof")
        async with self._lock:
            person = self._control.directory.people.get(address.lower())
            document = await self._control.get(person.tenant, "enrolment", person.address) if person else None
            value = dict((document.value if document else None) or {})
            use = hashlib.sha256(signing_key + token_sha256.encode()).hexdigest()
            if person is None or document is None or not self._good(value, code, use, caller, person.address):
                raise Denied("code", public="this code is wrong, used, or too old")
            if token_sha256 and value["purpose"] != "consent":
                raise Denied("token", public="this code registers a signing key only; tokens come with a consent")
            tenant, at = person.tenant, self._now()
            used = self._control.directory.api_keys.get(token_sha256)
            if used is not None and used.owner != person.address:
                raise AlreadyExists("this token is in use", public="this token is in use")
            detail = {
                "kind": "enrolment", "key": person.address, "signing_key": signing_key.hex(),
                "token": bool(token_sha256),
            }  # fmt: skip
            await self._audit.append(AuditEntry(tenant, "directory.changed", person.address, detail, at=at))
            # Spent first, for this use alone: who dies here goes on with the same, nobody else with another.
            await self._control.put(
                tenant, "enrolment", person.address, value | {"used_for": use}, expected=document.revision,
                actor=person.address,
            )  # fmt: skip
            if signing_key:
                key = {"public": signing_key.hex(), "enrolled_at": at.isoformat(timespec="milliseconds")}
                await self._control.put(tenant, "signing-key", person.address, key, expected=None, actor=person.address)
            if token_sha256 and used is None:
                owned = {"owner": person.address, "name": "enrolled"}
                await self._control.put(tenant, "apikey", token_sha256, owned, expected=0, actor=person.address)

    def _good(self, value: dict[str, object], code: str, use: str, caller: Principal, address: str) -> bool:
        if not value or not hmac.compare_digest(str(value["digest"]), hashlib.sha256(code.encode()).hexdigest()):
            return False
        if value["used_for"] not in ("", use) or self._now() >= datetime.fromisoformat(str(value["expires_at"])):
            return False
        # An officer's code alone would make the officer whoever they like.
        return value["purpose"] == "consent" or (caller.kind == "person" and caller.address == address)

    async def _code(self, tenant: TenantId, address: str, purpose: str, actor: str, known: Document | None) -> str:
        code = secrets.token_urlsafe(20)
        value = {
            "digest": hashlib.sha256(code.encode()).hexdigest(),
            "purpose": purpose,
            "issued_by": actor,
            "expires_at": (self._now() + CODE_LIFE).isoformat(timespec="milliseconds"),
            "used_for": "",
        }
        try:
            await self._control.put(
                tenant, "enrolment", address, value, expected=known.revision if known else 0, actor=actor
            )
        except AlreadyExists as error:
            raise Conflict("another code was made meanwhile") from error
        return code

    async def _person(self, tenant: TenantId, address: str) -> Document:
        document = await self._control.get(tenant, "person", address.lower()) if address.strip() else None
        if document is None:
            raise NotFound("no such person", public="no such person")
        return document


def _unused(code: Document | None) -> bool:
    """Whether a code of a consent still waits for its person."""
    value = (code.value if code is not None else None) or {}
    return value.get("purpose") == "consent" and not value["used_for"]


def _proves(key: bytes, proof: bytes, address: str, code: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(proof, enrolment_bytes(address, code))
    except (InvalidSignature, ValueError):
        return False
    return True
