"""What quarantine needs of the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from letterlock.mail.v1 import mail_pb2

from services.common.ids import TenantId
from services.quarantine.core.holds import Hold


@dataclass(frozen=True, slots=True)
class Held:
    """A hold and the trace of its mail, as it was when it was held."""

    hold: Hold
    trace: mail_pb2.Trace


class Holds(Protocol):
    """Holds, durable on return, readable only with the tenant's trace key. Raises `Unavailable`."""

    async def get(self, tenant: TenantId, hold_id: str) -> Held | None:
        """One hold as it is now, or None."""

    async def put(self, tenant: TenantId, held: Held, *, actor: str) -> Held:
        """Store the next revision, based on `held.hold.revision` (0: there is none); answers with the new number.

        Raises `Conflict` or `AlreadyExists` when another was faster.
        """

    async def all(self, tenant: TenantId) -> list[Held]:
        """Every hold of a tenant, decided ones included, newest mail first."""
