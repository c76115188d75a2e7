"""What a reader's program shows after each change, and what is left alone and why."""

from __future__ import annotations

import base64
import email
import email.policy
import quopri
from email.message import EmailMessage
from typing import cast

import pytest

from services.common.mailedit import Edited, LeftAlone, Wish, apply_transforms, rebuild

CHINESE = "外部郵件，請小心"


def banner(text: str = CHINESE, position: str = "before", rule: str = "b") -> Wish:
    return Wish("banner", rule, {"text": text, "position": position})


def strip(glob: str = "*.exe", why: str = "no programs") -> Wish:
    return Wish("strip", "s", {"attachments": glob, "why": why})


def edit(raw: bytes, *wishes: Wish) -> Edited:
    edited = apply_transforms(raw, wishes)
    if edited.differs:
        assert rebuild(edited.content, edited.manifest, archived=raw) == raw
    return edited


def shown(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=email.policy.default)


def part(body: bytes, charset: str, encoding: str, kind: str = "text/plain") -> bytes:
    head = f"From: a@b\r\nContent-Type: {kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    if encoding == "base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return head.encode() + body


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("charset", ["utf-8", "big5", "gb18030", "shift_jis", "euc-jp", "iso-2022-jp"])
def test_a_banner_is_said_in_the_part_s_own_charset_and_encoding(charset: str, encoding: str, position: str) -> None:
    """And the part's fields stay what they were."""
    said = "外部" if charset in ("shift_jis", "euc-jp", "iso-2022-jp") else CHINESE
    text = "本文 one\r\n最後 = two   \r\nthree"
    raw = part(text.encode(charset), charset, encoding)
    edited = edit(raw, banner(said, position))
    assert edited.summary == "changed: banner"
    assert edited.content.startswith(raw[: raw.index(b"\r\n\r\n")])
    lines = shown(edited.content).get_content().replace("\r\n", "\n").strip().split("\n")
    lines = [line.rstrip() for line in lines if line.strip()]
    want = ["本文 one", "最後 = two", "three"]
    assert lines == ([said, *want] if position == "before" else [*want, said])


@pytest.mark.parametrize("size", range(1, 8))
def test_a_banner_after_base64_meets_every_padding(size: int) -> None:
    """Of the body and of the banner."""
    raw = part(b"abcdefg"[:size], "us-ascii", "base64")
    for length in range(1, 5):
        content = shown(edit(raw, banner("y" * length, "after")).content).get_content()
        assert content.split() == ["abcdefg"[:size], "y" * length]


@pytest.mark.parametrize(
    ("charset", "encoding", "body"),
    [
        ("us-ascii", "7bit", b"plain text\r\n"),
        ("iso-8859-1", "quoted-printable", "café\r\n".encode("latin-1")),
        ("utf-8", "7bit", b"plain text\r\n"),
        ("utf-16", "base64", "plain text 中\r\n".encode("utf-16")),
        ("iso-8859-1", "8bit", b"a \x93quoted\x94 word\r\n"),
    ],
)
def test_what_the_charset_cannot_say_is_written_anew_in_utf_8(charset: str, encoding: str, body: bytes) -> None:
    """The part alone; its text stays whole, and its fields say what it is now."""
    raw = part(body, charset, encoding)
    edited = edit(raw, banner())
    assert edited.content.isascii()
    message = shown(edited.content)
    assert message.get_content_charset() == "utf-8"
    lines = [line for line in message.get_content().replace("\r\n", "\n").split("\n") if line]
    assert lines[0] == CHINESE
    assert lines[1] in ("plain text", "café", "plain text 中", "a \u201cquoted\u201d word")


def test_a_mail_without_mime_gets_what_it_needs_to_say_it() -> None:
    """An ASCII banner needs nothing."""
    raw = b"From: a@b\r\nSubject: x\r\n\r\nhello\r\n"
    assert edit(raw, banner("External")).content == raw.replace(b"hello", b"External\r\n\r\nhello")
    message = shown(edit(raw, banner()).content)
    assert message["MIME-Version"] == "1.0"
    assert message.get_content().split() == [CHINESE, "hello"]


