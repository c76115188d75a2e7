"""The ingest log: a Merkle tree a day over what was accepted, so that each mail proves that it existed unchanged since.

A leaf commits to SHA-256(raw) and SHA-256(envelope) under a salt, so that whoever holds the buckets cannot try a
guessed mail against it; the salt and both hashes are its `Opening`, sealed to the tenant's trace key. The hashes of
the sealed objects stand in clear: to check that the store is as it was needs no key at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

import orjson

from services.common.errors import Corrupt
from services.common.tlog import merkle, note

_HEX = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOST_LEAVES = 1 << 40


@dataclass(frozen=True, slots=True)
class Opening:
    """What a leaf commits to, all hex: 16 bytes of salt, SHA-256 of the raw mail and of its envelope."""

    salt: str
    raw: str
    envelope: str

    @property
    def commitment(self) -> str:
        """SHA-256(salt ‖ SHA-256(raw) ‖ SHA-256(envelope)), hex."""
        return hashlib.sha256(bytes.fromhex(self.salt + self.raw + self.envelope)).hexdigest()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One mail. `object` and `blob` are the SHA-256 of its sealed objects (`blob` empty: it has none).

    `until` is the day before which it is not disposed of, as the rule was when it was stamped; empty: for ever.
    `mail` is empty for an object that could not be opened when its day was sealed: then only its bytes are attested.
    """

    mail_id: str
    object: str
    blob: str = ""
    mail: str = ""
    until: str = ""

    def dump(self) -> bytes:
        """Canonical JSON: what is hashed, `leaf_hash` of RFC 6962."""
        return orjson.dumps({**asdict(self), "v": 1}, option=orjson.OPT_SORT_KEYS)

    @property
    def hash(self) -> bytes:
        """Its hash in the tree."""
        return merkle.leaf_hash(self.dump())


def read_leaf(data: bytes) -> Leaf:
    """The leaf in canonical bytes; raises `Corrupt`."""
    try:
        found = orjson.loads(data)
        leaf = Leaf(*(str(found[k]) for k in ("mail_id", "object", "blob", "mail", "until")))
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("not a leaf of the ingest log") from error
    right = bool(_ID.fullmatch(leaf.mail_id) and _HEX.fullmatch(leaf.object))
    right &= all(not h or bool(_HEX.fullmatch(h)) for h in (leaf.blob, leaf.mail))
    if not right or (leaf.until and not _DAY.fullmatch(leaf.until)) or leaf.dump() != data:
        raise Corrupt("not a leaf of the ingest log")
    return leaf


def read_opening(data: bytes) -> Opening:
    """The opening in JSON; raises `Corrupt`."""
    try:
        found = orjson.loads(data)
        opening = Opening(str(found["salt"]), str(found["raw"]), str(found["envelope"]))
        _ = opening.commitment
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("not an opening of the ingest log") from error
    return opening


@dataclass(frozen=True, slots=True)
class Root:
    """What a note says: so many mails of a tenant were accepted, under this name, and this is the root over them."""

    tenant: str
    name: str
    size: int
    root: bytes

    @property
    def origin(self) -> str:
        """The first line, and the name of the key that signs it."""
        return origin_of(self.tenant)

    def text(self) -> str:
        """The note's text: origin, name, size and root, one a line."""
        return f"{self.origin}\n{self.name}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def origin_of(tenant: str) -> str:
    """The origin of a tenant's ingest log."""
    return f"letterlock-ingest/{tenant}"


def key_of(tenant: str, public: bytes) -> note.Key:
    """The verifier key of a tenant's ingest log."""
    return note.Key(origin_of(tenant), public)


def seal_root(root: Root, public: bytes, sign: note.Sign) -> bytes:
    """The signed note."""
    return note.sign(root.text(), key_of(root.tenant, public), sign).dump()


def read_root(data: bytes, tenant: str, name: str, public: bytes) -> Root:
    """The root in a note; raises `Corrupt` unless the writer of `public` signed it for this tenant and name."""
    try:
        signed = note.parse(data)
        origin, said, size, encoded = signed.text.rstrip("\n").split("\n")
        root = Root(tenant, said, int(size), base64.b64decode(encoded, validate=True))
        right = signed.signed_by(key_of(tenant, public))
    except ValueError as error:
        raise Corrupt("a note of the ingest log is malformed or its signature does not verify") from error
    if not right or origin != root.origin or said != name or len(root.root) != merkle.HASH:
        raise Corrupt("a note of the ingest log is another's")
    if not 0 <= root.size <= _MOST_LEAVES or root.text() != signed.text:
        raise Corrupt("a note of the ingest log is malformed")
    return root


@dataclass(frozen=True, slots=True)
class Proof:
    """That a mail was in the store, with these bytes, when the note was signed. Verified with nothing but a key.

    `opening` is absent for a leaf without `mail`.
    """

    leaf: Leaf
    opening: Opening | None
    index: int
    path: tuple[bytes, ...]
    note: bytes
    name: str

    def dump(self) -> dict[str, object]:
        """For JSON."""
        return {
            "leaf": orjson.loads(self.leaf.dump()),
            "opening": asdict(self.opening) if self.opening else None,
            "index": self.index,
            "path": [base64.b64encode(p).decode() for p in self.path],
            "note": self.note.decode(),
            "name": self.name,
        }


def read_proof(document: dict[str, object]) -> Proof:
    """The proof that `dump` made; raises `Corrupt`."""
    found: dict[str, object] = document
    try:
        path, opening = found["path"], found["opening"]
        if not isinstance(path, list) or len(path) > 64:
            raise ValueError
        return Proof(
            read_leaf(orjson.dumps(found["leaf"], option=orjson.OPT_SORT_KEYS)),
            read_opening(orjson.dumps(opening)) if opening else None,
            int(str(found["index"])),
            tuple(base64.b64decode(str(p), validate=True) for p in path),
            str(found["note"]).encode(),
            str(found["name"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt("not a proof of the ingest log") from error


def check(proof: Proof, *, tenant: str, public: bytes, raw: bytes | None = None) -> Root:
    """The signed root that the proof leads to; raises `Corrupt` that says what does not fit. `raw`: its bytes."""
    root = read_root(proof.note, tenant, proof.name, public)
    try:
        led = merkle.root_from_inclusion(proof.index, root.size, proof.leaf.hash, proof.path)
    except ValueError as error:
        raise Corrupt(f"the proof is malformed: {error}") from error
    if led != root.root:
        raise Corrupt("the leaf is not in the tree that was signed")
    if proof.opening is not None and proof.opening.commitment != proof.leaf.mail:
        raise Corrupt("the leaf commits to another mail")
    if raw is not None and (proof.opening is None or hashlib.sha256(raw).hexdigest() != proof.opening.raw):
        raise Corrupt("these are not the bytes that were accepted")
    return root


def path_of(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The inclusion proof of a leaf among all of its tree; O(n) time and memory."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([merkle.node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])
        if len(below) % 2:
            levels[-1].append(below[-1])

    def node(level: int, place: int) -> bytes:
        return levels[level][place]

    return merkle.inclusion_proof(index, len(hashes), node)


def until(received: date, keep_days: int | None) -> str:
    """The day before which a mail is not disposed of; empty where no rule ends its keeping."""
    if keep_days is None:
        return ""
    try:
        return date.fromordinal(received.toordinal() + keep_days).isoformat()
    except (ValueError, OverflowError):  # beyond the year 9999
        return ""
