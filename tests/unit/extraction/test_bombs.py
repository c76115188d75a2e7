"""Files that ought to cost much cost little, and none of them is called whole."""

from __future__ import annotations

import asyncio
import io
import resource
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.extraction import File
from services.common.extraction.pool import Pool
from tests.corpus import bombs
from tests.unit.extraction.conftest import TENANT, Read

BOMBS: dict[str, Callable[[], bytes]] = {
    "nested": bombs.nested,
    "deep": bombs.deep,
    "overlap": bombs.overlap,
    "many": bombs.many,
    "gzip": lambda: bombs.gzip_of_zeros(300_000_000),
    "gzip in gzip": bombs.gzip_in_gzip,
    "lying": bombs.lying,
    "entities": bombs.entities,
    "tags": bombs.tags,
    "quine": bombs.quine,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_soon_with_little_memory_and_is_not_called_whole(
    sandboxed: tuple[asyncio.Runner, Pool], name: str
) -> None:
    runner, pool = sandboxed
    content = BOMBS[name]()
    before = time.monotonic()
    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    pieces = runner.run(pool(TENANT, [File("2", "a", "", content)], timeout=120))
    assert any(p.problem in ("too_large", "broken") for p in pieces)
    assert sum(len(p.text or "") for p in pieces) <= 16_000_000
    # A slow machine is slow at other things too: the bound is far from what it takes.
    assert time.monotonic() - before < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - spent < 30
    for pid in pool.pids:
        status = Path(f"/proc/{pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0])
        assert peak < 300 * 1024


@pytest.mark.parametrize("kind", ["docx", "pdf", "xls", "gz"])
def test_half_a_file_is_broken(read: Read, kind: str) -> None:
    assert any(p.problem == "broken" for p in read(bombs.truncated()[kind]))


def test_an_archive_that_holds_itself_is_read_down_to_the_bound(read: Read) -> None:
    content = bombs.quine()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read(archive.infolist()[0]) == content
    pieces = read(content)
    assert [p.problem for p in pieces] == [None] * 8 + ["too_large"]
    assert len({p.sha256 for p in pieces}) == 1


def test_a_member_that_no_directory_names_makes_the_archive_broken(read: Read) -> None:
    assert read(bombs.unlisted())[0].problem == "broken"


def test_names_are_only_names(read: Read) -> None:
    pieces = read(bombs.traversal())
    assert "../../../etc/passwd" in [p.name for p in pieces]
    assert pieces[0].problem is None
