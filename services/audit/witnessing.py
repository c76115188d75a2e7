"""Let witnesses see each log's end, and know for how long none has.

A witness cosigns a checkpoint that extends the one it saw before; who holds a
quorum's cosignatures knows that everybody was shown the same log. Their being
away stops nothing: the time without them is measured and alarmed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Gauge

from services.audit.append import Log
from services.audit.ports import LogStore
from services.audit.read import cosigned_path
from services.common import log
from services.common.errors import Error
from services.common.tlog import checkpoint, note
from services.common.tlog.policy import Policy, Witness

_log = log.get(__name__)
UNWITNESSED = Gauge(
    "letterlock_audit_unwitnessed_seconds", "Longest time for which entries of a log wait for the quorum of witnesses"
)
WITNESSED = "witnessed"
"""The newest checkpoint with a quorum, in the log's folder."""


class AddCheckpoint(Protocol):
    """Asks one witness (C2SP tlog-witness)."""

    async def __call__(
        self, witness: Witness, old: int, proof: tuple[bytes, ...], signed: bytes
    ) -> tuple[note.Signature, ...] | int:
        """Its cosignatures, or the size that it knows when `old` is another; raises `Unavailable`, `Rejected`."""


@dataclass(slots=True)
class State:
    """What is known of one log: the size a quorum saw, and since when more waits (monotonic; None: nothing does)."""

    witnessed: int = 0
    since: float | None = None
    alarmed: bool = False
    looked: bool = False
    """The log was opened at least once."""

    @property
    def unwitnessed_seconds(self) -> float:
        """How long entries have waited."""
        return 0.0 if self.since is None else time.monotonic() - self.since


class Witnessing:
    """Asks the policy's witnesses about logs that have grown. Without witnesses it does nothing."""

    def __init__(self, store: LogStore, policy: Policy, ask: AddCheckpoint, *, alarm: float) -> None:
        self._store, self._policy, self._ask, self._alarm = store, policy, ask, alarm
        self._states: dict[str, State] = {}
        self._sizes: dict[tuple[str, str], int] = {}

    @property
    def on(self) -> bool:
        """Whether there is a quorum to reach."""
        return bool(self._policy.quorum)

    async def state(self, log_: Log) -> State:
        """What is known of a log."""
        found = self._states.get(log_.tenant)
        if found is None:
            found = self._states[log_.tenant] = State()
            kept = await self._store.read(log_.tenant, WITNESSED) if self.on else None
            if kept is not None:
                head, signed = checkpoint.opened(kept, log_.key)
                found.witnessed = head.size if self._policy.satisfied(signed) else 0
        return found

    async def keep(self, logs: Callable[[], list[Log]], every: float) -> None:
        """Do so every so many seconds, until cancelled."""
        while self.on:
            for opened in logs():
                try:
                    await self.witness(opened)
                except (Error, ValueError) as error:
                    _log.warning("audit.not_witnessed", tenant=opened.tenant, error=getattr(error, "code", "invalid"))
            UNWITNESSED.set(max((s.unwitnessed_seconds for s in self._states.values()), default=0.0))
            await asyncio.sleep(every)

    async def witness(self, opened: Log) -> None:
        """Ask for cosignatures of the newest checkpoint where it has no quorum."""
        state = await self.state(opened)
        if not state.looked and not opened.head:
            await opened.refresh()
        state.looked = True
        head, size = opened.head, opened.size
        if not head or size <= state.witnessed:
            return
        state.since = state.since or time.monotonic()
        signed = note.parse(await self._store.read(opened.tenant, cosigned_path(size)) or head)
        for witness in self._policy.witnesses.values():
            if witness.url and signed.cosigned_at(witness.key) is None:
                try:
                    signed = signed.with_signatures(await self._cosignatures(opened, witness, size, head))
                except Error as error:
                    _log.warning("audit.witness_failed", witness=witness.key.name, error=error.code)
        if signed.signatures != note.parse(head).signatures:
            await self._store.put(opened.tenant, cosigned_path(size), signed.dump())
        if self._policy.satisfied(signed):
            await self._store.put(opened.tenant, WITNESSED, signed.dump())
            state.witnessed, state.alarmed = size, False
            state.since = None if opened.size == size else time.monotonic()
        elif state.unwitnessed_seconds > self._alarm and not state.alarmed:
            state.alarmed = True
            _log.error("audit.unwitnessed", tenant=opened.tenant, seconds=int(state.unwitnessed_seconds))

    async def _cosignatures(self, opened: Log, witness: Witness, size: int, head: bytes) -> tuple[note.Signature, ...]:
        place = opened.tenant, witness.key.text
        for _ in range(3):
            old = self._sizes.get(place, 0)
            if old > size:
                # Another sequencer may have appended: then the next round asks for what it appended.
                await opened.refresh()
                if opened.size >= old:
                    return ()
                _log.error("audit.witness_ahead", tenant=opened.tenant, witness=witness.key.name, size=old)
                return ()
            answer = await self._ask(witness, old, await opened.consistency(old, size), head)
            if isinstance(answer, int):
                self._sizes[place] = answer
                continue
            self._sizes[place] = size
            return tuple(s for s in answer if (s.name, s.key_id) == (witness.key.name, witness.key.id))
        return ()
