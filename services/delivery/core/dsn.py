"""Delivery status notifications: whether one is due, and its bytes (RFC 3461, 3464, 6522)."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal

from services.common.notices.mail import subject
from services.delivery.core import wire

type Action = Literal["failed", "delayed", "relayed"]

_NOTIFY: dict[Action, str] = {"failed": "FAILURE", "delayed": "DELAY", "relayed": "SUCCESS"}
_SUBJECT: dict[Action, str] = {
    "failed": "Undelivered mail returned to sender",
    "delayed": "Delayed mail (still being retried)",
    "relayed": "Mail was relayed to its next hop",
}
_INTRODUCTION: dict[Action, str] = {
    "failed": "Your mail could not be delivered to these recipients, and will not be tried again:",
    "delayed": "Your mail has not been delivered to these recipients yet. It is still being tried; you need not\r\n"
    "send it again:",
    "relayed": "Your mail was handed over for these recipients to a system that reports no further:",
}
_HEX = re.compile(r"\+([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Reported:
    """One recipient of a report. `address` as the sender wrote it; `orcpt` its ORCPT (xtext) or empty."""

    address: str
    status: str
    detail: str = ""
    orcpt: str = ""
    remote: str = ""
    smtp: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What a notification says, and of which mail."""

    action: Action
    mail_id: str
    arrived_at: datetime
    attempted_at: datetime
    recipients: Sequence[Reported]
    envid: str = ""
    retry_until: datetime | None = None
    subject: str = ""
    text: str = ""
    """What people read, in place of our own words."""


def is_due(action: Action, *, sender: str, stranger: bool, added: bool, notify: Sequence[str]) -> bool:
    """Whether the sender is told of this recipient.

    Never the null sender, never strangers (inbound mail, or an address that its tenant does not stand for), never of
    a recipient that a rule added. NOTIFY decides (RFC 3461 4.1); without it failures and delays are told.
    """
    if not sender or stranger or added:
        return False
    wishes = {n.upper() for n in notify}
    if not wishes:
        return action != "relayed"
    return _NOTIFY[action] in wishes


def build(
    report: Report, *, own_id: str, hostname: str, sender: str, content: bytes, whole: bool, now: datetime
) -> bytes:
    """The notification to `sender`, CRLF throughout; with the mail itself when `whole`, else its headers."""
    boundary = f"=_{own_id}"
    original = content if wire.is_clean(content) else wire.normalise(content)
    if not whole:
        original = original[: wire.head_end(original)]
    eight_bit = not original.isascii()
    head = [
        f"Date: {_date(now)}",
        f"From: Mail Delivery System <mailer-daemon@{hostname}>",
        f"To: <{sender}>",
        f"Subject: {subject(report.subject) if report.subject else _SUBJECT[report.action]}",
        f"Message-ID: <{own_id}@{hostname}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    ]
    if eight_bit:
        head.append("Content-Transfer-Encoding: 8bit")
    kind = "message/rfc822" if whole else "text/rfc822-headers"
    parts = [
        _text(report.text or _explanation(report, hostname)),
        b"Content-Type: message/delivery-status\r\n\r\n" + _status(report, hostname),
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {'8bit' if eight_bit else '7bit'}\r\n\r\n".encode("ascii")
        + original,
    ]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return "\r\n".join(head).encode("utf-8") + b"\r\n\r\n" + body + b"--" + boundary.encode() + b"--\r\n"


def notice(*, own_id: str, hostname: str, to: Sequence[str], subject: str, text: str, now: datetime) -> bytes:
    """A plain notice from this system, CRLF throughout."""
    head = [
        f"Date: {_date(now)}",
        f"From: Letterlock <mailer-daemon@{hostname}>",
        "To: " + ",\r\n\t".join(f"<{a}>" for a in to),
        f"Subject: {subject}",
        f"Message-ID: <{own_id}@{hostname}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ]
    return "\r\n".join(head).encode("utf-8") + b"\r\n" + _text(text)


def _explanation(report: Report, hostname: str) -> str:
    lines = [f"This is the mail system at {hostname}.", "", *_INTRODUCTION[report.action].split("\r\n"), ""]
    lines += [f"<{r.address}>: {r.detail or r.status}" for r in report.recipients]
    return "\r\n".join([*lines, "", f"Mail id: {report.mail_id}"]) + "\r\n"


def _status(report: Report, hostname: str) -> bytes:
    """The machine's part (RFC 3464 2.2, 2.3): fields of the mail, then of each recipient."""
    groups = [[f"Reporting-MTA: dns; {hostname}"]]
    if report.envid:
        groups[0].append(f"Original-Envelope-Id: {_line(_unxtext(report.envid))}")
    groups[0].append(f"Arrival-Date: {_date(report.arrived_at)}")
    for r in report.recipients:
        fields = []
        kind, _, orcpt = r.orcpt.partition(";")
        if orcpt:
            fields.append(f"Original-Recipient: {_line(kind)}; {_line(_unxtext(orcpt))}")
        fields += [f"Final-Recipient: {_address(r.address)}", f"Action: {report.action}", f"Status: {r.status}"]
        if r.remote:
            fields.append(f"Remote-MTA: dns; {_line(r.remote)}")
        if r.detail:
            fields.append(f"Diagnostic-Code: {'smtp' if r.smtp else 'x-letterlock'}; {_line(r.detail)}")
        if report.action != "relayed":
            fields.append(f"Last-Attempt-Date: {_date(report.attempted_at)}")
        if report.action == "delayed" and report.retry_until is not None:
            fields.append(f"Will-Retry-Until: {_date(report.retry_until)}")
        groups.append(fields)
    return "\r\n\r\n".join("\r\n".join(g) for g in groups).encode("ascii") + b"\r\n"


def _text(text: str) -> bytes:
    clean = wire.normalise(text.encode("utf-8", "replace"))
    if clean.isascii() and max(map(len, clean.split(b"\r\n"))) <= 998:
        return b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + clean
    encoded = base64.encodebytes(clean).replace(b"\n", b"\r\n")
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded


def _date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0))


def _line(text: str) -> str:
    """One line of ASCII; what is not ASCII is escaped, since the part is 7-bit."""
    plain = "".join(c if " " <= c <= "~" else " " if c < " " or c == "\x7f" else f"\\x{{{ord(c):X}}}" for c in text)
    return plain.strip()[:900]


def _address(address: str) -> str:
    """An address with its type; one that is not ASCII as utf-8-addr-xtext (RFC 6533 3)."""
    return f"rfc822; {_line(address)}" if address.isascii() else f"utf-8; {_line(address)}"


def _unxtext(text: str) -> str:
    return _HEX.sub(lambda m: chr(int(m[1], 16)), text)
