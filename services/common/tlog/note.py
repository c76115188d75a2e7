"""C2SP signed notes, their verifier keys, and cosignatures of witnesses (tlog-cosignature v1), all Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE = 64 * 1024
_MAX_SIGNATURES = 64

type Sign = Callable[[bytes], bytes]
"""Bytes to their 64-byte Ed25519 signature."""


@dataclass(frozen=True, slots=True)
class Key:
    """A verifier key: `<name>+<hex id>+<base64(type ‖ public key)>`."""

    name: str
    public: bytes
    kind: int = ED25519

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ LF ‖ type ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """The vkey."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key of a vkey; raises `ValueError`."""
        name, plus, rest = text.strip().partition("+")
        hexadecimal, second, encoded = rest.partition("+")
        material = _decoded(encoded)
        if not (plus and second and check_name(name)) or len(material) != 33:
            raise ValueError("not an Ed25519 verifier key")
        key = cls(name, material[1:], material[0])
        if key.kind not in (ED25519, COSIGNATURE) or key.id.hex() != hexadecimal:
            raise ValueError("a verifier key of an unknown type, or its id does not match")
        return key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """As it stands in a note."""
        return f"\N{EM DASH} {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and who signed it."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def dump(self) -> bytes:
        """The note as it is stored."""
        return (self.text + "\n" + "".join(s.line for s in self.signatures)).encode()

    def signed_by(self, key: Key) -> bool:
        """Whether `key` signed it; raises `ValueError` when its line is there and does not verify."""
        return any(_verified(self, key, s) for s in self.signatures if (s.name, s.key_id) == (key.name, key.id))

    def cosigned_at(self, key: Key) -> int | None:
        """The newest time (seconds since 1970) at which `key` cosigned it; None when it did not; raises as above."""
        found = [s for s in self.signatures if (s.name, s.key_id) == (key.name, key.id) and _verified(self, key, s)]
        return max((int.from_bytes(s.value[:8]) for s in found), default=None)

    def with_signatures(self, more: Sequence[Signature]) -> Note:
        """The note with further lines, each key's newest only."""
        kept = {(s.name, s.key_id): s for s in (*self.signatures, *more)}
        return Note(self.text, tuple(kept.values()))


def parse(data: bytes) -> Note:
    """The note; raises `ValueError`."""
    if len(data) > MAX_NOTE:
        raise ValueError("the note is too large")
    text = data.decode()
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not body or not lines.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise ValueError("not a signed note")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > _MAX_SIGNATURES:
        raise ValueError("the note has too many signatures")
    return Note(body + "\n", signatures)


def signatures(data: bytes) -> tuple[Signature, ...]:
    """Signature lines alone, as a witness answers; raises `ValueError`."""
    text = data.decode()
    if not text.endswith("\n") or text.count("\n") > _MAX_SIGNATURES:
        raise ValueError("not signature lines")
    return tuple(_signature(line) for line in text[:-1].split("\n"))


def sign(text: str, key: Key, signer: Sign) -> Note:
    """A note signed by the owner of `key`."""
    return Note(text, (Signature(key.name, key.id, signer(text.encode())),))


def cosign(note: Note, key: Key, signer: Sign, now: int) -> Signature:
    """A witness's statement that it saw this checkpoint `now`, in seconds since 1970."""
    return Signature(key.name, key.id, now.to_bytes(8) + signer(_cosigned(note.text, now)))


def signer_of(seed: bytes) -> tuple[Sign, bytes]:
    """What signs with a 32-byte seed, and its public key."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private.sign, private.public_key().public_bytes_raw()


def check_name(name: str) -> bool:
    """Whether a key may be called so: not empty, no space, no plus."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name) and name.isprintable()


def _verified(note: Note, key: Key, signature: Signature) -> bool:
    data, value = note.text.encode(), signature.value
    if key.kind == COSIGNATURE:
        if len(value) != 72:
            raise ValueError(f"a signature of {key.name} is malformed")
        data, value = _cosigned(note.text, int.from_bytes(value[:8])), value[8:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(value, data)
    except InvalidSignature:
        raise ValueError(f"a signature of {key.name} does not verify") from None
    return True


def _cosigned(text: str, now: int) -> bytes:
    return f"cosignature/v1\ntime {now}\n{text}".encode()


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    data = _decoded(encoded)
    if dash != "\N{EM DASH}" or not check_name(name) or len(data) < 5:
        raise ValueError("not a signature line")
    return Signature(name, data[:4], data[4:])


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
