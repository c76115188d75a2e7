"""Compound files (MS-CFB): what the old Office formats, .msg and encrypted OOXML are kept in."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import olefile

from services.common.extraction.budget import Stop
from services.common.extraction.readers import agile
from services.common.extraction.walk import Reading

_MAX_STREAMS = 20_000
_MACROS = frozenset({"vba", "_vba_project", "macros", "_vba_project_cur"})
_PROPERTIES = ("title", "subject", "author", "keywords", "comments", "last_saved_by", "company", "manager", "category")


@contextmanager
def opened(content: bytes) -> Iterator[Any]:
    """The compound file; raises what olefile raises."""
    with olefile.OleFileIO(io.BytesIO(content), raise_defects=olefile.DEFECT_FATAL) as ole:
        if len(ole.direntries) > _MAX_STREAMS:
            raise Stop("too_large")
        yield ole


def stream(ole: Any, path: str | list[str], reading: Reading) -> bytes:
    """A stream's bytes, counted."""
    size = ole.get_size(path)
    if size > reading.budget.limits.member:
        raise Stop("too_large")
    reading.budget.unpacked(size)
    data: bytes = ole.openstream(path).read()
    if len(data) < size:
        reading.trouble("broken")
    return data


def common(ole: Any, reading: Reading) -> None:
    """What any of them may have: macros, properties, embedded files."""
    paths = ole.listdir(streams=True, storages=True)
    reading.macros |= any(p[-1].lower() in _MACROS for p in paths)
    reading.text(_properties(ole))
    for path in ole.listdir(streams=True, storages=False):
        if path[-1].lower() == "\x01ole10native":
            _native(stream(ole, path, reading), reading)
        elif len(path) > 1 and path[-1].lower() in ("package", "contents"):
            reading.member(path[-2], stream(ole, path, reading))


def read_ole(content: bytes, reading: Reading) -> None:
    """A compound file of no kind we know, or the wrapping of an encrypted OOXML file."""
    with opened(content) as ole:
        if ole.exists("EncryptedPackage"):
            _encrypted(ole, reading)
            return
        common(ole, reading)
        reading.trouble("unsupported")


def _encrypted(ole: Any, reading: Reading) -> None:
    reading.encrypted = True
    info, package = stream(ole, "EncryptionInfo", reading), stream(ole, "EncryptedPackage", reading)
    for password in reading.passwords:
        reading.budget.check()
        plain = agile.decrypt(info, package, password)
        if plain is not None:
            reading.member("", plain, encrypted=True)
            return
    reading.trouble("encrypted")


def _native(data: bytes, reading: Reading) -> None:
    """An embedded file with its name (the stream of the Packager)."""
    label = data.find(b"\0", 6)
    name = data[6:label].decode("cp1252", "replace") if 6 <= label < 600 else ""
    # Label, file name, two words, temporary path: strings ending in NUL, then the size.
    at = data.find(b"\0", label + 1) + 1 + 4
    (length,) = struct.unpack_from("<I", data, at)
    at += 4 + length
    (size,) = struct.unpack_from("<I", data, at)
    reading.member(name, data[at + 4 : at + 4 + size])


def _properties(ole: Any) -> str:
    try:
        meta = ole.get_metadata()
    except Exception:
        # Properties that do not read are no part of the text.
        return ""
    values = [getattr(meta, name, None) for name in _PROPERTIES]
    return "\n".join(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values if v)
