"""TNEF (winmail.dat, MS-OXTNEF): bodies and attachments."""

from __future__ import annotations

from typing import Any

import tnefparse

from services.common.extraction.readers import rtf
from services.common.extraction.walk import Reading


def read_tnef(content: bytes, reading: Reading) -> None:
    """Subject and the other texts; bodies and attachments as members."""
    reading.text("")
    tnef = tnefparse.TNEF(content, do_checksum=False)
    for prop in (*tnef.msgprops, *tnef.mapiprops):
        value: Any = getattr(prop, "data", None)
        if isinstance(value, str):
            reading.text(value.rstrip("\0"))
    if isinstance(tnef.body, str):
        reading.text(tnef.body)
    elif tnef.body:
        reading.member("body.txt", bytes(tnef.body).rstrip(b"\0"))
    if tnef.htmlbody:
        reading.member("body.html", _bytes(tnef.htmlbody))
    if tnef._rtfbody:
        reading.member("body.rtf", rtf.decompressed(_bytes(tnef._rtfbody)))
    for attachment in tnef.attachments:
        data = _bytes(attachment.data or b"")
        reading.budget.unpacked(len(data))
        name = attachment.long_filename() or attachment.name or ""
        # An attached mail is a TNEF of its own behind the identifier of its interface (MS-OXTNEF 2.1.3.4).
        if data[16:20] == b"\x78\x9f\x3e\x22":
            data = data[16:]
        reading.member(str(name), data)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    return b"".join(value) if isinstance(value, list) else bytes(value)
