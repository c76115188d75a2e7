"""What a confined process cannot do, and what the pool does when one fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from services.common.components import ExtractionConfig
from services.common.config import Bytes
from services.common.errors import Busy
from services.common.extraction import File, frames
from services.common.extraction.budget import Limits
from services.common.extraction.pool import Pool
from services.common.ids import TenantId
from services.common.processes import alive
from services.common.testing import eventually
from tests.corpus import bombs, documents
from tests.unit.extraction.conftest import TENANT

ATTEMPTS = """
import ctypes, json, mmap, os, signal, socket, subprocess, sys
from services.common.extraction.confine import confine
def run(): subprocess.run(["/bin/true"])
def child():
    if os.fork() == 0: os._exit(0)
def executable(): mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
def ptrace():
    if ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0): raise OSError(ctypes.get_errno(), "")
def much(): bytearray(200 * 1024 * 1024)
attempts = {
    "read a file": lambda: open("/etc/passwd").read(),
    "write a file": lambda: open("/tmp/never-written", "w"),
    "list a folder": lambda: os.listdir("/"),
    "make a socket": lambda: socket.socket(),
    "make a pair": lambda: socket.socketpair(),
    "run a program": run, "make a process": child, "make memory executable": executable, "look into another": ptrace,
    "signal its parent": lambda: os.kill(os.getppid(), signal.SIGTERM), "take memory": much,
    "raise a limit": lambda: __import__("resource").setrlimit(7, (1000, 1000)),
}
subprocess.run(["/bin/true"]); ctypes.CDLL(None)
confine(os.getppid(), 64 * 1024 * 1024)
done = {}
for name, attempt in attempts.items():
    try:
        attempt()
        done[name] = "done"
    except (OSError, MemoryError, ValueError) as error:
        done[name] = type(error).__name__
