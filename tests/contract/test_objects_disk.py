"""What the local store does on bad disks, and that what it does is durable."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.common.errors import Busy, Error, Unavailable
from services.common.objects import durable, open_store
from services.common.objects.durable import Folders
from services.common.objects.local import STALE_AFTER, LocalStore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, mode: str) -> None:
    """Make the disk `ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{mode}", folder], check=True)


def temporaries(root: Path) -> list[str]:
    """What is in `.tmp`."""
    return os.listdir(root / ".tmp")


async def test_full_disk_is_busy_and_recovers(small_disk: Path) -> None:
    """No room: Busy, nothing visible, nothing left; with room again it goes on."""
    store = LocalStore(small_disk)
    await store.create("t/first", b"x" * 700_000)
    with pytest.raises(Busy):
        await store.create("t/second", b"y" * 700_000)
    writer = await store.open_writer("t/third")
    await writer.write(b"z" * 300_000)
    with pytest.raises(Busy):
        await writer.write(b"z" * 300_000)
    await writer.abort()
    assert [m.key async for m in store.list("")] == ["t/first"]
    assert temporaries(small_disk) == []
    await store.delete("t/first")
    await store.create("t/second", b"y" * 700_000)
    await store.check()
    assert await store.get("t/second") == b"y" * 700_000


async def test_full_disk_at_commit_is_busy(small_disk: Path) -> None:
    """The last chunk is written by commit, which fails as a write does."""
    store = LocalStore(small_disk / "objects")
    writer = await store.open_writer("t/a")
    await writer.write(b"x" * 200_000)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"f" * 4096) == 4096:
            pass
    with pytest.raises(Busy):
        await store.check()
    with pytest.raises(Busy):
        await writer.commit()
    assert [m.key async for m in store.list("")] == []
    assert temporaries(small_disk / "objects") == []
    filler.unlink()
    await store.create("t/a", b"x")


async def test_read_only_disk_is_unavailable_and_recovers(small_disk: Path) -> None:
    """Writes fail, reads go on, a read-only store can be opened, and writing comes back with the disk."""
    store = LocalStore(small_disk)
    await store.create("t/a", b"x")
    remount(small_disk, "ro")
    for call in (store.create("t/b", b"x"), store.put("t/a", b"y"), store.delete("t/a"), store.check()):
        with pytest.raises(Unavailable) as caught:
            await call
        assert not isinstance(caught.value, Busy)
    with pytest.raises(Unavailable):
        await store.open_writer("t/c")
    assert await store.get("t/a") == b"x"
    assert await LocalStore(small_disk).get("t/a") == b"x"
    remount(small_disk, "rw")
    await store.create("t/b", b"x")
    await store.check()


async def test_lost_disk_is_unavailable_not_empty(tmp_path: Path) -> None:
    """A folder without `.tmp` is a volume that is not mounted: nothing is 'not found' in it."""
    root = tmp_path / "objects"
    store = LocalStore(root)
    await store.create("t/a", b"x")
    root.rename(tmp_path / "away")
    root.mkdir()
    for call in (
        store.get("t/a"),
        store.head("t/a"),
        store.create("t/b", b"x"),
        store.list_folders("t/"),
        store.check(),
    ):
        with pytest.raises(Unavailable):
            await call
    with pytest.raises(Unavailable):
        [m async for m in store.list("t/")]
    root.rmdir()
    (tmp_path / "away").rename(root)
    await store.create("t/b", b"x")
    assert await store.get("t/a") == b"x"


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from services.common.errors import Busy
from services.common.objects.local import LocalStore

async def main():
    store = LocalStore(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        await store.create("t/large", b"x" * 200_000)
    except Busy:
        print("busy")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.create("t/large", b"x" * 200_000)
    print([m.size async for m in store.list("")])

asyncio.run(main())
"""


async def test_file_size_limit_is_busy(tmp_path: Path) -> None:
    """A limit on files is a kind of full, on machines where nobody may mount too."""
    run = [sys.executable, "-c", LIMITED, str(tmp_path / "objects")]
    done = await asyncio.to_thread(subprocess.run, run, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split("\n")[:2], temporaries(tmp_path / "objects")) == (["busy", "[200000]"], [])


async def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """Files 0600, folders 0700, whatever the umask."""
    before = os.umask(0)
    try:
        store = LocalStore(tmp_path / "objects")
        await store.create("t/deep/a", b"x")
    finally:
        os.umask(before)
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "objects").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}


async def test_stale_temporaries_are_removed_on_open(tmp_path: Path) -> None:
    """A dead writer's file goes after an hour; a living one's stays."""
    root = tmp_path / "objects"
    LocalStore(root)
    old, new = root / ".tmp" / "old", root / ".tmp" / "new"
    old.touch()
    new.touch()
    then = time.time() - STALE_AFTER - 1
    os.utime(old, (then, then))
    LocalStore(root)
    assert temporaries(root) == ["new"]


async def test_create_returns_after_file_and_folders_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync of the file before its name, of each new folder's parent, of its own folder last."""
    store = LocalStore(tmp_path / "objects")
    seen: list[str] = []
    fsync = os.fsync

    def recording(descriptor: int) -> None:
        target = os.readlink(f"/proc/self/fd/{descriptor}")
        exists = (tmp_path / "objects/t/mail/a").exists()
        seen.append(("named " if exists else "") + os.path.relpath(target, tmp_path).split("/.tmp/")[0])
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    await store.create("t/mail/a", b"x")
    assert seen == ["objects", "objects", "objects/t", "named objects/t/mail"]


async def test_failed_folder_sync_is_not_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object whose name may not survive is not shown, and may be created again."""
    store = LocalStore(tmp_path / "objects")
    await store.create("t/first", b"x")

    def broken(path: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable, "sync_folder", broken)
    with pytest.raises(Unavailable):
        await store.create("t/a", b"x")
    monkeypatch.undo()
    assert [m.key async for m in store.list("")] == ["t/first"]
    await store.create("t/a", b"x")


def test_callers_during_a_sync_share_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one fsync runs, nine others wait and need one more between them."""
    begun, go = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(path: str) -> None:
        calls.append(path)
        begun.set()
        go.wait(10)

    monkeypatch.setattr(durable, "sync_folder", slow)
    folders = Folders(str(tmp_path))
    first = threading.Thread(target=folders.sync, args=("f",))
    first.start()
    begun.wait(10)
    others = [threading.Thread(target=folders.sync, args=("f",)) for _ in range(9)]
    for thread in others:
        thread.start()
    waiting = folders._folders["f"]
    while waiting.users < 10:
        time.sleep(0.001)
    go.set()
    for thread in (first, *others):
        thread.join(10)
    assert (calls, folders.syncs, folders._folders) == (["f", "f"], 2, {})


async def test_files_and_folders_do_not_share_a_name(tmp_path: Path) -> None:
    """On a file system a key cannot be a folder of another: refused, not broken."""
    store = open_store(f"file://{tmp_path}/objects")
    await store.create("t/a", b"x")
    with pytest.raises(Error) as caught:
        await store.create("t/a/b", b"x")
    assert not caught.value.retry
    await store.create("t/c/d", b"x")
    with pytest.raises(Error) as caught:
        await store.create("t/c", b"x")
    assert not caught.value.retry
    assert [m.key async for m in store.list("")] == ["t/a", "t/c/d"]
