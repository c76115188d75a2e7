"""Threads for mails that would keep the event loop, shared fairly between tenants.

Jobs wait in one line per tenant, the lines are served in turn, and one tenant
never has all threads. A full line says busy instead of growing.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from services.common.errors import Busy
from services.common.ids import TenantId


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Callable[[], Any]
    done: asyncio.Future[Any]


class FairPool:
    """Runs plain functions in threads. Use it from one event loop."""

    def __init__(self, threads: int, *, waiting: int, waiting_per_tenant: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="policy")
        self._threads, self._waiting, self._per_tenant = threads, waiting, waiting_per_tenant
        self._share = max(1, threads - 1)
        self._lines: OrderedDict[TenantId, deque[_Job]] = OrderedDict()
        self._running: Counter[TenantId] = Counter()
        self._queued = 0

    async def run[T](self, tenant: TenantId, work: Callable[[], T]) -> T:
        """What `work` returns; raises `Busy` when the tenant's line or all lines together are full.

        Who stops waiting takes a job that has not begun out of the line; one that runs goes on to its end.
        """
        line = self._lines.setdefault(tenant, deque())
        if self._queued >= self._waiting or len(line) >= self._per_tenant:
            raise Busy("no room to inspect", tenant=tenant)
        job = _Job(work, asyncio.get_running_loop().create_future())
        line.append(job)
        self._queued += 1
        self._start()
        try:
            return await job.done  # type: ignore[no-any-return]
        finally:
            if job in line:
                line.remove(job)
                self._queued -= 1

    def close(self) -> None:
        """Let running work end; start nothing more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        while sum(self._running.values()) < self._threads:
            tenant = next((t for t, line in self._lines.items() if line and self._running[t] < self._share), None)
            if tenant is None:
                break
            job = self._lines[tenant].popleft()
            self._lines.move_to_end(tenant)
            self._queued -= 1
            self._running[tenant] += 1
            running = asyncio.get_running_loop().run_in_executor(self._executor, job.work)
            running.add_done_callback(lambda f, t=tenant, j=job: self._ended(t, j, f))  # type: ignore[misc]
        for tenant in [t for t, line in self._lines.items() if not line and not self._running[t]]:
            del self._lines[tenant], self._running[tenant]

    def _ended(self, tenant: TenantId, job: _Job, ran: asyncio.Future[Any]) -> None:
        self._running[tenant] -= 1
        error = None if ran.cancelled() else ran.exception()
        if not job.done.done():
            if ran.cancelled():
                job.done.cancel()
            elif error is not None:
                job.done.set_exception(error)
            else:
                job.done.set_result(ran.result())
        self._start()
