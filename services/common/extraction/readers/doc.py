"""Word 97 to 2003 (MS-DOC): the text of the piece table, which has body, notes, comments, headers and text boxes."""

from __future__ import annotations

import re
import struct

from services.common.extraction.readers import ole as compound
from services.common.extraction.walk import Reading

_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200
_CLX = 0x01A2
_COMPRESSED = 0x40000000
_CONTROLS = str.maketrans({"\r": "\n", "\x07": "\t", "\x0b": "\n", "\x0c": "\n", "\x1e": "-", "\x1f": "", "\xa0": " "})
_RUN = re.compile(rb"(?:[\x20-\x7e\t\r]\x00|[\x00-\xff][\x30-\x9f]){6,}|[\x20-\x7e\t\r\x80-\xff]{6,}")


def read_doc(content: bytes, reading: Reading) -> None:
    """All text, deleted and hidden too."""
    with compound.opened(content) as ole:
        main = compound.stream(ole, "WordDocument", reading)
        (flags,) = struct.unpack_from("<H", main, 0x0A)
        if flags & _ENCRYPTED:
            reading.encrypted = True
            reading.trouble("encrypted")
            compound.common(ole, reading)
            return
        try:
            table = compound.stream(ole, "1Table" if flags & _TABLE_1 else "0Table", reading)
            reading.text(_pieces(main, table).translate(_CONTROLS))
        except (struct.error, OSError, ValueError):
            # Older than Word 97, or damaged: whatever looks like text in it.
            reading.trouble("broken")
            reading.text("\n".join(_looks(run) for run in _RUN.findall(main)))
        compound.common(ole, reading)


def _pieces(main: bytes, table: bytes) -> str:
    start, size = struct.unpack_from("<II", main, _CLX)
    clx = table[start : start + size]
    at = 0
    while clx[at : at + 1] == b"\x01":
        at += 3 + struct.unpack_from("<H", clx, at + 1)[0]
    if clx[at : at + 1] != b"\x02":
        raise ValueError("no piece table")
    (length,) = struct.unpack_from("<I", clx, at + 1)
    plc = clx[at + 5 : at + 5 + length]
    count = (len(plc) - 4) // 12
    positions = struct.unpack_from(f"<{count + 1}I", plc)
    found: list[str] = []
    room = len(main)
    for index in range(count):
        (where,) = struct.unpack_from("<I", plc, 4 * (count + 1) + 8 * index + 2)
        characters = positions[index + 1] - positions[index]
        # Pieces may show the same bytes again and again: no document has more characters than bytes.
        if characters < 0 or characters > room:
            raise ValueError("pieces that overlap")
        room -= characters
        if where & _COMPRESSED:
            begin = (where & ~_COMPRESSED) // 2
            found.append(main[begin : begin + characters].decode("cp1252", "replace"))
        else:
            found.append(main[where : where + 2 * characters].decode("utf-16-le", "replace"))
    return "".join(found)


def _looks(run: bytes) -> str:
    return run.decode("utf-16-le", "replace") if b"\0" in run[:4] else run.decode("cp1252", "replace")
