"""How fast the detectors read: MB/s of one core with every check, and what they add to a mail.

`python -m tests.bench.detectors` prints the figures; `tests.detectors.report` writes them into docs/detectors.md.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.policy.core.detectors import Detector
from services.policy.core.detectors.engine import compiled
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS
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


def measure(pack: Sequence[Detector], *, size: int = 10_000_000, rounds: int = 5) -> Speed:
    """The median of `rounds`, in thread CPU time: the text in mails of 50 KB, and mails of 4 KB for the cost of one."""
    compiled.cache_clear()
    began = time.perf_counter()
    scanner = Scanner(pack, floor="medium")
    compile_seconds = time.perf_counter() - began
    text = normalise(mail_text(size))
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
        "| pack | detectors | compile | MB/s a core | finds in 10 MB | adds to a 4 KB mail |",
        "|---|---|---|---|---|---|",
    ]
    for name, names in PACKS.items():
        speed = measure([DETECTORS[n] for n in names])
        rows.append(
            f"| {name} | {speed.detectors} | {speed.compile_seconds:.2f} s | {speed.rate:.0f} | {speed.found:,} "
            f"| {speed.small_us:.0f} µs |"
        )
    return rows


if __name__ == "__main__":
    print("\n".join(lines()))
