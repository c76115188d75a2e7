"""What people are told of a mail, and how much of the archive can be found."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta

import pytest
from letterlock.mail.v1 import mail_pb2

from services.archive import look
from services.archive.adapters.grpc import ArchiveServicer
from services.archive.adapters.masking import masked
from services.archive.core.fold import MailState
from services.archive.coverage import Coverage
from services.archive.status import Histories, status
from services.common import rpc
from services.common.auth import Principal
from services.common.directory import Directory, Person, Tenant
from services.common.errors import NotFound
from services.common.ids import MailId, TenantId
from tests.unit.archive.doubles import Archive, mail, outcome

ACME, OTHER = TenantId.new(), TenantId.new()
DELIVERED, DEFERRED = mail_pb2.STATE_DELIVERED, mail_pb2.STATE_DEFERRED
PEOPLE = {a: Person(a, ACME) for a in ("alice@acme.example", "carol@acme.example")}
DIRECTORY = Directory(tenants={t: Tenant(t, name) for t, name in ((ACME, "acme"), (OTHER, "other"))}, people=PEOPLE)
ADMIN = Principal("person", ACME, "admin@acme.example", frozenset({"tenant_admin"}))
OPERATOR = Principal("operator", None, "ops", frozenset({"operator"}))


def user(address: str) -> Principal:
    """A person without any other role."""
    return Principal("person", ACME, address, frozenset({"user"}))


def servicer(archive: Archive) -> ArchiveServicer:
    """The RPCs over this archive."""
    coverage = Coverage(archive.objects, archive.index, archive.look, archive.sweeper.planted)
    return ArchiveServicer(Histories(archive.look, archive.segments, archive.reader), coverage, archive.feed)


async def recorded(archive: Archive) -> mail_pb2.Trace:
    """A mail to two people: one got it, one waits."""
    trace = mail(ACME, "bob@partner.example", "eve@partner.example")
    await archive.store(trace)
    await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(trace, DELIVERED, 0, n=1, after=1, detail="250 2.0.0 ok"))
    await archive.hear("outcome", outcome(trace, DEFERRED, 1, n=2, after=2, detail="450 4.2.0 try later"))
    return trace


async def test_status_names_each_recipients_fate_and_the_events_in_order() -> None:
    """States, details and events are those of the records."""
    archive = Archive()
    trace = await recorded(archive)
    with rpc.acting_as(ADMIN, DIRECTORY):
        answer = await servicer(archive).MailStatus(
            rpc_request("MailStatusRequest", mail_id=trace.envelope.mail_id), None
        )
    assert (answer.tenant, answer.direction, answer.final) == ("acme", "outbound", False)
    assert [(r.address, r.state, r.detail) for r in answer.recipients] == [
        ("bob@partner.example", "delivered", "250 2.0.0 ok"),
        ("eve@partner.example", "deferred", "450 4.2.0 try later"),
    ]
    assert [e.event for e in answer.events] == ["accepted", "decided", "delivered", "deferred"]
    assert answer.events[1].rule == "cards-out"
    assert answer.events[3].remote == "mx.partner.example:25"


async def test_a_release_is_an_event_with_who_and_why() -> None:
    """And its recipients are on their way again."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example", disposition=mail_pb2.DISPOSITION_HOLD)
    await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(trace, mail_pb2.STATE_HELD, 0, n=0, after=0))
    release = mail_pb2.Trace()
    release.CopyFrom(trace)
    release.legs.append(1)
    release.actor, release.note = "lin@acme.example", "false alarm"
    await archive.hear("released", release, msg_id=f"{trace.envelope.mail_id}:1:r:1")
    history = await Histories(archive.look, archive.segments, archive.reader).of(ACME, MailId(trace.envelope.mail_id))
    answer = status(history, ACME, "acme")
    assert answer.recipients[0].state == "accepted"
    last = answer.events[-1]
    assert (last.event, last.actor, last.detail) == ("released", "lin@acme.example", "false alarm")


