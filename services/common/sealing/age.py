"""The age v1 file format (https://age-encryption.org/v1), X25519 recipients only.

Writing is our own, because a 50 MiB mail is sealed while it arrives and the
library wants it whole; opening is the library's. Every function is
synchronous; hand large pieces to a thread.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import BinaryIO

import pyrage
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from services.common.errors import Corrupt, InvalidInput

CHUNK = 64 * 1024
"""Plain bytes of one authenticated chunk; the last may be shorter, and is empty only in an empty file."""

_VERSION = b"age-encryption.org/v1"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class NoKey(Corrupt):
    """None of the identities is among the recipients; another one may be."""


def generate() -> tuple[str, str]:
    """Make a key pair: the identity (private, `AGE-SECRET-KEY-1…`) and the recipient (`age1…`)."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def recipient_of(identity: str) -> str:
    """The recipient of an identity; raises `InvalidInput`."""
    return str(_identity(identity).to_public())


class Encryptor:
    """Seals a stream to X25519 recipients; holds at most one chunk.

    The bytes that `update` and `finish` return, in order, are one age file.
    Raises `InvalidInput` for a malformed recipient. Not for use by two
    threads at once.
    """

    def __init__(self, recipients: Sequence[str]) -> None:
        if not recipients:
            raise InvalidInput("no recipients", field="recipients")
        file_key = os.urandom(16)
        # New for each file key, shared by its stanzas (the format asks no more): half the time of one for each. The
        # keys they wrap under differ, each being bound to its recipient.
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        head = bytearray(_VERSION + b"\n")
        for recipient in recipients:
            head += _stanza(file_key, recipient, ephemeral, share)
        head += b"---"
        mac = hmac.digest(_hkdf(file_key, b"", b"header"), head, "sha256")
        nonce = os.urandom(16)
        self._head = bytes(head) + b" " + _base64(mac) + b"\n" + nonce
        self._cipher = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))
        self._counter = 0
        self._rest = bytearray()

    def update(self, data: bytes) -> bytes:
        """Take more plain bytes; returns what is ready of the file, perhaps nothing."""
        out = [self._head] if self._head else []
        self._head = b""
        view = memoryview(data)
        position = 0
        # A full chunk is kept back until more comes: only then it is known not to be the last.
        if self._rest and len(self._rest) + len(view) > CHUNK:
            position = CHUNK - len(self._rest)
            self._rest += view[:position]
            out.append(self._seal(self._rest, last=False))
            self._rest = bytearray()
        if not self._rest:
            while len(view) - position > CHUNK:
                out.append(self._seal(view[position : position + CHUNK], last=False))
                position += CHUNK
        self._rest += view[position:]
        return b"".join(out)

    def finish(self) -> bytes:
        """The end of the file; nothing may follow."""
        out = self._head + self._seal(self._rest, last=True)
        self._head, self._rest = b"", bytearray()
        return out

    def _seal(self, chunk: bytes | bytearray | memoryview, *, last: bool) -> bytes:
        nonce = self._counter.to_bytes(11) + (b"\1" if last else b"\0")
        self._counter += 1
        return self._cipher.encrypt(nonce, chunk, None)


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """Seal `data` whole; raises `InvalidInput` for a malformed recipient."""
    encryptor = Encryptor(recipients)
    return encryptor.update(data) + encryptor.finish()


def decrypt(data: bytes, identities: Sequence[str]) -> bytes:
    """Open an age file; raises `NoKey` when it is not for us, `Corrupt` when it was changed or cut."""
    try:
        return bytes(pyrage.decrypt(data, [_identity(i) for i in identities]))
    except pyrage.DecryptError as error:
        raise _reason(error) from error


def decrypt_stream(source: BinaryIO, sink: BinaryIO, identities: Sequence[str]) -> None:
    """Open an age file chunk by chunk; raises as `decrypt`, and then `sink` holds a part that must be dropped."""
    try:
        pyrage.decrypt_io(source, sink, [_identity(i) for i in identities])
    except pyrage.DecryptError as error:
        raise _reason(error) from error
    except OSError as error:
        raise Corrupt("sealed stream cannot be opened") from error


def decrypt_into(data: bytes, identities: Sequence[str]) -> io.BytesIO:
    """Open an age file into a buffer at its start; raises as `decrypt`."""
    return io.BytesIO(decrypt(data, identities))


def _reason(error: Exception) -> Corrupt:
    # The library has one exception; this text is the one that means "not for these identities".
    if "matching keys" in str(error).lower():
        return NoKey("no identity matches")
    return Corrupt("sealed bytes cannot be opened")


def _identity(text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError as error:
        raise InvalidInput("not an age identity", field="identity") from error


def _stanza(file_key: bytes, recipient: str, ephemeral: X25519PrivateKey, share: bytes) -> bytes:
    point = _public(recipient)
    try:
        secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(point))
    except ValueError as error:  # a point of low order
        raise InvalidInput("not an age recipient", field="recipient") from error
    key = _hkdf(secret, share + point, _VERSION + b"/X25519")
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    return b"-> X25519 " + _base64(share) + b"\n" + _base64(body) + b"\n"


def _hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) to 32 bytes, which is one block."""
    pseudo = hmac.digest(salt or bytes(hashlib.sha256().digest_size), secret, "sha256")
    return hmac.digest(pseudo, info + b"\1", "sha256")


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


@lru_cache(maxsize=4096)
def _public(recipient: str) -> bytes:
    """The 32 bytes of `age1…` (BIP 173 Bech32); raises `InvalidInput`."""
    try:
        if not recipient.startswith("age1") or len(recipient) != 62:
            raise ValueError
        values = [_BECH32.index(c) for c in recipient[4:]]
    except ValueError as error:
        raise InvalidInput("not an age recipient", field="recipient") from error
    check = 1
    for value in [*(ord(c) >> 5 for c in "age"), 0, *(ord(c) & 31 for c in "age"), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    if check != 1 or number & 0xF:
        raise InvalidInput("not an age recipient", field="recipient")
    return (number >> 4).to_bytes(32)
