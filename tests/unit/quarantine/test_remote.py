"""What quarantine asks of encryption: nothing before the log has it, and failures by their names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from letterlock.keys.v1 import keys_pb2

from services.common.audit_entries import AuditEntry
from services.common.errors import Unavailable
from services.common.ids import MailId
from services.common.testing.audit import InMemoryAuditLog
from services.quarantine.adapters.remote import AuditedReveal
from tests.unit.quarantine.conftest import ACME


class _Channel:
    """A channel to an encryption that gives two pieces."""

    def __init__(self, log: InMemoryAuditLog) -> None:
        self.log, self.asked = log, list[Any]()

    def unary_stream(self, method: str, **how: Any) -> Any:
        """The call of the only RPC."""

        async def call(request: Any, timeout: float) -> AsyncIterator[Any]:
            self.asked.append((request.mail_id, len(self.log.entries)))
            for piece in (b"a", b"b"):
                yield keys_pb2.OpenHeldResponse(piece=piece)

        return call


async def test_content_is_asked_for_after_the_entry() -> None:
    """The log has the entry when encryption is asked; without the log it is never asked."""
    log, mail_id = InMemoryAuditLog(), MailId.new()
    channel: Any = _Channel(log)
    reveal = AuditedReveal(channel, log)
    entry = AuditEntry(ACME, "hold.viewed", "lin@acme.example", {}, mail_ids=(mail_id,))
    log.unavailable = True
    with pytest.raises(Unavailable):
        _ = [p async for p in reveal(ACME, mail_id, entry)]
    assert channel.asked == []
    log.unavailable = False
    assert [p async for p in reveal(ACME, mail_id, entry)] == [b"a", b"b"]
    assert channel.asked == [(mail_id, 1)]
