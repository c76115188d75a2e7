"""Child processes that never outlive their parent.

The kernel's parent-death signal (prctl(2), PR_SET_PDEATHSIG) ends a child when
the parent dies in any way, SIGKILL included.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LOWEST_PORT = 12000
_BLOCK = 64
"""Ports that lie between those of two processes with neighbouring ids."""
_given = itertools.count()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; called in the child between fork and exec."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
    nice: int = 0,
) -> subprocess.Popen[bytes]:
    """Start a program that dies with this process; its stdout and stderr go to `output` (default: ours, stderr).

    `nice` as in nice(2). It gets a process group of its own, so that Ctrl-C is ours to pass on, but stays in our
    session: where the kernel groups processes by session, `nice` would mean nothing between two of them.
    """

    def begin() -> None:
        die_with_parent()
        os.nice(nice)

    target: IO[bytes] | int = 2 if output is None else output
    return subprocess.Popen(
        list(arguments),
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=target,
        stderr=target,
        preexec_fn=begin,
        process_group=0,
    )


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this moment, and that this process was not given before.

    It is none of those that the kernel gives to outgoing connections: such a port would be taken by the time that
    whoever it is for listens on it. Each process looks in a block of its own first.
    """
    lowest = _first_outgoing_port()
    span = lowest - _LOWEST_PORT
    for _ in range(max(span, 0)):
        port = _LOWEST_PORT + (os.getpid() * _BLOCK + next(_given)) % span
        with suppress(OSError):
            return _bound(host, port)
    return _bound(host, 0)


def _bound(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def _first_outgoing_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
