"""Broken exports: both verifiers find each one, say where, and agree; good ones pass."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.store import StoredLogs
from services.audit.append import Logs
from services.audit.core import batch
from services.audit.core.batch import Row
from services.audit.core.values import Values
from services.audit.read import Reading
from services.audit.verifier import letterlock_verify
from services.common.audit_entries import AuditEntry
from services.common.errors import Corrupt
from services.common.ids import MailId, TenantId
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.common.tlog import export, merkle, note, policy, proof, tiles, verify
from services.common.tlog.entry import Opening

ACME = TenantId.new()
KEYS = FakeKeys()
SIGNER = KEYS.signer("audit")
KEY = note.Key(f"audit.test/{ACME}", SIGNER.public)
START = datetime(2026, 11, 24, 8, tzinfo=UTC)
MAIL = str(MailId.new())

type Files = dict[str, bytes]


def entry(action: str, actor: str, number: int, grant: str = "", **facts: object) -> AuditEntry:
    """An entry `number` seconds after the start."""
    at = START + timedelta(seconds=number)
    detail = {"query": "from:王小明", "n": number}
    mails = (MAIL,) if action == "archive.opened" else ()
    return AuditEntry(ACME, action, actor, detail, mail_ids=mails, at=at, grant_id=grant, facts=facts)  # type: ignore[arg-type]


REQUEST = {"request_id": "R1", "request_hash": "ab" * 32}
GOOD = [
    entry("access.requested", "aud@acme.example", 1, approvals=1, capabilities=["search", "open"], **REQUEST),
    entry("access.approved", "appr@acme.example", 2, "G1", expires="2026-11-24T09:00:00.000000Z", **REQUEST),
    entry("archive.searched", "aud@acme.example", 3, "G1", **REQUEST),
    entry("archive.opened", "aud@acme.example", 4, "G1", **REQUEST),
]


async def exported(entries: list[AuditEntry], filler: int = 0, *, values: bool = True, signer: str = "audit") -> Files:
    """The files of the export of a log with these entries, and so many that mean nothing before them."""
    objects = InMemoryObjects()
    keys = StoredLogKeys(objects, KEYS.public, KEYS.identities)
    store = StoredLogs(objects)
    signing = KEYS.signer(signer)
    logs = Logs(store, keys, "audit.test", signing.public, signing.sign)

    async def append(one: AuditEntry, service: str) -> None:
        await logs.append(one.dump(), one, service)

    await asyncio.gather(*(append(entry("login", "x@acme.example", -9000 + n), "admin") for n in range(filler)))
    for one in entries:
        await append(one, "archive" if one.action.startswith("archive") else "admin")
    data = b"".join([piece async for piece in Reading(logs, store, keys).export(ACME, values=values)])
    return unpacked(data)


def unpacked(data: bytes) -> Files:
    """The files in a tar."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {i.name: tar.extractfile(i).read() for i in tar}  # type: ignore[union-attr]


def packed(files: Files, folder: Path) -> Path:
    """A tar of files."""
    path = folder / "export.tar"
    path.write_bytes(b"".join(export.member(n, d) for n, d in files.items()) + export.END)
    return path


def both(path: Path, *more: str, known: bytes = b"") -> tuple[bool, list[verify.Finding]]:
    """Both verdicts agree; returns whether it is whole, and ours findings."""
    words = [str(path), "--key", KEY.text, *more]
    if known:
        kept = path.with_name("known")
        kept.write_bytes(known)
        words += ["--known", str(kept)]
    alone = letterlock_verify.main(words)
    try:
        with export.Archive(path) as archive:
            findings = verify.verify(archive, KEY, None, note.parse(known) if known else None).findings
    except ValueError as error:
        findings = [verify.Finding(str(path), str(error))]
    assert alone == (1 if findings else 0), (alone, findings, letterlock_verify.WRONG)
    return not findings, findings


