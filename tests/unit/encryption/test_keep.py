"""Keys survive a kill at any step, rotate, and are destroyed when their day is over."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from pathlib import Path

import pytest

from services.common.errors import Conflict, Corrupt, InvalidInput, NotFound, Rejected, Unavailable
from services.common.ids import TenantId
from services.common.sealing import age
from services.common.sealing.keys import PublicKeys, pipeline_name, statement
from services.common.sealing.writers import create_secret
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.encryption.adapters.keyring import MasterKeyFile, StoredKeyRing
from services.encryption.keep import Keeper, keep

DAY = date(2026, 11, 24)
TENANT = TenantId.new(now=0)


class Master:
    """A master key; None is not there."""

    def __init__(self, key: bytes | None = bytes(32)) -> None:
        self.key = key

    def get(self) -> bytes:
        """See `MasterKey`."""
        if self.key is None:
            raise Unavailable
        return self.key


class Killed(BaseException):
    """The process died here."""


class MortalObjects(InMemoryObjects):
    """Dies before or after the n-th create."""

    def __init__(self) -> None:
        super().__init__()
        self.lives, self.after = 1_000_000, False

    async def create(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        self.lives -= 1
        if self.lives < 0 and not self.after:
            raise Killed
        await super().create(key, data)
        if self.lives < 0:
            raise Killed


def keeper(objects: InMemoryObjects, master: Master | None = None) -> Keeper:
    """A keeper process over a store."""
    return Keeper(StoredKeyRing(objects), master or Master(), FakeKeys().signer("encryption"))


async def everything(me: Keeper) -> None:
    """What a start makes sure of."""
    await me.ensure_days(DAY)
    await me.ensure_tenants([TENANT])


def public(objects: InMemoryObjects) -> PublicKeys:
    """What a sealer sees."""
    return PublicKeys(objects, FakeKeys().writers, wait=0)


async def test_what_is_sealed_to_the_public_half_opens_with_what_is_handed_out() -> None:
    """Both kinds that are handed out."""
    objects = InMemoryObjects()
    me = keeper(objects)
    await me.ensure_days(DAY)
    await me.ensure_tenants([TENANT])
    sealed = age.encrypt(b"x", [await public(objects).pipeline(DAY)])
    assert age.decrypt(sealed, await me.pipeline(DAY)) == b"x"
    sealed = age.encrypt(b"x", [await public(objects).trace(TENANT)])
    assert age.decrypt(sealed, await me.trace(TENANT)) == b"x"
    assert await public(objects).archive(TENANT) != await public(objects).trace(TENANT)
    assert await public(objects).pipeline(DAY + timedelta(days=1))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(8))
async def test_a_kill_at_each_step_is_healed_and_no_public_half_is_ever_alone(step: int, after: bool) -> None:
    """Two days and two tenant keys are eight creations; die at each, before and after."""
    objects = MortalObjects()
    objects.lives, objects.after = step, after
    with pytest.raises(Killed):
        await everything(keeper(objects))
    names = [k.removeprefix("keys/public/") for k in objects.objects if k.startswith("keys/public/")]
    assert all("keys/private/" + n in objects.objects for n in names)
    before = dict(objects.objects)
    objects.lives = 1_000_000
    me = keeper(objects)
    await everything(me)
    assert len(objects.objects) == 8
    assert before.items() <= objects.objects.items()
    sealed = age.encrypt(b"x", [await public(objects).pipeline(DAY)])
    assert age.decrypt(sealed, await me.pipeline(DAY)) == b"x"


async def test_start_with_many_tenants_finishes_each() -> None:
    """Some whole, one whose maker died in between, the rest new."""
    objects, tenants = InMemoryObjects(), [TenantId.new() for _ in range(40)]
    await keeper(objects).ensure_tenants(tenants[:5])
    del objects.objects[f"keys/public/trace/{tenants[0]}/00000001"]
    before = dict(objects.objects)
    await keeper(objects).ensure_tenants(tenants)
    assert len(objects.objects) == 40 * 4
    assert before.items() <= objects.objects.items()


async def test_two_keepers_at_once_agree() -> None:
    """The first private half wins; both publish its public half."""
    objects = InMemoryObjects()
    keepers = [keeper(objects) for _ in range(4)]
    await asyncio.gather(*(k.ensure_days(DAY) for k in keepers), *(k.ensure_tenants([TENANT]) for k in keepers))
    assert len(objects.objects) == 8
    assert len({tuple(await k.pipeline(DAY)) for k in keepers}) == 1


async def test_rotation_seals_to_the_new_and_opens_the_old() -> None:
    """Newest first."""
    objects = InMemoryObjects()
    me = keeper(objects)
    with pytest.raises(NotFound):
        await me.rotate(TENANT, "trace")
    await me.ensure_tenants([TENANT])
    old = await public(objects).trace(TENANT)
    version, recipient = await me.rotate(TENANT, "trace")
    assert version == 2
    assert await public(objects).trace(TENANT) == recipient != old
    identities = await me.trace(TENANT)
    assert [age.recipient_of(i) for i in identities] == [recipient, old]


async def test_interrupted_rotation_is_finished_at_the_next_start() -> None:
    """The private half of version 2 is there, the public is not."""
    objects = MortalObjects()
    await keeper(objects).ensure_tenants([TENANT])
    objects.lives = 1
    with pytest.raises(Killed):
        await keeper(objects).rotate(TENANT, "archive")
    objects.lives = 1_000_000
    await keeper(objects).ensure_tenants([TENANT])
    assert f"keys/public/archive/{TENANT}/00000002" in objects.objects


async def test_rotations_at_once_make_one_version_each_or_say_so() -> None:
    """The slower one hears it."""
    objects = InMemoryObjects()
    first = keeper(objects)
    await first.ensure_tenants([TENANT])
    results = await asyncio.gather(
        *(keeper(objects).rotate(TENANT, "archive") for _ in range(3)), return_exceptions=True
    )
    made = [r for r in results if isinstance(r, tuple)]
    assert all(isinstance(r, tuple | Conflict) for r in results)
    assert sorted(v for v, _ in made) == list(range(2, 2 + len(made)))


async def test_completed_day_cannot_be_opened_any_more_by_anybody() -> None:
    """Also not by another keeper, and it is not made again."""
    objects = InMemoryObjects()
    me, other = keeper(objects), keeper(objects)
    await me.ensure_days(DAY)
    await other.pipeline(DAY)
    for young in (DAY, DAY + timedelta(days=1)):
        with pytest.raises(Rejected):
            await me.complete(DAY, today=young)
    for _ in range(2):
        await me.complete(DAY, today=DAY + timedelta(days=2))
    for one in (me, other):
        with pytest.raises(NotFound):
            await one.pipeline(DAY)
    await keeper(objects).ensure_days(DAY)
    with pytest.raises(NotFound):
        await me.pipeline(DAY)


async def test_without_master_key_nothing_is_made_and_the_keeper_is_not_ready() -> None:
    """And all is well once it is there."""
    objects, master = InMemoryObjects(), Master(None)
    me = keeper(objects, master)
    with pytest.raises(Unavailable):
        await me.ensure_days(DAY)
    assert not objects.objects
    with pytest.raises(Unavailable):
        await me.check(DAY)
    master.key = bytes(32)
    with pytest.raises(Unavailable):
        await me.check(DAY)
    await me.ensure_days(DAY)
    await me.check(DAY)
    master.key = b"\1" * 32
    with pytest.raises(Unavailable):
        await me.check(DAY)


async def test_master_key_file_must_be_private(tmp_path: Path) -> None:
    """Mode 0600 and 32 bytes, else nothing."""
    path = tmp_path / "master.key"
    with pytest.raises(Unavailable):
        MasterKeyFile(path).get()
    create_secret(path)
    key = MasterKeyFile(path).get()
    create_secret(path)
    assert MasterKeyFile(path).get() == key
    path.chmod(0o640)
    with pytest.raises(InvalidInput):
        MasterKeyFile(path).get()
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(InvalidInput):
        MasterKeyFile(path).get()


async def test_planted_public_keys_are_refused() -> None:
    """Unsigned, signed by another service, or another name's."""
    objects, fakes = InMemoryObjects(), FakeKeys()
    await keeper(objects).ensure_days(DAY)
    key = "keys/public/" + pipeline_name(DAY)
    recipient = age.generate()[1]
    tomorrows = objects.objects["keys/public/" + pipeline_name(DAY + timedelta(days=1))]
    for planted in (
        b"{}",
        b"junk",
        statement(pipeline_name(DAY), recipient, fakes.signer("ingress")),
        tomorrows,
    ):
        objects.objects[key] = planted
        with pytest.raises(Corrupt):
            await public(objects).pipeline(DAY)


