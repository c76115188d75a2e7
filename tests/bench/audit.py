"""The audit log alone: durable entries a second with their latency, and how long an export takes to verify.

`python -m tests.bench.audit [--seconds 10] [--rate 2500] [--entries 1000000]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.store import StoredLogs
from services.audit.append import Logs
from services.common.audit_entries import AuditEntry
from services.common.ids import MailId, TenantId
from services.common.objects.local import LocalStore
from services.common.testing.keys import FakeKeys
from services.common.tlog import checkpoint, entry, export, merkle, note, tiles, verify

KEYS = FakeKeys()
SIGNER = KEYS.signer("audit")
PER_CHECKPOINT = 40


async def appending(folder: Path, *, seconds: float, rate: int) -> dict[str, float]:
    """Entries offered at an even rate to one log on a local store; each is timed until its receipt."""
    tenant, objects = TenantId.new(), LocalStore(folder)
    logs = Logs(
        StoredLogs(objects), StoredLogKeys(objects, KEYS.public, KEYS.identities), "bench", SIGNER.public, SIGNER.sign
    )
    took: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        found = AuditEntry(
            tenant, "archive.searched", f"auditor{number % 7}@acme.example", {"query": "from:alice 機密", "n": number},
            at=datetime.now(UTC), grant_id="01M86BXR3RSRMMW29REDE19BZD", facts={"total": number, "root": "ab" * 32},
        )  # fmt: skip
        await logs.append(found.dump(), found, "archive")
        took.append(time.perf_counter() - began)

    await one(-1)
    took.clear()
    began, number, tasks = time.perf_counter(), 0, set[asyncio.Task[None]]()
    while (elapsed := time.perf_counter() - began) < seconds:
        while number < elapsed * rate:
            task = asyncio.create_task(one(number))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    elapsed = time.perf_counter() - began
    took.sort()
    batches = sum(1 for _ in (folder / tenant / "log" / "batch").iterdir())
    return {
        "offered_per_s": rate,
        "durable_per_s": round(number / elapsed, 1),
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 1),
        "max_ms": round(took[-1] * 1000, 1),
        "entries_per_flush": round(number / batches, 1),
    }


def exported(path: Path, size: int) -> note.Key:
    """An export of so many entries, made without a store; a checkpoint every 40 entries as under load."""
    tenant = TenantId.new()
    key = note.Key(f"bench/{tenant}", SIGNER.public)
    made = entry.Leaf(
        id="0" * 32, tenant=str(tenant), time="2026-11-24T08:00:00.000001Z", service="archive", who="cd" * 16,
        actor="ef" * 32, action="hold.viewed", outcome="done", detail="01" * 32, mail_ids=(str(MailId.new()),),
        facts={"root": "ab" * 32, "total": 3},
    )  # fmt: skip
    before, after = made.dump().split(b"0" * 32, 1)
    history, full, growing = [], list[bytes](), merkle.Growing()
    with path.open("wb") as out:
        for index in range((size + 255) // 256):
            numbers = range(index * 256, min(size, index * 256 + 256))
            leaves = [before + b"%032x" % n + after for n in numbers]
            hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
            for n, h in zip(numbers, hashes, strict=True):
                growing.append(h)
                if (n + 1) % PER_CHECKPOINT == 0 or n + 1 == size:
                    text = checkpoint.Checkpoint(key.name, n + 1, growing.root()).text
                    history.append(note.sign(text, key, SIGNER.sign).dump().decode())
            out.write(export.member(tiles.tile_path("entries", index, len(leaves)), tiles.bundle(leaves)))
            out.write(export.member(tiles.tile_path(0, index, len(leaves)), b"".join(hashes)))
            if len(hashes) == 256:
                full.append(merkle.root_of(hashes))
        for name, data in [*_upper(full), *_rest(history, key, tenant, size)]:
            out.write(export.member(name, data))
        out.write(export.END)
    return key


def _upper(row: list[bytes]) -> Iterator[tuple[str, bytes]]:
    level = 1
    while row:
        parts = [row[i : i + 256] for i in range(0, len(row), 256)]
        for index, part in enumerate(parts):
            yield tiles.tile_path(level, index, len(part)), b"".join(part)
        row, level = [merkle.root_of(p) for p in parts if len(p) == 256], level + 1


def _rest(history: list[str], key: note.Key, tenant: TenantId, size: int) -> Iterator[tuple[str, bytes]]:
    for number in range(0, len(history), export.HISTORY_LINES):
        lines = history[number : number + export.HISTORY_LINES]
        yield export.history_name(number // export.HISTORY_LINES), export.lines(lines)
    yield "checkpoint", history[-1].encode()
    yield "manifest.json", export.manifest(key.name, tenant, size, key.text)


def verifying(folder: Path, size: int) -> dict[str, float]:
    """Seconds to verify an export of so many entries."""
    path = folder / "export.tar"
    key = exported(path, size)
    began = time.perf_counter()
    with export.Archive(path) as archive:
        report = verify.verify(archive, key)
    elapsed = time.perf_counter() - began
    if report.findings or report.size != size:
        raise SystemExit(f"the export does not verify: {report.findings[:3]}")
    return {
        "entries": size,
        "checkpoints": report.checkpoints,
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "verify_s": round(elapsed, 2),
    }


def main() -> None:
    """Print both as one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=2500)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        appended = asyncio.run(appending(Path(folder) / "objects", seconds=options.seconds, rate=options.rate))
        verified = verifying(Path(folder), options.entries)
    print(json.dumps({"audit_append": appended, "audit_verify": verified}, indent=2))


if __name__ == "__main__":
    main()
