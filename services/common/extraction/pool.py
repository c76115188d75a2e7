"""The pool of workers: who reads whose mail, and when.

Tenants take turns, and one alone never has every worker (unless there is only one). Who finds the queue full is told
so at once. A worker is replaced when it died, and before it is worn out, by one that is ready.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from services.common.components import ExtractionConfig
from services.common.errors import Busy, Unavailable
from services.common.extraction.budget import Limits
from services.common.extraction.model import File, Piece
from services.common.extraction.process import Worker
from services.common.ids import TenantId

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Pool:
    """An `Extractor` on confined processes."""

    def __init__(self, config: ExtractionConfig) -> None:
        self._size = config.workers or max(2, os.cpu_count() or 2)
        self._share = max(1, self._size - 1)
        self._queue, self._jobs = config.queue, config.jobs
        self._limits = Limits(
            depth=config.depth, files=config.files, total=config.total, member=config.member, ratio=config.ratio,
            text=config.text, memory=config.memory,
        )  # fmt: skip
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._retired: set[Worker] = set()
        self._replacing: set[Worker] = set()
        self._waiting: dict[TenantId, deque[asyncio.Future[Worker]]] = {}
        self._busy: Counter[TenantId] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: Unavailable | None = None
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The workers' process ids."""
        return tuple(w.pid for w in self._all)

    async def start(self) -> None:
        """Start every worker, so that the first mail waits for none. Raises `Unavailable`."""
        started = await asyncio.gather(*(Worker.start(self._limits) for _ in range(self._size)), return_exceptions=True)
        self._all.update(w for w in started if isinstance(w, Worker))
        self._idle += self._all
        for failed in started:
            if isinstance(failed, BaseException):
                raise failed

    async def close(self) -> None:
        """End all of them; what they read is broken off."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for queue in self._waiting.values():
            for future in queue:
                if not future.done():
                    future.set_exception(Unavailable("extraction: closed"))
        await asyncio.gather(*(w.kill() for w in tuple(self._all)))
        self._all.clear()

    async def __call__(
        self, tenant: TenantId, files: Sequence[File], *, passwords: Sequence[str] = (), timeout: float
    ) -> tuple[Piece, ...]:
        """Read the files; see `Extractor`."""
        if not files:
            return ()
        deadline = time.monotonic() + timeout
        worker = await self._take(tenant, timeout)
        try:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Busy("extraction: no worker came free in time")
            return await worker.ask(files, passwords, left)
        finally:
            self._give(tenant, worker)

    async def _take(self, tenant: TenantId, timeout: float) -> Worker:
        if self._closed or (self._trouble is not None and not self._all):
            raise self._trouble or Unavailable("extraction: closed")
        if self._busy[tenant] < self._share and not self._waiting.get(tenant):
            worker = self._next_idle()
            if worker is not None:
                self._busy[tenant] += 1
                return worker
        if self._busy[tenant] == 0:
            del self._busy[tenant]
        queue = self._waiting.setdefault(tenant, deque())
        if len(queue) >= max(1, self._queue // 2) or sum(map(len, self._waiting.values())) >= self._queue:
            if not queue:
                del self._waiting[tenant]
            raise Busy("extraction: too many wait")
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        queue.append(future)
        try:
            async with asyncio.timeout(timeout):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled() and future.exception() is None:
                # It was given one in the same moment.
                self._give(tenant, future.result())
            else:
                self._forget(tenant, future)
            if isinstance(error, TimeoutError):
                raise Busy("extraction: no worker came free in time") from error
            raise

    def _forget(self, tenant: TenantId, future: asyncio.Future[Worker]) -> None:
        queue = self._waiting.get(tenant)
        if queue is not None and future in queue:
            queue.remove(future)
            if not queue:
                del self._waiting[tenant]

    def _give(self, tenant: TenantId, worker: Worker) -> None:
        self._busy[tenant] -= 1
        if not self._busy[tenant]:
            del self._busy[tenant]
        if self._closed:
            return
        if not worker.alive:
            self._lost(worker)
        elif worker in self._retired:
            self._begin(self._end(worker))
        else:
            self._idle.append(worker)
            if (worker.worn or worker.jobs >= self._jobs) and worker not in self._replacing:
                self._replacing.add(worker)
                self._begin(self._replace(worker))
        self._dispatch()

    def _next_idle(self) -> Worker | None:
        """An idle worker that lives; those that died while they waited are replaced."""
        while self._idle:
            worker = self._idle.pop()
            if not worker.gone:
                return worker
            self._begin(worker.kill())
            self._lost(worker)
        return None

    def _lost(self, worker: Worker) -> None:
        log.warning("extraction.worker_lost", jobs=worker.jobs)
        self._all.discard(worker)
        self._retired.discard(worker)
        # Where one is on its way to replace it already, that one does.
        if worker not in self._replacing:
            self._begin(self._replace(None))

    def _dispatch(self) -> None:
        """Give idle workers to those who wait, tenant by tenant in turn."""
        for tenant in tuple(self._waiting):
            if self._busy.get(tenant, 0) >= self._share:
                continue
            worker = self._next_idle()
            if worker is None:
                return
            queue = self._waiting.pop(tenant)
            future = queue.popleft()
            if queue:
                # To the end of the line.
                self._waiting[tenant] = queue
            if future.done():
                self._idle.append(worker)
                continue
            self._busy[tenant] += 1
            future.set_result(worker)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace(self, old: Worker | None) -> None:
        """Put a new worker in, then take the old one out."""
        pause = _FIRST_PAUSE
        while True:
            try:
                worker = await Worker.start(self._limits)
                break
            except Unavailable as error:
                self._trouble = error
                log.error("extraction.worker_failed", reason=str(error.fields.get("reason", "")))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._trouble = None
        self._all.add(worker)
        self._idle.append(worker)
        if old is not None:
            self._replacing.discard(old)
            if old in self._idle:
                self._idle.remove(old)
                await self._end(old)
            elif old in self._all:
                self._retired.add(old)
        self._dispatch()

    async def _end(self, worker: Worker) -> None:
        self._retired.discard(worker)
        self._all.discard(worker)
        await worker.kill()
