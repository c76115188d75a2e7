"""The object store's promises, kept by every store: a folder, memory, and S3 (moto's server)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import AlreadyExists, Error, InvalidInput, NotFound, Unavailable
from services.common.objects import ObjectStore, open_store
from services.common.testing.objects import InMemoryObjects
from tests.contract.s3 import new_bucket, s3_server, use_s3

ROOT = Path(__file__).resolve().parents[2]

HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a/..",
    ".tmp/a",
    "a/.hidden",
    "a\\..\\b",
    "a\x00b",
    "a\nb",
    "a b",
    "a\x7f",
    "ä",
    "a/" + "b" * 256,
    "a/" * 600 + "b",
]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """One server for all tests; each has its own bucket."""
    with s3_server() as url:
        yield url


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """Each store, empty."""
    if request.param == "memory":
        return InMemoryObjects()
    if request.param == "local":
        return open_store(f"file://{tmp_path}/objects")
    endpoint = request.getfixturevalue("s3_endpoint")
    use_s3(monkeypatch, endpoint)
    return open_store(f"s3://{new_bucket(endpoint)}/some/prefix")


async def keys(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    """The keys of a listing, as they come."""
    return [meta.key async for meta in store.list(prefix, after=after)]


async def test_what_was_created_is_read_back(store: ObjectStore) -> None:
    """Bytes, size and time come back, the empty object and a large one included."""
    for key, data in {"t/empty": b"", "t/small": b"\x00\r\n\xff", "t/large": os.urandom(3_000_000)}.items():
        await store.create(key, data)
        assert await store.get(key) == data
        meta = await store.head(key)
        assert (meta.key, meta.size, meta.modified.tzinfo is not None) == (key, len(data), True)


async def test_create_never_replaces(store: ObjectStore) -> None:
    """The second creator is told, and the first object stays."""
    await store.create("t/a", b"first")
    with pytest.raises(AlreadyExists):
        await store.create("t/a", b"second")
    assert await store.get("t/a") == b"first"


async def test_of_many_creators_one_wins(store: ObjectStore) -> None:
    """Creation is the compare-and-set: one winner, and its bytes are the object."""

    async def creator(number: int) -> int | None:
        try:
            await store.create("t/race/1", str(number).encode() * 1000)
        except AlreadyExists:
            return None
        return number

    winners = [n for n in await asyncio.gather(*(creator(n) for n in range(24))) if n is not None]
    assert len(winners) == 1
    assert await store.get("t/race/1") == str(winners[0]).encode() * 1000


async def test_put_replaces(store: ObjectStore) -> None:
    """`put` stores whether or not something is there."""
    await store.put("t/a", b"one")
    await store.put("t/a", b"two")
    assert await store.get("t/a") == b"two"


async def test_what_is_absent_is_not_found(store: ObjectStore) -> None:
    """Reading says NotFound; deleting what is absent is no error."""
    await store.create("t/folder/a", b"x")
    for key in ("t/none", "none/at/all", "t/folder"):
        with pytest.raises(NotFound):
            await store.get(key)
        with pytest.raises(NotFound):
            await store.head(key)
        with pytest.raises(NotFound):
            await store.get_range(key, 0, 1)
        await store.delete(key)
    assert await keys(store) == ["t/folder/a"]


async def test_ranges_end_with_the_object(store: ObjectStore) -> None:
    """A range is what there is of it, and nothing beyond the end."""
    await store.create("t/a", b"0123456789")
    cases = {
        (0, 4): b"0123",
        (3, 4): b"3456",
        (8, 10): b"89",
        (10, 1): b"",
        (50, 5): b"",
        (4, 0): b"",
        (0, 10): b"0123456789",
    }
    for (start, length), expected in cases.items():
        assert await store.get_range("t/a", start, length) == expected
    with pytest.raises(InvalidInput):
        await store.get_range("t/a", -1, 2)


async def test_listing_is_in_key_order(store: ObjectStore) -> None:
    """By the whole key, not folder by folder: `-` and `.` sort before the slash, `0` after it."""
    names = ["a", "b-x", "b.x/1", "b/1", "b/10", "b/2", "b/c/1", "b0", "c", "é".encode().hex()]
    for name in random.sample(names, len(names)):
        await store.create(f"t/{name}", b"x")
    await store.create("u/other", b"x")
    expected = sorted(f"t/{n}" for n in names)
    assert await keys(store, "t/") == expected
    assert await keys(store) == [*expected, "u/other"]


async def test_listing_by_prefix_and_after(store: ObjectStore) -> None:
    """A prefix may end inside a segment; `after` is exclusive and need not exist."""
    for name in ("m/01/a", "m/01/b", "m/02/a", "m/02x", "m/1", "n/1"):
        await store.create(name, b"x")
    assert await keys(store, "m/0") == ["m/01/a", "m/01/b", "m/02/a", "m/02x"]
    assert await keys(store, "m/02") == ["m/02/a", "m/02x"]
    assert await keys(store, "m/01/a") == ["m/01/a"]
    assert await keys(store, "m/", after="m/01/a") == ["m/01/b", "m/02/a", "m/02x", "m/1"]
    assert await keys(store, "m/", after="m/01/aa") == ["m/01/b", "m/02/a", "m/02x", "m/1"]
    assert await keys(store, "m/", after="m/02/a") == ["m/02x", "m/1"]
    assert await keys(store, "m/", after="z") == []
    assert await keys(store, "m/", after="a") == await keys(store, "m/")
    assert await keys(store, "none/") == []


async def test_long_listing_is_complete(store: ObjectStore) -> None:
    """More objects than a page holds come once each, in order."""
    names = [f"t/{n:04}" for n in range(1100)]
    window = asyncio.Semaphore(32)

    async def create(name: str) -> None:
        async with window:
            await store.create(name, b"")

    await asyncio.gather(*map(create, names))
    assert await keys(store, "t/") == names


async def test_folders_are_the_next_segments(store: ObjectStore) -> None:
    """Sorted, without objects, and without a folder whose last object is gone."""
    for name in ("t/mail/2026/11/a", "t/mail/2025/1/a", "t/log/x", "t/file", "u/mail/a", "t/gone/deep/a"):
        await store.create(name, b"x")
    await store.delete("t/gone/deep/a")
    assert await store.list_folders("") == ["t", "u"]
    assert await store.list_folders("t/") == ["log", "mail"]
    assert await store.list_folders("t/mail/") == ["2025", "2026"]
    assert await store.list_folders("none/") == []
    with pytest.raises(InvalidInput):
        await store.list_folders("t")


async def test_deleted_is_gone_and_may_be_created_again(store: ObjectStore) -> None:
    """Deleting twice is fine."""
    await store.create("t/a", b"1")
    await store.delete("t/a")
    await store.delete("t/a")
    with pytest.raises(NotFound):
        await store.get("t/a")
    await store.create("t/a", b"2")
    assert await store.get("t/a") == b"2"


@pytest.mark.parametrize("key", HOSTILE)
async def test_hostile_keys_are_refused(store: ObjectStore, key: str) -> None:
    """No key leaves the store, hides in it, or means two things; the error does not repeat it."""
    for call in (
        store.create(key, b"x"),
        store.put(key, b"x"),
        store.open_writer(key),
        store.get(key),
        store.get_range(key, 0, 1),
        store.head(key),
        store.delete(key),
    ):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert len(key) < 2 or key not in str(caught.value)
    assert await keys(store) == []


@pytest.mark.parametrize("prefix", ["..", "../", "a/../", "/a", "a//", ".tmp/", "a\x00"])
async def test_hostile_prefixes_are_refused(store: ObjectStore, prefix: str) -> None:
    """A listing cannot walk out either."""
    with pytest.raises(InvalidInput):
        await keys(store, prefix)
    with pytest.raises(InvalidInput):
        await store.list_folders(prefix)


async def test_unusual_keys_keep_their_names(store: ObjectStore) -> None:
    """Every printable character but space and backslash comes back as it went in."""
    names = [f"t/{chr(c)}{chr(c)}x" for c in range(0x21, 0x7F) if chr(c) not in "\\/."]
    for name in names:
        await store.create(name, name.encode())
    assert await keys(store, "t/") == sorted(names)
    assert await store.get("t/%%x") == b"t/%%x"


async def test_written_object_appears_with_commit(store: ObjectStore) -> None:
    """Nothing is visible before; all of it is after; abort is harmless then."""
    parts = [os.urandom(n) for n in (1, 100_000, 300_000, 7, 600_000)]
    writer = await store.open_writer("t/blob/1")
    for part in parts:
        await writer.write(part)
        assert await keys(store) == []
    await writer.commit()
    await writer.abort()
    assert await store.get("t/blob/1") == b"".join(parts)


async def test_writer_never_replaces(store: ObjectStore) -> None:
    """A key that was taken meanwhile stays as it is."""
    writer = await store.open_writer("t/a")
    await writer.write(b"second")
    await store.create("t/a", b"first")
    with pytest.raises(AlreadyExists):
        await writer.commit()
    await writer.abort()
    assert await store.get("t/a") == b"first"


async def test_aborted_writer_leaves_nothing(store: ObjectStore) -> None:
    """And cannot be used any more."""
    writer = await store.open_writer("t/a")
    await writer.write(b"x" * 600_000)
    await writer.abort()
    await writer.abort()
    with pytest.raises(Error):
        await writer.commit()
    assert await keys(store) == []


async def test_check_returns_when_the_store_answers(store: ObjectStore) -> None:
    """And leaves nothing behind."""
    await store.check()
    assert await keys(store) == []


KILLED = """
import asyncio, sys
from services.common.objects import open_store

