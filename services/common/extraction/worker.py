"""One confined process: `python -m services.common.extraction.worker FD PARENT LIMITS`, started by the pool.

It imports all that it can ever need, gives up everything (`confine`), then reads one mail's files after another. It
says little and nothing but frames; it logs nothing.
"""

from __future__ import annotations

import encodings
import importlib
import json
import mmap
import os
import pkgutil
import resource
import socket
import sys
import time
from contextlib import suppress

from services.common.extraction import frames, readers
from services.common.extraction.budget import Budget, Limits
from services.common.extraction.confine import Unconfined, confine
from services.common.extraction.model import File, Piece
from services.common.extraction.walk import Walk

_WORN_CPU_SECONDS = 300.0
"""Half of what the kernel kills for."""


def main() -> None:
    """Serve until the socket ends."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    limits = Limits(**json.loads(sys.argv[3]))
    readers.load()
    for module in pkgutil.iter_modules(encodings.__path__):
        # Codecs load when a mail names them: too late here. Some are of other systems.
        with suppress(ImportError):
            importlib.import_module(f"encodings.{module.name}")
    usage = os.open("/proc/self/statm", os.O_RDONLY)
    try:
        confine(int(sys.argv[2]), limits.memory)
    except (Unconfined, OSError, ValueError) as error:
        _send(channel, frames.frame(frames.REFUSED, str(error)[:200]))
        return
    first = _data(usage)
    _send(channel, frames.frame(frames.READY, os.getpid()))
    while _serve(channel, limits):
        worn = _data(usage) - first > limits.memory // 4 or time.process_time() > _WORN_CPU_SECONDS
        _send(channel, frames.frame(frames.END, worn))


def _serve(channel: socket.socket, limits: Limits) -> bool:
    """Read the files of one job; False when there is none any more."""
    asked, descriptors, _, _ = socket.recv_fds(channel, frames.ASK.size, 1)
    if len(asked) < frames.ASK.size or not descriptors:
        return False
    length, total = frames.ASK.unpack(asked)
    with mmap.mmap(descriptors[0], total, access=mmap.ACCESS_READ) as memory:
        os.close(descriptors[0])
        job = json.loads(memory[:length])
        budget = Budget(limits, time.monotonic() + job["seconds"])

        def emit(piece: Piece) -> None:
            _send(channel, frames.piece_frame(piece))

        start = length
        for part, name, content_type, size in job["files"]:
            content = memory[start : start + size]
            start += size
            Walk(budget, job["passwords"], emit).top(File(part, name, content_type, content))
            _send(channel, frames.frame(frames.DONE))
    return True


def _send(channel: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(channel.fileno(), rest) :]


def _data(usage: int) -> int:
    return int(os.pread(usage, 200, 0).split()[5]) * resource.getpagesize()


if __name__ == "__main__":
    main()
