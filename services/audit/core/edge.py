"""The right edge of a log in memory: enough to append to it, to name its root and to prove its newest entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from services.common.tlog import merkle, tiles

_KEPT = 64
"""Tiles kept beyond the rightmost of each level."""


class Edge:
    """A growing tree. `tiles` are hashes by level and index, the rightmost of each level among them."""

    def __init__(self, size: int = 0, known: Iterable[tuple[int, int, Sequence[bytes]]] = ()) -> None:
        self.size = size
        self.tiles: OrderedDict[tiles.Tile, list[bytes]] = OrderedDict(((lv, i), list(h)) for lv, i, h in known)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        for leaf in leaves:
            self._append(0, self.size, leaf)
            self.size += 1
        self._trim()

    def remember(self, level: int, index: int, hashes: Sequence[bytes]) -> None:
        """Keep a tile that was read for a proof."""
        self.tiles[level, index] = list(hashes)
        self._trim()

    def tile(self, level: int, index: int) -> list[bytes]:
        """A tile's hashes; raises `KeyError` when it is not at hand."""
        return self.tiles[level, index]

    def root(self) -> bytes:
        """The root of the whole."""
        return merkle.root(self.size, tiles.Tree(self.tile).node)

    def _append(self, level: int, position: int, node: bytes) -> None:
        index = position // tiles.WIDTH
        row = self.tiles.setdefault((level, index), [])
        row.append(node)
        if len(row) == tiles.WIDTH:
            self._append(level + 1, index, merkle.root_of(row))

    def _trim(self) -> None:
        if len(self.tiles) <= 2 * _KEPT:
            return
        needed = {(level, index) for level, index, _ in tiles.edge(self.size)}
        for key in [k for k in self.tiles if k not in needed][: len(self.tiles) - _KEPT]:
            del self.tiles[key]
