"""A grant is worth exactly what was approved, to whom it was given, while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common import grants
from services.common.errors import Corrupt, Denied, InvalidInput
from services.common.grants import Approval, Grant, Request

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AUD, APPR, OTHER = "aud@acme.example", "appr@acme.example", "other@acme.example"
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
REQUEST = Request(
    id="R1",
    tenant="T1",
    case_id="C1",
    requester=AUD,
    purpose="leak of October",
    query="from:x 機密",
    capabilities=frozenset({"search", "open"}),
    seconds=7200,
    created_at=NOW - timedelta(minutes=10),
)


def yes(who: str = APPR, request: Request = REQUEST, **changes: Any) -> Approval:
    """An approval of a request."""
    made = Approval(request.id, request.hash(), who, NOW - timedelta(minutes=5))
    return replace(made, **changes)


def grant(*approvals: Approval, request: Request = REQUEST) -> Grant:
    """A grant given now."""
    return Grant("G1", request, approvals or (yes(),), 1, NOW)


def use(given: Grant, **changes: Any) -> None:
    """Check a use that is all right but for `changes`."""
    asked: dict[str, Any] = {
        "tenant": "T1", "actor": AUD, "capability": "search", "at": NOW + timedelta(minutes=1),
        "keys": {}, "approvers": {APPR, OTHER}, "needed": 1,
    }  # fmt: skip
    grants.check(given, **(asked | changes))


def test_a_good_grant_is_good() -> None:
    """And is the same after it was kept."""
    use(grant())
    use(grants.read_grant(grant().plain()))


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "T2"}, {"actor": OTHER}, {"capability": "export"}, {"at": NOW + timedelta(hours=2)},
        {"at": NOW - timedelta(hours=1)}, {"approvers": {OTHER}}, {"needed": 2}, {"keys": {APPR: PUBLIC}},
    ],
)  # fmt: skip
def test_what_a_grant_does_not_allow(changes: dict[str, Any]) -> None:
    """Another tenant, person, capability or time; an approver who is none (any more), too few, or without a signature."""
    with pytest.raises(Denied):
        use(grant(), **changes)


@pytest.mark.parametrize(
    "approval",
    [
        lambda: yes(AUD), lambda: yes(request_id="R2"), lambda: yes(request=replace(REQUEST, query="from:y")),
        lambda: yes(at=REQUEST.created_at - timedelta(seconds=1)), lambda: yes(at=REQUEST.created_at + timedelta(hours=25)),
    ],
)  # fmt: skip
def test_approvals_that_do_not_count(approval: Callable[[], Approval]) -> None:
    """The requester's own, another request's, one of other words, one before or long after the request."""
    with pytest.raises(Denied, match="approvals"):
        use(grant(approval()), approvers={AUD, APPR})


def test_the_same_person_counts_once() -> None:
    """Two of two are two people."""
    with pytest.raises(Denied):
        use(grant(yes(), yes()), needed=2)
    use(grant(yes(), yes(OTHER)), needed=2)


def test_a_signature_is_over_the_request() -> None:
    """Who enrolled a key must have signed exactly this request with it."""
    signed = yes(signature=KEY.sign(grants.signed_bytes(REQUEST.hash())), key=PUBLIC)
    use(grant(signed), keys={APPR: PUBLIC})
    use(grants.read_grant(grant(signed).plain()), keys={APPR: PUBLIC})
    for wrong in (
        yes(signature=KEY.sign(b"something else"), key=PUBLIC),
        yes(signature=Ed25519PrivateKey.generate().sign(grants.signed_bytes(REQUEST.hash())), key=PUBLIC),
        yes(signature=b"short", key=PUBLIC),
    ):
        with pytest.raises(Denied):
            use(grant(wrong), keys={APPR: PUBLIC})


def test_revocation_ends_it_from_then_on() -> None:
    """The first revocation is the one that is kept."""
    ended = grant().revoked(at=NOW + timedelta(minutes=3), by=APPR).revoked(at=NOW + timedelta(minutes=9), by=OTHER)
    use(ended, at=NOW + timedelta(minutes=2))
    with pytest.raises(Denied, match="revoked"):
        use(ended, at=NOW + timedelta(minutes=3))


@pytest.mark.parametrize("field", ["query", "purpose", "requester", "case_id", "tenant", "id"])
def test_a_request_that_was_changed_after_approval_is_seen(field: str) -> None:
    """In the kept document, whichever field it was."""
    plain = grant().plain()
    plain["request"][field] = "changed"
    with pytest.raises(Corrupt):
        grants.read_grant(plain)


def test_capabilities_are_known() -> None:
    """None, or an unknown one, is a mistake."""
    assert grants.capabilities(["open", "search"]) == {"open", "search"}
    for wrong in ([], ["read"]):
        with pytest.raises(InvalidInput):
            grants.capabilities(wrong)
