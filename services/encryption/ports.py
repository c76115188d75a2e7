"""What the keeper and the sealer need of the world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from letterlock.mail.v1 import mail_pb2

from services.common.ids import MailId, TenantId
from services.common.mailedit import Wish
from services.encryption.core.settings import Settings


class MasterKey(Protocol):
    """The key that wraps all others."""

    def get(self) -> bytes:
        """32 bytes; raises `Unavailable` (not there) or `InvalidInput` (wrong, or readable by others)."""


class KeyRing(Protocol):
    """Halves of keys by name, durable when a call returns. Raises `Unavailable`."""

    async def private_names(self, prefix: str) -> set[str]:
        """Names under `prefix` whose private half is there."""

    async def public_names(self, prefix: str) -> set[str]:
        """Names under `prefix` whose public half is there."""

    async def add_private(self, name: str, wrapped: bytes) -> bool:
        """Store a wrapped private half; False when somebody else already has."""

    async def private(self, name: str) -> bytes:
        """The wrapped private half, or `NotFound`."""

    async def publish(self, name: str, statement: bytes) -> None:
        """Store the statement of a public half; one that is there stays."""

    async def destroy(self, name: str) -> None:
        """Remove the private half for good; what is not there is no error."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One password of a sealed leg: for which recipients, and where it comes from (`agreed`: that password's id)."""

    positions: tuple[int, ...]
    recipients: tuple[str, ...]
    password: str = field(repr=False)
    agreed: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a leg is sealed, durable before anything is: a second try, after a crash, seals in just the same way."""

    tenant: TenantId
    mail_id: MailId
    leg: int
    sender: str
    at: datetime
    secrets: tuple[Secret, ...]

    @property
    def id(self) -> str:
        """How people name it."""
        return f"{self.mail_id}.{self.leg}"


@dataclass(frozen=True, slots=True)
class Agreed:
    """A password agreed with a partner, a domain or an address; dates that are None set no limit."""

    id: str
    partner: str
    password: str = field(repr=False)
    created_at: datetime
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""

    def in_force(self, now: datetime) -> bool:
        """Whether it seals now."""
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )


class Book(Protocol):
    """The passwords, wrapped under the master key. Raises `Unavailable`."""

    async def add(self, plan: Plan) -> Plan:
        """Make a plan durable, and return it; or the one that was there before."""

    async def plans(self, tenant: TenantId, senders: Sequence[str], *, mail_id: str = "") -> list[Plan]:
        """The plans of these senders' mails, newest first; with `mail_id`, of that mail alone."""

    async def told(self, plan: Plan) -> bool:
        """Whether its sender has been told."""

    async def set_told(self, plan: Plan) -> None:
        """Note that the sender has been told: they are not told again."""

    async def expire(self, tenant: TenantId, *, before: datetime) -> int:
        """Delete the plans that were made before; returns how many objects went."""

    async def agreed(self, tenant: TenantId) -> list[Agreed]:
        """Every agreed password that was not deleted, newest first."""

    async def agree(self, tenant: TenantId, agreed: Agreed, *, actor: str) -> Agreed:
        """Make an agreed password durable; of the same id, the one that was there before."""

    async def end(self, tenant: TenantId, id: str, *, actor: str) -> None:
        """Delete an agreed password; raises `NotFound` when there never was one."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """A mail to be sealed for the recipients of one secret."""

    tenant: TenantId
    mail_id: MailId
    leg: int
    variant: int
    raw: bytes = field(repr=False)
    envelope: mail_pb2.Envelope = field(repr=False)
    changes: tuple[Wish, ...]
    """Banners and attachments to be taken out: inside what is sealed, delivery could do neither."""
    settings: Settings
    secret: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """A mail as it is delivered, why it differs, and what was done, without names."""

    content: bytes = field(repr=False)
    reason: str
    manifest: Mapping[str, object]


class Packer(Protocol):
    """Makes the mail that carries the sealed content."""

    async def is_encrypted(self, raw: bytes) -> bool:
        """Whether the whole mail is encrypted by its sender already (S/MIME, PGP/MIME)."""

    async def pack(self, sealing: Sealing) -> Made:
        """The mail; off the loop. Raises `Rejected` or `Corrupt` when it cannot be made, today or tomorrow."""


class Contents(Protocol):
    """What is delivered, create-only, durable. Raises `Unavailable`."""

    async def exists(self, plan: Plan, variant: int) -> bool:
        """Whether it was made before."""

    async def create(self, header: mail_pb2.ContentHeader, content: bytes) -> None:
        """Store it; raises `AlreadyExists`."""


class Notices(Protocol):
    """Tells senders. Raises `Unavailable`."""

    async def password(self, plan: Plan, envelope: mail_pb2.Envelope, settings: Settings) -> None:
        """Send the sender the passwords that were made; the same plan again is the same mail."""


class Roots(Protocol):
    """Who has the roots of the tenants' index keys."""

    async def index_root(self, tenant: TenantId) -> bytes:
        """The tenant's 32 bytes. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Mail:
    """An archived mail, opened: its signed header and its bytes as received."""

    header: mail_pb2.ObjectHeader = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def envelope(self) -> mail_pb2.Envelope:
        """Who sent it to whom."""
        return self.header.envelope

    @property
    def received(self) -> datetime:
        """The time of receipt, UTC."""
        return self.header.envelope.received_at.ToDatetime(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a leg was delivered as."""

    header: mail_pb2.ContentHeader = field(repr=False)
    raw: bytes = field(repr=False)


class StoredMail(Protocol):
    """Opens archived mails. Raises `NotFound`, `Corrupt`, `Unavailable`."""

    async def read(self, tenant: TenantId, mail_id: MailId) -> Mail:
        """A mail as it was received; `NotFound` also for our own."""

    def delivered(self, tenant: TenantId, mail_id: MailId) -> AsyncIterator[Delivered]:
        """What differs from it, leg by leg."""
