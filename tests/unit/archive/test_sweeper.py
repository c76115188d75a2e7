"""Sweeping: silent mails are published again, planted ones never, and days are completed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from letterlock.mail.v1 import mail_pb2

from services.archive.core.fold import MailState
from services.common.bus import Message
from services.common.ids import MailId, TenantId
from services.common.sealing import mailobject
from services.common.sealing.keys import pipeline_name
from tests.unit.archive.doubles import Archive, Clock, mail, outcome, utc

ACME = TenantId.new()
DELIVERED, DEFERRED = mail_pb2.STATE_DELIVERED, mail_pb2.STATE_DEFERRED
OLD = timedelta(hours=1)


def published(archive: Archive) -> list[tuple[str, str]]:
    """Kind and message id of everything published."""
    return [(m.subject.split(".")[1], m.headers["Nats-Msg-Id"]) for m in archive.broker.sent]


async def traced(archive: Archive, message: Message) -> mail_pb2.Trace:
    """What a published fact says."""
    return (await archive.facts.open(message)).trace


async def test_a_decided_mail_without_an_outcome_is_published_again() -> None:
    """Once it is old enough, with its decision, and not at each pass."""
    archive = Archive()
    mail_id = await archive.store(mail(ACME, "bob@partner.example"), age=timedelta(minutes=14))
    assert await archive.sweeper.once(ACME) == 0
    archive.clock.now += 61
    assert await archive.sweeper.once(ACME) == 1
    assert await archive.sweeper.once(ACME) == 0
    assert published(archive) == [("decided", f"{mail_id}:d:1")]
    trace = await traced(archive, archive.broker.sent[0])
    assert trace.decision.recipients[0].address == "bob@partner.example"
    archive.broker.queues["archive-decided"].open.clear()  # the broker lost it
    archive.clock.now += 15 * 60 + 1
    assert await archive.sweeper.once(ACME) == 1
    assert published(archive)[1] == ("decided", f"{mail_id}:d:2")


async def test_an_undecided_mail_is_sent_to_be_decided() -> None:
    """There is neither a decision in the object nor one beside it."""
    archive = Archive()
    mail_id = await archive.store(mail(ACME, "bob@partner.example", undecided=True), age=OLD)
    await archive.sweeper.once(ACME)
    assert published(archive) == [("accepted", f"{mail_id}:a:4")]


async def test_a_final_mail_is_left_alone_and_its_day_is_not_read_again() -> None:
    """What is done costs nothing more."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example", made=archive.clock.now - 7200)
    await archive.store(trace, age=timedelta(hours=2))
    await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(trace, DELIVERED, 0))
    assert await archive.sweeper.once(ACME) == 0
    asked: list[int] = []
    look = archive.look.states

    async def counting(tenant: TenantId, mail_ids: list[MailId]) -> dict[MailId, MailState]:
        asked.append(len(mail_ids))
        return await look(tenant, mail_ids)

    archive.look.states = counting  # type: ignore[method-assign, assignment]
    await archive.sweeper.once(ACME)
    assert sum(asked) == 0


async def test_only_the_silent_legs_are_asked_for() -> None:
    """A deferred leg is resumed by number; the delivered one is not mentioned."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example", "eve@partner.example", made=archive.clock.now - 10)
    del trace.decision.legs[:]
    for number in (1, 2):
        trace.decision.legs.add(number=number, recipients=[number - 1], disposition=mail_pb2.DISPOSITION_DELIVER)
    await archive.store(trace, age=timedelta(seconds=10))
    await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(trace, DELIVERED, 0, after=1))
    deferred = outcome(trace, DEFERRED, 1, after=2)
    deferred.outcome.leg = 2
    await archive.hear("outcome", deferred)
    assert await archive.sweeper.once(ACME) == 0
    archive.clock.now += 3600
    assert await archive.sweeper.once(ACME) == 1
    assert list((await traced(archive, archive.broker.sent[-1])).legs) == [2]


@pytest.mark.parametrize("how", ["stranger", "moved", "rubbish", "wrong_writer"])
async def test_a_planted_object_is_never_published(how: str) -> None:
    """Who can write into the bucket cannot make us deliver: such objects are counted, and the day ends without them."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example")
    mail_id = MailId(trace.envelope.mail_id)
    key = mailobject.mail_key(ACME, mail_id)
    if how == "moved":
        await archive.store(mail(TenantId.new(), "bob@partner.example"), age=OLD)
        (other,) = list(archive.objects.objects)
        await archive.objects.create(key, archive.objects.objects[other])
    elif how == "rubbish":
        await archive.objects.create(key, b"rubbish")
    else:
        await archive.store(trace, signer={"stranger": "mallory", "wrong_writer": "policy"}[how], age=OLD)
    archive.objects.modified[key] = datetime.fromtimestamp(archive.clock() - 3600, UTC)
    for _ in range(3):
        assert await archive.sweeper.once(ACME) == 0
        archive.clock.now += 3600
    assert published(archive) == []
    assert archive.sweeper.planted == {(ACME, mail_id)}


