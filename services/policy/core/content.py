"""What bytes are, whatever their label says: encrypted, text, or something we extract no text from."""

from __future__ import annotations

import re
from typing import Literal

_PGP = b"-----BEGIN PGP MESSAGE-----"
_ENVELOPED = bytes.fromhex("06092a864886f70d010703")
_AUTH_ENVELOPED = bytes.fromhex("060b2a864886f70d0109100117")
_SIGNED = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ENCRYPTED_TYPES = frozenset({"application/pgp-encrypted", "multipart/encrypted"})
SMIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_APPENDED = (b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"%PDF-1.")
_STARTS = (b"%PDF-", b"{\\rtf", *_APPENDED, b"\xd0\xcf\x11\xe0", b"MZ\x90")
MEDIA = ("image/", "audio/", "video/", "font/")
"""Types without a text that we extract."""
_TEXT_TYPES = re.compile(
    r"text/.*|message/.*|application/(?:json|xml|javascript|x-javascript|x-sh|sql|x-yaml|yaml|toml|csv|ld\+json"
    r"|.*\+(?:xml|json))|image/svg\+xml"
)


def looks_encrypted(content_type: str, header: str, content: bytes) -> bool:
    """Whether it says, or shows, that only a private key opens it, so that no password helps: OpenPGP, S/MIME."""
    if content_type in _ENCRYPTED_TYPES:
        return True
    if content_type in SMIME:
        return "enveloped" in header.lower() or _ENVELOPED in content[:64] or _AUTH_ENVELOPED in content[:64]
    return False


def is_pgp(content: bytes) -> bool:
    """Whether an armoured OpenPGP message stands in it."""
    return _PGP in content[: 1 << 20]


def signed_content(content: bytes) -> bytes | None:
    """What S/MIME signed data signs, a MIME entity (RFC 8551 §3.5.2); None where it is no such thing.

    All programs show it without any key. BER may cut the octet string into pieces (X.690 §8.7.3).
    """
    if _SIGNED not in content[:64]:
        return None
    start = content.find(_DATA, 0, 4096)
    if start < 0:
        return None
    # eContent [0] EXPLICIT OCTET STRING (RFC 5652 §5.2).
    explicit = _element(content, start + len(_DATA))
    if explicit is None or explicit[0] != 0xA0:
        return None
    return _octets(content, explicit[1], explicit[2], 0)


def _octets(content: bytes, position: int, end: int, depth: int) -> bytes | None:
    found: list[bytes] = []
    while position < end and depth <= 4:
        element = _element(content, position)
        if element is None or element[0] == 0:
            break
        tag, first, last = element
        if tag == 0x04:
            found.append(content[first:last])
        elif tag == 0x24:
            found.append(_octets(content, first, last, depth + 1) or b"")
            if content[position + 1] == 0x80:
                # Of no stated length: its pieces are all that follows.
                break
        else:
            break
        position = last
    return b"".join(found) if found else None


def _element(content: bytes, position: int) -> tuple[int, int, int] | None:
    """Tag, first and last position of a BER element; one of no stated length is taken to go to the end."""
    if position + 2 > len(content):
        return None
    tag, size = content[position], content[position + 1]
    first = position + 2
    if size == 0x80:
        return tag, first, len(content)
    if size > 0x80:
        count = size & 0x7F
        if count > 8:
            return None
        size = int.from_bytes(content[first : first + count])
        first += count
    return tag, first, min(first + size, len(content))


def starts_like_a_file(content: bytes) -> bool:
    """Whether bytes that are shown as text begin like a document or an archive."""
    return content[:1024].lstrip().startswith(_STARTS)


def tail(content: bytes) -> bytes | None:
    """The archive or document that follows a picture or a song in the same file; None where there is none."""
    found = [at for mark in _APPENDED if (at := content.find(mark, 1)) > 0]
    if b"PK\x05\x06" not in content[-(1 << 16) - 22 :]:
        # A local header alone is chance in noise.
        found = [at for at in found if not content.startswith(b"PK", at)]
    return content[min(found) :] if found else None


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
