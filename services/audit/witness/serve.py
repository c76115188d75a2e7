"""A witness: cosigns a log's checkpoint when it extends what it cosigned before (C2SP tlog-witness)."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web

from services.audit.witness.state import Seen, States
from services.common import log
from services.common.config import Address
from services.common.errors import Error, InvalidInput, Unavailable
from services.common.sealing.writers import create_secret, read_secret
from services.common.tlog import checkpoint, merkle, note

_log = log.get(__name__)
_MOST = 128 * 1024
_MOST_PROOF = 63
_SIZE_TYPE = "text/x.tlog.size"


class Refused(Exception):
    """An HTTP status and what a log's operator may read."""

    def __init__(self, status: int, text: str, kind: str = "text/plain") -> None:
        super().__init__(text)
        self.status, self.text, self.kind = status, text, kind


class Witness:
    """Answers for the logs it knows. `now` is seconds since 1970."""

    def __init__(
        self, name: str, seed: bytes, logs: Sequence[note.Key], states: States, now: Callable[[], float] = time.time
    ) -> None:
        self._sign, public = note.signer_of(seed)
        self.key = note.Key(name, public, note.COSIGNATURE)
        self._logs = {key.name: key for key in logs}
        self._states, self._now = states, now
        self._turn = asyncio.Lock()

    async def add_checkpoint(self, body: bytes) -> str:
        """The cosignature line of a request's checkpoint; raises `Refused`, `Unavailable`."""
        old, proof, signed = _request(body)
        try:
            text = note.parse(signed)
            head = checkpoint.parse(text.text)
        except ValueError as error:
            raise Refused(400, f"not a checkpoint: {error}\n") from None
        key = self._logs.get(head.origin)
        if key is None:
            raise Refused(404, "unknown log\n")
        try:
            good = text.signed_by(key)
        except ValueError:
            good = False
        if not good:
            raise Refused(403, "not signed by the log's key\n")
        if old > head.size:
            raise Refused(400, "the old size is beyond the checkpoint\n")
        async with self._turn:
            seen = self._states.of(head.origin)
            if old != seen.size:
                raise Refused(409, f"{seen.size}\n", _SIZE_TYPE)
            try:
                merkle.check_consistency(old, head.size, seen.root or merkle.EMPTY, head.root, proof)
                if head.size == 0 and head.root != merkle.EMPTY:
                    raise ValueError("an empty log with a root")
            except ValueError as error:
                _log.error("witness.refused", origin=head.origin, old=old, size=head.size)
                raise Refused(422, f"{error}\n") from None
            line = note.cosign(text, self.key, self._sign, int(self._now()))
            kept = note.Note(text.text, tuple(s for s in text.signatures if s.key_id == key.id)).with_signatures([line])
            await asyncio.to_thread(self._states.replace, head.origin, seen, Seen(head.size, head.root, kept.dump()))
        _log.info("witness.cosigned", origin=head.origin, size=head.size)
        return line.line

    def latest(self, name: str) -> bytes:
        """The newest cosigned checkpoint of a log, by the hex SHA-256 of its origin; raises `Refused`."""
        seen = self._states.by_hash(name)
        if seen is None:
            raise Refused(404, "nothing was cosigned\n")
        return seen.signed


def application(witness: Witness) -> web.Application:
    """The witness over HTTP."""

    async def add(request: web.Request) -> web.Response:
        try:
            return web.Response(text=await witness.add_checkpoint(await request.read()))
        except Refused as error:
            return web.Response(status=error.status, body=error.text.encode(), content_type=error.kind)
        except Error:
            return web.Response(status=500, text="the witness cannot write\n")

    async def latest(request: web.Request) -> web.Response:
        try:
            return web.Response(body=witness.latest(request.match_info["log"]), content_type="text/plain")
        except Refused as error:
            return web.Response(status=error.status, text=error.text)

    made = web.Application(client_max_size=_MOST)
    made.add_routes([web.post("/add-checkpoint", add), web.get("/{log}/checkpoint", latest)])
    return made


async def run(name: str, key: Path, state: Path, logs: Sequence[str], listen: Address) -> int:
    """Serve until SIGTERM or SIGINT; the key is made at the first start. Prints one JSON line when it answers."""
    if not note.check_name(name):
        raise InvalidInput("a witness's name has no space and no plus", field="name")
    try:
        known = [note.Key.parse(text) for text in logs]
    except ValueError as error:
        raise InvalidInput(f"--log: {error}", field="log") from None
    if not known:
        raise InvalidInput("name the logs to witness by their verifier keys: --log VKEY", field="log")
    states = States(state)
    witness = Witness(name, _seed(key), known, states)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application(witness), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, listen.host, listen.port).start()
        host, port = runner.addresses[0][:2]
        print(json.dumps({"event": "ready", "listen": f"{host}:{port}", "key": witness.key.text}), flush=True)
        await stop.wait()
    except OSError as error:
        raise Unavailable(f"cannot listen at {listen}") from error
    finally:
        await runner.cleanup()
        states.close()
    return 0


def _seed(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    create_secret(path)
    return read_secret(path)


def _request(body: bytes) -> tuple[int, list[bytes], bytes]:
    head, separator, signed = body.partition(b"\n\n")
    try:
        first, *rest = head.decode("ascii").split("\n")
        word, _, number = first.partition(" ")
        old = int(number)
        proof = [base64.b64decode(line, validate=True) for line in rest]
    except ValueError:
        raise Refused(400, "not an add-checkpoint request\n") from None
    if not separator or word != "old" or str(old) != number or old < 0 or len(proof) > _MOST_PROOF:
        raise Refused(400, "not an add-checkpoint request\n")
    if any(len(h) != merkle.HASH for h in proof):
        raise Refused(400, "a hash of the proof has another length\n")
    return old, proof, signed
