"""How fast mail is sealed: our ZIP writer beside pyzipper level 1, interleaved, on one core.

`python -m tests.bench.zip [--size MB] [--rounds N]`
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import random
import statistics
import time
from collections.abc import Callable

import pyzipper

from services.encryption.adapters import zip as adapter
from services.encryption.core.package import Entry

PASSWORD = "k7mq-x2vd-9hpt-4wze-b8nc"


def text(size: int) -> bytes:
    """Mail-like text that compresses about 2.5 times."""
    chosen = random.Random(7)
    words = [
        hashlib.sha256(str(n).encode())
        .hexdigest()[: chosen.randint(2, 9)]
        .encode()
        .translate(bytes.maketrans(b"0123456789abcdef", b"etaoinshrdlucmfw"))
        for n in range(6000)
    ]
    lines = (b" ".join(chosen.choices(words, k=12)) + b"\r\n" for _ in range(size // 40))
    return b"".join(lines)[:size]


def ours(data: bytes) -> int:
    """Bytes of the archive."""
    sink = io.BytesIO()
    adapter.write(sink, [Entry("1.txt", data)], PASSWORD)
    return len(sink.getvalue())


def theirs(data: bytes) -> int:
    """The same by pyzipper as it comes, level 1."""
    sink = io.BytesIO()
    with pyzipper.AESZipFile(
        sink, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES, compresslevel=1
    ) as archive:
        archive.setpassword(PASSWORD.encode())
        archive.writestr("1.txt", data)
    return len(sink.getvalue())


def speed(work: Callable[[bytes], int], data: bytes) -> tuple[float, float]:
    """MB/s and compression of one run."""
    began = time.perf_counter()
    size = work(data)
    return len(data) / (time.perf_counter() - began) / 1e6, len(data) / size


def main() -> None:
    """Print a table of medians with the ratios' spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| content | ours MB/s | pyzipper level 1 MB/s | ratio, median (min-max) | ours / pyzipper compression |")
    print("|---|---|---|---|---|")
    for name, data in (("text", text(options.size * 10**6)), ("incompressible", os.urandom(options.size * 10**6))):
        rounds = [(speed(ours, data), speed(theirs, data)) for _ in range(options.rounds + 1)][1:]
        ratios = [mine[0] / other[0] for mine, other in rounds]
        print(
            f"| {name} | {statistics.median(m[0] for m, _ in rounds):.0f} "
            f"| {statistics.median(o[0] for _, o in rounds):.0f} "
            f"| {statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f}) "
            f"| {rounds[0][0][1]:.2f} / {rounds[0][1][1]:.2f} |"
        )
    small = text(4096)
    began, number = time.perf_counter(), 500
    for _ in range(number):
        ours(small)
    print(f"\n4 KB alone: {(time.perf_counter() - began) / number * 1000:.2f} ms (PBKDF2, 1,000 rounds by the format)")


if __name__ == "__main__":
    main()
