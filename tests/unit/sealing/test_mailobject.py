"""A stored mail opens to what was sealed, for its own key only; all else is Corrupt."""

from __future__ import annotations

import hashlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Corrupt
from services.common.ids import MailId, TenantId
from services.common.sealing import age, mailobject
from services.common.sealing.writers import Signer, Writer, Writers, signed
from services.common.testing.keys import FakeKeys

from .conftest import RAW

IDENTITY, RECIPIENT = age.generate()


def seal(keys: FakeKeys, header: mail_pb2.ObjectHeader, raw: bytes = RAW, *, service: str = "ingress") -> bytes:
    """Seal for the one recipient of this file."""
    return mailobject.seal(header, raw, recipients=[RECIPIENT], signer=keys.signer(service))


def opened(keys: FakeKeys, data: bytes, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
    """Open with the one identity of this file."""
    return mailobject.open(data, identities=[IDENTITY], writers=keys.writers, tenant=tenant, mail_id=mail_id)


def test_opens_to_what_was_sealed(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId
) -> None:
    """Header and raw bytes come back as they were; nothing of them shows."""
    header.decision.CopyFrom(mail_pb2.Decision(tenant=tenant, mail_id=mail_id, revision=7))
    data = seal(keys, header)
    assert b"eagle" not in data
    assert b"acme" not in data
    read, raw = opened(keys, data, tenant, mail_id)
    assert raw == RAW
    assert read == header
    assert read.writer == "ingress"


def test_standard_tools_can_read_it(keys: FakeKeys, header: mail_pb2.ObjectHeader) -> None:
    """age, then zstd: the raw mail stands at the end."""
    plain = zstandard.ZstdDecompressor().decompress(age.decrypt(seal(keys, header), [IDENTITY]))
    assert plain.endswith(RAW)


def test_moved_object_is_refused(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId
) -> None:
    """Another tenant's path, another mail's path."""
    data = seal(keys, header)
    for where in ((TenantId.new(), mail_id), (tenant, MailId.new())):
        with pytest.raises(Corrupt):
            opened(keys, data, *where)


def test_stranger_and_wrong_service_cannot_write_mail(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId
) -> None:
    """Anybody can seal to a public key; only ingress signs mail."""
    forged = mailobject.seal(header, RAW, recipients=[RECIPIENT], signer=Signer("ingress", bytes(32)))
    with pytest.raises(Corrupt):
        opened(keys, forged, tenant, mail_id)
    for service in ("policy", "delivery", "encryption", "quarantine"):
        with pytest.raises(Corrupt):
            opened(keys, seal(keys, header, service=service), tenant, mail_id)


def test_delivery_writes_system_mail_only(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId
) -> None:
    """And ingress does not write system mail."""
    header.envelope.origin = "system"
    assert opened(keys, seal(keys, header, service="delivery"), tenant, mail_id)[1] == RAW
    with pytest.raises(Corrupt):
        opened(keys, seal(keys, header), tenant, mail_id)


@pytest.mark.parametrize("raw", [RAW + b"x", RAW[:-1], b"", RAW[:-1] + b"?"])
def test_raw_that_differs_from_the_signed_hash_is_refused(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId, raw: bytes
) -> None:
    """Longer, shorter or changed."""
    with pytest.raises(Corrupt):
        opened(keys, seal(keys, header, raw), tenant, mail_id)


def test_header_of_another_mail_with_its_signature_is_refused(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId
) -> None:
    """The envelope inside has to be the same mail's too."""
    header.envelope.mail_id = MailId.new()
    with pytest.raises(Corrupt):
        opened(keys, seal(keys, header), tenant, mail_id)


def test_unpacking_is_bounded(keys: FakeKeys, tenant: TenantId, mail_id: MailId) -> None:
    """A bomb under an honest header costs no more than the header promises."""
    bomb = age.encrypt(zstandard.ZstdCompressor().compress(bytes(200 << 20)), [RECIPIENT])
    with pytest.raises(Corrupt):
        mailobject.open_blob(bomb, [IDENTITY], sha256=bytes(32), size=1000)
    with pytest.raises(Corrupt):
        opened(keys, bomb, tenant, mail_id)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_junk_is_corrupt(junk: bytes) -> None:
    """Whatever decrypts to nonsense is Corrupt and nothing else."""
    keys = FakeKeys()
    for plain in (junk, zstandard.ZstdCompressor().compress(b"LLmail1\n" + junk)):
        with pytest.raises(Corrupt):
            opened(keys, age.encrypt(plain, [RECIPIENT]), TenantId.new(), MailId.new())
        with pytest.raises(Corrupt):
            opened(keys, plain, TenantId.new(), MailId.new())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100_000), max_size=5))