async def main():
    store = open_store(sys.argv[1])
    writer = await store.open_writer("t/blob")
    await writer.write(b"x" * 2_000_000)
    if sys.argv[2] == "create":
        asyncio.get_running_loop().create_task(forever(store))
    print("writing", flush=True)
    await asyncio.Event().wait()

async def forever(store):
    number = 0
    while True:
        await store.create(f"t/mail/{number:06}", b"y" * 100_000)
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


def killed_after(url: str, mode: str, lines: int) -> list[int]:
    """Run the writer, SIGKILL it after so many lines; the numbers of the creates that had returned."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, mode], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ.copy()
    )
    if process.stdout is None:
        raise RuntimeError("no output")
    said = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().splitlines()
    process.wait()
    return [int(line) for line in said if line.strip().isdigit()]


@pytest.fixture(params=["local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that two processes can open."""
    if request.param == "local":
        return f"file://{tmp_path}/objects"
    endpoint = request.getfixturevalue("s3_endpoint")
    use_s3(monkeypatch, endpoint)
    return f"s3://{new_bucket(endpoint)}"


async def test_killed_writer_leaves_nothing_visible(url: str) -> None:
    """SIGKILL in the middle of a large object: no listing shows it, and its key is free."""
    await asyncio.to_thread(killed_after, url, "write", 1)
    store = open_store(url)
    assert await keys(store) == []
    assert await store.list_folders("") == []
    await store.create("t/blob", b"x")


