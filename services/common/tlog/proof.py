"""C2SP tlog-proof: one entry's inclusion in a signed tree, as a text file that is checked off line."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from services.common.tlog import checkpoint, merkle, note

_FIRST = "c2sp.org/tlog-proof@v1"
MAX_PROOF = 256 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry (`extra`: the leaf itself, so that the file is all that is needed) and why it is in the log."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    signed: bytes

    def dump(self) -> bytes:
        """The file."""
        lines = [_FIRST, f"extra {_encoded(self.entry)}", f"index {self.index}", *map(_encoded, self.path)]
        return ("\n".join(lines) + "\n\n").encode() + self.signed


def parse(data: bytes) -> Proof:
    """The proof in a file; raises `ValueError`."""
    if len(data) > MAX_PROOF:
        raise ValueError("the proof is too large")
    head, _, signed = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    if len(lines) < 3 or lines[0] != _FIRST or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise ValueError("not a tlog-proof of an entry of ours")
    index = int(lines[2][6:])
    if str(index) != lines[2][6:] or index < 0:
        raise ValueError("not an index")
    path = tuple(base64.b64decode(line, validate=True) for line in lines[3:])
    return Proof(base64.b64decode(lines[1][6:], validate=True), index, path, signed)


def check(entry: bytes, index: int, path: Sequence[bytes], signed: bytes, key: note.Key) -> checkpoint.Checkpoint:
    """The checkpoint under which `entry` is at `index`; raises `ValueError`."""
    head, _ = checkpoint.opened(signed, key)
    if merkle.root_from_inclusion(index, head.size, merkle.leaf_hash(entry), path) != head.root:
        raise ValueError("the entry is not in this tree")
    return head


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
