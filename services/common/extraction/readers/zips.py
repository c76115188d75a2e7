"""ZIP, as its central directory tells it, with the passwords that are worth a try.

A member whose sizes lie, whose two headers differ, or that no directory names makes the file broken, never clean.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyzipper

from services.common.extraction.budget import Stop, Unpacking
from services.common.extraction.readers import archives
from services.common.extraction.walk import Reading

_CHUNK = 64 * 1024
_AES = 99
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, _AES})
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
_MAX_ENTRIES = 20_000
_SLOW_CIPHER = 512 * 1024
"""Bytes of old encryption that are undone byte by byte in Python; above, libarchive does it."""


@contextmanager
def opened(content: bytes) -> Iterator[Any]:
    """The archive, for readers of the formats that are ZIPs; raises `Stop` where its directory is beyond reason."""
    if content.count(_CENTRAL) > _MAX_ENTRIES:
        raise Stop("too_large")
    with pyzipper.AESZipFile(io.BytesIO(content)) as archive:
        yield archive


def unpack(archive: Any, info: Any, account: Unpacking, password: str | None = None) -> bytes:
    """A member's bytes, within the bounds; raises `Stop("too_large")`, or what the library raises."""
    account.begin()
    kept = io.BytesIO()
    secret = None if password is None else password.encode("utf-8", "replace")
    with archive.open(info, pwd=secret) as stream:
        while chunk := stream.read(_CHUNK):
            account.chunk(len(chunk))
            kept.write(chunk)
    return kept.getvalue()


def read_zip(content: bytes, reading: Reading) -> None:
    """Every member."""
    try:
        with opened(content) as archive:
            entries = archive.infolist()
            if any(e.compress_type not in _METHODS for e in entries) or any(_slow(e) for e in entries):
                archives.read_archive(content, reading)
            else:
                _members(archive, entries, reading, reading.unpacking(len(content)))
    except (zipfile.BadZipFile, pyzipper.BadZipFile):
        # No directory: what streams out of it counts, and it is broken all the same.
        reading.trouble("broken")
        archives.read_archive(content, reading)
        return
    try:
        hidden = _unlisted(content, entries)
    except struct.error:
        hidden = True
    if hidden:
        reading.trouble("broken")


def _members(archive: Any, entries: list[Any], reading: Reading, account: Unpacking) -> None:
    passwords = list(reading.passwords)
    for info in entries:
        if info.filename.endswith("/") and not info.file_size:
            continue
        locked = bool(info.flag_bits & 1)
        if account.spent:
            reading.unread(info.filename, info.file_size, "too_large", encrypted=locked)
            continue
        try:
            data = _unlock(archive, info, account, passwords) if locked else unpack(archive, info, account)
        except Stop as stop:
            if stop.whole:
                raise
            reading.trouble(stop.reason)
            reading.unread(info.filename, info.file_size, stop.reason, encrypted=locked)
            continue
        except MemoryError:
            raise
        except Exception:
            # A member that does not unpack says nothing of the others.
            reading.trouble("broken")
            reading.unread(info.filename, info.file_size, "broken", encrypted=locked)
            continue
        reading.encrypted |= locked
        if data is None:
            reading.trouble("encrypted")
            reading.unread(info.filename, info.file_size, "encrypted", encrypted=True)
        else:
            reading.member(info.filename, data, encrypted=locked)


def _unlock(archive: Any, info: Any, account: Unpacking, passwords: list[str]) -> bytes | None:
    """The bytes under the first password that fits, which is then tried first; None when none does."""
    for password in tuple(passwords):
        account.begin()
        try:
            data = unpack(archive, info, account, password)
        except (RuntimeError, zipfile.BadZipFile, pyzipper.BadZipFile, ValueError, EOFError, OSError):
            continue
        except archives.DECOMPRESSION_ERRORS:
            # One byte of check lets one wrong password of 256 pass; what comes out then is no stream.
            continue
        passwords.remove(password)
        passwords.insert(0, password)
        return data
    return None


def _slow(info: Any) -> bool:
    return bool(info.flag_bits & 1) and info.compress_type != _AES and info.file_size > _SLOW_CIPHER


def _unlisted(content: bytes, entries: list[Any]) -> bool:
    """Whether a local header stands where the directory knows of no member: others may unpack what we do not."""
    end = 0
    for info in sorted(entries, key=lambda e: e.header_offset):
        if info.header_offset > end and content.startswith(_LOCAL, end):
            return True
        if info.header_offset < end:
            return True
        name, extra = struct.unpack_from("<HH", content, info.header_offset + 26)
        end = info.header_offset + 30 + name + extra
        end += info.compress_size
    return not entries and content.startswith(_LOCAL)