def test_blob_of_any_pieces_opens(pieces: list[bytes]) -> None:
    """The stream is the concatenation."""
    sealer = mailobject.BlobSealer([RECIPIENT])
    data = b"".join([*(sealer.update(p) for p in pieces), sealer.finish()])
    raw = b"".join(pieces)
    digest = hashlib.sha256(raw).digest()
    assert mailobject.open_blob(data, [IDENTITY], sha256=digest, size=len(raw)) == raw
    with pytest.raises(Corrupt):
        mailobject.open_blob(data, [IDENTITY], sha256=hashlib.sha256(raw + b"x").digest())


def test_header_of_a_large_mail_has_no_raw(
    keys: FakeKeys, header: mail_pb2.ObjectHeader, tenant: TenantId, mail_id: MailId
) -> None:
    """The body is in the blob."""
    header.blob = True
    assert opened(keys, seal(keys, header, b""), tenant, mail_id)[1] == b""
    with pytest.raises(Corrupt):
        opened(keys, seal(keys, header, RAW), tenant, mail_id)


def test_decision_is_policys_and_of_its_mail(keys: FakeKeys, tenant: TenantId, mail_id: MailId) -> None:
    """Signed by policy for tenant and id."""
    decision = mail_pb2.Decision(tenant=tenant, mail_id=mail_id, revision=3)
    data = mailobject.seal_decision(decision, [RECIPIENT], keys.signer("policy"))
    assert mailobject.open_decision(data, [IDENTITY], keys.writers, tenant, mail_id) == decision
    for where in ((TenantId.new(), mail_id), (tenant, MailId.new())):
        with pytest.raises(Corrupt):
            mailobject.open_decision(data, [IDENTITY], keys.writers, *where)
    by_ingress = mailobject.seal_decision(decision, [RECIPIENT], keys.signer("ingress"))
    with pytest.raises(Corrupt):
        mailobject.open_decision(by_ingress, [IDENTITY], keys.writers, tenant, mail_id)


def test_signature_of_one_kind_is_none_of_another(keys: FakeKeys) -> None:
    """Domains are apart, and so are the borders between parts."""
    both = Writers({"x": Writer(Signer("x", bytes(32)).public, frozenset({"mail", "decision"}))})
    signature = Signer("x", bytes(32)).sign(signed("mail", b"ab", b"c"))
    both.verify("x", signature, signed("mail", b"ab", b"c"), kind="mail")
    for other in (signed("decision", b"ab", b"c"), signed("mail", b"a", b"bc")):
        with pytest.raises(Corrupt):
            both.verify("x", signature, other, kind="mail")


def test_keys_name_tenant_day_and_mail() -> None:
    """The path's date is the id's UTC date."""
    tenant, mail_id = TenantId.new(now=0), MailId.new(now=1_767_225_600)
    assert mailobject.mail_key(tenant, mail_id) == f"{tenant}/mail/2026/01/01/{mail_id}"
    assert mailobject.blob_key(tenant, mail_id) == f"{tenant}/blob/{mail_id}"
    assert mailobject.decision_key(tenant, mail_id) == f"{tenant}/decision/{mail_id}"
    assert mailobject.refused_key(tenant, mail_id) == f"{tenant}/refused/2026/01/01/{mail_id}"
