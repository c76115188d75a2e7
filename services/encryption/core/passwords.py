"""Passwords: how they are made, which are good enough. Pure."""

from __future__ import annotations

import math

from services.common.errors import InvalidInput

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""31 characters of which none is taken for another: no 0, 1, i, l, o, and one case, as people read it aloud."""
_GROUPS, _LENGTH = 5, 4
BITS = _GROUPS * _LENGTH * math.log2(len(ALPHABET))
"""Of randomness in one that is made: 99."""
SHORTEST, LONGEST = 12, 100


def made(random: bytes) -> str:
    """A password from at least 64 random bytes: `k7mq-…`, five groups of four. Every one is equally likely."""
    limit = 256 - 256 % len(ALPHABET)
    letters = [ALPHABET[b % len(ALPHABET)] for b in random if b < limit][: _GROUPS * _LENGTH]
    if len(letters) < _GROUPS * _LENGTH:
        raise ValueError("not enough randomness")
    return "-".join("".join(letters[i : i + _LENGTH]) for i in range(0, len(letters), _LENGTH))


def check(password: str) -> None:
    """Return when people may agree on it; raises `InvalidInput`, which does not repeat it.

    ASCII, because programs disagree on how others become bytes.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"a password has {SHORTEST} to {LONGEST} characters", field="password")
    if not all("!" <= c <= "~" for c in password):
        raise InvalidInput("a password has printable ASCII characters without spaces only", field="password")
    if len(set(password)) < 5:
        raise InvalidInput("a password has at least five different characters", field="password")
