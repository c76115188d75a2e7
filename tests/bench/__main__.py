"""`make bench`: Letterlock beside Postfix, interleaved rounds, ratios with min, median and max.

Both are driven by the same load and relay to the same kind of sink on this
machine, which they share with the load: ratios mean something, rates little.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.bench import load, postfix
from tests.bench.sink import CountingSink
from tests.harness import world
from tests.harness.installation import Installation

SIZES = {"4 KB": (4_000, 1_500), "50 KB": (50_000, 800), "1 MB": (1_000_000, 120)}
"""Mail size in bytes, and mails a round."""


def spread(values: Sequence[float]) -> str:
    """`median (min-max)`."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


async def compare(
    installation: Installation, ours: CountingSink, peer: postfix.Postfix | None, theirs: CountingSink, rounds: int
) -> None:
    """(a) accept, (b) end to end and (c) p99 of accept, at each size."""
    print(
        "| size | accept, ours/s | accept ratio | end to end ratio | p99 ratio (ours / Postfix) |\n|---|---|---|---|---|"
    )
    port = installation.host_port("relay")[1]
    for name, (size, count) in SIZES.items():
        await load.run(port, sessions=4, count=40, size=size)
        rates: list[float] = []
        ratios: dict[str, list[float]] = {"accept": [], "e2e": [], "p99": []}
        for _ in range(rounds):
            figures = []
            for target, sink in ((port, ours), (peer.port if peer else 0, theirs)):
                if not target:
                    continue
                start, began = sink.count, asyncio.get_running_loop().time()
                result = await load.run(target, sessions=10, count=count, size=size)
                await sink.until(start + count)
                figures.append(
                    (result.rate, count / (asyncio.get_running_loop().time() - began), result.percentile(0.99))
                )
            rates.append(figures[0][0])
            if peer:
                mine, other = figures
                ratios["accept"].append(mine[0] / other[0])
                ratios["e2e"].append(mine[1] / other[1])
                ratios["p99"].append(mine[2] / other[2])
        shown = [spread(r) if r else "no Postfix here" for r in ratios.values()]
        print(f"| {name} | {spread(rates)} | {' | '.join(shown)} |", flush=True)


def memory(installation: Installation) -> None:
    """(d) resident memory of every process, MiB."""
    print("\n| process | resident, MiB |\n|---|---|")
    for name, pid in sorted(installation.pids().items()):
        status = Path(f"/proc/{pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+)", status)
        print(f"| {name} | {int(match[1]) / 1024:.0f} |" if match else f"| {name} | ? |")


def stages(installation: Installation, before: dict[str, float]) -> None:
    """(e) process CPU per mail, µs, from `/metrics` and `/proc`."""
    with urllib.request.urlopen(f"http://{installation.ready['metrics']}/metrics") as answer:
        page = answer.read().decode()
    mails = sum(count for _, count in SIZES.values())
    print("\n| stage | calls | mean wall time, µs |\n|---|---|---|")
    totals = dict(re.findall(r"letterlock_stage_seconds_(sum\{[^}]*\}) (\S+)", page))
    counts = dict(re.findall(r"letterlock_stage_seconds_(count\{[^}]*\}) (\S+)", page))
    for labels, total in sorted(totals.items()):
        number = float(counts.get(labels.replace("sum", "count"), 0))
        if number:
            print(f"| `{labels[3:]}` | {number:.0f} | {float(total) / number * 1e6:.0f} |")
    print(f"\n| process | CPU since start per mail accepted, µs ({mails} mails a round) |\n|---|---|")
    accepted = float(before.get("accepted", 1))
    for name, pid in sorted(installation.pids().items()):
        print(f"| {name} | {(_cpu(pid) - before.get(name, 0.0)) / accepted * 1e6:.0f} |")


def _cpu(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(values[11]) + int(values[12])) / 100


async def run(rounds: int) -> None:
    """All of it."""
    ours, theirs = await CountingSink().start(), await CountingSink().start()
    address = f"127.0.0.1:{ours.port}"
    places = world.two_tenants(acme=address, acme_out=address, globex=address, globex_out=address)
    peer = await postfix.Postfix(theirs.port).start() if postfix.installed() else None
    with tempfile.TemporaryDirectory(prefix="letterlock-bench-") as folder:
        installation = await Installation(Path(folder), places, settings={"LOG__LEVEL": "warning"}).start()
        try:
            print("Idle:")
            memory(installation)
            before = {name: _cpu(pid) for name, pid in installation.pids().items()}
            print()
            await compare(installation, ours, peer, theirs, rounds)
            before["accepted"] = rounds * sum(count for _, count in SIZES.values()) + 40 * len(SIZES)
            stages(installation, before)
        finally:
            await installation.stop()
            if peer:
                await peer.stop()
            ours.stop()
            theirs.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    uvloop.run(run(parser.parse_args().rounds))
