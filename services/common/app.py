"""What a service is given, and how it lives: built, ready, drained.

Each service's `app.py` has `build(ctx)`, an async context manager that wires
its adapters and yields while it works; leaving it drains. Everything shared
(store, bus, control, RPC server, health) is made here, once per process and
service, so that one process or many run the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.common.bus import Bus
from services.common.config import Settings
from services.common.errors import Error
from services.common.objects import ObjectStore

if TYPE_CHECKING:
    from services.common.audit_calls import AuditedCalls
    from services.common.control import Control
    from services.common.rpc import RpcServer

type Check = Callable[[], Awaitable[None]]


class Health:
    """Named readiness checks; each returns, or raises what is wrong."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Let `/readyz` ask `check` too."""
        self._checks[name] = check

    def checks(self) -> dict[str, Check]:
        """The checks by name."""
        return dict(self._checks)

    async def failures(self, *, timeout: float = 2.0) -> dict[str, str]:
        """What is not ready, by name, with the code of the reason; empty when all is well."""

        async def ask(check: Check) -> str | None:
            try:
                await asyncio.wait_for(check(), timeout)
            except Error as error:
                return error.code
            except TimeoutError:
                return "deadline_exceeded"
            except Exception:
                return "internal"
            return None

        answers = await asyncio.gather(*(ask(c) for c in self._checks.values()))
        return {name: answer for name, answer in zip(self._checks, answers, strict=True) if answer}


@dataclass
class Context:
    """The parts a service is built from. `addresses` is what it listens on, by the ready line's names."""

    name: str
    settings: Settings
    objects: ObjectStore
    bus: Bus
    control: Control
    rpc: RpcServer
    health: Health = field(default_factory=Health)
    addresses: dict[str, str] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    calls: AuditedCalls | None = None
    """Who is told of log-ins; `rpc` tells it already."""


type Build = Callable[[Context], AbstractAsyncContextManager[None]]
