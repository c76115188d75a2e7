"""Tokens are alike within a tenant, month and field, and have nothing in common elsewhere."""

from __future__ import annotations

from services.common.ids import MailId, TenantId
from services.common.search import blind

ROOT = bytes(range(32))
ACME, GLOBEX = TenantId.new(), TenantId.new()


def test_a_word_has_one_token_in_its_place_and_another_elsewhere() -> None:
    """Tenant, month and field each make it another one; the word does not show."""
    places = [
        (root, tenant, month, field)
        for root in (ROOT, bytes(32))
        for tenant in (ACME, GLOBEX)
        for month in ("2026-10", "2026-11")
        for field in ("body", "subject", "body.1")
    ]
    made = {
        blind.Blinder(blind.month_key(root, tenant, month)).tokens(field, ["secret"])[0]
        for root, tenant, month, field in places
    }
    assert len(made) == len(places)
    assert not any("secret" in token for token in made)
    again = blind.Blinder(blind.month_key(ROOT, ACME, "2026-11")).tokens("body", ["secret", "", "secret"])
    assert again == [again[0], blind.GAP, again[0]]
    assert again[0] in made


def test_frequent_words_are_remembered_within_bounds(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Memory is bounded, the tokens stay what they are."""
    monkeypatch.setattr(blind.Blinder, "_MOST", 3)
    blinder = blind.Blinder(bytes(32))
    words = [f"w{n % 7}" for n in range(50)]
    assert blinder.tokens("body", words) == [blind.token(blind.field_key(bytes(32), "body"), w) for w in words]


def test_the_index_does_not_name_mails() -> None:
    """A document's id follows from the mail's under the key alone."""
    mail = MailId.new()
    first, other = blind.document_id(bytes(32), mail), blind.document_id(ROOT, mail)
    assert first == blind.document_id(bytes(32), mail)
    assert first != other
    assert str(mail) not in first
