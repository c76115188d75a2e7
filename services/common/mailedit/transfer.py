"""Transfer encodings with a way back: which raw bytes stand for a place in the decoded text (RFC 2045 6).

An edit of a part then changes a line or two of its encoding, and leaves the rest of it as it came.
"""

from __future__ import annotations

import base64
import binascii
import re

from services.common.mailedit.draft import Span

IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
_GROUP = re.compile(rb"[A-Za-z0-9+/=]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]*+={0,2}+\s*+")
_QUOTED = re.compile(rb"=[0-9A-Fa-f]{2}|=[ \t]*+(?:\r\n|\Z)|(?<![ \t])[ \t]++(?=\r\n|\Z)")
_LINE = 998


class Unsafe(Exception):
    """The edit cannot be made without a risk to what people read; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NeedsEncoding(Exception):
    """The part's transfer encoding cannot carry these bytes: the part has to be encoded anew."""


def decode(body: bytes, encoding: str) -> bytes:
    """The decoded body; raises `Unsafe` for what two programs may decode differently."""
    if encoding in IDENTITY:
        return body
    if encoding == "base64":
        if not _BASE64.fullmatch(body):
            raise Unsafe("encoding")
        try:
            return binascii.a2b_base64(body, strict_mode=False)
        except binascii.Error as error:
            raise Unsafe("encoding") from error
    if encoding == "quoted-printable":
        return b"".join(_unquoted(body))
    raise Unsafe("encoding")


def insert(body: bytes, encoding: str, at: int, new: bytes) -> Span:
    """The edit of the raw body that puts `new` at offset `at` of the decoded one.

    Raises `NeedsEncoding` when the body is, and must stay, 7-bit with lines of at most 998 bytes, and `new` is not.
    For base64 the length of `new` has to be a multiple of three.
    """
    if encoding in IDENTITY:
        eight_bit = encoding in ("8bit", "binary") or not body.isascii()
        if not (new.isascii() or eight_bit) or max(map(len, new.split(b"\r\n"))) > _LINE:
            raise NeedsEncoding
        return Span(at, at, new)
    if encoding == "base64":
        return _insert_base64(body, at, new)
    place = _quoted_place(body, at)
    before, after = body[:place], body[place:]
    inside = bool(before) and not before.endswith(b"\n") and not new.startswith(b"\r\n")
    encoded = (b"=\r\n" if inside else b"") + quoted(new)
    if after and not encoded.endswith(b"\n") and not after.startswith(b"\r\n"):
        encoded += b"=\r\n"
    return Span(place, place, encoded)


def quoted(text: bytes) -> bytes:
    """Text with CRLF as quoted-printable."""
    encoded = binascii.b2a_qp(text.replace(b"\r\n", b"\n"), istext=True)
    # A line must not begin like a boundary, nor as mailboxes quote it.
    return re.sub(rb"(?m)^(-|From )", lambda m: b"=%02X" % m[1][0] + m[1][1:], encoded).replace(b"\n", b"\r\n")


def based(data: bytes) -> bytes:
    """Bytes as base64, in lines that end with CRLF."""
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _insert_base64(body: bytes, at: int, new: bytes) -> Span:
    """Change only the four characters around the place; without any, and at a multiple of three, only insert."""
    first, inside = divmod(at, 3)
    start = _base64_place(body, first * 4)
    stop = _base64_place(body, first * 4 + 4)
    group = binascii.a2b_base64(body[start:stop])
    filled = group[:inside] + new + group[inside:]
    lead = b"" if start == 0 or body[start - 1 : start] == b"\n" else b"\r\n"
    text = based(filled)
    if body[stop : stop + 2] == b"\r\n" or stop == len(body):
        text = text.removesuffix(b"\r\n")
    return Span(start, stop, lead + text)


def _base64_place(body: bytes, number: int) -> int:
    """Where the character of this number is, white space not counted; the end when there are fewer."""
    count, end = 0, 0
    for group in _GROUP.finditer(body):
        size = group.end() - group.start()
        if count + size > number:
            return group.start() + number - count
        count, end = count + size, group.end()
    return end


def _unquoted(body: bytes) -> list[bytes]:
    parts, position = [], 0
    for match in _QUOTED.finditer(body):
        parts.append(body[position : match.start()])
        if match.end() - match.start() == 3 and match[0][1:].isalnum():
            parts.append(bytes([int(match[0][1:], 16)]))
        position = match.end()
    parts.append(body[position:])
    return parts


def _quoted_place(body: bytes, at: int) -> int:
    """Where the raw body stands for the decoded offset `at`."""
    position, decoded = 0, 0
    for match in _QUOTED.finditer(body):
        plain = match.start() - position
        if decoded + plain >= at:
            return position + at - decoded
        decoded += plain
        if match.end() - match.start() == 3 and match[0][1:].isalnum():
            decoded += 1
        position = match.end()
    return min(position + at - decoded, len(body))
