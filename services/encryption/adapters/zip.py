"""AES-256 ZIP (WinZip AE-2) at the speed of the hardware; the one module that knows pyzipper.

pyzipper writes the format. Three things are ours, because its own are the slow part: deflate (isal, level 1), the
key stream (OpenSSL, which has no little-endian counter mode, so blocks of counters are encrypted in ECB and xored),
and HMAC and PBKDF2 (hashlib). AE-2 keeps no CRC. Sizes are in clear by the format; names, dates and attributes are
what the caller chose and say nothing. All of it releases the GIL; call it in a thread.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyzipper
from Cryptodome.Util.strxor import strxor
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from isal import isal_zlib
from pyzipper import zipfile as plain
from pyzipper import zipfile_aes as aes

from services.encryption.core.package import Entry

CHUNK = 256 * 1024
"""Bytes that are compressed and encrypted at a time: what is held of an entry."""
_PROBE = 64 * 1024
_WORTH = 0.97
"""Whose first bytes do not shrink below this is stored."""
_ROUNDS = 1000
"""PBKDF2 rounds: fixed by the format."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(sink: BinaryIO, entries: Iterable[Entry], password: str) -> None:
    """Write an archive of `entries` to `sink`, which need not be seekable; `entries` may be made while it is written.

    Every entry has its own salt. Holds one entry and one chunk. Raises `ValueError` without a password.
    """
    if not password:
        raise ValueError("an archive needs a password")
    with _Archive(sink, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        for entry in entries:
            info = archive.zipinfo_cls(entry.name, date_time=_EPOCH)
            info.compress_type = pyzipper.ZIP_DEFLATED if _shrinks(entry.content) else pyzipper.ZIP_STORED
            info.external_attr = 0o600 << 16
            info.create_system = 3
            info.file_size = len(entry.content)
            with archive.open(info, "w") as out:
                for piece in _pieces(entry.content):
                    out.write(piece)


def _pieces(content: bytes) -> Iterator[memoryview]:
    view = memoryview(content)
    for start in range(0, len(view), CHUNK):
        yield view[start : start + CHUNK]


def _shrinks(content: bytes) -> bool:
    """Whether deflate is worth it, by the first bytes and some from the middle."""
    if len(content) < 64:
        return False
    middle = len(content) // 2
    probe = content[:_PROBE] + (content[middle : middle + _PROBE] if middle > _PROBE else b"")
    return len(isal_zlib.compress(probe, 0)) < _WORTH * len(probe)


class _WriteFile(plain._ZipWriteFile):  # type: ignore[misc]
    """An entry that is being written, deflated by isal. Private names of pyzipper: `test_zip.py` holds them."""

    def __init__(self, zf: Any, zinfo: Any, zip64: bool, encrypter: Any = None) -> None:
        super().__init__(zf, zinfo, zip64, encrypter)
        if zinfo.compress_type == pyzipper.ZIP_DEFLATED:
            self._compressor: Any = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)


class _Encrypter(aes.AESZipEncrypter):  # type: ignore[misc]
    """pyzipper's, with the same result, faster."""

    def __init__(self, pwd: bytes) -> None:
        self.force_wz_aes_version = aes.WZ_AES_V2
        self.conditionally_include_crc = self.min_bytes_to_include_crc = None
        self.aes_strength, self.salt_length = 3, 16
        self.salt = os.urandom(self.salt_length)
        keys = hashlib.pbkdf2_hmac("sha1", pwd, self.salt, _ROUNDS, 66)
        self.encpwdverify = keys[64:]
        self._stream = KeyStream(keys[:32])
        self.hmac = hmac.new(keys[32:64], digestmod="sha1")

    def encrypt(self, data: bytes) -> bytes:
        """The cipher text of the next bytes."""
        sealed = bytes(self._stream.apply(data))
        self.hmac.update(sealed)
        return sealed

    def flush(self) -> bytes:
        """The entry's authentication code."""
        return self.hmac.digest()[: self.hmac_size]


class _Archive(pyzipper.AESZipFile):  # type: ignore[misc]
    zipwritefile_cls = _WriteFile

    def get_encrypter(self) -> _Encrypter:
        """See pyzipper; each entry gets its own, with its own salt."""
        return _Encrypter(self.pwd)


class KeyStream:
    """AES-256 in counter mode as WinZip has it: a 128-bit counter, little-endian, from 1."""

    def __init__(self, key: bytes) -> None:
        self._ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 (a counter mode is made of it)
        self._window, self._counters = 0, memoryview(_COUNTERS)
        self._position = 16  # of the stream whose counter begins at 0
        self._keys = self._out = bytearray()

    def apply(self, data: bytes | memoryview) -> memoryview:
        """The next bytes, encrypted (or decrypted); good until the next call."""
        if len(self._out) < len(data):
            self._out, self._keys = bytearray(len(data)), bytearray(len(data) + 64)
        view, out, done = memoryview(data), memoryview(self._out), 0
        while done < len(view):
            window, inside = divmod(self._position, _WINDOW_BYTES)
            if window != self._window:
                self._open(window)
            length = min(len(view) - done, _WINDOW_BYTES - inside)
            first, skip = divmod(inside, 16)
            last = (inside + length + 15) // 16
            # The part of a block that is over is made again next time, which costs less than to remember it.
            self._ecb.update_into(self._counters[first * 16 : last * 16], self._keys)
            keys: Any = memoryview(self._keys)[skip : skip + length]
            part: Any = view[done : done + length]  # the stub knows bytes only
            strxor(part, keys, output=out[done : done + length])
            self._position += length
            done += length
        return out[:done]

    def _open(self, window: int) -> None:
        """Counters of a window are the first one's with the window's number in the upper bytes."""
        counters = bytearray(_COUNTERS)
        for place, byte in enumerate(window.to_bytes(6, "little"), start=2):
            if byte:
                counters[place::16] = bytes([byte]) * _WINDOW
        self._window, self._counters = window, memoryview(counters)


_WINDOW = 1 << 16
_WINDOW_BYTES = _WINDOW * 16
_COUNTERS = b"".join(i.to_bytes(16, "little") for i in range(_WINDOW))
