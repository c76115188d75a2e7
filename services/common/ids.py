"""Names of things: ULIDs with one validating door each.

A ULID is 26 characters of Crockford base 32: 48 bits of milliseconds since
1970, then 80 random bits, so that ids sort by time and a mail id says its day.
"""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, date, datetime
from typing import Self

from services.common.errors import InvalidInput

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHAPE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_LAST = "76EZ91ZPZZ"
"""The end of the year 9999: a day beyond it cannot be told, and no id of ours is from there."""
_VALUE = {c: i for i, c in enumerate(_ALPHABET)}
_TO_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")


class _Ulid(str):
    """A 26-character ULID; subclasses name what it identifies."""

    __slots__ = ()
    what = "id"

    @classmethod
    def new(cls, *, now: float | None = None, entropy: bytes | None = None) -> Self:
        """Make a new id; `now` in seconds since 1970, `entropy` 10 bytes (tests give both)."""
        milliseconds = int((time.time() if now is None else now) * 1000)
        number = (milliseconds << 80) | int.from_bytes(entropy or os.urandom(10))
        return cls("".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `text` as an id; raises `InvalidInput` when it is none."""
        if not _SHAPE.fullmatch(text) or text[:10] > _LAST:
            raise InvalidInput(f"not a {cls.what}", field=cls.what)
        return cls(text)

    @property
    def time(self) -> datetime:
        """When the id was made, UTC."""
        milliseconds = 0
        for character in self[:10]:
            milliseconds = milliseconds << 5 | _VALUE[character]
        return datetime.fromtimestamp(milliseconds / 1000, UTC)

    @property
    def number(self) -> int:
        """Its 128 bits."""
        return int(self.translate(_TO_PYTHON), 32)

    @property
    def day(self) -> date:
        """The UTC day in the id: a mail's object lives under it."""
        return self.time.date()


class TenantId(_Ulid):
    """An organisation. Its name is a label; this is what keys and subjects carry."""

    __slots__ = ()
    what = "tenant id"


class MailId(_Ulid):
    """One accepted SMTP transaction (or one system mail)."""

    __slots__ = ()
    what = "mail id"


INSTALLATION = TenantId("00000000000000000000000000")
"""The pseudo-tenant under which the installation's own documents live (operators, domain claims)."""