@pytest.mark.parametrize("encoding", ["7bit", "base64", "quoted-printable"])
@pytest.mark.parametrize("charset", ["us-ascii", "utf-8", "big5", "iso-2022-jp"])
def test_html_says_everything_in_ascii_behind_its_body_tag(charset: str, encoding: str) -> None:
    """Not in a comment, a script or an attribute; escaped, so that no text becomes markup."""
    page = (
        "<!-- <body> --><html><head><title><body></title><style>p > a {}</style></head>"
        "<body title=\"a>b\" class='x'>hello there, this is a somewhat longer line</body></html>"
    )
    raw = part(page.encode(charset), charset, encoding, "text/html")
    edited = edit(raw, banner(CHINESE + "<b>" + "字" * 300))
    content = shown(edited.content).get_content().replace("\r\n", "\n")
    before, after = content.split("class='x'>", 1)
    assert before + "class='x'>" in page
    assert after.startswith('\n<div style="display:block')
    assert "".join(f"&#{ord(c)};" for c in CHINESE) + "&lt;b&gt;" in after
    assert after.endswith("hello there, this is a somewhat longer line</body></html>")
    assert max(map(len, edited.content.split(b"\r\n"))) <= 998
    last = shown(edit(raw, banner("end", "after")).content).get_content().replace("\r\n", "\n")
    assert last.endswith("longer line\n" + last[last.index("<div style") :])
    assert last.endswith("</body></html>")


