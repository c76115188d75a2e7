"""Notices: every word in every language, fields that stay text, mails that are clean."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime

import pytest

from services.common import notices
from services.common.errors import InvalidInput, NotFound
from services.common.ids import TenantId
from services.common.notices import CATALOGUE, LANGUAGES, Template, Templates
from services.common.notices.template import built_in
from services.common.testing.objects import InMemoryObjects

ACME, UMBRELLA = TenantId.new(), TenantId.new()
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_notice_has_words_in_every_language(name: str, language: str) -> None:
    """And they use only fields that the catalogue knows, all of which are filled in."""
    template = built_in(name, language)
    notices.check(name, template)
    fields = {field: f"<{field}&>" for field in CATALOGUE[name].fields}
    subject, text, html = notices.render(name, language, fields)
    assert subject
    assert "{" not in subject + text + html
    for field in fields:
        if "{" + field + "}" in template.text:
            assert f"<{field}&>" in text
            assert f"&lt;{field}&amp;&gt;" in html
    assert "&>" not in html


@pytest.mark.parametrize(
    ("template", "field"),
    [
        (Template("Held", "for {nobody}"), "text"),
        (Template("{password}", "text"), "subject"),
        (Template("", "text"), "subject"),
        (Template("Held", "  "), "text"),
        (Template("a\nBcc: x@y", "text"), "subject"),
        (Template("x" * 201, "text"), "subject"),
        (Template("x", "y" * 20_001), "text"),
        (Template("x", "y\x1b[2J"), "text"),
        (Template("x", "{sender.__class__}"), "text"),
    ],
)
def test_words_that_may_not_be_set(template: Template, field: str) -> None:
    """Unknown fields, control characters, more than one line, too much: refused with where."""
    with pytest.raises(InvalidInput) as refused:
        notices.check("hold.notice.sender", template)
    assert refused.value.fields["field"] == field


def test_field_is_never_words_again() -> None:
    """A sender called `{link}` gets no link, and a script no tag; a subject stays one line."""
    subject, text, html = notices.render(
        "hold.notice.reviewer",
        "en",
        {"sender": "{link}", "link": "https://portal.example/h?a=1&b=2", "reason": "<script>\u202e\nSubject: x"},
        Template("{reason}", "{sender} {reason} {link}"),
    )
    assert subject == "<script> Subject: x"
    assert "{link}" in text
    assert "<script" not in html
    assert '<a href="https://portal.example/h?a=1&amp;b=2">' in html
    assert "\u202e" not in text


def test_line_of_an_empty_field_falls_out() -> None:
    """No `Note: ` without a note."""
    text = notices.render("hold.deleted", "en", {"mail_id": "01X"}).text
    assert "Note" not in text
    assert "Mail id: 01X" in text


async def test_tenant_words_are_the_tenants() -> None:
    """Set, read by that tenant alone, listed, and taken back."""
    templates = Templates(InMemoryObjects())
    own = Template("Wait: {rule}", "{reason}")
    await templates.set(ACME, "hold.notice.sender", "zh-TW", own, actor="admin")
    assert (await templates.get(ACME, "hold.notice.sender", "zh-Hant")).template == own
    assert (await templates.render(ACME, "hold.notice.sender", "zh-Hant", {"rule": "r"})).subject == "Wait: r"
    assert (await templates.get(UMBRELLA, "hold.notice.sender", "zh-Hant")).revision == 0
    listed = {(s.name, s.language): s for s in await templates.list(ACME)}
    assert len(listed) == len(CATALOGUE) * len(LANGUAGES)
    assert [s.revision for s in listed.values() if s.revision] == [1]
    await templates.reset(ACME, "hold.notice.sender", "zh-Hant", actor="admin")
    assert (await templates.get(ACME, "hold.notice.sender", "zh-Hant")).revision == 0
    with pytest.raises(NotFound):
        await templates.reset(ACME, "hold.notice.sender", "zh-Hant", actor="admin")


@pytest.mark.parametrize("language", LANGUAGES)
def test_mail_is_clean(language: str) -> None:
    """Lines end in CRLF and are short, it is 7-bit, and a parser finds the words again."""
    fields = {"number": "3", "items": "・一\n・二" * 400, "link": "https://portal.example/" + "x" * 300}
    rendered = notices.render("hold.digest", language, fields)
    raw = notices.build(rendered, own_id="01X", hostname="gate.example", to=["a@acme.example"], now=NOW)
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert b"\n" not in raw.replace(b"\r\n", b"")
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed["subject"] == rendered.subject
    assert parsed.get_content_type() == "multipart/alternative"
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n").strip() == rendered.text.strip()
    assert html.get_content().replace("\r\n", "\n").strip() == rendered.html.strip()
    assert not parsed.defects


def test_header_cannot_be_smuggled() -> None:
    """An address or a header of two lines is refused."""
    rendered = notices.render("hold.digest", "en", {})
    for to, headers in ((["a@b>\r\nBcc: <x@y"], {}), (["a@b"], {"X-A": "1\r\nX-B: 2"})):
        with pytest.raises(InvalidInput):
            notices.build(rendered, own_id="01X", hostname="h", to=to, now=NOW, headers=headers)


@pytest.mark.parametrize(
    ("wanted", "found"), [("zh-TW", "zh-Hant"), ("zh_Hant", "zh-Hant"), ("ja-JP", "ja"), ("EN", "en"), ("tlh", "en")]
)
def test_nearest_language(wanted: str, found: str) -> None:
    """What is not spoken here is English."""
    assert notices.language_of(wanted) == found
