"""Merkle trees of RFC 6962 2.1: hashes, inclusion and consistency proofs, and a tree that only grows.

Proofs are made from the hashes of complete subtrees: `node(level, index)` is
that of the leaves `index * 2**level` up to `(index + 1) * 2**level`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

type Node = Callable[[int, int], bytes]

HASH = 32
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, or over those of complete subtrees of one size."""
    if not hashes:
        return EMPTY
    level = list(hashes)
    while len(level) > 1:
        above = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


class Growing:
    """The right edge of a tree: append leaf hashes, read the root at any moment; O(log n) memory."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._edge.pop(), node)
            size >>= 1
        self._edge.append(node)
        self.size += 1

    def peaks(self) -> list[bytes]:
        """The complete subtrees it consists of, the smallest and last first."""
        return self._edge[::-1]

    def root(self) -> bytes:
        """The root over everything so far."""
        if not self._edge:
            return EMPTY
        node = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            node = node_hash(left, node)
        return node


def range_hash(low: int, high: int, node: Node) -> bytes:
    """The hash over leaves `low` up to `high`; `low` is a multiple of the largest power of two below the length."""
    size = high - low
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, low >> level)
    split = 1 << (size - 1).bit_length() - 1
    return node_hash(range_hash(low, low + split, node), range_hash(low + split, high, node))


def root(size: int, node: Node) -> bytes:
    """The root of a tree of `size` leaves."""
    return range_hash(0, size, node) if size else EMPTY


def inclusion_proof(index: int, size: int, node: Node) -> tuple[bytes, ...]:
    """PATH(index, D[size]), from the leaf's sibling to the root's child; raises `ValueError`."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in this tree")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if index < split:
            path.append(range_hash(split, high, node))
            high = split
        else:
            path.append(range_hash(low, split, node))
            low = split
    return tuple(reversed(path))


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to; raises `ValueError` when its length is wrong."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in this tree")
    node, last = leaf, size - 1
    rest = list(proof)
    while last:
        if index & 1:
            node = node_hash(_next(rest), node)
        elif index < last:
            node = node_hash(node, _next(rest))
        index >>= 1
        last >>= 1
    if rest:
        raise ValueError("the proof is too long")
    return node


def consistency_proof(first: int, second: int, node: Node) -> tuple[bytes, ...]:
    """PROOF(first, D[second]); empty when `first` is 0 or `second`; raises `ValueError`."""
    if not 0 <= first <= second:
        raise ValueError("a log does not shrink")
    if first in (0, second):
        return ()
    path: list[bytes] = []
    low, high, whole = 0, second, True
    while first != high:
        split = low + (1 << (high - low - 1).bit_length() - 1)
        if first <= split:
            path.append(range_hash(split, high, node))
            high = split
        else:
            path.append(range_hash(low, split, node))
            low, whole = split, False
    if not whole:
        path.append(range_hash(low, high, node))
    return tuple(reversed(path))


def check_consistency(first: int, second: int, old: bytes, new: bytes, proof: Sequence[bytes]) -> None:
    """Return when the tree of `second` leaves extends that of `first`; raises `ValueError` (RFC 9162 2.1.4.2)."""
    if not 0 <= first <= second:
        raise ValueError("a log does not shrink")
    if first == 0 or first == second:
        if proof:
            raise ValueError("the proof is too long")
        if (old != EMPTY) if first == 0 else (old != new):
            raise ValueError("the roots differ")
        return
    rest = list(proof)
    if first & (first - 1) == 0:
        rest.insert(0, old)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    seed = _next(rest)
    was = now = seed
    while sn:
        if fn & 1 or fn == sn:
            sibling = _next(rest)
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            now = node_hash(now, _next(rest))
        fn, sn = fn >> 1, sn >> 1
    if rest or was != old or now != new:
        raise ValueError("the proof does not lead from the old root to the new one")


def _next(rest: list[bytes]) -> bytes:
    if not rest:
        raise ValueError("the proof is too short")
    return rest.pop(0)
