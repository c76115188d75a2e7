"""The commitment to a result: the Merkle tree (RFC 6962) over its document ids, in the order of the answer."""

from __future__ import annotations

from collections.abc import Sequence

from services.common.tlog import merkle


class Commitment:
    """The tree over document ids."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._levels = [[merkle.leaf_hash(one.encode()) for one in ids]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = zip(below[::2], below[1::2], strict=False)
            self._levels.append([merkle.node_hash(a, b) for a, b in pairs])
        self.size = len(ids)

    @property
    def root(self) -> str:
        """In hex: what the log and the answer say."""
        return merkle.root(self.size, self._node).hex()

    def path(self, index: int) -> tuple[bytes, ...]:
        """The inclusion proof of one document; raises `ValueError`."""
        return merkle.inclusion_proof(index, self.size, self._node)

    def _node(self, level: int, index: int) -> bytes:
        return self._levels[level][index]
