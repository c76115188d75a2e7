"""How fast the detectors read: MB/s of one core with every check, and what they add to a mail.

`python -m tests.bench.detectors` prints the figures; `tests.detectors.report` writes them into docs/detectors.md.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.policy.core.detectors import Detector
from services.policy.core.detectors.engine import compiled
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.own import Budget, OwnDetector
from services.policy.core.own.patterns import pattern_detector
from services.policy.core.own.prints import Prints
from services.policy.core.own.rows import digested, load
from services.policy.core.own.words import word_detector
from services.policy.core.text import normalise

_SENTENCES = (
    "信用卡請於本月底前完成付款，並將收據寄至本公司財務部門。謝謝您的配合與支持，如有問題請聯絡客服人員。",
    "各位同仁好，附件為本週會議記錄，請於星期五前回覆意見，會議時間為上午九點三十分。",
    "请各部门在收到邮件之后尽快确认项目的进度，并把需要的资料发给负责人，谢谢大家的支持。",
    "Please find attached the minutes of last week's meeting; comments are welcome until Friday.",
    "The shipment left our warehouse this morning and should reach you within three working days.",
    "We would like to invite you to the annual review, where each team presents its results and its plans.",
    "Thank you for your patience. Our engineers have found the cause and are working on a correction.",
)
_NUMBERED = (
    "On {date} at {time} the order {order} was shipped, total {amount} USD, reference {reference}.",
    "會議於 {date} {time} 舉行，訂單編號 {order}，金額 {amount} 元。",
    "Call {phone} or write to {user}@mail.example for ticket #{order}.",
    "Invoice {reference} of {date}: {amount} EUR, quantity {small}, item {order}.",
)
_RARE = (
    "卡號 4111 1111 1111 1111 請扣款。",
    "身分證字號 A123456789，統一編號 04595257。",
    "IBAN DE89 3704 0044 0532 0130 00, thank you.",
)


def mail_text(size: int, *, seed: int = 7) -> str:
    """Mail text of about `size` bytes: four fifths prose in Chinese and English, the rest with numbers, few finds."""
    chance = random.Random(seed)
    lines, length = [], 0
    while length < size:
        kind = chance.random()
        if kind < 0.8:
            line = chance.choice(_SENTENCES)
        elif kind < 0.997:
            line = chance.choice(_NUMBERED).format(
                date=f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
                time=f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}",
                order=chance.randint(10**4, 10**9),
                amount=f"{chance.randint(100, 99999):,}",
                reference=f"{chance.choice('ABCDEFG')}{chance.randint(100, 99999)}-{chance.randint(1, 99)}",
                phone=f"02-2{chance.randint(100, 999)}-{chance.randint(1000, 9999)}",
                user=f"user{chance.randint(1, 999)}",
                small=chance.randint(1, 99),
            )
        else:
            line = chance.choice(_RARE)
        lines.append(line)
        length += len(line.encode()) + 1
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Speed:
    """What a pack of detectors costs. `found` are the finds in the whole text."""

    detectors: int
    compile_seconds: float
    megabytes: float
    seconds: float
    found: int
    small_us: float

    @property
    def rate(self) -> float:
        """MB (10^6 bytes) a second on one core."""
        return self.megabytes / self.seconds


def prose(size: int, *, seed: int = 3) -> str:
    """Mail text without a number: what most mails mostly are."""
    chance = random.Random(seed)
    lines, length = [], 0
    while length < size:
        lines.append(chance.choice(_SENTENCES))
        length += len(lines[-1].encode()) + 1
    return "\n".join(lines)


def measure(pack: Sequence[Detector], *, size: int = 10_000_000, rounds: int = 5, text: str = "") -> Speed:
    """The median of `rounds`, in thread CPU time: the text in mails of 50 KB, and mails of 4 KB for the cost of one."""
    compiled.cache_clear()
    began = time.perf_counter()
    scanner = Scanner(pack, floor="medium")
    compile_seconds = time.perf_counter() - began
    text = normalise(text or mail_text(size))
    mails = [text[i : i + 25_000] for i in range(0, len(text), 25_000)]
    small = [normalise(mail_text(4096, seed=s)) for s in range(200)]
    took, per_small, found = [], [], 0
    scanner.scan(mails[:20])
    for _ in range(rounds):
        start = time.thread_time()
        found = sum(len(hits) for mail in mails for hits in scanner.scan((mail,)).values())
        took.append(time.thread_time() - start)
        start = time.thread_time()
        for mail in small:
            scanner.scan(("Re: meeting", mail))
        per_small.append((time.thread_time() - start) / len(small))
    megabytes = len(text.encode()) / 1e6
    return Speed(
        len(pack), compile_seconds, megabytes, statistics.median(took), found, statistics.median(per_small) * 1e6
    )


PACKS: dict[str, tuple[str, ...]] = {
    "payment_card alone": ("payment_card",),
    "Taiwan": tuple(n for n in DETECTORS if n.startswith("tw_")),
    "people's ids of all countries": tuple(
        n for n in DETECTORS if n[:3] in {"tw_", "jp_", "cn_", "hk_", "kr_", "sg_", "in_", "us_", "de_", "fr_", "gb_"}
    ),
    "secrets": ("api_key", "private_key", "jwt", "connection_string", "secret_assignment"),
    "everything": tuple(DETECTORS),
}


def lines() -> list[str]:
    """The figures as rows of a Markdown table."""
    rows = [
        "| pack | detectors | compile | MB/s a core | on prose alone | finds in 10 MB | adds to a 4 KB mail |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, names in PACKS.items():
        speed = measure([DETECTORS[n] for n in names])
        plain = measure([DETECTORS[n] for n in names], rounds=3, text=prose(5_000_000))
        rows.append(
            f"| {name} | {speed.detectors} | {speed.compile_seconds:.2f} s | {speed.rate:.0f} | {plain.rate:.0f} "
            f"| {speed.found:,} | {speed.small_us:.0f} µs |"
        )
    return rows


def own_lines(rounds: int = 7) -> list[str]:
    """What a tenant's own detectors add to all built-in ones, as rows of a Markdown table."""
    chance = random.Random(5)
    words = [(_word(chance, latin=i % 2 == 0), 1) for i in range(10_000)]
    sources = [f"{chance.choice('ABCDEFGH')}{chance.choice('KLMNOP')}{i:03}-[0-9]{{4}}" for i in range(500)]
    sources += [_word(chance, latin=True) + r"\s+\w+ (?:no|nr)\.? ?\d{3,}" for _ in range(500)]
    customers = [[f"C{i:09}", _word(chance, latin=False)] for i in range(100_000)]
    added: dict[str, tuple[OwnDetector, ...]] = {
        "10,000 words": (word_detector("words", words, threshold=50),),
        "1,000 patterns": (pattern_detector("patterns", sources),),
    }
    rows = ["| added | to a mail of 4 KB | of 50 KB |", "|---|---|---|"]
    mails = {size: [normalise(mail_text(size, seed=s)) for s in range(60)] for size in (4096, 50_000)}
    everything = Scanner(list(DETECTORS.values()), floor="medium")
    before = {size: _cost(lambda m: everything.scan((m,)), mails[size], rounds) for size in mails}
    for name, own in added.items():
        scanner = Scanner(list(DETECTORS.values()), own, floor="medium")
        after = {size: _cost(lambda m, s=scanner: s.scan((m,)), mails[size], rounds) for size in mails}  # type: ignore[misc]
        told = [f"{after[s] - before[s]:+.0f} µs ({after[s] / before[s] - 1:+.0%})" for s in mails]
        rows.append(f"| {name} | {told[0]} | {told[1]} |")
    table = load(digested(["id", "name"], customers, bytes(32)), bytes(32))
    prints = Prints({}, bytes(32)).with_document("d", [normalise(prose(20_000, seed=9))])
    for name, ask in (
        ("a set of 100,000 rows", lambda m: table.find(m, Budget())),
        ("a set of fingerprints", lambda m: prints.best(m, Budget())),
    ):
        alone = {size: _cost(ask, mails[size], rounds) for size in mails}
        told = [f"+{alone[s]:.0f} µs ({alone[s] / before[s]:+.0%})" for s in mails]
        rows.append(f"| {name} | {told[0]} | {told[1]} |")
    return rows


def _word(chance: random.Random, *, latin: bool) -> str:
    if latin:
        return "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(chance.randint(5, 12)))
    return "".join(chr(chance.randint(0x4E00, 0x9FA5)) for _ in range(chance.randint(2, 4)))


def _cost(ask: Callable[[str], object], mails: Sequence[str], rounds: int) -> float:
    """Microseconds of thread CPU for one mail, the least of the rounds."""
    took = []
    for _ in range(rounds):
        began = time.thread_time()
        for mail in mails:
            ask(mail)
        took.append(time.thread_time() - began)
    return min(took) / len(mails) * 1e6


if __name__ == "__main__":
    print("\n".join([*lines(), "", *own_lines()]))
