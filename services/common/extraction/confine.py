"""What a process gives up before it reads a stranger's file (Linux, x86-64 and aarch64).

After `confine` it can compute, use memory up to a limit, read and write the descriptors that it has, and end. It
cannot open, create or list a file, make a socket or a connection, start a program or a process, look at or signal
another process, make memory executable, or get these back (seccomp(2): what is not on the list is EPERM). It dies
with its parent.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from contextlib import suppress

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_LD_WORD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050000 | 1, 0x00050000 | 38
_NR, _ARCH, _ARGUMENTS = 0, 4, 16
_PROT_EXEC, _CLONE_THREAD = 4, 0x10000
_NOBODY = 65534
_CPU_SECONDS = 600
_OPEN_FILES = 32

_SYSCALLS: dict[str, tuple[int, int]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pread64": (17, 67), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101),
    "getpid": (39, 172), "recvmsg": (47, 212), "exit": (60, 93), "uname": (63, 160), "fcntl": (72, 25),
    "getrusage": (98, 165), "sysinfo": (99, 179), "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "set_robust_list": (273, 99), "getrandom": (318, 278),
    "membarrier": (324, 283), "rseq": (334, 293),
}  # fmt: skip
"""All that is allowed whatever its arguments: its number on x86-64, on aarch64."""
_WITHOUT_EXEC = {"mmap": (9, 222), "mprotect": (10, 226)}
_CLONE, _CLONE3, _TGKILL = (56, 220), (435, 435), (234, 131)
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


class Unconfined(Exception):
    """This machine cannot confine a process; nothing of a stranger's is read on it."""


def confine(parent: int, memory: int) -> None:
    """Give up everything but computing; `memory` bytes may be taken from now on. Raises `Unconfined`."""
    _limit(memory)
    _drop_user()
    # After the change of user, which clears it (prctl(2)); a parent that has died meanwhile sends nothing.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _filter_calls()


def _limit(memory: int) -> None:
    pages = [int(n) for n in _statm().split()]
    page = resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_DATA, pages[5] * page + memory),
        (resource.RLIMIT_AS, pages[0] * page + 4 * memory),
    ):
        resource.setrlimit(what, (most, most))


def _statm() -> str:
    with open("/proc/self/statm") as file:
        return file.read()


def _drop_user() -> None:
    if os.getuid() == 0:
        # Where root is root of a user namespace only, nobody may not exist in it.
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(option, *values) != 0:
        raise Unconfined(f"prctl({option}): {os.strerror(ctypes.get_errno())}")


def _filter_calls() -> None:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise Unconfined(f"no list of system calls for {platform.machine()}")
    program = _program(*machine, own_pid=os.getpid())
    instructions = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions)), 16)
    if _LIBC.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), header, 0, 0) != 0:
        raise Unconfined(f"seccomp: {os.strerror(ctypes.get_errno())}")


def _program(column: int, arch: int, own_pid: int) -> bytes:
    """The BPF program (struct sock_filter: code, jump if true, jump if false, value)."""

    def one(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("HBBI", code, true, false, value)

    def when(number: int, then: list[bytes]) -> list[bytes]:
        return [one(_JUMP_EQUAL, number, 0, len(then)), *then]

    def argument(index: int, test: int, value: int, true: int, false: int) -> list[bytes]:
        # The low word of the argument (little-endian machines only); all that is tested fits into it.
        return [one(_LD_WORD, _ARGUMENTS + 8 * index), one(test, value, 0, 1), one(_RETURN, true), one(_RETURN, false)]

    lines = [one(_LD_WORD, _ARCH), one(_JUMP_EQUAL, arch, 1, 0), one(_RETURN, _KILL), one(_LD_WORD, _NR)]
    for numbers in _SYSCALLS.values():
        lines += when(numbers[column], [one(_RETURN, _ALLOW)])
    for numbers in _WITHOUT_EXEC.values():
        lines += when(numbers[column], argument(2, _JUMP_ANY_BIT, _PROT_EXEC, _EPERM, _ALLOW))
    # Threads, no processes; clone3's flags are behind a pointer: without it the C library uses clone.
    lines += when(_CLONE[column], argument(0, _JUMP_ANY_BIT, _CLONE_THREAD, _ALLOW, _EPERM))
    lines += when(_CLONE3[column], [one(_RETURN, _ENOSYS)])
    # abort(3) signals itself.
    lines += when(_TGKILL[column], argument(0, _JUMP_EQUAL, own_pid, _ALLOW, _EPERM))
    return b"".join([*lines, one(_RETURN, _EPERM)])
