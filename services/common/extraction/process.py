"""A worker as the pool sees it: started, asked, killed."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import services
from services.common.errors import Unavailable
from services.common.extraction import frames
from services.common.extraction.budget import Limits
from services.common.extraction.model import File, Piece, Reason
from services.common.extraction.walk import order

_ROOT = str(Path(services.__path__[0]).parent)
_START_SECONDS = 60.0
_OWN_SHARE = 0.9
"""Of the time given: a worker that stops by itself has something to show, one that is killed has less."""
_ON_THE_LOOP = 256 * 1024
"""Bytes that are copied, hashed or decoded without a thread."""
_CHUNK = 256 * 1024


class Worker:
    """One confined process; one job at a time."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, limits: Limits) -> None:
        self._process = process
        self._channel = channel
        self._limits = limits
        self._buffer = bytearray()
        self.jobs = 0
        self.alive = True
        self.worn = False
        """Its memory or its time is used up so far that another should take its place."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether it has died by itself."""
        return self._process.poll() is not None

    @classmethod
    async def start(cls, limits: Limits) -> Worker:
        """A new one that is confined and ready. Raises `Unavailable`."""
        process, ours = _spawn(limits)
        worker = cls(process, ours, limits)
        try:
            async with asyncio.timeout(_START_SECONDS):
                letter, fields, _ = await worker._frame()
        except (OSError, EOFError, frames.Nonsense) as error:
            await worker.kill()
            raise Unavailable("extraction: a worker did not start", reason=type(error).__name__) from error
        except BaseException:
            await worker.kill()
            raise
        if letter != frames.READY:
            await worker.kill()
            raise Unavailable("extraction: a worker cannot be confined", reason=str(frames.value(fields))[:200])
        return worker

    async def ask(self, files: Sequence[File], passwords: Sequence[str], seconds: float) -> tuple[Piece, ...]:
        """Every file's pieces. It is dead afterwards (`alive`) when it crashed, talked nonsense, or took too long."""
        self.jobs += 1
        found: list[list[Piece]] = [[] for _ in files]
        done = 0
        reason: Reason | None = None
        try:
            async with asyncio.timeout(seconds):
                await self._send(files, passwords, seconds * _OWN_SHARE)
                room = self._limits.files + 2 * len(files) + 1
                text = 4 * self._limits.text * 4 + 4096
                while True:
                    letter, fields, body = await self._frame()
                    if letter == frames.END and done == len(files):
                        self.worn = self.worn or frames.value(fields) is not False
                        break
                    if letter == frames.DONE and done < len(files):
                        done += 1
                    elif letter == frames.PIECE and done < len(files):
                        room, text = room - 1, text - len(body)
                        if room < 0 or text < 0:
                            raise frames.Nonsense("too much")
                        found[done].append(await self._piece(fields, body, files[done]))
                    else:
                        raise frames.Nonsense("order")
        except TimeoutError:
            reason = "timeout"
        except (OSError, EOFError, frames.Nonsense):
            reason = "broken"
        except BaseException:
            await self.kill()
            raise
        if reason is not None:
            await self.kill()
        return tuple(
            [p for i, file in enumerate(files) for p in await _whole(file, found[i], reason if i >= done else None)]
        )

    async def kill(self) -> None:
        """End it, whatever it does."""
        if self.alive:
            self.alive = False
            with suppress(ProcessLookupError):
                self._process.kill()
            await asyncio.shield(self._bury())

    async def _bury(self) -> None:
        await asyncio.to_thread(self._process.wait)
        # Not before: its end is what wakes whoever reads from it.
        self._channel.close()

    async def _send(self, files: Sequence[File], passwords: Sequence[str], seconds: float) -> None:
        header = frames.request(files, passwords, seconds)
        size = len(header) + sum(len(f.content) for f in files)
        memory = os.memfd_create("extraction", os.MFD_CLOEXEC)
        try:
            if size > _ON_THE_LOOP:
                await asyncio.to_thread(_fill, memory, header, files)
            else:
                _fill(memory, header, files)
            # A worker that waits has an empty socket: these few bytes always fit.
            socket.send_fds(self._channel, [frames.ASK.pack(len(header), size)], [memory])
        finally:
            os.close(memory)

    async def _frame(self) -> tuple[bytes, bytes, bytes]:
        letter, fields, text = frames.lengths(await self._read(frames.HEAD.size), self._limits)
        return letter, await self._read(fields), await self._read(text)

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        while len(self._buffer) < size:
            chunk = await loop.sock_recv(self._channel, _CHUNK)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _piece(self, fields: bytes, text: bytes, of: File) -> Piece:
        if len(text) > _ON_THE_LOOP:
            return await asyncio.to_thread(frames.piece, fields, text, of)
        return frames.piece(fields, text, of)


def _spawn(limits: Limits) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A new process and our end of its channel. Nothing of our environment goes along: no setting, no secret."""
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:
        raise Unavailable("extraction: no worker can be started", reason=type(error).__name__) from error
    with theirs:
        try:
            # No code of ours runs between fork and exec, where other threads may hold locks.
            process = subprocess.Popen(
                [sys.executable, "-m", "services.common.extraction.worker", str(theirs.fileno()), str(os.getpid()),
                 json.dumps(dataclasses.asdict(limits))],
                env={"PYTHONPATH": _ROOT, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "2"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise Unavailable("extraction: no worker can be started", reason=type(error).__name__) from error
    ours.setblocking(False)
    return process, ours


def _fill(memory: int, header: bytes, files: Sequence[File]) -> None:
    for data in (header, *(f.content for f in files)):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(memory, rest) :]


async def _whole(file: File, found: list[Piece], reason: Reason | None) -> list[Piece]:
    """The pieces of a file, itself first; for one that was not finished, what was found, and why there is no more."""
    found.sort(key=order)
    if found and found[0].part == file.part:
        if reason is not None and found[0].problem is None:
            found[0] = dataclasses.replace(found[0], problem=reason)
        return found
    digest = (
        await asyncio.to_thread(_sha256, file.content) if len(file.content) > _ON_THE_LOOP else _sha256(file.content)
    )
    declared = file.content_type or "application/octet-stream"
    own = Piece(file.part, file.name, declared, "unknown", len(file.content), digest, None, problem=reason or "broken")
    return [own, *found]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
