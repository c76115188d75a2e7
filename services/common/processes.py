"""Child processes that never outlive their parent.

The kernel's parent-death signal (prctl(2), PR_SET_PDEATHSIG) ends a child when
the parent dies in any way, SIGKILL included.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; called in the child between fork and exec."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, output: IO[bytes] | int | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that dies with this process; its stdout and stderr go to `output` (default: ours, stderr)."""
    target: IO[bytes] | int = 2 if output is None else output
    return subprocess.Popen(
        list(arguments),
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=target,
        stderr=target,
        preexec_fn=die_with_parent,
        start_new_session=True,
    )


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
