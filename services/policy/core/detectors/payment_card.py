"""Payment card numbers: issuer range, length and Luhn checksum, in one piece or in the usual groups.

Only a whole run of digits counts, so an order number that contains a card
number is none; Han characters are no word characters here, full-width
digits are plain ones after normalisation.
"""

from __future__ import annotations

import re
from functools import lru_cache

from services.policy.core.detectors import Confidence, Detector, Hit, Language, Shape
from services.policy.core.detectors.checks import luhn

_GAP = r"(?:[ \t]{1,2}|[ \t]?[-‐-―−._/·][ \t]?|[ \t]?\r?\n[ \t]?)"
_RUN = re.compile(rf"\d(?<!\d\d)(?<!\d[.,]\d)(?:{_GAP}?\d){{11,80}}(?!\d)")
_GROUP = re.compile(r"\d+")
_WORDS: dict[Language, tuple[str, ...]] = {
    "en": (
        "card",
        "visa",
        "master",
        "amex",
        "american express",
        "jcb",
        "unionpay",
        "diners",
        "discover",
        "cvv",
        "cvc",
        "expir",
    ),
    "zh-Hant": ("信用卡", "卡號", "銀聯", "到期", "有效期"),
    "zh-Hans": ("卡号", "银联"),
    "ja": ("カード",),
    "ko": ("카드",),
}
_CONTEXT = re.compile("|".join(w for words in _WORDS.values() for w in words), re.IGNORECASE)
_SHAPES = {
    13: ((4, 4, 4, 1), (4, 3, 3, 3), (1, 4, 4, 4)),
    14: ((4, 6, 4), (4, 4, 4, 2)),
    15: ((4, 6, 5), (4, 4, 4, 3)),
    16: ((4, 4, 4, 4), (8, 8), (6, 10), (4, 12)),
    19: ((4, 4, 4, 4, 3), (6, 13)),
    17: ((4, 4, 4, 4, 1),),
    18: ((4, 4, 4, 4, 2),),
}
_ISSUERS: tuple[tuple[int, int, frozenset[int], Confidence], ...] = (
    # First digits as a range, lengths, how sure the range alone makes us.
    (4, 4, frozenset({16, 19}), "medium"),
    (4, 4, frozenset({13}), "low"),
    (51, 55, frozenset({16}), "medium"),
    (2221, 2720, frozenset({16}), "medium"),
    (34, 34, frozenset({15}), "medium"),
    (37, 37, frozenset({15}), "medium"),
    (300, 305, frozenset({14}), "medium"),
    (36, 36, frozenset({14}), "medium"),
    (38, 39, frozenset({14}), "medium"),
    (6011, 6011, frozenset({16, 19}), "medium"),
    (644, 659, frozenset({16, 19}), "medium"),
    (3528, 3589, frozenset({16, 17, 18, 19}), "medium"),
    (62, 62, frozenset({16, 17, 18, 19}), "medium"),
    (81, 81, frozenset({16, 17, 18, 19}), "low"),
    (2200, 2204, frozenset({16}), "medium"),
    (50, 50, frozenset(range(12, 20)), "low"),
    (56, 58, frozenset(range(12, 20)), "low"),
    (60, 69, frozenset(range(12, 20)), "low"),
)
_NO_DIGITS = re.compile("[^0-9]+")


@lru_cache(20_000)
def _issuer(first: str, length: int) -> Confidence | None:
    """How sure the first four digits and the length make us."""
    for low, high, lengths, confidence in _ISSUERS:
        if length in lengths and low <= int(first[: len(str(low))]) <= high:
            return confidence
    return None


def find(text: str) -> list[Hit]:
    """Every card number in normalised text, in order."""
    hits: list[Hit] = []
    for run in _RUN.finditer(text):
        groups = [(m.start(), m.end()) for m in _GROUP.finditer(text, run.start(), run.end())]
        sizes = [end - start for start, end in groups]
        index = 0
        while index < len(groups):
            count = _window(sizes, index)
            for taken in count:
                start, end = groups[index][0], groups[index + taken - 1][1]
                hit = _check(text, start, end, grouped=taken > 1)
                if hit is not None:
                    hits.append(hit)
                    index += taken - 1
                    break
            index += 1
    return hits


def _window(sizes: list[int], index: int) -> list[int]:
    """How many groups from `index` on may be one number, the likelier first."""
    if 12 <= sizes[index] <= 19:
        return [1]
    if len(sizes) == sizes.count(1):
        # Digit by digit: only the run as a whole, or its spacing would make numbers of any digits.
        return [len(sizes)] if index == 0 and len(sizes) <= 19 else []
    found = []
    for shapes in _SHAPES.values():
        for shape in shapes:
            if tuple(sizes[index : index + len(shape)]) == shape:
                found.append(len(shape))
    return sorted(found, reverse=True)


def _check(text: str, start: int, end: int, *, grouped: bool) -> Hit | None:
    if not grouped and start > 1 and text[start - 1] in ".," and text[start - 2].isdigit():
        return None  # the digits behind a decimal point
    digits = _NO_DIGITS.sub("", text[start:end])
    confidence = _issuer(digits[:4], len(digits))
    if confidence is None or len(set(digits)) == 1 or not luhn(digits):
        return None
    if confidence == "medium" and (grouped or _CONTEXT.search(text, max(0, start - 80), end + 40)):
        confidence = "high"
    return Hit(start, end, digits, f"{digits[0]}{'•' * (len(digits) - 5)}{digits[-4:]}", confidence)


PAYMENT_CARD = Detector(
    name="payment_card",
    about="payment card numbers of the large schemes",
    source="ISO/IEC 7812-1; the schemes' ranges of issuers and lengths",
    checksum="Luhn",
    context=_WORDS,
    shapes=(Shape(expression="[0-9](?:~[0-9]){11}", bare="medium", near="high", left="", right=""),),
    find=find,
    keep=4,
    catches=(
        "4111111111111111",
        "card: 4111 1111 1111 1111, exp 12/29",
        "5500-0000-0000-0004",
        "3782 822463 10005",
        "371449635398431",
        "3056 9309 0259 04",
        "6011 1111 1111 1117",
        "3530.1113.3330.0000",
        "6200 0000 0000 0005",
        "信用卡4111111111111111請扣款",
        "卡號：5555555555554444。",
        "2223003122003222",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "order 12 4111 1111 1111 1111 ok",
        "4111–1111–1111–1111",
        "4012 8888 8888 1881 5555 5555 5555 4444",
        "4111 1111\n1111 1111",
    ),
    spares=(
        "4111111111111112",
        "1234567890123456",
        "14111111111111111",
        "41111111111111110",
        "0000 0000 0000 0000",
        "tel +886 2 2345 6789",
        "ISBN 978-3-16-148410-0",
        "3.4111111111111111",
        "2026-11-24 06:40:00.123456",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14",
        "4111 1111 1111",
    ),
)
