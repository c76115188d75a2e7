"""PowerPoint 97 to 2003 (MS-PPT): every text atom: slides, notes, masters, comments, hidden slides."""

from __future__ import annotations

import struct
import zlib

from services.common.extraction.readers import ole as compound
from services.common.extraction.walk import Reading

_TEXT_CHARS, _TEXT_BYTES, _CSTRING, _EMBEDDED, _VBA = 0x0FA0, 0x0FA8, 0x0FBA, 0x1011, 0x03FF
_ENCRYPTED = 0xF3D1C4DF
_MAX_RECORDS = 1_000_000


def read_ppt(content: bytes, reading: Reading) -> None:
    """All text."""
    with compound.opened(content) as ole:
        user = compound.stream(ole, "Current User", reading) if ole.exists("Current User") else b""
        if len(user) >= 16 and struct.unpack_from("<I", user, 12)[0] == _ENCRYPTED:
            reading.encrypted = True
            reading.trouble("encrypted")
            return
        _records(compound.stream(ole, "PowerPoint Document", reading), reading)
        compound.common(ole, reading)


def _records(data: bytes, reading: Reading) -> None:
    at = records = 0
    while at + 8 <= len(data):
        records += 1
        if records > _MAX_RECORDS:
            reading.trouble("too_large")
            return
        version, kind, size = struct.unpack_from("<HHI", data, at)
        at += 8
        if kind == _VBA:
            reading.macros = True
        if version & 0xF == 0xF:
            # A container: its records are the next ones.
            continue
        if at + size > len(data):
            reading.trouble("broken")
        body = data[at : at + size]
        at += size
        if kind in (_TEXT_CHARS, _CSTRING):
            reading.text(body.decode("utf-16-le", "replace").replace("\r", "\n").replace("\x0b", "\n"))
        elif kind == _TEXT_BYTES:
            reading.text(body.decode("latin-1").replace("\r", "\n").replace("\x0b", "\n"))
        elif kind == _EMBEDDED:
            _embedded(version >> 4, body, reading)


def _embedded(instance: int, body: bytes, reading: Reading) -> None:
    account = reading.unpacking(len(body))
    account.begin()
    if instance == 0:
        account.chunk(len(body))
        reading.member("", body)
        return
    stream = zlib.decompressobj()
    found = stream.decompress(body[4:], reading.budget.limits.member)
    account.chunk(len(found))
    if stream.unconsumed_tail:
        reading.trouble("too_large")
    reading.member("", found)
