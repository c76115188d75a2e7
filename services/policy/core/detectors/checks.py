"""Checksums that python-stdnum does not know, and short ways to those that it does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import date
from types import ModuleType


def known(module: ModuleType) -> Callable[[str], bool]:
    """Whether a module of python-stdnum calls it valid."""

    def check(value: str) -> bool:
        return bool(module.is_valid(value))

    return check


def both(first: Callable[[str], bool], second: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether two checks hold."""
    return lambda value: first(value) and second(value)


def not_one_digit(value: str) -> bool:
    """Whether it is more than one digit again and again, or a plain row of digits, as examples are."""
    digits = value if value.isdigit() else "".join(c for c in value if c.isdigit())
    return len(set(digits)) > 1 and digits not in "0123456789012345678901234567890"


def weighted(value: str, weights: tuple[int, ...]) -> int:
    """The sum of the leading digits times their weights."""
    return sum(int(d) * w for d, w in zip(value, weights, strict=False))


_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_SINGLE = bytes.maketrans(b"0123456789", bytes(range(10)))


def luhn(digits: str) -> bool:
    """Whether the last of ASCII digits is the checksum of the others (ISO/IEC 7812-1)."""
    codes = digits.encode()
    return (sum(codes[::-2].translate(_SINGLE)) + sum(codes[-2::-2].translate(_DOUBLED))) % 10 == 0


def real_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def entropy(value: str) -> float:
    """Bits per character (Shannon) of the value's own characters."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values()) if value else 0.0


def keccak256(data: bytes) -> bytes:
    """Keccak-256 with the padding from before SHA-3, as Ethereum uses it (Yellow Paper, appendix on notation)."""
    mask, rate = (1 << 64) - 1, 136
    padded = data + b"\x01" + b"\0" * ((-len(data) - 2) % rate) + b"\x80"
    if len(data) % rate == rate - 1:
        padded = data + b"\x81"
    lanes = [0] * 25
    for block in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i] ^= int.from_bytes(padded[block + 8 * i : block + 8 * i + 8], "little")
        register = 1
        for _ in range(24):
            parity = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
            for x in range(5):
                turned = parity[(x + 1) % 5]
                change = parity[(x - 1) % 5] ^ (((turned << 1) | (turned >> 63)) & mask)
                for y in range(0, 25, 5):
                    lanes[x + y] ^= change
            x, y, current = 1, 0, lanes[1]
            for t in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                turn = (t + 1) * (t + 2) // 2 % 64
                turned = ((current << turn) | (current >> (64 - turn))) & mask if turn else current
                current, lanes[x + 5 * y] = lanes[x + 5 * y], turned
            for y in range(0, 25, 5):
                row = lanes[y : y + 5]
                for x in range(5):
                    lanes[x + y] = row[x] ^ (~row[(x + 1) % 5] & mask & row[(x + 2) % 5])
            for j in range(7):
                register = ((register << 1) ^ ((register >> 7) * 0x171)) % 256
                if register & 2:
                    lanes[0] ^= 1 << ((1 << j) - 1)
                    lanes[0] &= mask
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])
