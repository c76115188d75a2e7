"""The right to look: a request, what approvals sign, the grant that follows, and what must hold when it is used.

A grant is bound to the SHA-256 of its canonical request (RFC 8785), so that what was approved is what is done, to the
letter. Everybody who acts on a grant checks it here and for themselves, from the documents in the store; what a caller
says of a grant is never believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.common.errors import Corrupt, Denied, InvalidInput

type Capability = Literal["counts", "headers", "search", "open", "export"]

LADDER: tuple[Capability, ...] = ("counts", "headers", "search", "open", "export")
"""Least first. Each stands for itself: who may open may not therefore search."""
REQUEST_LIFE = timedelta(hours=24)
"""A request that is not decided by then is dead."""
MOST_SECONDS = 90 * 86400
_CONTEXT = b"letterlock-approval-v1\0"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a grant reaches at most; empty fields set no limit. Times are UTC; `excluded` people are never shown."""

    domains: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "domains": list(self.domains),
            "people": list(self.people),
            "excluded": list(self.excluded),
            "after": _stamp(self.after),
            "before": _stamp(self.before),
        }


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks to be allowed: exactly this question, for this purpose, for so many seconds."""

    id: str
    tenant: str
    case_id: str
    requester: str
    purpose: str
    query: str
    capabilities: frozenset[str]
    seconds: int
    created_at: datetime
    scope: Scope = Scope()
    one_time: bool = False

    def canonical(self) -> bytes:
        """The bytes that stand for it: RFC 8785 JSON of every field."""
        return rfc8785.dumps(self.plain())

    def hash(self) -> str:
        """Hex SHA-256 of the canonical bytes: what is signed, and what the grant is bound to."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def plain(self) -> dict[str, Any]:
        """As JSON values, as it is kept."""
        return {
            "v": 1,
            "id": self.id,
            "tenant": self.tenant,
            "case_id": self.case_id,
            "requester": self.requester,
            "purpose": self.purpose,
            "query": self.query,
            "capabilities": sorted(self.capabilities),
            "seconds": self.seconds,
            "created_at": _stamp(self.created_at),
            "scope": self.scope.plain(),
            "one_time": self.one_time,
        }


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's yes to a request, by its hash; signed where the person has enrolled a key."""

    request_id: str
    request_hash: str
    approver: str
    at: datetime
    signature: bytes | None = None
    key: bytes | None = None
    """The Ed25519 public key that made the signature, raw."""

    def plain(self) -> dict[str, Any]:
        """As JSON values, as it is kept."""
        return {
            "request_id": self.request_id,
            "request_hash": self.request_hash,
            "approver": self.approver,
            "at": _stamp(self.at),
            "signature": (self.signature or b"").hex(),
            "key": (self.key or b"").hex(),
        }


@dataclass(frozen=True, slots=True)
class Grant:
    """A request with enough approvals."""

    id: str
    request: Request
    approvals: tuple[Approval, ...]
    needed: int
    granted_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""

    @property
    def expires_at(self) -> datetime:
        """From then on it is worth nothing."""
        return self.granted_at + timedelta(seconds=self.request.seconds)

    def revoked(self, *, at: datetime, by: str) -> Grant:
        """The same, ended."""
        return replace(self, revoked_at=self.revoked_at or at, revoked_by=self.revoked_by or by)

    def plain(self) -> dict[str, Any]:
        """As JSON values, as it is kept."""
        return {
            "v": 1,
            "id": self.id,
            "request": self.request.plain(),
            "request_hash": self.request.hash(),
            "approvals": [a.plain() for a in self.approvals],
            "needed": self.needed,
            "granted_at": _stamp(self.granted_at),
            "revoked_at": _stamp(self.revoked_at),
            "revoked_by": self.revoked_by,
        }


def signed_bytes(request_hash: str) -> bytes:
    """What an approver's Ed25519 key signs for a request."""
    return _CONTEXT + bytes.fromhex(request_hash)


def signature_is_good(approval: Approval, key: bytes) -> bool:
    """Whether an approval is signed by this raw Ed25519 key."""
    if not approval.signature:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(approval.signature, signed_bytes(approval.request_hash))
    except (InvalidSignature, ValueError):
        return False
    return True


