"""A notice as a mail: multipart/alternative of text and HTML (RFC 2046 5.1.4), CRLF and 7-bit throughout."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime

from services.common.errors import InvalidInput
from services.common.notices.template import Rendered


def build(
    rendered: Rendered,
    *,
    own_id: str,
    hostname: str,
    to: Sequence[str],
    now: datetime,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The mail's bytes; they follow from the arguments alone. `headers` are further ones, each of one ASCII line.

    An address that is not ASCII stands as it is (RFC 6532), for a next hop with SMTPUTF8.
    """
    boundary = f"=_{own_id}"
    head = [
        f"Date: {format_datetime(now.astimezone(UTC).replace(microsecond=0))}",
        f"From: Letterlock <mailer-daemon@{hostname}>",
        "To: " + ",\r\n\t".join(f"<{_line(a)}>" for a in to),
        f"Subject: {subject(rendered.subject)}",
        f"Message-ID: <{own_id}@{hostname}>",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
        "MIME-Version: 1.0",
        *(f"{_line(name)}: {_ascii(value)}" for name, value in (headers or {}).items()),
        f'Content-Type: multipart/alternative;\r\n\tboundary="{boundary}"',
    ]
    parts = [f"--{boundary}\r\n{_part('plain', rendered.text)}", f"--{boundary}\r\n{_part('html', rendered.html)}"]
    return ("\r\n".join([*head, "", *parts]) + f"--{boundary}--\r\n").encode()


def subject(words: str) -> str:
    """A subject as a header's value: as it is, or as encoded words (RFC 2047) folded at 75 characters."""
    if words.isascii() and len(words) <= 66:
        return _line(words)
    return Header(words, "utf-8", maxlinelen=75, header_name="Subject").encode(linesep="\r\n")


def _part(subtype: str, text: str) -> str:
    encoded = base64.encodebytes(text.replace("\n", "\r\n").encode()).decode("ascii").replace("\n", "\r\n")
    return f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}"


def _line(text: str) -> str:
    if any(c in text for c in "\r\n\0"):
        raise InvalidInput("a header has one line", field="header")
    return text


def _ascii(text: str) -> str:
    if not text.isascii():
        raise InvalidInput("a header is ASCII", field="header")
    return _line(text)