async def test_a_mail_that_nothing_was_recorded_of_is_accepted() -> None:
    """Its object answers; without one there is no such mail."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example", undecided=True)
    mail_id = await archive.store(trace)
    histories = Histories(archive.look, archive.segments, archive.reader)
    answer = status(await histories.of(ACME, mail_id), ACME, "acme")
    assert [(r.address, r.state) for r in answer.recipients] == [("bob@partner.example", "accepted")]
    for tenant, unknown in ((ACME, MailId.new()), (OTHER, mail_id)):
        with pytest.raises(NotFound):
            await histories.of(tenant, unknown)


async def test_people_see_their_own_mails_and_operators_see_domains() -> None:
    """A mail of somebody else, or of another tenant, does not exist; an operator sees no address and no reply."""
    archive = Archive()
    trace = await recorded(archive)
    request = rpc_request("MailStatusRequest", mail_id=trace.envelope.mail_id)
    with rpc.acting_as(user("alice@acme.example"), DIRECTORY):
        assert (await servicer(archive).MailStatus(request, None)).sender == "alice@acme.example"
    stranger = Principal("person", OTHER, "mallory@other.example", frozenset({"tenant_admin"}))
    for nobody in (user("carol@acme.example"), stranger):
        with rpc.acting_as(nobody, DIRECTORY), pytest.raises(NotFound):
            await servicer(archive).MailStatus(request, None)
    with rpc.acting_as(OPERATOR, DIRECTORY, tenant="acme"):
        shown = str(await servicer(archive).MailStatus(request, None))
        why = str(await servicer(archive).MailWhy(rpc_request("MailWhyRequest", mail_id=request.mail_id), None))
    for text in (shown, why):
        assert "*@partner.example" in text
        assert "bob" not in text
        assert "try later" not in text


async def test_why_is_the_decision_as_policy_gave_it() -> None:
    """With the rules that fired; an undecided mail has none yet."""
    archive = Archive()
    trace = await recorded(archive)
    undecided = mail(ACME, "bob@partner.example", undecided=True)
    await archive.store(undecided)
    with rpc.acting_as(ADMIN, DIRECTORY):
        answer = await servicer(archive).MailWhy(rpc_request("MailWhyRequest", mail_id=trace.envelope.mail_id), None)
        assert answer.decision == trace.decision
        with pytest.raises(NotFound):
            await servicer(archive).MailWhy(rpc_request("MailWhyRequest", mail_id=undecided.envelope.mail_id), None)


async def test_coverage_names_what_a_search_cannot_find_and_why() -> None:
    """Indexed, recorded only, not recorded at all, planted: each mail stands in one of them."""
    archive = Archive()
    await recorded(archive)
    await archive.feed.catch_up()
    archive.index.away = True
    unindexed = await recorded(archive.restart())
    archive.index.away = False
    silent = await archive.store(mail(ACME, "bob@partner.example"), age=timedelta(hours=1))
    planted = await archive.store(mail(ACME, "bob@partner.example"), signer="mallory", age=timedelta(hours=1))
    await archive.sweeper.once(ACME)
    with rpc.acting_as(OPERATOR, DIRECTORY):
        answer = await servicer(archive).Coverage(rpc_request("CoverageRequest"), None)
    assert (answer.in_scope, answer.indexed) == (4, 1)
    found = {u.mail_id: u.reason for t in answer.tenants for u in t.unsearchable}
    assert found == {
        unindexed.envelope.mail_id: "not_indexed",
        silent: "not_recorded",
        planted: "planted",
    }
    assert {t.tenant for t in answer.tenants} == {"acme", "other"}


async def test_reindex_reports_progress_and_ends_complete() -> None:
    """The last report says done; the index has every mail again."""
    archive = Archive()
    for _ in range(3):
        await recorded(archive)
    await archive.feed.catch_up()
    archive.index.documents.clear()
    with rpc.acting_as(OPERATOR, DIRECTORY):
        reports = [r async for r in servicer(archive).Reindex(rpc_request("ReindexRequest"), None)]
    assert reports[-1].done
    assert reports[-1].segments == reports[-1].segments_done > 0
    assert reports[-1].mails == 3
    assert len(archive.index.documents) == 3


def test_masking_keeps_the_domain_alone() -> None:
    """The null sender stays what it is."""
    assert [masked(a) for a in ("bob@partner.example", '"a@b"@c.example', "", "bob")] == [
        "*@partner.example",
        "*@c.example",
        "",
        "*",
    ]


def rpc_request(name: str, **fields: str):  # type: ignore[no-untyped-def]
    """A request message of the archive's API."""
    from letterlock.archive.v1 import archive_pb2

    return getattr(archive_pb2, name)(**fields)


async def test_coverage_without_the_index_counts_every_mail_as_not_found() -> None:
    """How many there are is known from the store, and why none is found is said."""
    archive = Archive()
    mail_id = (await recorded(archive)).envelope.mail_id
    archive.index.away = True
    with rpc.acting_as(ADMIN, DIRECTORY):
        answer = await servicer(archive).Coverage(rpc_request("CoverageRequest"), None)
    assert (answer.in_scope, answer.indexed) == (1, 0)
    assert dict(answer.tenants[0].reasons) == {"index_away": 1}
    assert answer.tenants[0].unsearchable[0].mail_id == mail_id


async def test_index_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The segments answer instead, and for a while it is not even asked."""
    monkeypatch.setattr(look, "_PATIENCE", 0.01)
    archive = Archive()
    trace = await recorded(archive)
    asked = 0

    async def silent(tenant: TenantId, mail_ids: object) -> dict[MailId, MailState]:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(archive.index, "read", silent)
    mail_id = MailId(trace.envelope.mail_id)
    for _ in range(3):
        assert (await archive.look.states(ACME, [mail_id]))[mail_id].state(0) == "delivered"
    assert asked == 1


async def test_index_that_came_back_empty_is_not_believed() -> None:
    """It was lost after it was asked to stand in for the segments: they tell what became of a mail."""
    archive = Archive()
    trace = await recorded(archive)
    await archive.feed.catch_up()
    archive.index.documents.clear()
    whole = archive.index.read

    async def made_anew(tenant: TenantId, mail_ids: Collection[MailId]) -> dict[MailId, MailState]:
        found = await whole(tenant, mail_ids)
        archive.feed._generation = "another"
        return found

    archive.index.read = made_anew  # type: ignore[method-assign]
    mail_id = MailId(trace.envelope.mail_id)
    assert (await archive.look.states(ACME, [mail_id]))[mail_id].state(0) == "delivered"
