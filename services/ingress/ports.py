"""What `receive.py` needs of the world, in its own words."""

from __future__ import annotations

from typing import Protocol

from letterlock.mail.v1 import mail_pb2

from services.common.ids import MailId, TenantId


class Decider(Protocol):
    """Policy, asked in the dialogue."""

    async def decide(self, envelope: mail_pb2.Envelope, raw: bytes | None, *, timeout: float) -> mail_pb2.Decision:
        """The decision; `raw` is None when the body is the blob object. `timeout` in seconds.

        Raises `Busy` (ask again), `NoResponders`, `DeadlineExceeded` or `Unavailable`.
        """


class Publisher(Protocol):
    """The bus, told once the mail is durable."""

    async def publish(self, trace: mail_pb2.Trace, raw: bytes | None) -> None:
        """Publish `mail.decided`, or `mail.accepted` when the trace has no decision. Raises `Error`."""


class PublicKeys(Protocol):
    """Whom a mail's objects are sealed to."""

    async def recipients(self, tenant: TenantId, mail_id: MailId) -> list[str]:
        """The tenant's archive key and the pipeline key of the mail's day. Raises `Unavailable`."""
