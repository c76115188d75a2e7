"""How fast mails become findable, and are found: `python -m tests.bench.index [mails]`.

Into the embedded index; with `LETTERLOCK_TEST_OPENSEARCH=real` into a real one. Mails of about 4 KB, one tenant, both
log entries of a search in memory, custody in this process.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

from services.archive.adapters import osmem
from services.archive.adapters.content_index import OpenSearchContentIndex
from services.archive.config import ArchiveConfig
from services.common.config import Secret
from services.common.errors import Unavailable
from tests.unit.archive.doubles import mail
from tests.unit.archive.searching import AUDITOR, Library

_SEARCHES = 50


def mails(number: int) -> list[bytes]:
    """Mails of 4 KB whose words are few and frequent, many and rare, as in a language."""
    rng = random.Random(4)
    vocabulary = ["".join(rng.choices("abcdefghijklmnoprstu", k=rng.randint(2, 9))) for _ in range(50_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    found = []
    for n in range(number):
        made = EmailMessage()
        made["From"], made["To"], made["Message-ID"] = (
            f"a{n}@acme.example",
            "bob@partner.example",
            f"<{n}@acme.example>",
        )
        made["Subject"] = " ".join(rng.choices(vocabulary, weights, k=5))
        chosen = rng.choices(vocabulary, weights, k=650)
        made.set_content("\n".join(" ".join(chosen[at : at + 10]) for at in range(0, 650, 10)) + f"\nrare{n % 97}\n")
        found.append(made.as_bytes())
    return found


async def run(url: str, number: int) -> None:
    """Index, then search."""
    config = ArchiveConfig(opensearch_url=url, opensearch_password=Secret(""), refresh_interval=timedelta(seconds=1))
    index = OpenSearchContentIndex(config)
    while True:
        try:
            await index.ensure()
            break
        except Unavailable:
            await asyncio.sleep(0.1)
    library = Library(index)
    tenant, raws = library.tenant(), mails(number)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, number, 500):
        await asyncio.gather(*(library.keep(mail(tenant, "bob@partner.example"), r) for r in raws[start : start + 500]))
        await library.feed.send()
    await library.ready()
    await index.refresh()
    took = time.perf_counter() - began
    spent = 1000 * (time.process_time() - cpu) / number
    print(
        f"{number} mails of {sum(map(len, raws)) // number} bytes: {number / took:.0f} mails/s, {spent:.2f} ms CPU each"
    )
    times = []
    for n in range(_SEARCHES):
        grant = library.grant(tenant, f"rare{n % 97}")
        began = time.perf_counter()
        answer = await library.reveal.search(tenant, AUDITOR, grant)
        times.append(1000 * (time.perf_counter() - began))
    p95 = statistics.quantiles(times, n=20)[-1]
    print(
        f"search of {number} mails, {len(answer.hits)} found: p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms"
    )
    await index.close()


def main() -> None:
    """Start a server and measure."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    if os.environ.get("LETTERLOCK_TEST_OPENSEARCH") == "real":
        from tests import opensearch

        with tempfile.TemporaryDirectory() as folder:
            node = opensearch.start(Path(folder))
            try:
                asyncio.run(run(node.url, number))
            finally:
                node.stop()
        return
    embedded = osmem.start_index()
    try:
        asyncio.run(run(embedded.url, number))
    finally:
        embedded.stop()


if __name__ == "__main__":
    main()