@pytest.mark.parametrize("filler", [0, 252, 253, 600])
@pytest.mark.parametrize("values", [True, False])
async def test_whole_log_passes(tmp_path: Path, filler: int, values: bool) -> None:
    """Small ones and ones of several tiles, with values and without."""
    files = await exported(GOOD, filler, values=values)
    whole, findings = both(packed(files, tmp_path))
    assert whole, findings
    assert "self-consistent only" in verdict(tmp_path)


def verdict(folder: Path) -> str:
    """What ours calls it."""
    with export.Archive(folder / "export.tar") as archive:
        return verify.verify(archive, KEY).verdict


def flipped(name: str, at: int = 40) -> Callable[[Files], None]:
    """One bit of one file."""

    def change(files: Files) -> None:
        data = bytearray(files[name])
        data[at] ^= 1
        files[name] = bytes(data)

    return change


def deleted_entry(files: Files) -> None:
    """One entry out of a bundle, its tile told the same, as if it had never been."""
    name = tiles.tile_path("entries", 2, 92)
    left = tiles.unbundle(files.pop(name))
    del left[5]
    files[tiles.tile_path("entries", 2, 91)] = tiles.bundle(left)
    files[tiles.tile_path(0, 2, 91)] = b"".join(map(merkle.leaf_hash, left))
    files.pop(tiles.tile_path(0, 2, 92))


def reordered(files: Files) -> None:
    """Two entries change places, and their hashes with them."""
    name, tile = tiles.tile_path("entries", 1), tiles.tile_path(0, 1)
    left = tiles.unbundle(files[name])
    left[3], left[4] = left[4], left[3]
    files[name] = tiles.bundle(left)
    files[tile] = b"".join(map(merkle.leaf_hash, left))


def rolled_back(files: Files) -> None:
    """An old checkpoint on top of newer entries."""
    lines = files["history/000000.jsonl"].splitlines()
    files["checkpoint"] = json.loads(lines[-3]).encode()


def forked(files: Files) -> None:
    """A second, well signed root for a size that has one."""
    lines = files["history/000000.jsonl"].splitlines()
    origin, size, _, _ = note.parse(json.loads(lines[-2]).encode()).text.split("\n")
    text = f"{origin}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n"
    lines.append(json.dumps(note.sign(text, KEY, SIGNER.sign).dump().decode()).encode())
    files["history/000000.jsonl"] = b"\n".join(lines) + b"\n"


def foreign_value(files: Files) -> None:
    """Somebody else's name behind a leaf's commitment."""
    name = export.values_name(2)
    files[name] = files[name].replace(b"aud@acme.example", b"bob@acme.example")


