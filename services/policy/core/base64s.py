"""Base64 as different programs decode it (RFC 4648 §3.3 leaves them free)."""

from __future__ import annotations

import binascii
import re
import string

_BASE64 = re.compile(rb"[A-Za-z0-9+/]")
_ALPHABET = string.ascii_letters.encode() + string.digits.encode() + b"+/= \t\r\n"
_PADDED = re.compile(rb"[^=]+=*")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")


def base64_of(raw: bytes) -> tuple[bytes, bool]:
    """What base64 decodes to, leniently, and whether every program gets the same.

    Missing padding alone is harmless; foreign characters, padding in the middle or a lone last
    character are read differently by different programs (RFC 4648 §3.3).
    """
    odd = _NOT_BASE64.search(raw) is not None
    compact = b"".join(raw.split())
    letters = compact.rstrip(b"=")
    if b"=" in letters:
        odd = True
    letters = b"".join(_BASE64.findall(letters)) if odd else letters
    rest = len(letters) % 4
    if rest == 1:
        letters, odd = letters[:-1], True
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4)), not odd
    except binascii.Error:
        return b"", False


def base64_odd(raw: bytes) -> bool:
    """Whether programs may decode it differently: other characters in it, or padding before its end. Fast."""
    return b"=" in raw.rstrip(b"= \t\r\n") or bool(raw.translate(None, _ALPHABET))


def base64_readings(raw: bytes) -> list[bytes]:
    """What different programs decode: foreign characters dropped or an end, padding an end, a pause or nothing."""
    decoded, sure = base64_of(raw)
    found = {decoded: None}
    if not sure:
        found[b"".join(base64_of(piece)[0] for piece in _PADDED.findall(raw))] = None
        found[base64_of(_NOT_BASE64.split(raw, maxsplit=1)[0].partition(b"=")[0])[0]] = None
        found[base64_of(raw.translate(_URL_SAFE))[0]] = None
        # A line at a time, as some decoders work.
        found[b"".join(base64_of(line)[0] for line in raw.splitlines())] = None
    return [form for form in found if form]
