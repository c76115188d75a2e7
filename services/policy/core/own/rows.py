"""Exact data: rows of a tenant's table, known only by keyed digests of their cells.

A cell is compared as its letters and digits, folded (`units.joined`): separators, case and width make no difference.
The first column is the primary one: a row is looked for where its primary cell is in a text, and counts the other
cells that are in the same text. The file is sorted by primary digest, so that a look-up is a bisection.
"""

from __future__ import annotations

import array
import heapq
import hmac
import json
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.policy.core.own import Budget
from services.policy.core.own.units import joined, placed

MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 1_000_000, 8, 5_000_000
MAX_CELL = 64
"""Letters and digits of a cell that are compared; longer ones are refused."""
_LEAST_PRIMARY = 4
_MAX_SAME = 1000
"""Rows of one primary cell that are looked at."""
_MAGIC = b"LLROWS1\n"


class BadRows(ValueError):
    """Rows that cannot be used."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row in a text: how many of its columns, and where its primary cell stands."""

    columns: int
    start: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A table. `lengths` says of each column which lengths its cells have, by the kind of their first character."""

    columns: tuple[str, ...]
    lengths: tuple[tuple[int, int, int], ...]
    cells: tuple[array.array[int], ...]
    key: bytes

    def __len__(self) -> int:
        return len(self.cells[0])

    def find(self, text: str, budget: Budget) -> list[Found]:
        """The rows in a normalised text, the best of each primary cell found."""
        parts, starts = placed(text)
        budget.spend(read=len(text))
        found: list[Found] = []
        others: list[frozenset[int]] | None = None
        for value, first, last, digest in self._digests(0, parts, starts, budget):
            primary = self.cells[0]
            at = bisect_left(primary, digest)
            if at == len(primary) or primary[at] != digest:
                continue
            if others is None:
                others = [
                    frozenset(d for _, _, _, d in self._digests(column, parts, starts, budget))
                    for column in range(1, len(self.columns))
                ]
            best = 1
            for row in range(at, min(at + _MAX_SAME, len(primary))):
                if primary[row] != digest:
                    break
                budget.spend(probes=1)
                best = max(best, 1 + sum(c[row] in known for c, known in zip(self.cells[1:], others, strict=True)))
            found.append(Found(best, first, last, value))
        return found

    def _digests(
        self, column: int, parts: Sequence[str], starts: Sequence[int], budget: Budget
    ) -> Iterator[tuple[str, int, int, int]]:
        """Every run of units that is as long as a cell of the column is, once: value, start, end, digest."""
        lengths, seen = self.lengths[column], set[str]()
        # Most runs are too long or too short: nothing is joined before its length is one that there is.
        for place, unit in enumerate(parts):
            mask = lengths[_kind(unit)]
            if not mask:
                continue
            longest, length, last = mask.bit_length() - 1, len(unit), place
            while length <= longest:
                last += 1
                if mask >> length & 1:
                    value = "".join(parts[place:last]) if last > place + 1 else unit
                    if value not in seen:
                        seen.add(value)
                        budget.spend(probes=1)
                        yield (
                            value,
                            starts[place],
                            starts[last - 1] + len(parts[last - 1]),
                            _digest(self.key, column, value),
                        )
                if last == len(parts):
                    break
                length += len(parts[last])


def digested(columns: Sequence[str], rows: Iterable[Sequence[str]], key: bytes, *, line: int = 2) -> bytes:
    """A part of a table as a file. Raises `BadRows` with the line, counted from `line`."""
    check_columns(columns)
    masks = [[0, 0, 0] for _ in columns]
    made: list[tuple[int, ...]] = []
    for number, row in enumerate(rows, line):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            raise BadRows(f"line {number}: {len(row)} columns, not {len(columns)}")
        digests = []
        for column, cell in enumerate(row):
            value = joined(cell)
            if len(value) > MAX_CELL:
                raise BadRows(f"line {number}: a cell has more than {MAX_CELL} letters and digits")
            if column == 0 and len(value) < _LEAST_PRIMARY and value.isascii():
                raise BadRows(f"line {number}: the primary cell has fewer than {_LEAST_PRIMARY} letters and digits")
            if column == 0 and len(value) < 2:
                raise BadRows(f"line {number}: the primary cell is too short")
            if value:
                masks[column][_kind(value)] |= 1 << len(value)
            digests.append(_digest(key, column, value) if value else 0)
        made.append(tuple(digests))
    return _file(columns, masks, sorted(set(made)))


def merged(files: Sequence[bytes]) -> bytes:
    """One table of its parts. Raises `BadRows` when they have other columns, or too many rows."""
    parts = [load(f, b"") for f in files]
    if not parts:
        raise BadRows("no rows")
    columns = parts[0].columns
    if any(p.columns != columns for p in parts):
        raise BadRows("the parts have different columns")
    if sum(map(len, parts)) > MAX_ROWS or sum(map(len, parts)) * len(columns) > MAX_CELLS:
        raise BadRows(f"more than {MAX_ROWS:,} rows, or {MAX_CELLS:,} cells")
    masks = [[0, 0, 0] for _ in columns]
    for part in parts:
        for column, lengths in enumerate(part.lengths):
            masks[column] = [a | b for a, b in zip(masks[column], lengths, strict=True)]
    return _file(columns, masks, heapq.merge(*(zip(*p.cells, strict=True) for p in parts)))


def load(file: bytes, key: bytes) -> Rows:
    """A file ready for use with its key. Raises `BadRows` when it is none."""
    try:
        head, _, rest = file[len(_MAGIC) :].partition(b"\n")
        said = json.loads(head)
        columns, number = tuple(map(str, said["columns"])), int(said["rows"])
        lengths = tuple((int(a), int(b), int(c)) for a, b, c in said["lengths"])
        if not file.startswith(_MAGIC) or len(rest) != number * 8 * len(columns) or len(lengths) != len(columns):
            raise ValueError("cut short")
    except (ValueError, KeyError, TypeError) as error:
        raise BadRows("not a file of rows") from error
    cells = []
    for column in range(len(columns)):
        numbers = array.array("Q")
        numbers.frombytes(rest[column * number * 8 : (column + 1) * number * 8])
        if sys.byteorder == "big":
            numbers.byteswap()
        cells.append(numbers)
    return Rows(columns, lengths, tuple(cells), key)


def check_columns(columns: Sequence[str]) -> None:
    """Raises `BadRows` when these cannot be the names of a table's columns."""
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise BadRows(f"expected 1 to {MAX_COLUMNS} columns")
    if len({c.strip() for c in columns}) != len(columns) or not all(0 < len(c.strip()) <= 64 for c in columns):
        raise BadRows("each column needs a name of its own, of at most 64 characters")


def _file(columns: Sequence[str], masks: Sequence[Sequence[int]], rows: Iterable[tuple[int, ...]]) -> bytes:
    cells = [array.array("Q") for _ in columns]
    last: tuple[int, ...] | None = None
    for row in rows:
        if row == last:
            continue
        last = row
        for column, digest in enumerate(row):
            cells[column].append(digest)
    if sys.byteorder == "big":
        for numbers in cells:
            numbers.byteswap()
    head = json.dumps({"columns": list(columns), "rows": len(cells[0]), "lengths": [list(m) for m in masks]})
    return b"".join([_MAGIC, head.encode(), b"\n", *(n.tobytes() for n in cells)])


def _digest(key: bytes, column: int, value: str) -> int:
    """Eight bytes of HMAC-SHA-256; 0 stands for an empty cell."""
    mac = hmac.digest(key, bytes((column,)) + value.encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(mac[:8], "little") or 1


def _kind(text: str) -> int:
    first = text[0]
    return 0 if first.isdecimal() else 1 if first.isascii() else 2
