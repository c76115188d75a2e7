"""`python -m tests.bench.extraction`: files a second through the sandbox, and what an idle worker costs."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from services.common.components import ExtractionConfig
from services.common.extraction import File
from services.common.extraction.pool import Pool
from services.common.ids import TenantId
from tests.corpus import documents

ROUNDS = 5


def files() -> Mapping[str, bytes]:
    """The files that are read, always the same."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(4000)]

    def text(count: int) -> str:
        return " ".join(chance.choices(words, k=count))

    paragraphs = "</w:t></w:r></w:p><w:p><w:r><w:t>".join(text(60) for _ in range(95))
    return {
        "docx, 20 KB": documents.docx(paragraphs),
        "pdf, 100 KB": documents.pdf(text(12), pages=100),
        "zip of 10 texts": documents.zipped({f"{i}.txt": text(300) for i in range(10)}),
        "text, 4 KB": text(600).encode()[:4096],
    }


async def rate(pool: Pool, content: bytes, seconds: float, tenants: int) -> float:
    """Files a second with as many calls at once as there are tenants."""
    until = time.perf_counter() + seconds
    began, done = time.perf_counter(), 0

    async def one() -> None:
        nonlocal done
        tenant = TenantId.new()
        while time.perf_counter() < until:
            (piece, *_) = await pool(tenant, [File("2", "a", "", content)], timeout=30)
            if piece.problem is not None:
                raise RuntimeError(piece.problem)
            done += 1

    await asyncio.gather(*(one() for _ in range(tenants)))
    return done / (time.perf_counter() - began)


def private_mib(pid: int) -> float:
    """Memory that a process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


async def main(seconds: float) -> None:
    """Print the table."""
    workers = max(2, os.cpu_count() or 2)
    pool = Pool(replace(ExtractionConfig(), workers=workers))
    began = time.perf_counter()
    await pool.start()
    print(f"{workers} workers ready in {time.perf_counter() - began:.2f} s")
    print(f"idle: {statistics.mean(map(private_mib, pool.pids)):.1f} MiB private a worker")
    try:
        print("| file | bytes | one at a time, files/s | all workers, files/s |\n|---|---|---|---|")
        for name, content in files().items():
            await rate(pool, content, seconds / 4, 1)
            single, full = [], []
            for _ in range(ROUNDS):
                single.append(await rate(pool, content, seconds, 1))
                full.append(await rate(pool, content, seconds, workers))
            print(f"| {name} | {len(content)} | {statistics.median(single):.0f} | {statistics.median(full):.0f} |")
        print(f"after: {statistics.mean(map(private_mib, pool.pids)):.1f} MiB private a worker")
    finally:
        await pool.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    asyncio.run(main(parser.parse_args().seconds))
