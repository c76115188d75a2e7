"""A log: durable before it is proved, never forked, whole after any crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.store import StoredLogs
from services.audit.append import Log, Logs
from services.common.audit_client import Receipt
from services.common.audit_entries import AuditEntry
from services.common.errors import Unavailable
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.objects.local import LocalStore
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.common.tlog import checkpoint, entry, merkle, receipt, tiles

ACME = TenantId.new()
KEYS = FakeKeys()
SIGNER = KEYS.signer("audit")


def logs(objects: ObjectStore) -> Logs:
    """A sequencer over `objects`."""
    keys = StoredLogKeys(objects, KEYS.public, KEYS.identities)
    return Logs(StoredLogs(objects), keys, "audit.test", SIGNER.public, SIGNER.sign)


def told(number: int, **more: object) -> AuditEntry:
    """An entry like any other."""
    at = datetime(2026, 11, 24, 8, 0, 0, number, UTC)
    fields = {"detail": {"query": f"from:alice {number}"}, **more}
    return AuditEntry(ACME, "archive.searched", "aud@acme.example", at=at, **fields)  # type: ignore[arg-type]


async def append(sequencer: Logs, number: int) -> Receipt:
    """Append entry `number` as archive does."""
    found = told(number)
    return await sequencer.append(found.dump(), found, "archive")


def check(sequencer: Logs, got: Receipt) -> receipt.Checked:
    """The receipt, checked as whoever opens mail checks it."""
    return receipt.check(got.entry, got.index, got.proof, got.checkpoint, got.opening, sequencer.of(ACME).key)


async def leaves(objects: ObjectStore) -> list[bytes]:
    """Every leaf, read from batches in order."""
    return [row.leaf async for _, rows in StoredLogs(objects).batches(ACME, 0) for row in rows]


async def is_whole(objects: InMemoryObjects, sequencer: Logs) -> int:
    """Tiles, bundles and every checkpoint say what the batches say; returns the size."""
    found = await leaves(objects)
    log = sequencer.of(ACME)
    store = StoredLogs(objects)
    head, _ = checkpoint.opened((await store.read(ACME, "checkpoint")) or b"", log.key)
    assert head.size == len(found)
    hashes = list(map(merkle.leaf_hash, found))
    history = [int(name) async for name in store.names(ACME, "history/")]
    starts = [int(name) async for name in store.names(ACME, "batch/")]
    assert history == [*starts[1:], head.size]
    for size in history:
        kept, _ = checkpoint.opened((await store.read(ACME, f"history/{size:016d}")) or b"", log.key)
        assert (kept.size, kept.root) == (size, merkle.root_of(hashes[:size]))
    for level, index, _ in tiles.widths(head.size):
        tile = await store.tile(ACME, level, index, head.size)
        if level == 0:
            assert tile == hashes[index * 256 : (index + 1) * 256]
            assert await store.bundle(ACME, index, head.size) == found[index * 256 : (index + 1) * 256]
    return head.size


async def test_receipt_proves_what_was_told(tmp_path: Path) -> None:
    """Entry, values, index, proof and checkpoint agree, and no value stands in the store in clear."""
    objects = LocalStore(tmp_path)
    sequencer = logs(objects)
    got = [await append(sequencer, n) for n in range(3)]
    for number, one in enumerate(got):
        checked = check(sequencer, one)
        assert (one.index, checked.checkpoint.size) == (number, number + 1)
        assert checked.opening.detail == {"query": f"from:alice {number}"}
        assert (checked.leaf.action, checked.leaf.service, checked.opening.actor) == (
            "archive.searched", "archive", "aud@acme.example",
        )  # fmt: skip
    assert len({check(sequencer, one).leaf.who for one in got}) == 1
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"alice" not in stored
    assert b"aud@" not in stored


async def test_entries_under_load_share_flushes_and_cross_tiles() -> None:
    """Hundreds at once become few batches; every receipt is good; partial tiles of whole ones are gone."""
    objects = InMemoryObjects()
    sequencer = logs(objects)
    got = await asyncio.gather(*(append(sequencer, n) for n in range(700)))
    assert sorted(one.index for one in got) == list(range(700))
    for one in got:
        check(sequencer, one)
    assert await is_whole(objects, sequencer) == 700
    assert len([k for k in objects.objects if "/batch/" in k]) < 10
    assert not [k for k in objects.objects if "/tile/0/000.p/" in k]


async def test_the_same_entry_twice_is_one_entry() -> None:
    """A repeat, at once or after a restart, gets the receipt of the first."""
    objects = InMemoryObjects()
    sequencer = logs(objects)
    first, second = await asyncio.gather(append(sequencer, 1), append(sequencer, 1))
    await append(sequencer, 2)
    again = await append(logs(objects), 1)
    assert {first.index, second.index, again.index} == {0}
    assert first.entry == second.entry == again.entry
    assert check(sequencer, again).opening == check(sequencer, first).opening
    assert len(await leaves(objects)) == 2


async def test_two_sequencers_never_fork_a_log(tmp_path: Path) -> None:
    """Both append to one store without a lease: every receipt is in one tree, and every checkpoint in one history."""
    objects = LocalStore(tmp_path)
    one, two = logs(objects), logs(LocalStore(tmp_path))
    got = await asyncio.gather(*(append(one if n % 2 else two, n) for n in range(300)))
    assert sorted(r.index for r in got) == list(range(300))
    hashes = list(map(merkle.leaf_hash, await leaves(objects)))
    assert len(hashes) == 300
    for r in got:
        head = check(one, r).checkpoint
        assert head.root == merkle.root_of(hashes[: head.size])


class Dying(InMemoryObjects):
    """Dies before or after the n-th write."""

    def __init__(self, kept: dict[str, bytes], at: int, *, after: bool) -> None:
        super().__init__()
        for key, data in kept.items():
            self._set(key, data)
        self.left, self.after, self.dead = at, after, False

    def _step(self, key: str, data: bytes) -> None:
        if self.dead:
            raise Unavailable("dead")
        self.left -= 1
        if self.left == 0:
            self.dead = True
            if self.after:
                self._set(key, data)
            raise Unavailable("dead")

    async def create(self, key: str, data: bytes) -> None:
        if key in self.objects:
            await super().create(key, data)
        self._step(key, data)
        await super().create(key, data)

    async def put(self, key: str, data: bytes) -> None:
        self._step(key, data)
        await super().put(key, data)


@pytest.mark.parametrize("before", [0, 3, 254, 255, 256])
@pytest.mark.parametrize("after", [False, True])
async def test_crash_between_any_two_writes_is_recovered_at_start(before: int, after: bool) -> None:
    """Batch, tiles, bundle, history, head: whichever write is the last, the next start has one whole log."""
    base = InMemoryObjects()
    sequencer = logs(base)
    if before:
        await asyncio.gather(*(append(sequencer, n) for n in range(before)))
    else:
        await StoredLogKeys(base, KEYS.public, KEYS.identities).values(ACME)
    for at in range(1, 20):
        dying = Dying(base.objects, at, after=after)
        results = await asyncio.gather(
            *(append(logs_of, n) for logs_of in [logs(dying)] for n in (1000, 1001)), return_exceptions=True
        )
        survived = InMemoryObjects()
        for key, data in dying.objects.items():
            survived._set(key, data)
        again = logs(survived)
        await again.of(ACME).refresh()
        promised = [r.entry for r in results if isinstance(r, Receipt)]
        assert set(promised) <= set(await leaves(survived))
        await append(again, 2000)
        size = await is_whole(survived, again)
        assert size - before - 1 == len({*await leaves(survived)}) - before - 1 in (0, 1, 2)
        if not dying.dead:
            return
    raise AssertionError("there are more writes than the test looked at")


async def test_nothing_is_said_to_be_written_that_is_not() -> None:
    """A store that is away or full: `Unavailable`, and what comes back works on."""
    objects = InMemoryObjects()
    sequencer = logs(objects)
    await append(sequencer, 1)
    objects.read_only = True
    with pytest.raises(Unavailable):
        await append(sequencer, 2)
    objects.read_only, objects.full = False, True
    with pytest.raises(Unavailable):
        await append(sequencer, 3)
    objects.full = False
    assert (await append(sequencer, 4)).index == 1
    assert await is_whole(objects, sequencer) == 2


async def test_a_store_that_was_tampered_with_is_not_appended_to() -> None:
    """A tile that does not have the signed root ends appending, since anything signed over it would be a lie."""
    objects = InMemoryObjects()
    await append(logs(objects), 1)
    key = f"{ACME}/log/tile/0/000.p/1"
    objects.objects[key] = bytes(32)
    with pytest.raises(Unavailable):
        await append(logs(objects), 2)
    assert len(await leaves(objects)) == 1


async def test_old_entries_are_proved_and_sizes_are_consistent() -> None:
    """Proofs over tiles that are only in the store verify, for the log as it is and as it was."""
    objects = InMemoryObjects()
    sequencer = logs(objects)
    await asyncio.gather(*(append(sequencer, n) for n in range(1200)))
    log: Log = logs(objects).of(ACME)
    await log.refresh()
    hashes = list(map(merkle.leaf_hash, await leaves(objects)))
    for index, size in [(0, 1200), (511, 1200), (700, 701), (1199, 1200), (3, 1000)]:
        proof = await log.prove(index, size)
        assert merkle.root_from_inclusion(index, size, hashes[index], proof) == merkle.root_of(hashes[:size])
    for first, second in [(1, 1200), (256, 1200), (700, 1199), (1200, 1200)]:
        old, new = merkle.root_of(hashes[:first]), merkle.root_of(hashes[:second])
        merkle.check_consistency(first, second, old, new, await log.consistency(first, second))


async def test_values_go_with_the_key_and_proofs_stay() -> None:
    """Without the log's key nothing opens the values; the leaf still proves."""
    objects = InMemoryObjects()
    sequencer = logs(objects)
    got = await append(sequencer, 1)
    del objects.objects[f"{ACME}/log/key"]
    assert (await append(logs(objects), 2)).index == 1
    proof = await sequencer.of(ACME).prove(0, 1)
    assert merkle.root_from_inclusion(0, 1, merkle.leaf_hash(got.entry), proof)
    assert entry.load(got.entry).action == "archive.searched"
