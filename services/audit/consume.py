"""Take the entries that services told without waiting (`audit.entry.<tid>`) into the logs."""

from __future__ import annotations

from letterlock.mail.v1 import mail_pb2

from services.audit.append import Logs
from services.audit.core.actions import BUS, ON_THE_BUS
from services.common import telemetry
from services.common.audit_entries import AuditEntry
from services.common.bus import Later, Message
from services.common.errors import Corrupt, Rejected
from services.common.ids import TenantId
from services.common.sealing.factkeys import FactKeys, KeyGone

_PATIENCE = 20_000
"""Deliveries, five seconds apart, for which an entry waits for the key that opens it: more than a day."""


class Taking:
    """A consumer's handler: acked once the entry is durable; told twice, an entry is one entry."""

    def __init__(self, logs: Logs, fact_keys: FactKeys) -> None:
        self._logs, self._keys = logs, fact_keys

    async def __call__(self, message: Message) -> None:
        """Append one entry; raises `Later` while a key is away, `Rejected` for what is no entry."""
        tenant = TenantId.parse(message.subject.rpartition(".")[2])
        with telemetry.stage("audit", "entry", headers=message.headers):
            try:
                sealed = mail_pb2.Sealed.FromString(message.data)
                told = await self._keys.open(sealed, f"audit\0{message.subject}".encode())
            except KeyGone as error:
                if message.deliveries > _PATIENCE:
                    raise Corrupt("the key of this entry is gone") from error
                raise Later(5) from error
            except ValueError as error:
                raise Corrupt("not a sealed entry") from error
            found = AuditEntry.load(told)
            if found.tenant != tenant:
                raise Corrupt("an entry of another tenant")
            if found.action not in ON_THE_BUS:
                raise Rejected("this is not told on the bus", action=found.action)
            await self._logs.append(told, found, BUS)
