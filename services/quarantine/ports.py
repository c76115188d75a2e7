"""What quarantine needs of the world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from letterlock.mail.v1 import mail_pb2

from services.common.audit_entries import AuditEntry
from services.common.ids import MailId, TenantId
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


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the engines of today say of a mail."""

    decision: mail_pb2.Decision
    malware: bool = False


class Inspector(Protocol):
    """Asks policy about a stored mail; it reads the mail itself."""

    async def __call__(self, tenant: TenantId, mail_id: MailId) -> Inspection:
        """Raises `NotFound` (no such mail, or its key is destroyed) or `Unavailable`."""


class Reveal(Protocol):
    """Content of a held mail, told to the audit log before it is given."""

    def __call__(self, tenant: TenantId, mail_id: MailId, entry: AuditEntry) -> AsyncIterator[bytes]:
        """The mail in pieces, after `entry` is durable. Raises `Unavailable`: then nothing was given; `NotFound`."""


@dataclass(frozen=True, slots=True)
class Deputy:
    """Who stands in for a reviewer, and until when (None: until it is cleared)."""

    reviewer: str
    deputy: str
    until: datetime | None = None


type Verdict = Literal["allow", "block"]


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender that reviewers allowed or blocked."""

    address: str
    verdict: Verdict
    by: str
    at: datetime
    note: str = ""


class Settings(Protocol):
    """What reviewers set for themselves and their tenant. Raises `Unavailable`."""

    async def deputies(self, tenant: TenantId) -> Sequence[Deputy]:
        """Every deputy, those whose time is over included."""

    async def set_deputy(self, tenant: TenantId, reviewer: str, deputy: Deputy | None) -> None:
        """Name a reviewer's deputy; None: nobody."""

    async def senders(self, tenant: TenantId) -> Sequence[Sender]:
        """Senders that are allowed or blocked."""

    async def set_sender(self, tenant: TenantId, address: str, sender: Sender | None, *, actor: str) -> None:
        """Allow or block a sender; None: neither."""


class LinkKeys(Protocol):
    """The key that a tenant's action links are signed with."""

    async def key(self, tenant: TenantId) -> bytes:
        """32 bytes, made at the first question and the same ever after. Raises `Unavailable`."""


class Mailer(Protocol):
    """Sends mail of our own."""

    async def send(
        self, tenant: TenantId, to: Sequence[str], build: Callable[[MailId, datetime], bytes], *, seed: str
    ) -> MailId:
        """See `SystemMail.send`."""
