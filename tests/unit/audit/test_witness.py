"""The witness: what it cosigns, what it refuses, and that the log finds it over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.store import StoredLogs
from services.audit.adapters.witness import HttpWitness
from services.audit.append import Logs
from services.audit.read import Reading, cosigned_path
from services.audit.witness.serve import Refused, Witness, application
from services.audit.witness.state import States
from services.audit.witnessing import Witnessing
from services.common.audit_entries import AuditEntry
from services.common.errors import Corrupt, Unavailable
from services.common.ids import TenantId
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.common.tlog import merkle, note, policy
from services.common.tlog.checkpoint import Checkpoint

ACME = TenantId.new()
SEED = bytes(range(32))
KEYS = FakeKeys()
SIGNER = KEYS.signer("audit")
KEY = note.Key(f"audit.test/{ACME}", SIGNER.public)
HASHES = [merkle.leaf_hash(bytes([n])) for n in range(20)]


def signed(size: int, hashes: list[bytes] = HASHES) -> bytes:
    """A checkpoint of the first leaves."""
    return note.sign(Checkpoint(KEY.name, size, merkle.root_of(hashes[:size])).text, KEY, SIGNER.sign).dump()


def request(old: int, size: int, hashes: list[bytes] = HASHES) -> bytes:
    """An add-checkpoint request."""
    import base64

    def node(level: int, index: int) -> bytes:
        return merkle.root_of(hashes[index << level : (index + 1) << level])

    proof = merkle.consistency_proof(old, size, node)
    lines = [f"old {old}", *(base64.b64encode(h).decode() for h in proof)]
    return ("\n".join(lines) + "\n\n").encode() + signed(size, hashes)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness("witness.test", SEED, [KEY], States(tmp_path / "state.json"))


async def refused(witness: Witness, body: bytes) -> tuple[int, str]:
    """How a request is refused."""
    with pytest.raises(Refused) as caught:
        await witness.add_checkpoint(body)
    return caught.value.status, caught.value.text


async def test_a_growing_log_is_cosigned_and_remembered(witness: Witness, tmp_path: Path) -> None:
    """Each step verifies; a new process on the same state goes on from there, and only one may have it."""
    for old, size in [(0, 3), (3, 3), (3, 8), (8, 20)]:
        line = await witness.add_checkpoint(request(old, size))
        whole = note.parse(signed(size) + line.encode())
        assert whole.cosigned_at(witness.key) is not None
    with pytest.raises(Unavailable):
        States(tmp_path / "state.json")
    witness._states.close()
    again = Witness("witness.test", SEED, [KEY], States(tmp_path / "state.json"))
    assert await refused(again, request(0, 20)) == (409, "20\n")
    kept = note.parse(again.latest(hashlib.sha256(KEY.name.encode()).hexdigest()))
    assert kept.text == note.parse(signed(20)).text
    assert kept.cosigned_at(again.key) is not None


async def test_forks_and_rollbacks_are_refused(witness: Witness) -> None:
    """Another history, a smaller size, a wrong proof: no cosignature, and the state stays."""
    await witness.add_checkpoint(request(0, 8))
    other = [merkle.leaf_hash(b"other"), *HASHES[1:]]
    assert (await refused(witness, request(8, 20, other)))[0] == 422
    assert (await refused(witness, request(8, 8, other)))[0] == 422
    assert await refused(witness, request(3, 5)) == (409, "8\n")
    assert (await refused(witness, b"old 9\n\n" + signed(8)))[0] == 400
    assert (await refused(witness, b"old 8\n\n" + signed(20)))[0] == 422
    assert (await refused(witness, b"old 08\n\n" + signed(20)))[0] == 400
    stranger = note.Key("audit.test/other", SIGNER.public)
    unknown = note.sign(Checkpoint("audit.test/other", 1, HASHES[0]).text, stranger, SIGNER.sign).dump()
    assert (await refused(witness, b"old 0\n\n" + unknown))[0] == 404
    unsigned = signed(20).replace(signed(20)[-20:-1], b"A" * 17 + b"==")
    assert (await refused(witness, b"old 8\n\n" + unsigned))[0] in (400, 403)
    assert witness._states.of(KEY.name).size == 8


async def test_two_requests_at_once_are_one_after_the_other(witness: Witness) -> None:
    """The race of the specification: whoever comes second is told the new size."""
    results = await asyncio.gather(
        witness.add_checkpoint(request(0, 5)), witness.add_checkpoint(request(0, 9)), return_exceptions=True
    )
    assert sorted(type(r).__name__ for r in results) == ["Refused", "str"]


async def test_spoilt_state_starts_no_witness(tmp_path: Path) -> None:
    """A witness that forgot could cosign a fork."""
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(Corrupt):
        States(tmp_path / "state.json")


@asynccontextmanager
async def served(witness: Witness) -> AsyncIterator[str]:
    """The witness at an address."""
    runner = web.AppRunner(application(witness))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_log_finds_its_witness_and_measures_its_absence(witness: Witness) -> None:
    """Over HTTP: the quorum's cosignature is kept with the checkpoint and exported; without it time is counted."""
    objects = InMemoryObjects()
    store, keys = StoredLogs(objects), StoredLogKeys(objects, KEYS.public, KEYS.identities)
    logs = Logs(store, keys, "audit.test", SIGNER.public, SIGNER.sign)

    async def append(number: int) -> None:
        one = AuditEntry(ACME, "login", "x@acme.example", {}, at=datetime(2026, 11, 24, 8, 0, number, tzinfo=UTC))
        await logs.append(one.dump(), one, "admin")

    async with served(witness) as url, aiohttp.ClientSession() as session:
        rules = policy.parse(f"witness w1 {witness.key.text} {url}\nquorum w1\n")
        witnessing = Witnessing(store, rules, HttpWitness(session), alarm=0.0)
        for number in range(3):
            await append(number)
            await witnessing.witness(logs.of(ACME))
        state = await witnessing.state(logs.of(ACME))
        assert (state.witnessed, state.unwitnessed_seconds) == (3, 0.0)
        head = note.parse(await Reading(logs, store, keys).checkpoint(ACME))
        assert rules.satisfied(head)
        assert await store.read(ACME, cosigned_path(2))
        # Another process knows nothing of the witness's size: it is told, and goes on.
        again = Witnessing(store, rules, HttpWitness(session), alarm=0.0)
        assert (await again.state(logs.of(ACME))).witnessed == 3
        await append(4)
        await again.witness(logs.of(ACME))
        assert (await again.state(logs.of(ACME))).witnessed == 4
    async with aiohttp.ClientSession() as session:
        alone = Witnessing(store, rules, HttpWitness(session), alarm=0.0)
        await append(5)
        await alone.witness(logs.of(ACME))
        state = await alone.state(logs.of(ACME))
        assert state.witnessed == 4
        assert state.unwitnessed_seconds > 0
        assert state.alarmed
