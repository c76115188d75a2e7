"""The ingest log: sealed days, proofs that hold off line, and every difference between log and store told."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from letterlock.mail.v1 import mail_pb2

from services.archive.ingest import IngestLog
from services.archive.verify import Difference, Verifier
from services.common import ingestlog
from services.common.errors import Busy, Corrupt, NotFound
from services.common.ids import MailId, TenantId
from services.common.sealing import mailobject
from services.common.testing.audit import InMemoryAuditLog
from tests.unit.archive.doubles import Archive, mail

TENANT = TenantId.new(now=1)
DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


class Kept:
    """An archive whose clock stands at `DAY` + 2, and its ingest log."""

    def __init__(self) -> None:
        self.archive = Archive()
        self.archive.clock.now = NOON + 2 * 86400
        self.audit = InMemoryAuditLog()
        self.keep_days: int | None = 10
        self.log = self.restart()

    def restart(self) -> IngestLog:
        keys = self.archive.keys
        return IngestLog(
            self.archive.objects, keys.public, keys.identities, keys.identities, keys.writers,
            keys.signer("archive"), self.audit, keep_days=lambda tenant: self.keep_days, clock=self.archive.clock,
        )  # fmt: skip

    async def store(self, number: int, raw: bytes = b"Subject: x\r\n\r\nhello\r\n") -> MailId:
        return await self.archive.store(mail(TENANT, "bob@partner.example", made=NOON + number), raw=raw)

    async def differences(self) -> list[Difference]:
        return [d async for p in Verifier(self.archive.objects, self.log).run(TENANT) for d in p.differences]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
async def test_each_mail_of_a_sealed_day_has_a_proof_that_holds_off_line(size: int) -> None:
    kept = Kept()
    ids = [await kept.store(n, f"mail {n}\r\n".encode()) for n in range(size)]
    assert await kept.log.seal_days(TENANT) == 1
    for number, mail_id in enumerate(ids):
        told = json.loads(json.dumps((await kept.log.prove(TENANT, mail_id)).dump()))
        root = ingestlog.check(
            ingestlog.read_proof(told), tenant=TENANT, public=kept.log.public, raw=f"mail {number}\r\n".encode()
        )
        assert (root.name, root.size) == (DAY.isoformat(), size)


async def test_a_proof_does_not_hold_for_other_bytes_another_key_or_another_tenant() -> None:
    kept = Kept()
    mail_id = await kept.store(1)
    await kept.log.seal_days(TENANT)
    proof = await kept.log.prove(TENANT, mail_id)
    check = partial(ingestlog.check, proof)
    with pytest.raises(Corrupt):
        check(tenant=TENANT, public=kept.log.public, raw=b"forged")
    with pytest.raises(Corrupt):
        check(tenant=TENANT, public=kept.archive.keys.signer("ingress").public)
    with pytest.raises(Corrupt):
        check(tenant=TenantId.new(now=2), public=kept.log.public)


async def test_the_audit_log_has_the_root_before_the_day_is_sealed() -> None:
    kept = Kept()
    await kept.store(1)
    kept.audit.unavailable = True
    with pytest.raises(Exception, match="audit log"):
        await kept.log.seal_days(TENANT)
    with pytest.raises(NotFound):
        await kept.log.root(TENANT, DAY.isoformat())
    kept.audit.unavailable = False
    assert await kept.restart().seal_days(TENANT) == 1
    (entry,) = kept.audit.entries
    root = await kept.log.root(TENANT, DAY.isoformat())
    assert (entry.action, entry.facts["root"], entry.facts["size"]) == ("ingest.sealed", root.root.hex(), 1)


async def test_what_lies_in_the_clear_tells_no_hash_of_a_mail() -> None:
    kept = Kept()
    raw = b"Subject: guess me\r\n\r\n"
    await kept.store(1, raw)
    await kept.log.seal_days(TENANT)
    digest = hashlib.sha256(raw).hexdigest().encode()
    async for leaf in kept.log.leaves(TENANT, DAY.isoformat()):
        assert digest not in leaf.dump()


async def test_a_day_that_is_not_over_is_proved_by_a_provisional_tree_that_is_made_once() -> None:
    kept = Kept()
    kept.archive.clock.now = NOON + 100
    first, second = await kept.store(1), await kept.store(2)
    assert await kept.log.seal_days(TENANT) == 0
    one, two = await kept.log.prove(TENANT, first), await kept.log.prove(TENANT, second)
    assert one.name == two.name
    assert one.name.startswith(f"{DAY.isoformat()}.p")
    with pytest.raises(Busy):
        await kept.log.prove(TENANT, await kept.store(3))
    with pytest.raises(NotFound):
        await kept.log.prove(TENANT, MailId.new(now=NOON))


async def test_verify_finds_nothing_wrong_with_a_store_that_is_as_it_was() -> None:
    kept = Kept()
    for number in range(20):
        await kept.store(number)
    await kept.log.seal_days(TENANT)
    assert await kept.differences() == []


async def test_a_flipped_byte_a_missing_and_an_added_mail_are_each_told() -> None:
    kept = Kept()
    ids = [await kept.store(n) for n in range(5)]
    await kept.log.seal_days(TENANT)
    objects = kept.archive.objects.objects
    flipped = bytearray(objects[mailobject.mail_key(TENANT, ids[1])])
    flipped[len(flipped) // 2] ^= 1
    objects[mailobject.mail_key(TENANT, ids[1])] = bytes(flipped)
    del objects[mailobject.mail_key(TENANT, ids[3])]
    added = await kept.store(9)
    found = [(d.kind, d.what) for d in await kept.differences()]
    assert sorted(found) == sorted([("changed", ids[1]), ("missing", ids[3]), ("added", added)])


@pytest.mark.parametrize("part", ["leaves/00000000", "root"])
async def test_a_changed_log_is_told(part: str) -> None:
    kept = Kept()
    for number in range(3):
        await kept.store(number)
    await kept.log.seal_days(TENANT)
    key = f"{TENANT}/ingest/{DAY.isoformat()}/{part}"
    data = bytearray(kept.archive.objects.objects[key])
    data[-8] ^= 1
    kept.archive.objects.objects[key] = bytes(data)
    assert {d.kind for d in await kept.differences()} <= {"log_changed", "unsigned"}
    assert await kept.differences()


async def test_a_build_that_died_goes_on_behind_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    monkeypatch.setattr("services.archive.ingest.PART", 2)
    ids = [await kept.store(n) for n in range(5)]
    create, calls = kept.archive.objects.create, 0

    async def dying(key: str, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("killed")
        await create(key, data)

    kept.archive.objects.create = dying  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await kept.log.seal_days(TENANT)
    kept.archive.objects.create = create  # type: ignore[method-assign]
    await kept.restart().seal_days(TENANT)
    assert [leaf.mail_id async for leaf in kept.log.leaves(TENANT, DAY.isoformat())] == ids
    for mail_id in ids:
        ingestlog.check(await kept.log.prove(TENANT, mail_id), tenant=TENANT, public=kept.log.public)
    assert await kept.differences() == []


async def test_retention_is_stamped_as_the_rule_was_that_day() -> None:
    kept = Kept()
    await kept.store(1)
    await kept.log.seal_days(TENANT)
    kept.keep_days = 1
    (leaf,) = [leaf async for leaf in kept.log.leaves(TENANT, DAY.isoformat())]
    assert leaf.until == (DAY + timedelta(days=10)).isoformat()


async def test_a_planted_object_is_attested_by_its_bytes_alone() -> None:
    kept = Kept()
    mail_id = await kept.archive.store(mail(TENANT, "x@partner.example", made=NOON), signer="delivery")
    await kept.log.seal_days(TENANT)
    proof = await kept.log.prove(TENANT, mail_id)
    assert proof.opening is None
    assert not proof.leaf.mail
    ingestlog.check(proof, tenant=TENANT, public=kept.log.public)


async def test_a_large_mail_is_attested_and_verified_with_its_body() -> None:
    kept = Kept()
    mail_id = await kept.store(1)
    raw = b"large\r\n" * 100
    trace = mail(TENANT, "bob@partner.example", made=NOON + 5)
    large = MailId(trace.envelope.mail_id)
    trace.envelope.size, trace.envelope.sha256 = len(raw), hashlib.sha256(raw).digest()
    keys = kept.archive.keys
    recipients = [await keys.public.archive(TENANT), await keys.public.pipeline(DAY)]
    header = mail_pb2.ObjectHeader(tenant=TENANT, mail_id=large, envelope=trace.envelope, blob=True)
    sealer = mailobject.BlobSealer(recipients)
    objects = kept.archive.objects
    await objects.create(mailobject.blob_key(TENANT, large), sealer.update(raw) + sealer.finish())
    sealed = mailobject.seal(header, b"", recipients=recipients, signer=keys.signer("ingress"))
    await objects.create(mailobject.mail_key(TENANT, large), sealed)
    await kept.log.seal_days(TENANT)
    ingestlog.check(await kept.log.prove(TENANT, large), tenant=TENANT, public=kept.log.public, raw=raw)
    assert await kept.differences() == []
    objects.objects[mailobject.blob_key(TENANT, large)] += b"x"
    assert [(d.kind, d.what) for d in await kept.differences()] == [("changed", large)]
    assert mail_id < large


async def test_a_day_s_key_may_go_only_when_the_day_is_sealed() -> None:
    kept = Kept()
    await kept.store(1)
    assert not kept.log.complete(TENANT, DAY)
    await kept.log.seal_days(TENANT)
    assert kept.log.complete(TENANT, DAY)
    again = kept.restart()
    assert await again.seal_days(TENANT) == 0
    assert again.complete(TENANT, DAY)


async def test_of_two_archives_that_seal_a_day_at_once_one_is_believed() -> None:
    kept = Kept()
    ids = [await kept.store(n) for n in range(3)]
    one, two = kept.log, kept.restart()
    await asyncio.gather(one.seal_days(TENANT), two.seal_days(TENANT), return_exceptions=True)
    await two.seal_days(TENANT)
    for mail_id in ids:
        ingestlog.check(await two.prove(TENANT, mail_id), tenant=TENANT, public=kept.log.public)
    assert await kept.differences() == []
