"""Private keys at rest: AES-256-GCM under the master key, bound to the key's name.

The format is `LLkey1\\n`, 8 bytes that tell master keys apart, a 12-byte nonce,
and the box. A wrapped key that was moved to another name does not open.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.common.errors import Corrupt, Unavailable

_MAGIC = b"LLkey1\n"


def fingerprint(master: bytes) -> bytes:
    """8 bytes that tell one master key from another and nothing about either."""
    return hashlib.sha256(b"letterlock/v1/master\0" + master).digest()[:8]


def wrap(master: bytes, name: str, identity: str, *, nonce: bytes) -> bytes:
    """The wrapped form of `identity`; `nonce` is 12 random bytes, never used twice."""
    head = _MAGIC + fingerprint(master) + nonce
    return head + AESGCM(master).encrypt(nonce, identity.encode(), name.encode())


def unwrap(master: bytes, name: str, wrapped: bytes) -> str:
    """The identity; raises `Unavailable` when it is wrapped by another master key, `Corrupt` when changed or moved."""
    start = len(_MAGIC)
    if not wrapped.startswith(_MAGIC):
        raise Corrupt("not a wrapped key", key=name)
    if wrapped[start : start + 8] != fingerprint(master):
        raise Unavailable("wrapped by another master key", key=name)
    nonce, box = wrapped[start + 8 : start + 20], wrapped[start + 20 :]
    try:
        return AESGCM(master).decrypt(nonce, box, name.encode()).decode()
    except (InvalidTag, ValueError) as error:
        raise Corrupt("wrapped key was changed or moved", key=name) from error
