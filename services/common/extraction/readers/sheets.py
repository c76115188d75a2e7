"""Spreadsheets of OOXML: rows as lines, cells as tabs, so that what stands in one row stays together."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import unescape

from services.common.extraction.readers import markup
from services.common.extraction.walk import Reading

_PART = re.compile(r"^xl/(?:(?:work|chart|dialog|macro)sheets/[^/]+|sharedStrings)\.(?:xml|bin)$", re.IGNORECASE)
_ITEM = re.compile(r"<(?:[\w.-]+:)?si\b[^>]*?(?:/>|>(.*?)</(?:[\w.-]+:)?si>)", re.DOTALL)
_CELL = re.compile(r"<(?:[\w.-]+:)?c\b([^>]*?)(?:/>|>(.*?)</(?:[\w.-]+:)?c>)|(</(?:[\w.-]+:)?row>)", re.DOTALL)
_VALUE = re.compile(r"<(?:[\w.-]+:)?v\b[^>]*>([^<]*)<")
_FORMULA = re.compile(r"<(?:[\w.-]+:)?f\b[^>]*>([^<]*)<")
_TAG = re.compile(r"<[^>]*>")
_EDGE = re.compile(r"<(?:[\w.-]+:)?(?:headerFooter|dataValidations|conditionalFormatting)\b.*", re.DOTALL)
_MAX_SHARED = 2_000_000


def is_part(name: str) -> bool:
    """Whether `read` reads this part."""
    return _PART.match(name) is not None


def read(get: Callable[[str], bytes], names: Sequence[str], reading: Reading) -> None:
    """Every sheet, hidden ones too, then the strings that no cell shows."""
    shared: list[str] = []
    for name in names:
        if name.lower() == "xl/sharedstrings.xml":
            shared += _shared(get(name))
        elif name.lower() == "xl/sharedstrings.bin":
            shared += _shared_bin(get(name))
    used: set[int] = set()
    for name in names:
        if is_part(name) and "sharedstrings" not in name.lower():
            data = get(name)
            rows = _sheet_bin(data, shared, used) if name.lower().endswith(".bin") else _sheet(data, shared, used)
            _put(rows, reading)
    _put((s for i, s in enumerate(shared) if i not in used), reading)


def number(text: str) -> str:
    """A number as a person would type it: 4111111111111111, not 4.111111111111111E15."""
    try:
        value = float(text)
    except ValueError:
        return text
    if text.isdigit() or not value.is_integer() or abs(value) >= 1e21:
        return text
    return str(int(value))


def _put(rows: Iterable[str], reading: Reading) -> None:
    batch: list[str] = []
    for row in rows:
        batch.append(row)
        if len(batch) == 2000:
            reading.text("\n".join(batch))
            batch.clear()
            if reading.full:
                return
    reading.text("\n".join(batch))


def _plain(fragment: str) -> str:
    return unescape(_TAG.sub("", fragment))


def _shared(data: bytes) -> list[str]:
    if b"<!" in data:
        # Never so by the rules; read slowly, one string a line.
        return markup.text(data).split("\n")
    return [_plain(found) for found in _ITEM.findall(data.decode("utf-8", "replace"))[:_MAX_SHARED]]


def _sheet(data: bytes, shared: Sequence[str], used: set[int]) -> Iterator[str]:
    if b"<!" in data:
        yield markup.text(data)
    source = data.decode("utf-8", "replace")
    row: list[str] = []
    for found in _CELL.finditer(source):
        if found[3]:
            if row:
                yield "\t".join(row)
            row = []
            continue
        attributes, inside = found[1], found[2] or ""
        value = _VALUE.search(inside)
        if 't="s"' in attributes and value:
            index = int(value[1]) if value[1].isdigit() and len(value[1]) < 9 else -1
            used.add(index)
            row.append(shared[index] if 0 <= index < len(shared) else "")
        elif "t=" in attributes:
            row.append(unescape(value[1]) if value else _plain(inside))
        elif value:
            row.append(number(value[1]))
        if formula := _FORMULA.search(inside):
            row.append("=" + unescape(formula[1]))
    if row:
        yield "\t".join(row)
    if edge := _EDGE.search(source):
        yield _plain(edge[0].replace("><", ">\n<"))


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """BIFF12 records (MS-XLSB 2.1.4): type in one or two bytes, length in up to four, seven bits each."""
    position = 0
    while position < len(data):
        kind = data[position]
        position += 1
        if kind & 0x80:
            kind = (kind & 0x7F) | (data[position] & 0x7F) << 7
            position += 1
        size = 0
        for shift in range(0, 28, 7):
            byte = data[position]
            position += 1
            size |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
        if position + size > len(data):
            raise ValueError("a record beyond the end")
        yield kind, data[position : position + size]
        position += size


def _wide(data: bytes, at: int) -> str:
    (count,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + 2 * count].decode("utf-16-le", "replace")


def _shared_bin(data: bytes) -> list[str]:
    return [_wide(body, 1) for kind, body in _records(data) if kind == 19]


def _sheet_bin(data: bytes, shared: Sequence[str], used: set[int]) -> Iterator[str]:
    row: list[str] = []
    for kind, body in _records(data):
        if kind == 0:
            if row:
                yield "\t".join(row)
            row = []
        elif kind == 7:
            (index,) = struct.unpack_from("<I", body, 8)
            used.add(index)
            row.append(shared[index] if index < len(shared) else "")
        elif kind in (6, 8):
            row.append(_wide(body, 8))
        elif kind in (5, 9):
            row.append(number(repr(struct.unpack_from("<d", body, 8)[0])))
        elif kind == 2:
            row.append(rk(struct.unpack_from("<I", body, 8)[0]))
    if row:
        yield "\t".join(row)


def rk(raw: int) -> str:
    """A number in the 32 bits of RK (MS-XLS 2.5.217)."""
    value: float
    if raw & 2:
        value = (raw >> 2) - (1 << 30 if raw & 0x80000000 else 0)
    else:
        value = struct.unpack("<d", struct.pack("<Q", (raw & 0xFFFFFFFC) << 32))[0]
    return number(repr(value / 100 if raw & 1 else float(value)))
