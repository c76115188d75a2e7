"""Batches: what one flush appends, in one create-only object named by the size of the log before it.

Only one sequencer can create it, so a log cannot fork; tiles and checkpoint
follow from the batches alone and are made again when a process dies between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.common.errors import Corrupt

MAX_ENTRIES = 512
MAX_BYTES = 4 * 1024 * 1024
_MAGIC = b"letterlock.log.batch/1\n"


@dataclass(frozen=True, slots=True)
class Row:
    """A leaf and its encrypted values; these are empty once erased."""

    leaf: bytes
    sealed: bytes

    @property
    def size(self) -> int:
        """Bytes in a batch."""
        return len(self.leaf) + len(self.sealed) + 6


def dump(rows: Sequence[Row]) -> bytes:
    """The object."""
    parts = [_MAGIC]
    for row in rows:
        parts += [len(row.leaf).to_bytes(2), row.leaf, len(row.sealed).to_bytes(4), row.sealed]
    return b"".join(parts)


def load(data: bytes) -> list[Row]:
    """The rows; raises `Corrupt`."""
    if not data.startswith(_MAGIC):
        raise Corrupt("not a batch of a log")
    rows, position = [], len(_MAGIC)
    while position < len(data):
        leaf, position = _piece(data, position, 2)
        sealed, position = _piece(data, position, 4)
        rows.append(Row(leaf, sealed))
    if not 0 < len(rows) <= MAX_ENTRIES:
        raise Corrupt("a batch without entries, or with too many")
    return rows


def _piece(data: bytes, position: int, width: int) -> tuple[bytes, int]:
    start = position + width
    end = start + int.from_bytes(data[position:start])
    if end > len(data):
        raise Corrupt("a batch is cut")
    return data[start:end], end
