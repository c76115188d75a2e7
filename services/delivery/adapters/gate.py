"""Slots of destinations: nobody waits long for a slow one, and its mail comes back later instead."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.delivery.core.destinations import Destination, Destinations
from services.delivery.ports import Overflow


class Gate:
    """Lets attempts begin as the memory of destinations allows."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[Destination]:
        """Hold one slot of the destination; raises `Overflow` when there is none for us."""
        destination = self._destinations.get(key)
        if not destination.has_room:
            await self._wait(key, destination)
        destination.began(time.monotonic())
        try:
            yield destination
        finally:
            destination.active -= 1
            self._wake(key, destination)

    async def _wait(self, key: str, destination: Destination) -> None:
        began = time.monotonic()
        while not destination.has_room:
            now = time.monotonic()
            patience = destination.patience(now)
            left = began + patience - now
            if left <= 0:
                raise Overflow(random.uniform(1.0, 3.0) if patience else random.uniform(3.0, 10.0))  # noqa: S311
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(key, deque()).append(waiter)
            try:
                async with asyncio.timeout(left):
                    await waiter
            except TimeoutError:
                continue
            except asyncio.CancelledError:
                # The slot that we were woken for is somebody else's now.
                self._wake(key, destination)
                raise

    def _wake(self, key: str, destination: Destination) -> None:
        queue = self._waiting.get(key)
        free = max(0, destination.limit - destination.active)
        leave = destination.patience(time.monotonic()) <= 0
        # Who would wait for a slow destination is woken too, and leaves instead of holding up other mail.
        while queue and (free > 0 or leave):
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1
        if queue is not None and not queue:
            self._waiting.pop(key, None)
