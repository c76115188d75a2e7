"""A stored mail: `age( zstd( magic, header, signature, raw ) )`, and its blob and late decision.

The header names tenant, mail id, size and SHA-256 of the raw bytes, and is
signed by its writer together with tenant and id; so an object that was
planted, moved or changed is never taken for a mail. Opening is bounded: no
more is unpacked than the signed header promises.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import zstandard
from google.protobuf.message import DecodeError
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Corrupt, TooLarge
from services.common.ids import MailId, TenantId
from services.common.sealing import age
from services.common.sealing.writers import Kind, Signer, Writers, signed

INLINE = 512 * 1024
"""Raw bytes up to which a mail's object holds them; a larger mail has a blob."""
MAX_RAW = 256 * 1024 * 1024
"""No raw mail beyond this is opened, whatever its header says."""
MAX_HEADER = 16 * 1024 * 1024

_MAIL = b"LLmail1\n"
_DECISION = b"LLdecn1\n"
_LEVEL = 3
_WINDOW = 8 * 1024 * 1024
_local = threading.local()


def mail_key(tenant: TenantId, mail_id: MailId) -> str:
    """Where a mail's object is."""
    return f"{tenant}/mail/{mail_id.day:%Y/%m/%d}/{mail_id}"


def blob_key(tenant: TenantId, mail_id: MailId) -> str:
    """Where the body of a mail over 512 KiB is."""
    return f"{tenant}/blob/{mail_id}"


def decision_key(tenant: TenantId, mail_id: MailId) -> str:
    """Where the decision of a mail is that was committed undecided."""
    return f"{tenant}/decision/{mail_id}"


def refused_key(tenant: TenantId, mail_id: MailId) -> str:
    """Where a refused attempt is kept, if the tenant keeps them."""
    return f"{tenant}/refused/{mail_id.day:%Y/%m/%d}/{mail_id}"


def seal(header: mail_pb2.ObjectHeader, raw: bytes, *, recipients: Sequence[str], signer: Signer) -> bytes:
    """The object of a mail; `raw` is empty when `header.blob`. Size and SHA-256 are the caller's, in the envelope.

    Sets `header.writer`. A few hundred microseconds for a small mail; hand large ones to a thread.
    """
    header.writer = signer.name
    return _seal(_MAIL, header.SerializeToString(), raw, _kind(header), header, recipients, signer)


def open(
    data: bytes, *, identities: Sequence[str], writers: Writers, tenant: TenantId, mail_id: MailId
) -> tuple[mail_pb2.ObjectHeader, bytes]:
    """Header and raw bytes (empty with `header.blob`).

    Raises `Corrupt` unless everything fits the key it was read from; `age.NoKey`, a `Corrupt`, says
    that it is sealed to other keys.
    """
    reader = _Unpacker(age.decrypt(data, identities))
    header = mail_pb2.ObjectHeader()
    blob = _open_head(reader, _MAIL, header)
    _check(header, blob, writers, tenant, mail_id, _kind(header))
    envelope = header.envelope
    if header.blob:
        reader.end()
        return header, b""
    raw = reader.exactly(_bounded(envelope.size))
    reader.end()
    _check_digest(raw, envelope.sha256)
    return header, raw


class BlobSealer:
    """Seals the body of a large mail while it arrives; memory does not grow with the mail."""

    def __init__(self, recipients: Sequence[str]) -> None:
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._age = age.Encryptor(recipients)

    def update(self, data: bytes) -> bytes:
        """Take more raw bytes; returns what is ready of the object, perhaps nothing. May run in a thread."""
        packed = self._zstd.compress(data)
        return self._age.update(packed) if packed else b""

    def finish(self) -> bytes:
        """The end of the object; nothing may follow."""
        return self._age.update(self._zstd.flush()) + self._age.finish()


def open_blob(data: bytes, identities: Sequence[str], *, sha256: bytes, size: int = MAX_RAW) -> bytes:
    """The raw bytes of a blob, at most `size`; raises `Corrupt` unless they are those of `sha256`."""
    reader = _Unpacker(age.decrypt(data, identities))
    raw = reader.upto(_bounded(size))
    reader.end()
    _check_digest(raw, sha256)
    return raw


def seal_decision(decision: mail_pb2.Decision, recipients: Sequence[str], signer: Signer) -> bytes:
    """The object of a decision that came after the commit; sealed to the tenant's archive and trace keys."""
    return _seal(_DECISION, decision.SerializeToString(), b"", "decision", decision, recipients, signer, named=True)


def open_decision(
    data: bytes, identities: Sequence[str], writers: Writers, tenant: TenantId, mail_id: MailId
) -> mail_pb2.Decision:
    """The decision; raises `Corrupt` unless policy signed it for this mail."""
    reader = _Unpacker(age.decrypt(data, identities))
    decision = mail_pb2.Decision()
    blob = _open_head(reader, _DECISION, decision)
    reader.end()
    _check(decision, blob, writers, tenant, mail_id, "decision")
    return decision


