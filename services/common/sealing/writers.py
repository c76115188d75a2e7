"""Writers: which service wrote an object, proved by its Ed25519 signature.

Each service signs with its own seed; everybody has the list of public keys
with what each may write. An object that somebody else put into the store, or
that a service wrote which may not, is refused by every reader.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.common.components import TrustConfig
from services.common.config import Settings
from services.common.errors import Corrupt, InvalidInput, Unavailable

type Kind = Literal["mail", "system", "decision", "content", "secret", "public_key", "checkpoint", "session", "ingest"]
"""mail and system mail are told apart by the envelope's origin; `secret` is a system mail that is never archived;
`ingest` a note of the ingest log."""

GRANTS: Mapping[str, tuple[Kind, ...]] = {
    "ingress": ("mail",),
    "policy": ("decision",),
    "delivery": ("system", "content"),
    "quarantine": ("system",),
    "archive": ("ingest",),
    "audit": ("checkpoint",),
    "admin": ("session",),
    "encryption": ("public_key", "system", "content", "secret"),
}
"""What each service may sign; a service that is not here signs nothing."""

MASTER = "master.key"
TRUST = "writers.json"


class Signer:
    """Signs in one writer's name. The seed does not show itself."""

    def __init__(self, name: str, seed: bytes) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature (RFC 8032) of `data`, which must already carry its domain."""
        return self._key.sign(data)

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""
        return self._key.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Writer:
    """A writer's public key and what it may sign."""

    public: bytes
    kinds: frozenset[str]


class Writers:
    """The writers that are trusted here."""

    def __init__(self, writers: Mapping[str, Writer]) -> None:
        self._writers = dict(writers)
        self._keys = {name: Ed25519PublicKey.from_public_bytes(w.public) for name, w in writers.items()}

    def public(self, name: str) -> bytes:
        """A writer's 32-byte public key; raises `Unavailable` when it is not among the trusted."""
        writer = self._writers.get(name)
        if writer is None:
            raise Unavailable("no such writer in the trust file", writer=name)
        return writer.public

    def verify(self, name: str, signature: bytes, data: bytes, *, kind: Kind) -> None:
        """Return when `name` may write `kind` and signed `data`; raises `Corrupt` otherwise."""
        writer = self._writers.get(name)
        if writer is None or kind not in writer.kinds:
            raise Corrupt("written by a stranger", writer_known=writer is not None)
        try:
            self._keys[name].verify(signature, data)
        except InvalidSignature as error:
            raise Corrupt("signature does not match") from error


def signed(kind: Kind, *parts: bytes) -> bytes:
    """What is signed: the domain and each part with its length, so that no two meanings share bytes."""
    out = bytearray(b"letterlock/v1/" + kind.encode() + b"\0")
    for part in parts:
        out += len(part).to_bytes(8) + part
    return bytes(out)


def trust_folder(settings: Settings) -> Path:
    """Where seeds and the trust file are: `trust.directory`, else `trust` under the data directory."""
    return settings.of(TrustConfig).directory or settings.data / "trust"


def load_signer(settings: Settings, service: str) -> Signer:
    """The signer of `service`; raises `InvalidInput` (wrong file or mode) or `Unavailable` (not there)."""
    return Signer(service, read_secret(trust_folder(settings) / f"{service}.seed"))


def load_writers(settings: Settings) -> Writers:
    """The trusted writers; raises `InvalidInput` or `Unavailable`."""
    return read_writers(trust_folder(settings) / TRUST)


def read_writers(path: Path) -> Writers:
    """The writers of a trust file; raises `InvalidInput` or `Unavailable`."""
    try:
        document = json.loads(path.read_bytes())
        return Writers(
            {
                str(name): Writer(base64.b64decode(entry["public"], validate=True), frozenset(entry["kinds"]))
                for name, entry in document.items()
            }
        )
    except FileNotFoundError as error:
        raise Unavailable("trust file is missing", path=str(path)) from error
    except OSError as error:
        raise Unavailable("trust file cannot be read", path=str(path)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput("trust file is malformed", field=str(path)) from error


def read_secret(path: Path) -> bytes:
    """32 secret bytes from a file that nobody else may read; raises `InvalidInput` or `Unavailable`."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(33)
    except OSError as error:
        raise Unavailable("secret file cannot be read", path=str(path)) from error
    if mode & 0o077:
        raise InvalidInput(f"{path}: others may read it; use mode 0600", field=str(path))
    if len(data) != 32:
        raise InvalidInput(f"{path}: expected 32 bytes", field=str(path))
    return data


def create_secret(path: Path) -> None:
    """Make 32 random bytes at `path`, mode 0600, durable; keeps what is there."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(os.urandom(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
    _sync(path.parent)


def ensure_dev(folder: Path, services: Iterable[str]) -> None:
    """Make what one machine needs and lacks: seeds, the trust file, the master key. Existing keys stay."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    document: dict[str, object] = {}
    for service in sorted({*services} & GRANTS.keys()):
        path = folder / f"{service}.seed"
        create_secret(path)
        public = Signer(service, read_secret(path)).public
        document[service] = {"public": base64.b64encode(public).decode(), "kinds": list(GRANTS[service])}
    create_secret(folder / MASTER)
    scratch = folder / f".{TRUST}.{os.getpid()}"
    with open(scratch, "wb") as file:
        file.write(json.dumps(document, indent=1, sort_keys=True).encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, folder / TRUST)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
