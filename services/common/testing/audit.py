"""An audit log in memory, for tests of services that write to it."""

from __future__ import annotations

import orjson

from services.common.audit_client import Receipt
from services.common.audit_entries import AuditEntry
from services.common.errors import Unavailable


class InMemoryAuditLog:
    """Keeps what is appended in `entries`; set `unavailable` to see what the code above does then.

    Its receipts carry no real proof: `proof` is empty and `checkpoint` unsigned.
    """

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.unavailable = False

    async def append(self, entry: AuditEntry) -> Receipt:
        """See `AuditLog`."""
        if self.unavailable:
            raise Unavailable("the audit log does not answer")
        entry = entry.stamped()
        self.entries.append(entry)
        opening = orjson.dumps({"actor": entry.actor, "detail": dict(entry.detail)})
        return Receipt(entry.dump(), len(self.entries) - 1, (), b"", opening)
