"""What a witness has cosigned, in one file: compared and replaced in one step, durable before it is told."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import Corrupt, Unavailable


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest checkpoint of one log that was cosigned."""

    size: int = 0
    root: bytes = b""
    signed: bytes = b""


class States:
    """The file; one process at a time has it. Raises `Unavailable` when another one does, or it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Unavailable(f"{path}: another witness has it, or it cannot be opened") from error
        self._seen = self._read()

    def of(self, origin: str) -> Seen:
        """What was cosigned of a log; nothing yet: size 0."""
        return self._seen.get(origin, Seen())

    def by_hash(self, name: str) -> Seen | None:
        """The same by the hex SHA-256 of the origin."""
        return next((s for o, s in self._seen.items() if hashlib.sha256(o.encode()).hexdigest() == name), None)

    def replace(self, origin: str, old: Seen, new: Seen) -> bool:
        """Set when it still is `old`; durable when this returns. Blocks; callers take turns."""
        if self.of(origin) != old:
            return False
        after = {**self._seen, origin: new}
        document = {
            o: {"size": s.size, "root": s.root.hex(), "checkpoint": s.signed.decode()} for o, s in after.items()
        }
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with scratch.open("wb") as file:
                file.write(json.dumps(document, indent=1, sort_keys=True).encode())
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with suppress(OSError):
                scratch.unlink()
            raise Unavailable("the witness's state cannot be written") from error
        self._seen = after
        return True

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    def _read(self) -> dict[str, Seen]:
        try:
            document = json.loads(self._path.read_bytes())
            return {
                str(origin): Seen(int(s["size"]), bytes.fromhex(s["root"]), str(s["checkpoint"]).encode())
                for origin, s in document.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            # A witness that forgets could cosign a fork: it does not start.
            raise Corrupt(f"{self._path} is not a witness's state") from error
