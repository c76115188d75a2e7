"""What leaves: trace headers, edits, newlines, dots."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.mailedit import Wish, apply_transforms
from services.delivery.core import wire
from services.delivery.core.wire import Received

AT = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
PIECES = st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b".", b"..", b"x", b"\xff", b" "])).map(b"".join)


def unstuffed(data: bytes) -> bytes:
    """What a server makes of a DATA body without its final dot."""
    lines = data.split(b"\r\n")
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


@given(PIECES)
def test_normalised_content_is_clean_and_stays_so(content: bytes) -> None:
    """No bare CR, no bare LF, no NUL; a second time changes nothing; clean content is not touched."""
    once = wire.normalise(content)
    assert wire.is_clean(once)
    assert wire.normalise(once) == once
    assert not wire.is_clean(content) or once == content
    assert once.replace(b"\r\n", b"") == content.replace(b"\0", b"").replace(b"\r", b"").replace(b"\n", b"")


@given(PIECES.map(wire.normalise))
def test_dot_stuffing_is_undone_by_the_receiver_and_never_ends_the_mail(content: bytes) -> None:
    """RFC 5321 4.5.2, byte for byte; only a missing last CRLF is added."""
    stuffed = wire.dot_stuff(content)
    want = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert unstuffed(stuffed) == want
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed


def test_received_names_peer_protocol_id_and_the_only_recipient() -> None:
    """RFC 5321 4.4, RFC 3848."""
    received = Received("01ABC", AT, helo="mail.acme.example", peer="192.0.2.1", tls=True, authenticated=True)
    assert wire.trace_headers(received, hostname="mx.example", recipient="bob@b.example") == (
        b"Received: from mail.acme.example ([192.0.2.1])\r\n"
        b"\tby mx.example (Letterlock) with ESMTPSA\r\n"
        b"\tid 01ABC\r\n"
        b"\tfor <bob@b.example>;\r\n"
        b"\tTue, 24 Nov 2026 06:30:00 +0000\r\n"
        b"X-Letterlock-Mail-Id: 01ABC\r\n"
    )


def test_received_of_several_recipients_names_none() -> None:
    """A list would show blind copies to the others."""
    headers = wire.trace_headers(Received("01ABC", AT, peer="2001:db8::1"), hostname="mx.example", recipient=None)
    assert b"for <" not in headers
    assert b"from unknown ([IPv6:2001:db8::1])" in headers


@pytest.mark.parametrize("helo", ["a\r\nX-Evil: 1", "a b", "", "(x)", "<x>"])
def test_a_strange_helo_adds_no_line(helo: str) -> None:
    """What a peer says cannot break out of its place."""
    headers = wire.trace_headers(Received("01ABC", AT, helo=helo, peer="192.0.2.1"), hostname="h", recipient=None)
    assert headers.startswith(b"Received: from unknown ([192.0.2.1])\r\n")


def test_a_subject_prefix_inserts_itself_and_nothing_else() -> None:
    """The rest of the line, folding and charset included, stays byte for byte."""
    mail = b"From: a@b\r\nsubject:  =?big5?B?pKSk5Q==?=\r\n folded\r\n\r\nSubject: body\r\n"
    changed = apply_transforms(mail, [Wish("tag", "r", {"subject_prefix": "[external]"})])
    assert changed.content == mail.replace(b"subject: ", b"subject: [external] ", 1)
    again = apply_transforms(changed.content, [Wish("tag", "r", {"subject_prefix": "[external]"})])
    assert again.content == changed.content


def test_a_subject_prefix_in_chinese_is_an_encoded_word() -> None:
    """RFC 2047."""
    changed = apply_transforms(b"Subject: hi\r\n\r\n", [Wish("tag", "r", {"subject_prefix": "[外部]"})])
    parsed = email.message_from_bytes(changed.content, policy=email.policy.default)
    assert parsed["subject"] == "[外部] hi"


def test_a_mail_without_subject_gets_one() -> None:
    """Also one that has no header at all."""
    changed = apply_transforms(b"\r\nSubject: body\r\n", [Wish("tag", "r", {"subject_prefix": "[x]"})])
    assert changed.content == b"Subject: [x]\r\n\r\nSubject: body\r\n"


def test_a_tag_header_is_put_before_the_mail() -> None:
    """And a value cannot add lines."""
    wish = Wish("tag", "r", {"header": {"name": "X-Flag", "value": "a\r\nBcc: b"}})
    assert apply_transforms(b"A: b\r\n\r\n", [wish]).content == b"X-Flag: a Bcc: b\r\nA: b\r\n\r\n"
    bad = Wish("tag", "r", {"header": {"name": "X: y", "value": "1"}})
    assert not apply_transforms(b"A: b\r\n\r\n", [bad]).differs


@given(st.text(max_size=300))
def test_any_tag_value_leaves_clean_ascii_lines(value: str) -> None:
    """No text breaks out of its header, and no line is too long."""
    wish = Wish("tag", "r", {"header": {"name": "X-Flag", "value": value}, "subject_prefix": value})
    content = apply_transforms(b"Subject: s\r\n\r\nbody\r\n", [wish]).content
    assert wire.is_clean(content)
    assert content.isascii()
    assert set(email.message_from_bytes(content).keys()) <= {"X-Flag", "Subject"}
    assert content.endswith(b"\r\n\r\nbody\r\n")


@pytest.mark.parametrize(
    ("content", "addresses", "declared", "needs"),
    [
        (b"A: b\r\n\r\n\xff", ["a@b"], True, False),
        (b"A: \xc3\xa9\r\n\r\n", ["a@b"], True, True),
        (b"A: \xc3\xa9\r\n\r\n", ["a@b"], False, False),
        (b"A: b\r\n\r\n", ["é@b"], False, True),
    ],
)
def test_smtputf8_is_needed_for_addresses_and_declared_headers(
    content: bytes, addresses: list[str], declared: bool, needs: bool
) -> None:
    """RFC 6531."""
    assert wire.needs_smtputf8(content, addresses, declared=declared) is needs
