"""Doubles that pass the same conformance suites as the real adapters, and ways to wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], object | Awaitable[object]], *, timeout: float = 10.0) -> object:
    """Return the first true answer of `condition`, sync or async; fails when there is none in `timeout` seconds.

    Raises `AssertionError` with the last answer or the last exception.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            last = condition()
            if inspect.isawaitable(last):
                last = await last
            if last:
                return last
        except Exception as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {timeout} s; last: {last!r}")
        await asyncio.sleep(0.02)
