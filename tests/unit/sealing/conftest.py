"""A tenant, a mail, and keys for them."""

from __future__ import annotations

import hashlib

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.ids import MailId, TenantId
from services.common.testing.keys import FakeKeys

RAW = b"Subject: secret plan\r\n\r\nThe eagle lands at noon.\r\n"


@pytest.fixture
def keys() -> FakeKeys:
    """One installation's keys."""
    return FakeKeys()


@pytest.fixture
def tenant() -> TenantId:
    """A tenant."""
    return TenantId.new()


@pytest.fixture
def mail_id() -> MailId:
    """A mail."""
    return MailId.new()


@pytest.fixture
def envelope(tenant: TenantId, mail_id: MailId) -> mail_pb2.Envelope:
    """Its envelope, with one blind recipient."""
    envelope = mail_pb2.Envelope(
        tenant=tenant, mail_id=mail_id, sender="alice@acme.example", size=len(RAW), sha256=hashlib.sha256(RAW).digest()
    )
    envelope.recipients.add(address="blind@other.example", direction=mail_pb2.DIRECTION_OUTBOUND)
    return envelope


@pytest.fixture
def header(envelope: mail_pb2.Envelope) -> mail_pb2.ObjectHeader:
    """The header of its object, undecided."""
    return mail_pb2.ObjectHeader(tenant=envelope.tenant, mail_id=envelope.mail_id, envelope=envelope)
