"""What a leg is delivered as: only what its writer made for this leg is believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.errors import AlreadyExists, Corrupt, NotFound
from services.common.ids import MailId, TenantId
from services.common.objects.local import LocalStore
from services.common.sealing import content
from services.common.sealing.age import NoKey
from services.common.testing.keys import FakeKeys

TENANT, OTHER = TenantId.new(), TenantId.new()
MAIL = MailId.new()
RAW = b"Subject: sealed\r\n\r\n" + b"x" * 300_000


def _header(**more: object) -> mail_pb2.ContentHeader:
    return mail_pb2.ContentHeader(
        tenant=TENANT,
        mail_id=MAIL,
        leg=2,
        kind="sealed",
        reason="rule",
        rules=["r"],
        **more,  # type: ignore[arg-type]
    )


async def test_content_is_read_back_and_never_replaced(tmp_path: Path) -> None:
    """What was stored first stays; header and bytes come back as they went in."""
    objects, keys = LocalStore(tmp_path), FakeKeys()
    signer = keys.signer("encryption")
    await content.write_content(objects, keys.public, signer, _header(recipients=[0, 1]), RAW)
    with pytest.raises(AlreadyExists):
        await content.write_content(objects, keys.public, signer, _header(), b"another")
    header, raw = await content.read_content(objects, keys.identities, keys.writers, TENANT, MAIL, 2)
    assert (raw, header.kind, list(header.rules), list(header.recipients)) == (RAW, "sealed", ["r"], [0, 1])
    data = await objects.get(content.content_key(TENANT, MAIL, 2))
    _, archived = content.open_content(
        data,
        identities=keys.archive_identities(TENANT),
        writers=keys.writers,
        tenant=TENANT,
        mail_id=MAIL,
        leg=2,
    )
    assert archived == RAW
    with pytest.raises(NotFound):
        await content.read_content(objects, keys.identities, keys.writers, TENANT, MAIL, 1)


@pytest.mark.parametrize("writer", ["ingress", "policy", "nobody"])
def test_content_of_a_writer_who_may_not_is_refused(writer: str) -> None:
    """The right key to seal to is public: the signature decides."""
    keys = FakeKeys()
    identity, recipient = keys.pair("pipeline/x")
    data = content.seal_content(_header(), b"raw", recipients=[recipient], signer=keys.signer(writer))
    with pytest.raises(Corrupt):
        content.open_content(data, identities=[identity], writers=keys.writers, tenant=TENANT, mail_id=MAIL, leg=2)


@pytest.mark.parametrize(("tenant", "mail_id", "leg"), [(OTHER, MAIL, 2), (TENANT, MailId.new(), 2), (TENANT, MAIL, 1)])
def test_content_that_was_moved_is_refused(tenant: TenantId, mail_id: MailId, leg: int) -> None:
    """It is good only where it was written to."""
    keys = FakeKeys()
    identity, recipient = keys.pair("pipeline/x")
    data = content.seal_content(_header(), b"raw", recipients=[recipient], signer=keys.signer("encryption"))
    with pytest.raises(Corrupt):
        content.open_content(data, identities=[identity], writers=keys.writers, tenant=tenant, mail_id=mail_id, leg=leg)


def test_content_under_other_keys_says_so() -> None:
    """A reader can tell a missing key from damage."""
    keys = FakeKeys()
    data = content.seal_content(_header(), b"raw", recipients=[keys.pair("a")[1]], signer=keys.signer("encryption"))
    with pytest.raises(NoKey):
        content.open_content(
            data, identities=[keys.pair("b")[0]], writers=keys.writers, tenant=TENANT, mail_id=MAIL, leg=2
        )
