"""What bytes are, whatever their label says: encrypted, text, or something we extract no text from."""

from __future__ import annotations

import re
from typing import Literal

_PGP = b"-----BEGIN PGP MESSAGE-----"
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")
_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ENCRYPTED_TYPES = frozenset({"application/pgp-encrypted", "multipart/encrypted"})
_SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_TEXT_TYPES = re.compile(
    r"text/.*|message/.*|application/(?:json|xml|javascript|x-javascript|x-sh|sql|x-yaml|yaml|toml|csv|ld\+json"
    r"|.*\+(?:xml|json))|image/svg\+xml"
)


def looks_encrypted(content_type: str, header: str, content: bytes) -> bool:
    """Whether it says, or shows, that only a key opens it: OpenPGP, S/MIME, ZIP, PDF, Office."""
    if content_type in _ENCRYPTED_TYPES or _PGP in content[: 1 << 20]:
        return True
    if content_type in _SMIME:
        return "enveloped" in header.lower() or _ENVELOPED in content[:64] or _AUTH_ENVELOPED in content[:64]
    head = content[:8]
    if head.startswith(b"PK\x03\x04"):
        return _zip_encrypted(content)
    if head.startswith(b"%PDF-"):
        return b"/Encrypt" in content
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return _PACKAGE in content
    return head.startswith(b"7z\xbc\xaf\x27\x1c") and b"\x06\xf1\x07\x01" in content[-4096:]


def _zip_encrypted(content: bytes) -> bool:
    """Any entry of the central directory, or the first local header, has the encryption flag (APPNOTE 4.4.4)."""
    if content[6] & 1 if len(content) > 6 else False:
        return True
    position = content.rfind(b"PK\x05\x06")
    if position < 0 or position + 20 > len(content):
        return False
    entry = int.from_bytes(content[position + 16 : position + 20], "little")
    for _ in range(10_000):
        if content[entry : entry + 4] != b"PK\x01\x02" or entry + 46 > len(content):
            return False
        if content[entry + 8] & 1:
            return True
        entry += 46 + sum(int.from_bytes(content[entry + o : entry + o + 2], "little") for o in (28, 30, 32))
    return False


def reading(content_type: str, content: bytes, *, wide: bool = False) -> Literal["text", "html", "none"]:
    """How to get text out of it; the content decides where the label lies. `wide`: labelled UTF-16 or UTF-32."""
    wide = wide or content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if content.startswith(b"{\\rtf"):
        return "none"
    if not wide and b"\x00" in content[:8192] and not _utf16(content):
        return "none"
    labelled = _TEXT_TYPES.fullmatch(content_type) is not None
    if not labelled:
        head = content[:8192]
        if content.startswith((b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")):
            return "none"
        if not wide and len(_CONTROL.findall(head)) > len(head) // 100:
            return "none"
        if not wide and not _decodes(head):
            return "none"
    if content_type in ("text/html", "application/xhtml+xml", "image/svg+xml"):
        return "html"
    head = content[:1024].lstrip().lower()
    return "html" if content_type != "text/plain" and head.startswith((b"<!doctype html", b"<html")) else "text"


def _utf16(content: bytes) -> bool:
    """Whether every other byte of the beginning is NUL, as in UTF-16 of Latin text without a mark."""
    head = content[:256]
    return len(head) > 3 and (head[1::2].count(0) > len(head) // 3 or head[::2].count(0) > len(head) // 3)


def _decodes(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may go through a character.
        return error.start >= len(head) - 4 and len(head) > 4
    return True