async def test_killed_creator_leaves_whole_objects_only(url: str) -> None:
    """What `create` returned for is there whole; what it had not may be, but never in part."""
    returned = await asyncio.to_thread(killed_after, url, "create", 12)
    store = open_store(url)
    found = [meta async for meta in store.list("")]
    assert {f"t/mail/{n:06}" for n in returned} <= {m.key for m in found}
    assert {m.size for m in found} == {100_000}


async def test_double_can_be_full_read_only_or_away() -> None:
    """Its switches raise what the real stores raise, and it recovers."""
    memory = InMemoryObjects()
    await memory.create("t/a", b"x")
    writer = await memory.open_writer("t/w")
    memory.full = True
    with pytest.raises(Error) as caught:
        await memory.create("t/b", b"x")
    assert caught.value.code == "busy"
    with pytest.raises(Error):
        await writer.write(b"x")
    assert await memory.get("t/a") == b"x"
    memory.full, memory.read_only = False, True
    with pytest.raises(Unavailable):
        await memory.put("t/a", b"x")
    memory.read_only, memory.unavailable = False, True
    for call in (memory.get("t/a"), memory.check(), memory.delete("t/a"), memory.list_folders("")):
        with pytest.raises(Unavailable):
            await call
    memory.unavailable = False
    await memory.create("t/b", b"x")


async def test_bucket_that_does_not_answer_is_unavailable(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, and no such bucket: Unavailable, never NotFound or success."""
    use_s3(monkeypatch, s3_endpoint)
    missing = open_store("s3://no-such-bucket")
    for call in (missing.check(), missing.create("t/a", b"x"), missing.put("t/a", b"x")):
        with pytest.raises(Unavailable):
            await call
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    away = open_store("s3://bucket")
    for call in (away.check(), away.create("t/a", b"x")):
        with pytest.raises(Unavailable):
            await call


@pytest.mark.parametrize(
    "wrong",
    ["", "objects", "file://host/x", "file:objects", "ftp://x/y", "s3://", "s3://user:key@bucket", "s3://b?x=1"],
)
def test_wrong_urls_are_refused(wrong: str) -> None:
    """With a reason, and without repeating what may be a secret."""
    with pytest.raises(InvalidInput) as caught:
        open_store(wrong)
    assert "key@" not in str(caught.value)
