"""What ingress reads of a mail's header: hops for loop detection, and the completion of submitted mail.

Completion (RFC 6409 §8) is the smallest edit: `Bcc` fields go, a missing
`Date` and `Message-ID` are put before the first field, every other byte stays.
"""

from __future__ import annotations

import re

MAX_HEADER = 256 * 1024
"""Bytes of a header; beyond, the mail is refused."""

_RECEIVED = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
_BCC = re.compile(rb"^(?:resent-)?bcc[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)
_DATE = re.compile(rb"^date[ \t]*:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:", re.IGNORECASE | re.MULTILINE)
_NO_FIELD = re.compile(rb"[^\x21-\x39\x3b-\x7e]")


def header_end(data: bytes) -> int:
    """Length of the header with its last line end, without the blank line; -1 when `data` ends inside the header."""
    if data.startswith((b"\r\n", b"\n")):
        return 0
    ends = [p + s for p, s in ((data.find(b"\r\n\r\n"), 2), (data.find(b"\n\n"), 1)) if p >= 0]
    return min(ends) if ends else -1


def count_received(header: bytes) -> int:
    """How many `Received` fields a header has (RFC 5321 §6.3)."""
    return sum(1 for _ in _RECEIVED.finditer(header))


def complete(head: bytes, *, date: str, message_id: str) -> bytes:
    """Return `head` (the header and maybe some body) as submission completes it.

    `date` and `message_id` are used where the fields are missing. Content
    that does not begin with a header gets one and a blank line before it.
    """
    end = header_end(head)
    header, body = (head, b"") if end < 0 else (head[:end], head[end:])
    if header and not _begins_with_field(header):
        return _missing(b"", date, message_id) + b"\r\n" + head
    if b"bcc" in header.lower():
        if not header.endswith(b"\n"):
            header += b"\r\n"
        header = _BCC.sub(b"", header)
    return _missing(header, date, message_id) + header + body


def _begins_with_field(header: bytes) -> bool:
    name, colon, _ = header.partition(b"\n")[0].partition(b":")
    name = name.rstrip(b" \t")
    return bool(colon and name) and not _NO_FIELD.search(name)


def _missing(header: bytes, date: str, message_id: str) -> bytes:
    fields = b""
    if not _DATE.search(header):
        fields += b"Date: " + date.encode("ascii") + b"\r\n"
    if not _MESSAGE_ID.search(header):
        fields += b"Message-ID: " + message_id.encode("ascii") + b"\r\n"
    return fields
