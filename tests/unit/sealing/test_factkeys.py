"""What is sealed for an audience is read by it alone, and a lost bucket heals."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from services.common.errors import Corrupt, Unavailable
from services.common.ids import TenantId
from services.common.sealing import factkeys
from services.common.sealing.factkeys import FactKeys, KeyGone, pipeline_of, trace_of
from services.common.testing import eventually
from services.common.testing.keys import FakeKeys

from .double import MemoryBucket


@pytest.fixture
def bucket() -> MemoryBucket:
    """The bucket `factkeys`."""
    return MemoryBucket()


def make(keys: FakeKeys, bucket: MemoryBucket, *, identities: bool = True) -> FactKeys:
    """The fact keys of one process."""
    return keys.fact_keys(bucket, identities=identities)  # type: ignore[arg-type]


async def test_another_process_of_the_audience_opens(keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId) -> None:
    """Both audiences; nothing plain on the way."""
    for audience in (trace_of(tenant), pipeline_of()):
        sealed = await make(keys, bucket).seal(audience, b"plain bytes", b"aad")
        assert b"plain" not in sealed.SerializeToString()
        assert await make(keys, bucket).open(sealed, b"aad") == b"plain bytes"


async def test_without_identities_only_what_was_sent_is_readable(
    keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId
) -> None:
    """Ingress reads back its own and nobody else's."""
    ingress = make(keys, bucket, identities=False)
    sealed = await ingress.seal(trace_of(tenant), b"x", b"")
    assert await ingress.open(sealed, b"") == b"x"
    with pytest.raises(KeyGone):
        await ingress.open(await make(keys, bucket).seal(trace_of(tenant), b"x", b""), b"")


async def test_bound_to_its_aad_and_unchangeable(keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId) -> None:
    """Another subject, another mail, a flipped bit."""
    fact_keys = make(keys, bucket)
    sealed = await fact_keys.seal(trace_of(tenant), b"x", b"mail.decided")
    with pytest.raises(Corrupt):
        await fact_keys.open(sealed, b"mail.released")
    sealed.box = bytes([sealed.box[0] ^ 1]) + sealed.box[1:]
    with pytest.raises(Corrupt):
        await fact_keys.open(sealed, b"mail.decided")


async def test_tenants_do_not_share_keys(keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId) -> None:
    """One key per audience, random ids, none reused after an hour."""
    fact_keys = make(keys, bucket)
    first, again, other = [
        (await fact_keys.seal(trace_of(t), b"", b"")).key_id for t in (tenant, tenant, TenantId.new())
    ]
    assert first == again != other
    assert len(bucket.values) == 2


async def test_a_key_lives_an_hour(
    keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a new one is made."""
    fact_keys = make(keys, bucket)
    first = await fact_keys.seal(trace_of(tenant), b"", b"")
    monkeypatch.setattr(factkeys, "_LIFE_SECONDS", -1.0)
    assert (await fact_keys.seal(trace_of(tenant), b"", b"")).key_id != first.key_id


async def test_many_at_once_make_one_key(keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId) -> None:
    """A burst after a start costs one publication, and one look-up at the reader."""
    fact_keys = make(keys, bucket)
    sealed = await asyncio.gather(*(fact_keys.seal(trace_of(tenant), b"x", b"") for _ in range(50)))
    assert len({s.key_id for s in sealed}) == len(bucket.values) == 1
    reader, bucket.gets = make(keys, bucket), 0
    await asyncio.gather(*(reader.open(s, b"") for s in sealed))
    assert bucket.gets == 1


async def test_wiped_bucket_heals_at_the_next_seal(
    keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then a new reader hears that the key is gone, which is worth a retry."""
    fact_keys = make(keys, bucket)
    sealed = await fact_keys.seal(trace_of(tenant), b"x", b"")
    bucket.values.clear()
    with pytest.raises(Unavailable):
        await make(keys, bucket).open(sealed, b"")
    monkeypatch.setattr(factkeys, "_VERIFY_SECONDS", -1.0)
    await fact_keys.seal(trace_of(tenant), b"y", b"")
    assert await make(keys, bucket).open(sealed, b"") == b"x"


async def test_failed_question_makes_the_asker_look_again(
    keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wiped bucket costs one question, not two minutes of them."""
    monkeypatch.setattr(factkeys, "_MISSED_SECONDS", 0.0)
    fact_keys = make(keys, bucket)
    sealed, reader = await fact_keys.seal(trace_of(tenant), b"x", b""), make(keys, bucket)
    bucket.values.clear()
    with pytest.raises(KeyGone):
        await reader.open(sealed, b"")
    fact_keys.doubt()
    await fact_keys.seal(trace_of(tenant), b"x", b"")
    assert await reader.open(sealed, b"") == b"x"


async def test_follower_that_is_behind_is_asked_again(keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId) -> None:
    """A key that was put a moment ago is found; one that is gone is not looked for by every fact."""
    sealed = await make(keys, bucket).seal(trace_of(tenant), b"x", b"")
    value = bucket.values.pop(sealed.key_id)
    opening = asyncio.create_task(make(keys, bucket).open(sealed, b""))
    await eventually(lambda: bucket.gets)
    bucket.values[sealed.key_id] = value
    assert await opening == b"x"
    bucket.values.clear()
    reader, bucket.gets = make(keys, bucket), 0
    answers = await asyncio.gather(*(reader.open(sealed, b"") for _ in range(50)), return_exceptions=True)
    assert all(isinstance(a, KeyGone) for a in answers)
    assert bucket.gets == 3


async def test_bucket_away_does_not_stop_a_known_key(
    keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key cannot be made then, though."""
    fact_keys = make(keys, bucket)
    await fact_keys.seal(trace_of(tenant), b"x", b"")
    monkeypatch.setattr(factkeys, "_VERIFY_SECONDS", -1.0)
    bucket.away = True
    await fact_keys.seal(trace_of(tenant), b"x", b"")
    with pytest.raises(Unavailable):
        await fact_keys.seal(trace_of(TenantId.new()), b"x", b"")


async def test_swapped_and_forged_bucket_entries_are_refused(
    keys: FakeKeys, bucket: MemoryBucket, tenant: TenantId
) -> None:
    """An entry is good under its own id and for its own audience only."""
    fact_keys = make(keys, bucket)
    a = await fact_keys.seal(trace_of(tenant), b"x", b"")
    b = await fact_keys.seal(pipeline_of(), b"x", b"")
    bucket.values[a.key_id] = bucket.values[b.key_id]
    with pytest.raises(Corrupt):
        await make(keys, bucket).open(a, b"")
    for bad in (b"", b"junk", b"trace/none\nx", b"other/x\nx", b"pipeline/x\nx"):
        bucket.values[a.key_id] = bad
        with pytest.raises(Corrupt):
            await make(keys, bucket).open(a, b"")
    a.key_id = "../control"
    with pytest.raises(Corrupt):
        await make(keys, bucket).open(a, b"")


async def test_destroyed_day_is_gone(keys: FakeKeys, bucket: MemoryBucket) -> None:
    """What was sealed for a day whose key is destroyed cannot be opened by a new process."""
    day = date(2026, 1, 2)
    sealed = await make(keys, bucket).seal(("pipeline", day), b"x", b"")
    keys.destroyed.add("pipeline/2026-01-02")
    with pytest.raises(KeyGone):
        await make(keys, bucket).open(sealed, b"")
