"""A segment's bytes: zstd over length-prefixed messages (varint, as protobuf's delimited streams), and its names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date

import zstandard

from services.common.errors import Corrupt
from services.common.ids import MailId

MAX_PLAIN = 64 << 20
"""Largest segment before compression that is read: a planted one cannot fill the memory."""

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}/[0-7][0-9A-HJKMNP-TV-Z]{25}")


def pack(messages: Iterable[bytes]) -> bytes:
    """The bytes of a segment."""
    plain = bytearray()
    for message in messages:
        length = len(message)
        while length > 0x7F:
            plain.append(length & 0x7F | 0x80)
            length >>= 7
        plain.append(length)
        plain += message
    return zstandard.ZstdCompressor(level=3, write_content_size=True).compress(bytes(plain))


def unpack(data: bytes) -> Iterator[bytes]:
    """The messages of a segment in order; raises `Corrupt`."""
    try:
        if zstandard.frame_content_size(data) > MAX_PLAIN:
            raise Corrupt("a segment is larger than any that is written")
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_PLAIN)
    except zstandard.ZstdError as error:
        raise Corrupt("a segment is no zstd frame") from error
    at = 0
    while at < len(plain):
        length = shift = 0
        while True:
            if at >= len(plain) or shift > 28:
                raise Corrupt("a segment ends inside a length")
            byte = plain[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if at + length > len(plain):
            raise Corrupt("a segment ends inside a message")
        yield plain[at : at + length]
        at += length


def new_name(*, now: float, entropy: bytes | None = None) -> str:
    """A new segment's name, `<yyyy-mm-dd>/<ulid>`; names sort by time. `now` in seconds since 1970."""
    ulid = MailId.new(now=now, entropy=entropy)
    return f"{ulid.day.isoformat()}/{ulid}"


def is_name(text: str) -> bool:
    """Whether `text` names a segment."""
    return _NAME.fullmatch(text) is not None


def first_of(when: float) -> str:
    """A name below every segment's that was named at `when` (seconds since 1970) or later."""
    ulid = MailId.new(now=max(when, 0.0), entropy=bytes(10))
    return f"{ulid.day.isoformat()}/{ulid}"


def before_day(day: date) -> str:
    """A name below every segment's of a UTC day."""
    return f"{day.isoformat()}/"