class _Named(Protocol):
    tenant: str
    mail_id: str


def _kind(header: mail_pb2.ObjectHeader) -> Kind:
    origin = header.envelope.origin
    return "secret" if origin == "system-secret" else "system" if origin == "system" else "mail"


def _seal(
    magic: bytes,
    head: bytes,
    raw: bytes,
    kind: Kind,
    named_in: _Named,
    recipients: Sequence[str],
    signer: Signer,
    *,
    named: bool = False,
) -> bytes:
    signature = signer.sign(signed(kind, named_in.tenant.encode(), named_in.mail_id.encode(), head))
    # A decision has no field for its writer, so the writer's name stands before its signature.
    proof = (signer.name.encode() + b"\0" if named else b"") + signature
    return enclose(magic, head, proof, raw, recipients)


def enclose(magic: bytes, head: bytes, proof: bytes, raw: bytes, recipients: Sequence[str]) -> bytes:
    """The form of every such object: what it is, a header, the proof of who wrote it, and the bytes."""
    plain = b"".join((magic, len(head).to_bytes(4), head, len(proof).to_bytes(2), proof, raw))
    return age.encrypt(_compressor().compress(plain), recipients)


def disclose(data: bytes, magic: bytes, identities: Sequence[str]) -> tuple[bytes, bytes, Callable[[int], bytes]]:
    """Header, proof, and a function that gives the rest, which must have just the length it is asked for.

    Raises `age.NoKey`, `Corrupt`; whoever calls it checks the proof before believing anything.
    """
    reader = _Unpacker(age.decrypt(data, identities))
    head, proof = _read_head(reader, magic)

    def rest(size: int) -> bytes:
        raw = reader.exactly(_bounded(size))
        reader.end()
        return raw

    return head, proof, rest


def _compressor() -> zstandard.ZstdCompressor:
    # A context is costly to make and must not be shared by threads.
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return compressor


class _Head:
    __slots__ = ("bytes", "proof")

    def __init__(self, data: bytes, proof: bytes) -> None:
        self.bytes, self.proof = data, proof


def _open_head(reader: _Unpacker, magic: bytes, into: mail_pb2.ObjectHeader | mail_pb2.Decision) -> _Head:
    head, proof = _read_head(reader, magic)
    try:
        into.ParseFromString(head)
    except DecodeError as error:
        raise Corrupt("header is malformed") from error
    return _Head(head, proof)


def _read_head(reader: _Unpacker, magic: bytes) -> tuple[bytes, bytes]:
    if reader.exactly(len(magic)) != magic:
        raise Corrupt("not an object of this kind")
    length = int.from_bytes(reader.exactly(4))
    if length > MAX_HEADER:
        raise Corrupt("header is too long")
    head = reader.exactly(length)
    return head, reader.exactly(int.from_bytes(reader.exactly(2)))


def _check(
    message: mail_pb2.ObjectHeader | mail_pb2.Decision,
    head: _Head,
    writers: Writers,
    tenant: TenantId,
    mail_id: MailId,
    kind: Kind,
) -> None:
    if isinstance(message, mail_pb2.ObjectHeader):
        writer, signature = message.writer, head.proof
        inner = (message.envelope.tenant, message.envelope.mail_id)
        if inner != (tenant, mail_id):
            raise Corrupt("envelope is another mail's")
    else:
        name, _, signature = head.proof.partition(b"\0")
        writer = name.decode("ascii", "replace")
    writers.verify(writer, signature, signed(kind, tenant.encode(), mail_id.encode(), head.bytes), kind=kind)
    if (message.tenant, message.mail_id) != (tenant, mail_id):
        raise Corrupt("object is another mail's")


def _bounded(size: int) -> int:
    if not 0 <= size <= MAX_RAW:
        raise TooLarge("mail is larger than can be opened", size=size)
    return size


def _check_digest(raw: bytes, sha256: bytes) -> None:
    if not hmac.compare_digest(hashlib.sha256(raw).digest(), sha256):
        raise Corrupt("raw bytes do not match their hash")


class _Unpacker:
    """Reads a zstd frame as far as asked and no further."""

    def __init__(self, packed: bytes) -> None:
        self._reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(packed)

    def upto(self, length: int) -> bytes:
        # One large read would set aside `length` bytes before the first is there.
        pieces, missing = [], length
        try:
            while missing and (piece := self._reader.read(min(missing, 1 << 20))):
                pieces.append(piece)
                missing -= len(piece)
        except zstandard.ZstdError as error:
            raise Corrupt("packed bytes are malformed") from error
        return b"".join(pieces)

    def exactly(self, length: int) -> bytes:
        data = self.upto(length)
        if len(data) != length:
            raise Corrupt("object is cut short")
        return data

    def end(self) -> None:
        if self.upto(1):
            raise Corrupt("object is longer than it says")
