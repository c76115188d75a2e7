"""Notifications: whether they are due, and what the standard library reads in them."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message
from typing import cast

import pytest

from services.delivery.core import dsn, wire
from services.delivery.core.dsn import Action, Report, Reported

AT = datetime(2026, 11, 24, 6, 30, tzinfo=UTC)
MAIL = b"From: alice@acme.example\r\nSubject: \xa4\xa4\xa4\xe5\r\n\r\nbody \xff\r\n"


def built(report: Report, *, whole: bool = False, content: bytes = MAIL) -> EmailMessage:
    raw = dsn.build(
        report, own_id="01OWN", hostname="mx.example", sender="alice@acme.example", content=content, whole=whole, now=AT
    )
    assert wire.is_clean(raw)
    return email.message_from_bytes(raw, policy=email.policy.default)


def report(action: Action = "failed", **fields: object) -> Report:
    recipient = Reported(
        "bob@b.example",
        "5.1.1",
        "550 5.1.1 no such user",
        orcpt="rfc822;Bob+2Bx@b.example",
        remote="192.0.2.1",
    )
    return Report(action, "01MAIL", AT, AT, [recipient], envid="QQ+3D1", **fields)  # type: ignore[arg-type]


def test_a_failure_is_reported_as_rfc_3464_says() -> None:
    """Three parts; the machine's says who, what, why."""
    message = built(report())
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["auto-submitted"] == "auto-replied"
    text, status, headers = list(message.iter_parts())
    assert "<bob@b.example>: 550 5.1.1 no such user" in cast(EmailMessage, text).get_content()
    per_mail, per_recipient = cast(list[Message], status.get_payload())
    assert per_mail["Reporting-MTA"] == "dns; mx.example"
    assert per_mail["Original-Envelope-Id"] == "QQ=1"
    assert per_mail["Arrival-Date"] == "Tue, 24 Nov 2026 06:30:00 +0000"
    assert dict(per_recipient.items()) == {
        "Original-Recipient": "rfc822; Bob+x@b.example",
        "Final-Recipient": "rfc822; bob@b.example",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; 192.0.2.1",
        "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
        "Last-Attempt-Date": "Tue, 24 Nov 2026 06:30:00 +0000",
    }
    assert headers.get_content_type() == "text/rfc822-headers"


def test_ret_full_returns_the_mail_byte_for_byte() -> None:
    """And without it only the headers."""
    arguments = {"own_id": "01OWN", "hostname": "h", "sender": "a@b", "now": AT, "content": MAIL}
    assert MAIL in dsn.build(report(), whole=True, **arguments)  # type: ignore[arg-type]
    partial = dsn.build(report(), whole=False, **arguments)  # type: ignore[arg-type]
    assert b"Subject: \xa4\xa4\xa4\xe5" in partial
    assert b"body" not in partial


def test_a_delay_says_until_when_it_is_tried() -> None:
    """Action delayed, Will-Retry-Until."""
    message = built(report("delayed", retry_until=AT + timedelta(days=5)))
    _, fields = cast(list[Message], list(message.iter_parts())[1].get_payload())
    assert fields["Action"] == "delayed"
    assert fields["Will-Retry-Until"] == "Sun, 29 Nov 2026 06:30:00 +0000"


def test_non_ascii_addresses_and_texts_stay_seven_bit_in_the_machines_part() -> None:
    """RFC 6533: utf-8-addr-xtext."""
    recipient = Reported("大@b.example", "5.7.1", "不可以", smtp=False)
    message = built(Report("failed", "01MAIL", AT, AT, [recipient]), content=b"bare\nnewline")
    _, fields = cast(list[Message], list(message.iter_parts())[1].get_payload())
    assert fields["Final-Recipient"] == "utf-8; \\x{5927}@b.example"
    assert fields["Diagnostic-Code"].startswith("x-letterlock; \\x{4E0D}")
    assert "不可以" in cast(EmailMessage, next(iter(message.iter_parts()))).get_content()


@pytest.mark.parametrize(
    ("action", "notify", "due"),
    [
        ("failed", (), True),
        ("delayed", (), True),
        ("relayed", (), False),
        ("failed", ("NEVER",), False),
        ("delayed", ("FAILURE",), False),
        ("delayed", ("failure", "delay"), True),
        ("relayed", ("SUCCESS",), True),
        ("failed", ("SUCCESS",), False),
    ],
)
def test_notify_decides(action: Action, notify: tuple[str, ...], due: bool) -> None:
    """RFC 3461 4.1."""
    assert dsn.is_due(action, sender="a@b", stranger=False, added=False, notify=notify) is due


@pytest.mark.parametrize(
    ("sender", "stranger", "added"), [("", False, False), ("a@b", True, False), ("a@b", False, True)]
)
def test_null_sender_strangers_and_added_recipients_never_cause_a_report(
    sender: str, stranger: bool, added: bool
) -> None:
    """Whatever NOTIFY says."""
    assert not dsn.is_due("failed", sender=sender, stranger=stranger, added=added, notify=("FAILURE",))
