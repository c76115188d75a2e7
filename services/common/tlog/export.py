"""An exported log: one tar file (ustar) that carries everything a verifier needs but whom to believe.

`manifest.json`, `checkpoint`, `history/<n>.jsonl` (every checkpoint, one JSON string a line, in order of size),
`tile/…` as in tlog-tiles, `values/<n>.jsonl` (what bundle n's leaves commit to, where it is not left out or erased).
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

FORMAT = "letterlock.audit.export/1"
END = bytes(1024)
HISTORY_LINES = 10_000
MAX_MEMBER = 256 * 1024 * 1024


def member(name: str, data: bytes) -> bytes:
    """One file of the tar."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def manifest(origin: str, tenant: str, size: int, key: str) -> bytes:
    """What the export says of itself; the key is for comparing, a verifier brings its own."""
    document = {"format": FORMAT, "origin": origin, "tenant": tenant, "size": size, "key": key}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def lines(documents: Sequence[Any]) -> bytes:
    """JSON lines."""
    return b"".join(orjson.dumps(d, option=orjson.OPT_SORT_KEYS) + b"\n" for d in documents)


def history_name(number: int) -> str:
    """The n-th file of checkpoints."""
    return f"history/{number:06d}.jsonl"


def values_name(bundle: int) -> str:
    """The values of a bundle."""
    return f"values/{bundle:09d}.jsonl"


class Archive:
    """An export on disk. Raises `ValueError` for what is no tar file, or has a name twice."""

    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by `__exit__`
            self._members: dict[str, tarfile.TarInfo] = {}
            for info in self._tar:
                if not info.isreg() or info.name in self._members:
                    raise ValueError(f"{info.name}: not a file, or there twice")
                self._members[info.name] = info
        except tarfile.TarError as error:
            raise ValueError(f"not a whole tar file: {error}") from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._tar.close()

    @property
    def names(self) -> set[str]:
        """Every file in it."""
        return set(self._members)

    def read(self, name: str) -> bytes:
        """One file; raises `ValueError` when it is missing, cut or absurdly large."""
        info = self._members.get(name)
        if info is None:
            raise ValueError("missing")
        if info.size > MAX_MEMBER:
            raise ValueError("too large")
        try:
            file = self._tar.extractfile(info)
            data = file.read() if file else b""
        except (tarfile.TarError, OSError):
            raise ValueError("cut") from None
        if len(data) != info.size:
            raise ValueError("cut")
        return data
