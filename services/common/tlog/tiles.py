"""C2SP tlog-tiles: where tiles and entry bundles are, what is in them, and a tree read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from services.common.tlog import merkle

WIDTH = 256
MAX_ENTRY = 65_535
"""Bytes of one entry: its length is 16 bits."""

type Tile = tuple[int, int]
"""Level and index."""


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`; the level `entries` names bundles."""
    digits = [f"{index % 1000:03d}"]
    while index := index // 1000:
        digits.append(f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(digits))}" + (f".p/{width}" if width < WIDTH else "")


def widths(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a tree of `size` leaves: level, index, width."""
    level, hashes = 0, size
    while hashes:
        for index in range(hashes // WIDTH):
            yield level, index, WIDTH
        if hashes % WIDTH:
            yield level, hashes // WIDTH, hashes % WIDTH
        level, hashes = level + 1, hashes // WIDTH


def new_tiles(old: int, new: int) -> Iterator[tuple[int, int, int]]:
    """The tiles of a tree of `new` leaves that one of `old` did not have: level, index, width."""
    level = 0
    while new:
        for index in range(old // WIDTH, (new + WIDTH - 1) // WIDTH):
            width = min(WIDTH, new - index * WIDTH)
            if index * WIDTH + width > old:
                yield level, index, width
        level, old, new = level + 1, old // WIDTH, new // WIDTH


def edge(size: int) -> list[tuple[int, int, int]]:
    """The rightmost tile of each level: what a tree needs to go on growing."""
    found, level, hashes = [], 0, size
    while hashes:
        index = (hashes - 1) // WIDTH
        found.append((level, index, hashes - index * WIDTH))
        level, hashes = level + 1, hashes // WIDTH
    return found


def bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length in 16 bits."""
    return b"".join(len(e).to_bytes(2) + e for e in entries)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; raises `ValueError` when it is cut."""
    entries, position, end = [], 0, len(data)
    while position < end:
        stop = position + 2 + int.from_bytes(data[position : position + 2])
        if position + 2 > end or stop > end:
            raise ValueError("the bundle is cut")
        entries.append(data[position + 2 : stop])
        position = stop
    return entries


def hashes_of(tile: bytes) -> list[bytes]:
    """The hashes in a tile; raises `ValueError`."""
    if not tile or len(tile) % merkle.HASH or len(tile) > WIDTH * merkle.HASH:
        raise ValueError("not a tile")
    return [tile[i : i + merkle.HASH] for i in range(0, len(tile), merkle.HASH)]


class Tree:
    """A tree read from tiles. `tile(level, index)` gives a tile's hashes; as wide as the tree at hand needs."""

    def __init__(self, tile: Callable[[int, int], Sequence[bytes]]) -> None:
        self._tile = tile
        self._made: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; see `merkle`."""
        above, rest = divmod(level, 8)
        if rest == 0:
            return self._tile(above, index // WIDTH)[index % WIDTH]
        known = self._made.get((level, index))
        if known is None:
            known = merkle.node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))
            self._made[level, index] = known
        return known


def tiles_for(work: Callable[[merkle.Node], object]) -> set[Tile]:
    """The tiles that `work` would read its nodes from: it is run once on hashes of nothing."""
    found: set[Tile] = set()

    def node(level: int, index: int) -> bytes:
        above, rest = divmod(level, 8)
        found.add((above, (index << rest) // WIDTH))
        return bytes(merkle.HASH)

    work(node)
    return found
