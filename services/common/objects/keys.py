"""Keys: one rule for every store, so that none of them is asked for a path it would read differently."""

from __future__ import annotations

import re

from services.common.errors import InvalidInput

MAX_KEY = 900
"""Characters; below S3's 1,024 bytes, which leaves room for a prefix in the store's URL."""

_MAX_SEGMENT = 255
"""Characters; what a file name may have."""

_ILLEGAL = re.compile(r"[^!-\[\]-~]")
"""Anything but printable ASCII without space and backslash."""


def check_key(key: str) -> None:
    """Return when `key` may name an object; raises `InvalidInput`, which does not repeat it.

    No segment begins with a dot: `.` and `..` walk, and `.tmp` is the local store's own.
    """
    if not 0 < len(key) <= MAX_KEY:
        raise InvalidInput("an object key is empty or too long", field="key")
    _check(key, key.split("/"), "key")


def check_prefix(prefix: str) -> None:
    """Return when `prefix` may begin keys (whole segments, then perhaps part of one); raises `InvalidInput`."""
    if len(prefix) > MAX_KEY:
        raise InvalidInput("an object prefix is too long", field="prefix")
    *folders, last = prefix.split("/")
    _check(prefix, [*folders, last] if last else folders, "prefix")


def check_folder(prefix: str) -> None:
    """Return when `prefix` is empty or whole segments that end in `/`; raises `InvalidInput`."""
    if prefix and not prefix.endswith("/"):
        raise InvalidInput("a folder's prefix ends in a slash", field="prefix")
    check_prefix(prefix)


def _check(text: str, segments: list[str], field: str) -> None:
    if _ILLEGAL.search(text):
        raise InvalidInput("a character is not allowed in an object key", field=field)
    for segment in segments:
        if not segment or segment.startswith(".") or len(segment) > _MAX_SEGMENT:
            raise InvalidInput("a segment of an object key is not allowed", field=field)