def check(
    grant: Grant,
    *,
    tenant: str,
    actor: str,
    capability: Capability,
    at: datetime,
    keys: Mapping[str, bytes],
    approvers: Collection[str],
    needed: int,
) -> None:
    """Return when `actor` may use `grant` so at this moment; raises `Denied` with the reason that people are told.

    `keys` are the enrolled keys by address: whose key is there must have signed. `approvers` are those who hold the
    role now; `needed` is what the tenant demands, at least one.
    """
    request = grant.request
    if request.tenant != tenant:
        raise Denied("no such grant", public="no such grant")
    if request.requester != actor:
        raise Denied("another's grant", public="this grant was given to somebody else")
    if grant.revoked_at is not None and at >= grant.revoked_at:
        raise Denied("revoked", public="this grant was revoked")
    if at >= grant.expires_at:
        raise Denied("expired", public="this grant has expired")
    if at < grant.granted_at - timedelta(minutes=1):
        raise Denied("not yet", public="this grant is not in force yet")
    if capability not in request.capabilities:
        raise Denied("capability", public=f"this grant does not allow to {capability}")
    given = good_approvals(request, grant.approvals, keys=keys, approvers=approvers)
    if len(given) < max(needed, 1):
        raise Denied("approvals", public=f"this grant has {len(given)} of {max(needed, 1)} valid approvals")


def good_approvals(
    request: Request, approvals: Sequence[Approval], *, keys: Mapping[str, bytes], approvers: Collection[str]
) -> frozenset[str]:
    """Who has validly said yes: approvers, never the requester, each once, to exactly this request, in time."""
    wanted, good = request.hash(), set()
    for approval in approvals:
        who = approval.approver
        if who == request.requester or who not in approvers:
            continue
        if approval.request_id != request.id or approval.request_hash != wanted:
            continue
        if not request.created_at <= approval.at <= request.created_at + REQUEST_LIFE:
            continue
        if who in keys and not signature_is_good(approval, keys[who]):
            continue
        good.add(who)
    return frozenset(good)


def read_request(plain: Mapping[str, Any]) -> Request:
    """A request as it was kept; raises `Corrupt`."""
    try:
        scope = plain["scope"]
        return Request(
            id=str(plain["id"]),
            tenant=str(plain["tenant"]),
            case_id=str(plain["case_id"]),
            requester=str(plain["requester"]),
            purpose=str(plain["purpose"]),
            query=str(plain["query"]),
            capabilities=frozenset(map(str, plain["capabilities"])),
            seconds=int(plain["seconds"]),
            created_at=_time(plain["created_at"]),
            scope=Scope(
                tuple(map(str, scope["domains"])),
                tuple(map(str, scope["people"])),
                tuple(map(str, scope["excluded"])),
                _maybe(scope["after"]),
                _maybe(scope["before"]),
            ),
            one_time=bool(plain["one_time"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt("a request for access is malformed") from error


def read_approval(plain: Mapping[str, Any]) -> Approval:
    """An approval as it was kept; raises `Corrupt`."""
    try:
        return Approval(
            request_id=str(plain["request_id"]),
            request_hash=str(plain["request_hash"]),
            approver=str(plain["approver"]),
            at=_time(plain["at"]),
            signature=bytes.fromhex(plain["signature"]) or None,
            key=bytes.fromhex(plain["key"]) or None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt("an approval is malformed") from error


def read_grant(plain: Mapping[str, Any]) -> Grant:
    """A grant as it was kept; raises `Corrupt`, also when its request is not the one it was made for."""
    try:
        grant = Grant(
            id=str(plain["id"]),
            request=read_request(plain["request"]),
            approvals=tuple(read_approval(a) for a in plain["approvals"]),
            needed=int(plain["needed"]),
            granted_at=_time(plain["granted_at"]),
            revoked_at=_maybe(plain["revoked_at"]),
            revoked_by=str(plain["revoked_by"]),
        )
        said = str(plain["request_hash"])
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt("a grant is malformed") from error
    if grant.request.hash() != said:
        raise Corrupt("a grant's request was changed")
    return grant


def capabilities(given: Sequence[str]) -> frozenset[str]:
    """Capabilities by name; raises `InvalidInput` for one that does not exist or for none."""
    unknown = [name for name in given if name not in LADDER]
    if unknown or not given:
        raise InvalidInput(f"capabilities are {', '.join(LADDER)}", field="capability")
    return frozenset(given)


def _stamp(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment is not None else ""


def _time(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _maybe(text: Any) -> datetime | None:
    return _time(text) if text else None