def test_both_forms_of_a_text_get_the_banner_and_nothing_else() -> None:
    """Alternatives inside related inside mixed, beside an attachment and a calendar entry."""
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("plain\n")
    message.add_alternative("<p>html</p>", subtype="html")
    message.add_alternative("BEGIN:VCALENDAR", subtype="calendar")
    message.add_attachment(b"data", maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment("notes\n", filename="notes.txt")
    raw = message.as_bytes(policy=email.policy.SMTP)
    edited = edit(raw, banner())
    assert edited.changes[0].parts == ("1.1", "1.2")
    assert edited.left == ()
    now = shown(edited.content)
    assert CHINESE in cast(EmailMessage, now.get_body(("plain",))).get_content()
    assert "&#22806;" in cast(EmailMessage, now.get_body(("html",))).get_content()
    assert [a.get_content() for a in now.iter_attachments()] == [b"data", "notes\r\n"]


def test_a_mail_of_attachments_gets_a_text_part() -> None:
    """First, with the boundary that is there."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n"
        b"Content-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n--b--\r\n"
    )
    now = shown(edit(raw, banner()).content)
    parts = list(now.iter_parts())
    assert [p.get_content_type() for p in parts] == ["text/plain", "application/pdf"]
    assert parts[0].get_content().strip() == CHINESE


SIGNED = (
    b"Subject: x\r\nContent-Type: multipart/signed; protocol=p; boundary=s\r\n\r\n--s\r\n"
    b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\nhello\r\n--m\r\n"
    b"Content-Disposition: attachment; filename=a.exe\r\n\r\nMZ\r\n--m--\r\n--s\r\n"
    b"Content-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nsig\r\n--s--\r\n"
)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (SIGNED, "signed"),
        (b"Content-Type: multipart/encrypted; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n", "encrypted"),
        (b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n\r\nMII\r\n", "signed"),
        (b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nMII\r\n", "encrypted"),
        (b"Subject: x\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n", "signed"),
        (b"Subject: x\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n", "encrypted"),
        (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n", "ambiguous"),
        (b"Content-Type: multipart/mixed\r\n\r\nx\r\n", "broken"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno boundary\r\n", "broken"),
        (b"Content-Type: text/plain; charset=klingon\r\n\r\nx\r\n", "charset"),
        (b"Subject: x\r\n\r\nundeclared \xa4\xa4\r\n", "charset"),
        (b"Content-Transfer-Encoding: x-uuencode\r\n\r\nx\r\n", "encoding"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n*&^%\r\n", "encoding"),
        (b"Content-Type: application/pdf\r\n\r\n%PDF\r\n", "no_text_body"),
        (b"Subject: no body at all\r\n", "no_text_body"),
    ],
)
def test_a_banner_is_left_out_where_it_would_do_harm(raw: bytes, reason: str) -> None:
    """With the reason; the mail goes as it came."""
    edited = edit(raw, banner())
    assert edited.content == raw
    assert [one.reason for one in edited.left] == [reason]
    assert edited.summary == f"left alone: banner ({reason})"


def test_a_banner_that_would_be_a_boundary_is_left_out() -> None:
    """It would end the part."""
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n"
    assert [one.reason for one in edit(raw, banner("x\n--b--\n")).left] == ["boundary"]


def test_a_nest_of_parts_ends_somewhere() -> None:
    """Depth and number are bounded, and nothing is raised."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(500))
    wide = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5000 + b"--b--\r\n"
    long = b"Content-Type: text/plain; " + b";" * 100_000 + b"\r\n\r\nx\r\n"
    for raw in (deep, wide, long):
        assert {one.reason for one in edit(raw, banner(), strip()).left} == {"too_complex"}


@pytest.mark.parametrize(
    "field",
    [
        b'Content-Disposition: attachment; filename="A.EXE"',
        b"Content-Type: application/octet-stream; name=a.exe",
        b"Content-Disposition: inline; filename*0=a.; filename*1=exe",
        b"Content-Disposition: attachment; filename*=utf-8''a%2Eexe",
        b'Content-Type: application/x; name="=?utf-8?b?YS5leGU=?="',
        b'Content-Disposition: attachment; filename="a.exe."',
        b"Content-Disposition: attachment; filename=a.txt\r\nContent-Type: application/x; name=a.exe",
        b"Content-Disposition: attachment; filename=a.txt\r\nContent-Disposition: attachment; filename=a.exe",
    ],
)
def test_an_attachment_is_taken_out_by_any_name_it_has(field: bytes) -> None:
    """A note stands for it; the other parts stay."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
        + field
        + b"\r\n\r\nMZ\r\n--b\r\nContent-Type: application/pdf; name=b.pdf\r\n\r\n%PDF\r\n--b--\r\n"
    )
    edited = edit(raw, strip(why="不要程式"))
    assert b"MZ" not in edited.content
    parts = list(shown(edited.content).iter_parts())
    assert [p.get_content_type() for p in parts] == ["text/plain", "text/plain", "application/pdf"]
    assert parts[1].get_content().startswith("不要程式")
    assert "Removed: " in parts[1].get_content()
    assert edited.summary == "changed: strip"


def test_attachments_are_taken_out_of_mails_in_mails_and_of_a_mail_that_is_one() -> None:
    """The outer fields stay."""
    inner = b"Subject: inner\r\nContent-Type: application/x; name=a.exe\r\n\r\nMZ\r\n"
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner
    edited = edit(raw + b"--b--\r\n", strip())
    nested = next(iter(shown(edited.content).iter_parts())).get_content()
    assert nested["Subject"] == "inner"
    assert nested.get_content().startswith("no programs")
    alone = shown(edit(inner, strip()).content)
    assert alone["Subject"] == "inner"
    assert alone.get_content().startswith("no programs")
    whole = raw.replace(b"message/rfc822", b"message/rfc822; name=mail.exe") + b"--b--\r\n"
    assert [p.get_content_type() for p in shown(edit(whole, strip()).content).iter_parts()] == ["text/plain"]


def test_a_text_is_no_attachment_and_a_signed_attachment_stays() -> None:
    """`*` takes files, not words; a signature is not broken, and that is told."""
    raw = b"Content-Type: text/plain\r\n\r\nhello\r\n"
    assert not edit(raw, strip("*")).differs
    edited = edit(SIGNED, strip("*.exe"), Wish("tag", "t", {"subject_prefix": "[x]"}))
    assert edited.left == (LeftAlone("strip", "s", "1.2", "signed"),)
    assert edited.summary == "changed: subject_prefix; left alone: strip (signed)"
    assert edited.content == SIGNED.replace(b"Subject: x", b"Subject: [x] x")


def test_all_changes_at_once() -> None:
    """Attachments, then banners of two rules, then tags."""
    raw = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n"
        b"Content-Type: application/x; name=a.exe\r\n\r\nMZ\r\n--b--\r\n"
    )
    tag = Wish("tag", "t", {"subject_prefix": "【外】", "header": {"name": "X-F", "value": "1"}})
    edited = edit(raw, tag, banner(), banner("Second", rule="b2"), strip())
    assert [c.kind for c in edited.changes] == ["strip", "banner", "banner", "subject_prefix", "header"]
    now = shown(edited.content)
    assert (now["Subject"], now["X-F"]) == ("【外】 x", "1")
    assert next(iter(now.iter_parts())).get_content().split() == ["Second", CHINESE, "hello"]


@pytest.mark.parametrize(
    ("subject", "prefix", "want"),
    [
        (b"Subject: hello", "[x]", "[x] hello"),
        (b"Subject: =?utf-8?b?5Lit?=", "【外】", "【外】 中"),
        (b"Subject:\r\n =?utf-8?b?5Lit?=", "[x]", "[x] 中"),
        (b"Subject: [x] hello", "[x]", "[x] hello"),
        (b"Subject: hello\r\nsubject: other", "[x]", "[x] hello"),
        (b"X-Other: 1", "[x]", "[x]"),
        (b"Subject: " + b"long " * 180, "長" * 30, "長" * 30 + " " + ("long " * 180).strip()),
    ],
)
def test_a_subject_prefix_reads_as_text_before_the_subject(subject: bytes, prefix: str, want: str) -> None:
    """Whatever either is encoded as."""
    edited = edit(subject + b"\r\n\r\nbody\r\n", Wish("tag", "t", {"subject_prefix": prefix}))
    assert " ".join(str(shown(edited.content)["Subject"]).split()) == want
    assert max(map(len, edited.content.split(b"\r\n"))) <= 998
    if b"subject: other" in subject:
        assert b"subject: [x] other" in edited.content
