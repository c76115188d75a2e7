"""What delivery needs of the world, in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from letterlock.delivery.v1 import delivery_pb2
from letterlock.mail.v1 import mail_pb2

from services.common.ids import MailId, TenantId
from services.delivery.core.replies import Result
from services.delivery.core.routes import Destination

TERMINAL = frozenset(
    {mail_pb2.STATE_DELIVERED, mail_pb2.STATE_RETURNED, mail_pb2.STATE_REFUSED, mail_pb2.STATE_DELETED}
)
"""States after which nothing happens to a recipient any more."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT TO with its DSN parameters (RFC 3461)."""

    address: str
    notify: tuple[str, ...] = ()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One SMTP transaction: `content` is clean (CRLF only), and goes out byte for byte."""

    sender: str
    recipients: Sequence[Recipient]
    content: bytes
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""


class Transport(Protocol):
    """Hands a mail to a destination."""

    async def send(self, destination: Destination, mail: Outgoing) -> list[Result]:
        """One attempt; a result for each recipient, in order. Raises `Overflow` when it did not even begin."""


class Overflow(Exception):
    """The destination has all the connections it may have: come back in `seconds`. It was no attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"destination is busy, again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Fate:
    """A recipient's last known state."""

    state: int
    """letterlock.mail.v1.State"""
    attempts: int


class Fates(Protocol):
    """What became of recipients so far."""

    async def of(self, tenant: TenantId, mail_id: MailId) -> dict[int, Fate]:
        """The last state by position in the decision; raises `Unavailable`: then nothing may be sent."""


class Queue(Protocol):
    """Retry state, kept in the broker."""

    async def put(self, state: delivery_pb2.RetryState) -> None:
        """Keep it and deliver it at the earliest `next_attempt_at`; replaces what was kept for the leg."""

    async def get(self, tenant: TenantId, mail_id: MailId, leg: int) -> delivery_pb2.RetryState | None:
        """What is kept for a leg, as far as it is remembered."""

    async def remove(self, tenant: TenantId, mail_id: MailId, leg: int) -> None:
        """Forget a leg: it is done."""


class Leases(Protocol):
    """Who works on a mail, among all processes of the installation."""

    def hold(self, tenant: TenantId, mail_id: MailId, *, fresh: bool) -> AbstractAsyncContextManager[None]:
        """Work on a mail alone while the context lives; raises `Later` when somebody else has it.

        `fresh`: nobody else can have been given it yet, so that it is asked for only when the work takes long.
        Raises `Unavailable`: then nothing may be sent. A process that froze for longer than a lease is not stopped
        from going on; that is the one way left to a double besides a kill.
        """
