"""A held mail for quarantine: whole, in pieces, and only what is stored."""

from __future__ import annotations

from typing import Any

import pytest
from letterlock.keys.v1 import keys_pb2
from letterlock.mail.v1 import mail_pb2

from services.common.errors import NotFound
from services.common.ids import MailId, TenantId
from services.encryption.held import HeldServicer

ACME, MAIL = TenantId.new(), MailId.new()
RAW = b"Subject: x\r\n\r\n" + b"0123456789" * 100_000


class _Reader:
    async def read(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        if (tenant, mail_id) != (ACME, MAIL):
            raise NotFound
        return mail_pb2.ObjectHeader(), RAW


async def test_pieces_are_the_mail() -> None:
    """No piece is larger than a message may be; another tenant's mail is not there."""
    servicer: Any = HeldServicer(_Reader())  # type: ignore[arg-type]
    request = keys_pb2.OpenHeldRequest(tenant=ACME, mail_id=MAIL)
    pieces = [a.piece async for a in servicer.OpenHeld(request, None)]
    assert b"".join(pieces) == RAW
    assert max(map(len, pieces)) <= 256 * 1024
    with pytest.raises(NotFound):
        _ = [a async for a in servicer.OpenHeld(keys_pb2.OpenHeldRequest(tenant=TenantId.new(), mail_id=MAIL), None)]