os.write(1, json.dumps(done).encode())
"""


def test_a_confined_process_can_only_compute() -> None:
    answer = subprocess.run([sys.executable, "-c", ATTEMPTS], stdout=subprocess.PIPE, check=True, timeout=60)
    done = json.loads(answer.stdout)
    assert done.pop("take memory") == "MemoryError"
    assert len(done) == 11
    assert set(done.values()) <= {"PermissionError", "ValueError"}, done


def _file(content: bytes = b"hello", part: str = "2") -> File:
    return File(part, "a", "", content)


async def _pool(**changes: object) -> Pool:
    pool = Pool(replace(ExtractionConfig(), **{"workers": 1, **changes}))  # type: ignore[arg-type]
    await pool.start()
    return pool


async def test_the_files_of_a_killed_worker_are_broken_and_the_next_mail_is_read() -> None:
    pool = await _pool()
    try:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(pool(TENANT, [_file(), _file(part="3")], timeout=60))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert [(p.part, p.problem) for p in await asked] == [("2", "broken"), ("3", "broken")]
        assert (await pool(TENANT, [_file()], timeout=60))[0].text == "hello"
        assert not alive(pid)
    finally:
        await pool.close()


async def test_a_worker_that_hangs_is_killed_in_time() -> None:
    pool = await _pool()
    try:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        (piece,) = await pool(TENANT, [_file()], timeout=0.2)
        assert (piece.problem, piece.text, piece.size) == ("timeout", None, 5)
        assert not alive(pid)
        assert (await pool(TENANT, [_file()], timeout=60))[0].problem is None
    finally:
        await pool.close()


async def test_memory_beyond_the_bound_ends_the_file_not_the_service() -> None:
    pool = await _pool(memory=Bytes(16 * 1024 * 1024))
    try:
        pieces = await pool(TENANT, [_file(documents.zipped({"a": os.urandom(60_000_000)}))], timeout=60)
        assert {p.problem for p in pieces} & {"too_large", "broken"}
        assert (await pool(TENANT, [_file()], timeout=60))[0].problem is None
    finally:
        await pool.close()


async def test_a_bomb_does_not_keep_the_other_files_of_the_mail_from_being_answered_for() -> None:
    pool = await _pool()
    try:
        pieces = await pool(TENANT, [_file(bombs.nested()), _file(part="3")], timeout=60)
        assert {p.part for p in pieces} >= {"2", "3"}
    finally:
        await pool.close()


async def test_one_tenant_never_has_every_worker() -> None:
    pool = await _pool(workers=2)
    try:
        for pid in pool.pids:
            os.kill(pid, signal.SIGSTOP)
        greedy = [asyncio.ensure_future(pool(TENANT, [_file()], timeout=60)) for _ in range(5)]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(pool(TenantId.new(), [_file()], timeout=60))
        await asyncio.sleep(0)
        assert not pool._idle
        assert sum(pool._busy.values()) == 2
        assert pool._busy[TENANT] == 1
        for pid in pool.pids:
            os.kill(pid, signal.SIGCONT)
        found = await asyncio.gather(other, *greedy)
        assert [pieces[0].text for pieces in found] == ["hello"] * 6
    finally:
        await pool.close()


async def test_who_finds_the_queue_full_or_no_worker_in_time_is_told_busy() -> None:
    pool = await _pool(queue=2)
    try:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        first = asyncio.ensure_future(pool(TENANT, [_file()], timeout=60))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(pool(TENANT, [_file()], timeout=0.1))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await pool(TENANT, [_file()], timeout=60)
        with pytest.raises(Busy):
            await waiting
        os.kill(pid, signal.SIGCONT)
        assert (await first)[0].text == "hello"
    finally:
        await pool.close()


async def test_a_worker_is_replaced_after_its_jobs_by_one_that_is_ready() -> None:
    pool = await _pool(jobs=3)
    try:
        first = pool.pids
        for _ in range(3):
            await pool(TENANT, [_file()], timeout=60)
        await eventually(lambda: len(pool.pids) == 1 and pool.pids != first, timeout=60)
        await eventually(lambda: not alive(first[0]), timeout=60)
        assert (await pool(TENANT, [_file()], timeout=60))[0].text == "hello"
    finally:
        await pool.close()


async def test_a_call_that_is_given_up_costs_one_worker_and_no_more() -> None:
    pool = await _pool()
    try:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(pool(TENANT, [_file()], timeout=60))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert (await pool(TENANT, [_file()], timeout=60))[0].text == "hello"
        assert not alive(pid)
    finally:
        await pool.close()


async def test_a_worker_that_dies_while_it_waits_is_nobodys_trouble() -> None:
    pool = await _pool()
    try:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        (worker,) = pool._all
        await eventually(lambda: worker.gone, timeout=60)
        assert (await pool(TENANT, [_file()], timeout=60))[0].text == "hello"
    finally:
        await pool.close()


async def test_closing_the_pool_ends_what_is_being_read() -> None:
    pool = await _pool()
    os.kill(pool.pids[0], signal.SIGSTOP)
    asked = asyncio.ensure_future(pool(TENANT, [_file()], timeout=600))
    await asyncio.sleep(0)
    await pool.close()
    assert (await asked)[0].problem == "broken"


async def test_no_worker_outlives_the_pool() -> None:
    pool = await _pool(workers=2)
    pids = pool.pids
    await pool.close()
    assert not any(alive(p) for p in pids)


@pytest.mark.parametrize(
    "fields",
    [
        b"", b"{", b"[]", b'["3","a","b","text",1,"",true,false,false,null]',
        b'["2","a","b","no such type",1,"",true,false,false,null]', b'["2","a","b","text",-1,"",true,false,false,null]',
        b'["2/0x","a","b","text",1,"",true,false,false,null]', b'["2","a","b\\n","text",1,"",true,false,false,null]',
        b'["2","a","b","text",1,"zz",true,false,false,null]', b'["2","a","b","text",1,"",true,false,false,"fine"]',
        b"[" * 15000,
    ],
)  # fmt: skip
def test_what_a_taken_over_worker_says_is_not_believed(fields: bytes) -> None:
    with pytest.raises(frames.Nonsense):
        frames.piece(fields, b"", _file())
    with pytest.raises(frames.Nonsense):
        frames.lengths(frames.HEAD.pack(b"P", 1 << 20, 0), Limits())
