"""Entries for the audit log from services whose work does not wait for it.

What was done is durable before its entry is told, so an entry is late when the
broker or a key is away, and is marked so: it waits here, bounded, and is told
in order. On the bus an entry is sealed to the tenant's trace key; in clear are
tenant id and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from services.common import log
from services.common.bus import Bus
from services.common.errors import Error, InvalidInput
from services.common.ids import TenantId
from services.common.sealing.factkeys import FactKeys, trace_of

_log = log.get(__name__)
_MOST_WAITING = 10_000
_AGAIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what in a tenant; `action` is one of CONTRACT's.

    In the log `actor` and `detail` are salted commitments, their values are encrypted beside; everything else stands
    in clear, so `facts` (strings, integers, lists of strings: `request_id`, `request_hash`, `root`, `total`,
    `approvals`, `expires`, `phase`, …) never hold a word, an address or a subject.
    """

    tenant: TenantId
    action: str
    actor: str
    detail: Mapping[str, Any]
    outcome: str = "done"
    mail_ids: tuple[str, ...] = ()
    at: datetime | None = None
    late: bool = False
    case_id: str = ""
    grant_id: str = ""
    facts: Mapping[str, str | int | Sequence[str]] = field(default_factory=dict)

    def stamped(self) -> AuditEntry:
        """The entry with a time: now where it has none."""
        return self if self.at else replace(self, at=datetime.now(UTC))

    def dump(self) -> bytes:
        """Canonical JSON (RFC 8785 for these values: sorted keys, no spaces)."""
        return orjson.dumps(
            {
                "tenant": str(self.tenant),
                "time": self.at.isoformat() if self.at else "",
                "actor": self.actor,
                "action": self.action,
                "outcome": self.outcome,
                "mail_ids": list(map(str, self.mail_ids)),
                "detail": dict(self.detail),
                "late": self.late,
                "case_id": self.case_id,
                "grant_id": self.grant_id,
                "facts": dict(self.facts),
            },
            option=orjson.OPT_SORT_KEYS,
        )

    @classmethod
    def load(cls, data: bytes) -> AuditEntry:
        """The entry that `dump` made; raises `InvalidInput`."""
        try:
            found = orjson.loads(data)
            return cls(
                tenant=TenantId.parse(found["tenant"]),
                action=str(found["action"]),
                actor=str(found["actor"]),
                detail=dict(found["detail"]),
                outcome=str(found["outcome"]),
                mail_ids=tuple(map(str, found["mail_ids"])),
                at=datetime.fromisoformat(found["time"]) if found["time"] else None,
                late=bool(found["late"]),
                case_id=str(found.get("case_id", "")),
                grant_id=str(found.get("grant_id", "")),
                facts=dict(found.get("facts") or {}),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput("not an audit entry", field="entry") from error


class AuditTrail:
    """Tells entries on `audit.entry.<tid>`. Work inside `running()`."""

    def __init__(self, bus: Bus, fact_keys: FactKeys) -> None:
        self._bus, self._keys = bus, fact_keys
        self._waiting: deque[AuditEntry] = deque()
        self._new = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AuditTrail]:
        """Tell what `record` takes while the context lives; leaving it tries once more to tell what waits."""
        task = asyncio.create_task(self._tell())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(2):
                    await self._tell_waiting()
            if self._waiting:
                _log.error("audit.entries_lost", waiting=len(self._waiting))

    def record(self, entry: AuditEntry) -> None:
        """Take an entry; never waits and never fails. Beyond 10,000 waiting entries the oldest is lost, loudly."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            _log.error("audit.entries_lost", waiting=len(self._waiting))
        self._waiting.append(entry.stamped())
        self._new.set()

    async def _tell(self) -> None:
        while True:
            await self._new.wait()
            self._new.clear()
            try:
                await self._tell_waiting()
            except Error as error:
                _log.warning("audit.entries_wait", code=error.code, waiting=len(self._waiting))
                self._waiting = deque(replace(e, late=True) for e in self._waiting)
                await asyncio.sleep(_AGAIN_SECONDS)
                self._new.set()

    async def _tell_waiting(self) -> None:
        while self._waiting:
            entry = self._waiting[0]
            await self._publish(entry)
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()

    async def _publish(self, entry: AuditEntry) -> None:
        subject, plain = f"audit.entry.{entry.tenant}", entry.dump()
        digest = hashlib.sha256(plain).hexdigest()
        sealed = await self._keys.seal(trace_of(entry.tenant), plain, f"audit\0{subject}".encode())
        await self._bus.publish(subject, sealed.SerializeToString(), msg_id=digest)