BROKEN: dict[str, tuple[Callable[[Files], None], str]] = {
    "leaf": (flipped(tiles.tile_path("entries", 1), 5000), "tile/"),
    "tile": (flipped(tiles.tile_path(0, 1), 64), "tile/0/001"),
    "upper tile": (flipped(tiles.tile_path(1, 0, 2)), "tile/1/000.p/2"),
    "length in a bundle": (flipped(tiles.tile_path("entries", 0), 0), "tile/entries/000"),
    "checkpoint's root": (flipped("checkpoint", 60), "checkpoint"),
    "history": (flipped("history/000000.jsonl", 60), "history/000000.jsonl line 1"),
    "manifest": (lambda files: files.update({"manifest.json": b"{}"}), "manifest.json"),
    "missing tile": (lambda files: files.pop(tiles.tile_path(0, 1)) and None, "tile/0/001"),
    "missing bundle": (lambda files: files.pop(tiles.tile_path("entries", 1)) and None, "tile/entries/001"),
    "missing history": (lambda files: files.pop("history/000000.jsonl") and None, "checkpoint"),
    "stranger file": (lambda files: files.update({"tile/0/009": bytes(8192)}), "tile/0/009"),
    "deleted entry": (deleted_entry, "tile/entries/002"),
    "reordered": (reordered, "history/"),
    "rolled back": (rolled_back, "manifest.json|checkpoint"),
    "forked": (forked, "history/000000.jsonl"),
    "foreign value": (foreign_value, "values/000000002.jsonl"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_export_is_found_where_it_is(tmp_path: Path, what: str) -> None:
    """Every way to change a log fails both verifiers, and ours says where."""
    change, where = BROKEN[what]
    files = await exported(GOOD, 600)
    change(files)
    whole, findings = both(packed(files, tmp_path))
    assert not whole
    assert any(f.where.startswith(w) for f in findings for w in where.split("|")), findings


async def test_cut_file_is_found(tmp_path: Path) -> None:
    """Half an export is no export."""
    path = packed(await exported(GOOD, 300), tmp_path)
    path.write_bytes(path.read_bytes()[:-9000])
    assert not both(path)[0]


async def test_log_signed_with_another_key_is_no_log_of_ours(tmp_path: Path) -> None:
    """A whole log, well formed, whose key is another's."""
    assert not both(packed(await exported(GOOD, signer="ingress"), tmp_path))[0]


async def test_whole_rollback_is_found_by_whoever_kept_a_checkpoint(tmp_path: Path) -> None:
    """An older export is self-consistent; beside a checkpoint from later, or of a fork, it is not."""
    old, new = await exported(GOOD, 10), await exported([*GOOD, entry("login", "x@acme.example", 9)], 10)
    path = packed(old, tmp_path)
    assert both(path)[0]
    later = note.sign(f"{KEY.name}\n15\n{base64.b64encode(bytes(32)).decode()}\n", KEY, SIGNER.sign).dump()
    assert "rolled back" in both(path, known=later)[1][0].what
    assert "forked" in both(path, known=json.loads(new["history/000000.jsonl"].splitlines()[-3]).encode())[1][0].what
    assert both(path, known=old["checkpoint"])[0]


STRANGE: dict[str, tuple[list[AuditEntry], str]] = {
    "no grant": ([entry("archive.opened", "aud@acme.example", 1)], "nobody approved"),
    "approved by the requester": (
        [GOOD[0], replace(GOOD[1], actor="aud@acme.example"), *GOOD[2:]], "by its requester",
    ),
    "approved later": ([GOOD[0], GOOD[2], GOOD[1]], "nobody approved"),
    "another query approved": (
        [GOOD[0], replace(GOOD[1], facts={**REQUEST, "request_hash": "cd" * 32}), GOOD[2]], "another text",
    ),
    "another query asked": (
        [*GOOD[:2], replace(GOOD[2], facts={**REQUEST, "request_hash": "cd" * 32})], "another request",
    ),
    "expired": ([*GOOD[:3], replace(GOOD[3], at=START + timedelta(hours=2))], "expired"),
    "revoked": ([*GOOD[:3], entry("access.revoked", "appr@acme.example", 4, "G1"), GOOD[3]], "revoked"),
    "by another person": ([*GOOD[:2], replace(GOOD[2], actor="eve@acme.example")], "another person"),
    "not allowed": ([*GOOD, entry("archive.exported", "aud@acme.example", 5, "G1", **REQUEST)], "does not allow"),
    "too few approvals": (
        [replace(GOOD[0], facts={**GOOD[0].facts, "approvals": 2}), *GOOD[1:]], "1 of 2 approvals",
    ),
    "approved twice by one": (
        [GOOD[0], GOOD[1], replace(GOOD[1], at=START + timedelta(seconds=3))], "twice by one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", STRANGE)
async def test_reveal_without_its_grant_is_found(tmp_path: Path, what: str) -> None:
    """A log may be whole and still tell of what nobody allowed."""
    entries, said = STRANGE[what]
    whole, findings = both(packed(await exported(entries, values=False), tmp_path))
    assert not whole
    assert said in findings[0].what


async def test_emptied_values_break_no_proof(tmp_path: Path) -> None:
    """Erased, an entry names nobody any more; its leaf, its proof and the whole log stay."""
    objects = InMemoryObjects()
    keys, store = StoredLogKeys(objects, KEYS.public, KEYS.identities), StoredLogs(objects)
    logs = Logs(store, keys, "audit.test", SIGNER.public, SIGNER.sign)
    for one in GOOD:
        await logs.append(one.dump(), one, "archive" if one.action.startswith("archive") else "admin")
    (row,) = await store.batch(ACME, 2) or []
    objects.objects[f"{ACME}/log/batch/{2:016d}"] = batch.dump([Row(row.leaf, b"")])
    reading = Reading(logs, store, keys)
    page, _ = await reading.page(ACME, 0, 10)
    assert [item.opening.actor if item.opening else "" for item in page] == [
        "aud@acme.example", "appr@acme.example", "", "aud@acme.example",
    ]  # fmt: skip
    files = unpacked(b"".join([piece async for piece in reading.export(ACME, values=True)]))
    assert both(packed(files, tmp_path))[0]
    found = proof.parse(await reading.proof(ACME, 2))
    assert proof.check(found.entry, 2, found.path, found.signed, KEY).size == 4


class TwoKeys:
    """A sequencer that gives one person two pseudonyms, and an export that opens the values of both."""

    def __init__(self) -> None:
        self.turns = 0
        self.made = [Values(ACME, bytes([n]) * 32) for n in (1, 2)]

    async def values(self, tenant: TenantId) -> Values:
        self.turns += 1
        return self.made[self.turns - 1] if self.turns <= 2 else self  # type: ignore[return-value]

    def open(self, row: Row) -> Opening | None:
        """By whichever key it was."""
        try:
            return self.made[0].open(row)
        except Corrupt:
            return self.made[1].open(row)


async def test_one_person_under_two_pseudonyms_is_found(tmp_path: Path) -> None:
    """Else a requester could approve as somebody else; the values show it."""
    objects, keys = InMemoryObjects(), TwoKeys()
    store = StoredLogs(objects)
    logs = Logs(store, keys, "audit.test", SIGNER.public, SIGNER.sign)
    for one in (GOOD[0], replace(GOOD[1], actor=GOOD[0].actor)):
        await logs.append(one.dump(), one, "admin")
    data = b"".join([piece async for piece in Reading(logs, store, keys).export(ACME, values=True)])
    whole, findings = both(packed(unpacked(data), tmp_path))
    assert not whole
    assert "two pseudonyms" in findings[0].what


async def test_quorum_of_witnesses_is_asked_for(tmp_path: Path) -> None:
    """With a policy a log that nobody witnessed is broken; one that the quorum saw is witnessed, up to there."""
    sign, public = note.signer_of(bytes(range(32)))
    witness = note.Key("witness.example/w1", public, note.COSIGNATURE)
    rules = policy.parse(f"witness w1 {witness.text}\nquorum w1\n")
    files = await exported(GOOD, 5)
    path = packed(files, tmp_path)
    with export.Archive(path) as archive:
        assert verify.verify(archive, KEY, rules).findings[0].where == "checkpoint"
    assert letterlock_verify.main([str(path), "--key", KEY.text, "--witness", witness.text]) == 1
    lines = [json.loads(line) for line in files["history/000000.jsonl"].splitlines()]
    seen = note.parse(lines[-2].encode())
    lines[-2] = seen.with_signatures([note.cosign(seen, witness, sign, 1_800_000_000)]).dump().decode()
    files["history/000000.jsonl"] = export.lines(lines)
    path = packed(files, tmp_path)
    with export.Archive(path) as archive:
        report = verify.verify(archive, KEY, rules)
    assert (report.findings, report.witnessed, report.size) == ([], 8, 9)
    assert letterlock_verify.main([str(path), "--key", KEY.text, "--witness", witness.text]) == 0
    files["history/000000.jsonl"] = export.lines([*lines[:-2], _spoilt(lines[-2]), lines[-1]])
    path = packed(files, tmp_path)
    with export.Archive(path) as archive:
        assert "does not verify" in verify.verify(archive, KEY, rules).findings[0].what


def _spoilt(signed: str) -> str:
    """A note whose last signature is over another time."""
    head, _, last = signed.rstrip("\n").rpartition(" ")
    data = bytearray(base64.b64decode(last))
    data[11] ^= 1
    return f"{head} {base64.b64encode(data).decode()}\n"
