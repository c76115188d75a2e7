"""Tokens and passwords: what is kept of them, whose they are, and what is unwise."""

from __future__ import annotations

import secrets

import pytest

from services.common import auth
from services.common.auth import Principal
from services.common.directory import ApiKey, Directory, Domain, Person, Tenant
from services.common.errors import InvalidInput
from services.common.ids import INSTALLATION, TenantId

ACME = TenantId.new()
TOKEN = auth.new_token()


def view(*, active: bool = True, suspended: bool = False) -> Directory:
    """One person with one token."""
    person = Person("a@acme.example", ACME, frozenset({"reviewer"}), active=active)
    key = ApiKey(auth.token_digest(TOKEN), ACME, "a@acme.example")
    return Directory(
        1,
        {ACME: Tenant(ACME, "acme", suspended=suspended)},
        {"acme.example": Domain("acme.example", ACME)},
        (),
        {"a@acme.example": person},
        {},
        {key.digest: key},
    )


def test_token_names_its_owner_while_both_are_active() -> None:
    """A switched-off person, a suspended tenant and an unknown token are nobody."""
    assert auth.principal_for(view(), TOKEN) == Principal("person", ACME, "a@acme.example", frozenset({"reviewer"}))
    assert auth.principal_for(view(active=False), TOKEN) is None
    assert auth.principal_for(view(suspended=True), TOKEN) is None
    assert auth.principal_for(view(), TOKEN + "x") is None


def test_key_of_somebody_who_is_gone_is_nobody_s() -> None:
    """An owner that is not in the directory, or is another tenant's, speaks for nobody."""
    base = view()
    other = ApiKey(auth.token_digest(TOKEN), TenantId.new(), "a@acme.example")
    changed = Directory(1, base.tenants, base.domains, (), base.people, {}, {other.digest: other})
    assert auth.principal_for(changed, TOKEN) is None


def test_operator_has_no_tenant() -> None:
    """And is named so in records."""
    key = ApiKey(auth.token_digest(TOKEN), INSTALLATION, "ops", operator=True)
    found = auth.principal_for(Directory(api_keys={key.digest: key}), TOKEN)
    assert found is not None
    assert (found.kind, found.tenant, found.name) == ("operator", None, "operator:ops")


async def test_password_is_kept_as_argon2id_and_checked() -> None:
    """The right one matches twice, the wrong one and an empty hash never."""
    stored = auth.hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct" not in stored
    assert await auth.verify_password(stored, "correct horse")
    assert await auth.verify_password(stored, "correct horse")
    assert not await auth.verify_password(stored, "correct cow")
    assert not await auth.verify_password("", "")
    assert not await auth.verify_password("not a hash", "correct horse")


@pytest.mark.parametrize("token", ["short", "x" * 15, "has a space in the key", "ünicode-0123456789", "a" * 513])
def test_api_key_has_at_least_16_plain_characters(token: str) -> None:
    """Else it is refused at its field."""
    with pytest.raises(InvalidInput) as caught:
        auth.check_api_key(token)
    assert caught.value.field == "api_key"


@pytest.mark.parametrize("token", ["op-0123456789abcdef", "admin-0123456789abcdef", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])
def test_foreseeable_keys_are_weak(token: str) -> None:
    """Runs and repetitions do not count as randomness."""
    auth.check_api_key(token)
    assert auth.is_weak(token)


def test_random_keys_are_strong() -> None:
    """Ours are, and 256 bits in hex."""
    assert not any(auth.is_weak(auth.new_token()) or auth.is_weak(secrets.token_hex(32)) for _ in range(100))


def test_conflicting_roles_are_named() -> None:
    """The pair that may not be together."""
    assert auth.conflicting_roles(["user", "tenant_admin"]) == frozenset()
    assert auth.conflicting_roles(["user", "auditor", "approver"]) == {"auditor", "approver"}
