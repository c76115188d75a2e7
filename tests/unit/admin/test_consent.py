"""Sock puppets: whoever administers people, or runs the system, never holds a working reader's or approver's token."""

from __future__ import annotations

import hashlib

import pytest

from services.admin import sod
from services.common import auth
from services.common.auth import WATCHED_ROLES
from services.common.errors import Denied, InvalidInput, Rejected
from tests.unit.admin.test_access import ADMIN, APPR, DPO, Place, place

__all__ = ["place"]  # the fixture

EVE, TOKEN = "eve@acme.example", "eves-own-0123456789abcdef"


async def _give(place: Place, role: str, actor: str = ADMIN) -> None:
    await place.editor.create(place.tenant, "person", EVE, {"roles": [role]}, request_id="", actor=actor)


def _roles(place: Place, token: str) -> frozenset[str]:
    who = place.principal(token)
    return who.roles if who is not None else frozenset()


async def _enrol(place: Place, code: str) -> None:
    await place.consent.enrol(
        auth.ANONYMOUS, EVE, code, signing_key=b"", proof=b"", token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest()
    )


@pytest.mark.parametrize("role", sorted(WATCHED_ROLES))
async def test_an_admin_s_key_never_speaks_for_a_watched_role(place: Place, role: str) -> None:
    """Key first or role first, before consent and after: the admin's token reaches nothing of it."""
    await place.editor.create(place.tenant, "person", EVE, {"roles": ["user"]}, request_id="", actor=ADMIN)
    _, before = await place.editor.create_key(place.tenant, EVE, "early", "", request_id="", actor=ADMIN)
    await place.editor.update(place.tenant, "person", EVE, {"roles": ["user", role]}, revision=0, actor=ADMIN)
    _, after = await place.editor.create_key(place.tenant, EVE, "late", "", request_id="", actor=ADMIN)
    assert _roles(place, before) == _roles(place, after) == {"user"}
    await place.consent.consent(place.tenant, EVE, actor=APPR)
    _, later = await place.editor.create_key(place.tenant, EVE, "later", "", request_id="", actor=ADMIN)
    for token in (before, after, later):
        assert _roles(place, token) == {"user"}


async def test_the_person_s_own_token_works_after_consent(place: Place) -> None:
    """By the code that the consenting approver handed over; once."""
    await _give(place, "auditor")
    code = await place.consent.consent(place.tenant, EVE, actor=APPR)
    await _enrol(place, code.text)
    assert _roles(place, TOKEN) == {"auditor"}
    with pytest.raises(Denied):
        await place.consent.enrol(auth.ANONYMOUS, EVE, code.text, signing_key=b"", proof=b"", token_sha256="ab" * 32)
    assert [(e.action, e.outcome) for e in place.audit.entries] == [
        ("consent.given", "done"), ("directory.changed", "done"),
    ]  # fmt: skip


async def test_nobody_consents_to_what_they_gave_or_get(place: Place) -> None:
    """The giver, the person; and what waits for nobody."""
    await _give(place, "approver", actor=DPO)
    for actor in (DPO, EVE):
        with pytest.raises(Denied):
            await place.consent.consent(place.tenant, EVE, actor=actor)
    with pytest.raises(Rejected):
        await place.consent.consent(place.tenant, ADMIN, actor=APPR)
    assert [(e.actor, e.outcome) for e in place.audit.entries] == [(DPO, "denied"), (EVE, "denied")]


async def test_a_lost_code_is_replaced_before_it_is_used_only(place: Place) -> None:
    """The old one is worth nothing then; used, no second token comes of a consent."""
    await _give(place, "auditor")
    first = await place.consent.consent(place.tenant, EVE, actor=APPR)
    second = await place.consent.consent(place.tenant, EVE, actor=APPR)
    with pytest.raises(Denied):
        await _enrol(place, first.text)
    await _enrol(place, second.text)
    with pytest.raises(Rejected):
        await place.consent.consent(place.tenant, EVE, actor=APPR)


async def test_a_code_is_too_old_after_a_week(place: Place) -> None:
    """And says no more than that."""
    await _give(place, "auditor")
    code = await place.consent.consent(place.tenant, EVE, actor=APPR)
    place.at = code.expires_at
    with pytest.raises(Denied):
        await _enrol(place, code.text)


async def test_a_later_world_file_gives_no_watched_role_and_no_key(place: Place) -> None:
    """Whoever applies it; the same file again changes nothing, and the consent outlives it."""
    later = f"""
tenants:
  - name: acme
    people:
      - {{address: {EVE}, roles: [auditor], api_key: eve-from-file-0123456789}}
      - {{address: aud@acme.example, roles: [auditor], api_key: aud-changed-0123456789}}
"""
    done = await place.world(later, dry_run=False, actor="operator:ops")
    assert f"+ person {EVE}: auditor waits for consent" in done.changes
    assert (await place.world(later, dry_run=False, actor="operator:ops")).changes == ()
    assert _roles(place, "eve-from-file-0123456789") == set()
    await place.consent.consent(place.tenant, EVE, actor=APPR)
    assert (await place.world(later, dry_run=False, actor="operator:ops")).changes == ()
    for token in ("eve-from-file-0123456789", "aud-changed-0123456789"):
        assert "auditor" not in _roles(place, token)
    person = await place.editor.get(place.tenant, "person", EVE)
    assert (person.value or {})["roles"] == ["auditor"]


async def test_who_watches_cannot_be_removed_to_the_last(place: Place) -> None:
    """By deletion, by another role, by switching off, by a world file: the last one stays."""
    for address in (APPR, "appr2@acme.example"):
        await place.editor.delete(place.tenant, "person", address, revision=0, actor=ADMIN)
    with pytest.raises(Rejected):
        await place.editor.delete(place.tenant, "person", DPO, revision=0, actor=ADMIN)
    for change in ({"roles": ["user"]}, {"active": False}):
        with pytest.raises(Rejected):
            await place.editor.update(place.tenant, "person", DPO, change, revision=0, actor=ADMIN)
    with pytest.raises(InvalidInput):
        text = f"tenants: [{{name: acme, people: [{{address: {DPO}, roles: [user]}}]}}]"
        await place.world(text, dry_run=False, actor="operator:ops")


def test_no_combination_of_roles_reaches_what_must_be_apart() -> None:
    """Every combination of roles, over every RPC: allowed ones reach no forbidden pair, forbidden ones say why."""
    found = list(sod.combinations(sod.methods()))
    assert len(found) == 2**6
    assert [c.roles for c in found if c.violations] == []
    single = {c.roles[0]: c.reaches for c in found if len(c.roles) == 1}
    assert single == {
        "operator": {"operate", "people", "policy", "audit"},
        "tenant_admin": {"people", "policy"},
        "reviewer": {"review"},
        "user": set(),
        "auditor": {"request", "read"},
        "approver": {"approve", "consent"},
        "data_protection_officer": {"audit", "consent"},
    }


@pytest.mark.parametrize("pair", [("auditor", "approver"), ("tenant_admin", "reviewer"), ("reviewer", "auditor")])
async def test_a_forbidden_pair_is_refused_with_the_reason(place: Place, pair: tuple[str, str]) -> None:
    """Where it is given, before anything waits."""
    with pytest.raises(InvalidInput, match="at once"):
        await place.editor.create(place.tenant, "person", EVE, {"roles": list(pair)}, request_id="", actor=ADMIN)
