"""Excel 5 to 2003 (MS-XLS): rows as lines, cells as tabs; comments, text boxes, headers; hidden sheets too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from services.common.extraction.readers import ole as compound
from services.common.extraction.readers.sheets import number, rk
from services.common.extraction.walk import Reading

_CONTINUE, _FILEPASS, _SST, _LABELSST, _LABEL, _RSTRING = 0x3C, 0x2F, 0xFC, 0xFD, 0x204, 0xD6
_RK, _NUMBER, _MULRK, _STRING, _FORMULA = 0x27E, 0x203, 0xBD, 0x207, 0x06
_BOUNDSHEET, _HEADER, _FOOTER, _TXO, _NOTE = 0x85, 0x14, 0x15, 0x1B6, 0x1C
_CELLS = frozenset({_LABELSST, _LABEL, _RSTRING, _RK, _NUMBER, _MULRK, _FORMULA})
_BATCH = 2000
_MAX_STRINGS = 2_000_000


def read_xls(content: bytes, reading: Reading) -> None:
    """Every sheet."""
    with compound.opened(content) as ole:
        name = "Workbook" if ole.exists("Workbook") else "Book"
        book = compound.stream(ole, name, reading)
        _read(book, reading, wide=name == "Workbook")
        compound.common(ole, reading)


def _read(book: bytes, reading: Reading, *, wide: bool) -> None:
    shared: list[str] = []
    used: set[int] = set()
    lines: list[str] = []
    row: list[str] = []
    row_number = -1
    for kind, chunks in _records(book):
        body = chunks[0]
        if kind == _FILEPASS:
            reading.encrypted = True
            reading.trouble("encrypted")
            return
        if kind in _CELLS and len(body) >= 6:
            (at,) = struct.unpack_from("<H", body)
            if at != row_number:
                lines.append("\t".join(row))
                row, row_number = [], at
            row += _cells(kind, body, shared, used, wide=wide)
        elif kind == _STRING:
            row.append(_string(body, 0, wide=wide))
        elif kind == _SST:
            shared = _Strings(chunks).all()
        elif kind == _BOUNDSHEET:
            lines.append(_short(body[6:], wide=wide))
        elif kind in (_HEADER, _FOOTER) and body:
            lines.append(_string(body, 0, wide=wide))
        elif kind in (_TXO, _NOTE) and len(chunks) > 1 and chunks[1]:
            lines.append(chunks[1][1:].decode("utf-16-le" if chunks[1][0] & 1 else "cp1252", "replace"))
        if len(lines) >= _BATCH:
            reading.text("\n".join(lines))
            lines.clear()
    lines.append("\t".join(row))
    lines += (s for i, s in enumerate(shared) if i not in used)
    reading.text("\n".join(lines))


def _records(book: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Records with the ones that continue them; raises `ValueError` where one goes beyond the end."""
    at = 0
    pending: tuple[int, list[bytes]] | None = None
    while at + 4 <= len(book):
        kind, size = struct.unpack_from("<HH", book, at)
        body = book[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == _CONTINUE and pending is not None:
            pending[1].append(body)
            continue
        if pending is not None:
            yield pending
        pending = (kind, [body])
        if len(body) < size:
            yield pending
            raise ValueError("a record beyond the end")
    if pending is not None:
        yield pending


def _cells(kind: int, body: bytes, shared: list[str], used: set[int], *, wide: bool) -> list[str]:
    if kind == _LABELSST:
        (index,) = struct.unpack_from("<I", body, 6)
        used.add(index)
        return [shared[index]] if index < len(shared) else []
    if kind in (_LABEL, _RSTRING):
        return [_string(body, 6, wide=wide)]
    if kind == _RK:
        return [rk(struct.unpack_from("<I", body, 6)[0])]
    if kind == _MULRK:
        return [rk(struct.unpack_from("<I", body, 6 + 6 * i)[0]) for i in range((len(body) - 6) // 6)]
    if kind == _FORMULA and body[12:14] == b"\xff\xff":
        # A text, an error or a truth: a text follows in a record of its own.
        return []
    return [number(repr(struct.unpack_from("<d", body, 6)[0]))]


def _string(body: bytes, at: int, *, wide: bool) -> str:
    (count,) = struct.unpack_from("<H", body, at)
    if not wide:
        return body[at + 2 : at + 2 + count].decode("cp1252", "replace")
    if at + 2 >= len(body):
        return ""
    if body[at + 2] & 1:
        return body[at + 3 : at + 3 + 2 * count].decode("utf-16-le", "replace")
    return body[at + 3 : at + 3 + count].decode("latin-1")


def _short(body: bytes, *, wide: bool) -> str:
    if not body:
        return ""
    if not wide:
        return body[1 : 1 + body[0]].decode("cp1252", "replace")
    size = body[0] * 2 if body[1] & 1 else body[0]
    return body[2 : 2 + size].decode("utf-16-le" if body[1] & 1 else "latin-1", "replace")


class _Strings:
    """The shared strings, whose characters may go on in a continuing record under a new width (MS-XLS 2.4.58)."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks
        self._index, self._at = 0, 8

    def all(self) -> list[str]:
        """Every string; what is cut off at the end is left out."""
        (count,) = struct.unpack_from("<I", self._chunks[0], 4)
        found: list[str] = []
        for _ in range(min(count, _MAX_STRINGS)):
            try:
                found.append(self._one())
            except IndexError:
                break
        return found

    def _one(self) -> str:
        size, flags = self._numbers("<HB", 3)
        runs = self._numbers("<H", 2)[0] if flags & 8 else 0
        extra = self._numbers("<I", 4)[0] if flags & 4 else 0
        parts: list[str] = []
        wide = bool(flags & 1)
        while size > 0:
            self._turn_page()
            if self._at == 0:
                wide = bool(self._chunks[self._index][0] & 1)
                self._at = 1
            chunk = self._chunks[self._index]
            take = min(size, (len(chunk) - self._at) // (2 if wide else 1))
            if take <= 0:
                self._at = len(chunk)
                continue
            data = chunk[self._at : self._at + take * (2 if wide else 1)]
            parts.append(data.decode("utf-16-le" if wide else "latin-1", "replace"))
            self._at += len(data)
            size -= take
        self._skip(4 * runs + extra)
        return "".join(parts)

    def _turn_page(self) -> None:
        while self._at >= len(self._chunks[self._index]):
            self._index, self._at = self._index + 1, 0
            if self._index >= len(self._chunks):
                raise IndexError

    def _numbers(self, shape: str, size: int) -> tuple[Any, ...]:
        self._turn_page()
        chunk = self._chunks[self._index]
        if self._at + size > len(chunk):
            raise IndexError
        self._at += size
        return struct.unpack_from(shape, chunk, self._at - size)

    def _skip(self, size: int) -> None:
        while size > 0:
            self._turn_page()
            step = min(size, len(self._chunks[self._index]) - self._at)
            self._at += step
            size -= step