async def test_objects_with_impossible_names_are_passed_over() -> None:
    """Neither a name that is no id nor an id under another day stops the sweep."""
    archive = Archive()
    mail_id = await archive.store(mail(ACME, "bob@partner.example"), age=OLD)
    folder = mailobject.mail_key(ACME, mail_id).rpartition("/")[0]
    for name in ("x", MailId.new(now=0)):
        await archive.objects.create(f"{folder}/{name}", b"rubbish")
    assert await archive.sweeper.once(ACME) == 1


async def test_outcomes_on_their_way_are_waited_for() -> None:
    """A mail whose outcome has not been recorded yet is not published again."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example")
    await archive.store(trace, age=OLD)
    await archive.facts.outcome(trace.envelope, outcome(trace, DELIVERED, 0).outcome)
    assert await archive.sweeper.once(ACME) == 0


async def test_a_restarted_sweeper_knows_what_was_recorded() -> None:
    """Also while the index is away or empty: the segments are read."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example")
    await archive.store(trace, age=OLD)
    await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(trace, DELIVERED, 0))
    silent = await archive.store(mail(ACME, "bob@partner.example"), age=OLD)
    archive.index.away = True
    assert await archive.restart().sweeper.once(ACME) == 1
    archive.index.away = False
    archive.index.lose()
    assert await archive.restart().sweeper.once(ACME) == 1
    assert {m.headers["Nats-Msg-Id"].partition(":")[0] for m in archive.broker.sent} == {silent}


async def test_a_blob_without_its_mail_is_deleted_after_a_day() -> None:
    """One with its mail stays, and a young one may still get its mail."""
    archive = Archive()
    kept, orphan, young = (MailId.new(now=archive.clock.now - age) for age in (200_000, 190_000, 60))
    for mail_id, age in ((kept, 200_000), (orphan, 190_000), (young, 60)):
        key = mailobject.blob_key(ACME, mail_id)
        await archive.objects.create(key, b"x")
        archive.objects.modified[key] = datetime.fromtimestamp(archive.clock.now - age, UTC)
    await archive.objects.create(mailobject.mail_key(ACME, kept), b"rubbish, but there")
    await archive.sweeper.once(ACME)
    left = {k.rpartition("/")[2] for k in archive.objects.objects if "/blob/" in k}
    assert left == {kept, young}


async def test_a_day_is_completed_when_all_its_mails_are_final_and_indexed() -> None:
    """Its key is then destroyed; a day with an open mail, and those after it, are not."""
    monday = date(2026, 11, 2)
    archive = Archive(clock=Clock(utc(monday) + 3600))
    first = mail(ACME, "bob@partner.example", made=utc(monday) + 1000)
    second = mail(ACME, "bob@partner.example", made=utc(monday) + 86400 + 1000)
    for trace in (first, second):
        await archive.store(trace)
        await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(first, DELIVERED, 0))
    archive.clock.now = utc(monday) + 5 * 86400
    await archive.sweeper.once(ACME)
    await archive.sweeper.complete_days([ACME])
    assert archive.keeper.days == []  # nothing is indexed
    await archive.feed.catch_up()
    await archive.sweeper.once(ACME)
    await archive.sweeper.complete_days([ACME])
    assert archive.keeper.days == [monday]
    archive.keys.destroyed.add(pipeline_name(monday))
    await archive.hear("outcome", outcome(second, DELIVERED, 0, after=5))
    await archive.feed.catch_up()
    again = archive.restart()
    await again.sweeper.once(ACME)
    await again.sweeper.complete_days([ACME])
    assert again.keeper.days == [monday + timedelta(days=1)]


async def test_one_tenants_trouble_does_not_hide_anothers() -> None:
    """Each tenant is swept for itself, by its own keys and folders."""
    archive = Archive()
    other = TenantId.new()
    for tenant in (ACME, other):
        await archive.store(mail(tenant, "bob@partner.example"), age=OLD)
    assert await archive.sweeper.once(other) == 1
    assert all(m.subject.endswith(other) for m in archive.broker.sent)