async def test_missing_public_key_is_waited_for_then_unavailable() -> None:
    """A tenant that was made a moment ago has its keys soon."""
    objects = InMemoryObjects()
    with pytest.raises(Unavailable):
        await public(objects).archive(TENANT)
    patient = PublicKeys(objects, FakeKeys().writers, wait=10)
    waiting = asyncio.create_task(patient.archive(TENANT))
    await asyncio.sleep(0)
    await keeper(objects).ensure_tenants([TENANT])
    assert (await waiting).startswith("age1")


async def test_newest_known_key_serves_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing goes on with what was right five minutes ago."""
    objects = InMemoryObjects()
    await keeper(objects).ensure_tenants([TENANT])
    keys = public(objects)
    recipient = await keys.archive(TENANT)
    monkeypatch.setattr("services.common.sealing.keys._FRESH_SECONDS", -1.0)
    objects.unavailable = True
    assert await keys.archive(TENANT) == recipient


async def test_loop_makes_keys_for_new_tenants_and_tries_again() -> None:
    """Driven by the directory's changes; a store that is away is no end."""
    objects, changed = InMemoryObjects(), asyncio.Event()
    tenants: set[TenantId] = set()
    objects.unavailable = True
    task = asyncio.create_task(keep(keeper(objects), lambda: tenants, changed, today=lambda: DAY, every=60, again=0.01))
    try:
        await asyncio.sleep(0)
        objects.unavailable = False
        patient = PublicKeys(objects, FakeKeys().writers, wait=10)
        await patient.pipeline(DAY)
        tenants.add(TENANT)
        changed.set()
        await patient.archive(TENANT)
        await patient.trace(TENANT)
    finally:
        task.cancel()
