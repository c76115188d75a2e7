"""7z, RAR, tar, cab, ISO, and the one-file compressions, by libarchive. Nothing is ever written to a disk."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_void_p, cast
from typing import Any

from libarchive import ffi
from libarchive.exception import ArchiveError
from libarchive.read import ArchiveRead

from services.common.extraction.budget import Stop, Unpacking
from services.common.extraction.walk import Reading

DECOMPRESSION_ERRORS = (zlib.error, lzma.LZMAError)
_FORMATS = ("7zip", "rar", "rar5", "tar", "cab", "iso9660", "zip")
_CHUNK = 64 * 1024
_ENTRIES_PER_FILE = 10
"""Folders and links are no files, and cost time all the same."""
_SECRET = ("ncrypt", "assphrase", "assword")


def read_archive(content: bytes, reading: Reading) -> None:
    """Every member of an archive."""
    _read(content, reading, _FORMATS, ("none",))


def read_compressed(content: bytes, reading: Reading) -> None:
    """The one file in it, which may be an archive."""
    _read(content, reading, ("raw",), ("gzip", "bzip2", "xz", "zstd"))


def _read(content: bytes, reading: Reading, formats: tuple[str, ...], filters: tuple[str, ...]) -> None:
    account = reading.unpacking(len(content))
    most = reading.budget.limits.files * _ENTRIES_PER_FILE
    try:
        with _opened(content, formats, filters, reading.passwords) as archive:
            for number, entry in enumerate(archive):
                reading.budget.check()
                if number >= most:
                    raise Stop("too_large")
                if formats == ("raw",) or entry.isfile:
                    _member(entry, reading, account)
    except ArchiveError as error:
        # In the header already: names and all are secret, or it is no archive any more.
        secret = _secret(error)
        reading.encrypted |= secret
        reading.trouble("encrypted" if secret else "broken")


def _member(entry: Any, reading: Reading, account: Unpacking) -> None:
    name, size, locked = _name(entry), int(entry.size or 0), _locked(entry)
    reading.encrypted |= locked
    if account.spent:
        reading.unread(name, size, "too_large", encrypted=locked)
        return
    account.begin()
    kept = io.BytesIO()
    try:
        for block in entry.get_blocks(_CHUNK):
            account.chunk(len(block))
            kept.write(block)
    except ArchiveError as error:
        secret = locked or _secret(error)
        reading.encrypted |= secret
        reading.trouble("encrypted" if secret else "broken")
        reading.unread(name, size, "encrypted" if secret else "broken", encrypted=secret)
        return
    except Stop as stop:
        if not stop.whole:
            reading.trouble(stop.reason)
            reading.unread(name, size, stop.reason, encrypted=locked)
            return
        raise
    reading.member(name, kept.getvalue(), encrypted=locked)


@contextmanager
def _opened(
    content: bytes, formats: tuple[str, ...], filters: tuple[str, ...], passwords: Any
) -> Iterator[ArchiveRead]:
    pointer = ffi.read_new()
    try:
        for password in passwords:
            if secret := password.encode("utf-8", "replace").replace(b"\0", b""):
                ffi.read_add_passphrase(pointer, secret)
        for name in filters:
            ffi.get_read_filter_function(name)(pointer)
        for name in formats:
            ffi.get_read_format_function(name)(pointer)
        ffi.read_open_memory(pointer, cast(c_char_p(content), c_void_p), len(content))
        yield ArchiveRead(pointer)
    finally:
        ffi.read_free(pointer)


def _name(entry: Any) -> str:
    name = entry.pathname
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return "" if name in (None, "data") else str(name)


def _locked(entry: Any) -> bool:
    return bool(_is_encrypted(entry._entry_p))


def _secret(error: ArchiveError) -> bool:
    return any(word in str(error) for word in _SECRET)


_is_encrypted = ffi.libarchive.archive_entry_is_encrypted
_is_encrypted.argtypes = [c_void_p]
