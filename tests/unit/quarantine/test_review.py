"""Levels, claims, deputies, every outcome, a second look by the engines, delays, requests, reading."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from letterlock.mail.v1 import mail_pb2
from letterlock.quarantine.v1 import quarantine_pb2 as pb

from services.common.bus import Message
from services.common.errors import InvalidInput, NotFound, Rejected, Unavailable
from services.common.ids import MailId
from services.quarantine.core import holds
from tests.unit.quarantine.conftest import ACME, VIEW, Place, person

LIN, WU, REV, ALICE = (f"{n}@acme.example" for n in ("lin", "wu", "rev", "alice"))
ANY: Any = None


async def test_levels_are_decided_by_different_people_in_order(place: Place) -> None:
    """Nothing is told until the last; each stands in the record with its level."""
    mail_id = await place.decided(reviewers=("board",), levels=2)
    one = await place.decide(mail_id, "release", by=LIN, note="first")
    assert (one.hold.state, one.hold.level) == ("held", 2)
    assert await place.told("mail.released.") == []
    with pytest.raises(Rejected, match="same person"):
        await place.decide(mail_id, "release", by=LIN)
    two = await place.decide(mail_id, "release", by=WU, note="second")
    assert two.hold.state == "released"
    assert [(s.by, s.level, s.note) for s in two.hold.steps] == [(LIN, 1, "first"), (WU, 2, "second")]
    assert len(await place.told("mail.released.")) == 1


async def test_named_levels_belong_to_their_reviewers(place: Place) -> None:
    """As many names as levels: the second cannot decide the first."""
    mail_id = await place.decided(reviewers=(LIN, WU), levels=2)
    with pytest.raises(Rejected) as refused:
        await place.decide(mail_id, "release", by=WU)
    assert refused.value.public == f"level 1 of 2 is for {LIN}"
    await place.decide(mail_id, "release", by=LIN)
    assert (await place.decide(mail_id, "release", by=WU)).hold.state == "released"


async def test_any_level_can_refuse(place: Place) -> None:
    """One no is enough."""
    mail_id = await place.decided(reviewers=("board",), levels=3)
    assert (await place.decide(mail_id, "return", note="no")).hold.state == "returned"


async def test_two_approve_the_same_level_at_once(place: Place) -> None:
    """Both count, one after the other; the mail leaves once."""
    mail_id = await place.decided(reviewers=("board",), levels=2)
    await asyncio.gather(place.decide(mail_id, "release", by=LIN), place.decide(mail_id, "release", by=WU))
    held = await place.held(mail_id)
    assert held.hold.state == "released"
    assert sorted(s.level for s in held.hold.steps) == [1, 2]
    assert len(await place.told("mail.released.")) == 1


async def test_claim_keeps_others_from_deciding_until_it_is_over_or_taken(place: Place) -> None:
    """Refused with who and until when; a take-over is recorded; time ends a claim."""
    mail_id = await place.decided(reviewers=("board",))
    id_ = f"{mail_id}.2"
    await place.review.claim(VIEW, ACME, LIN, id_, seconds=60, take_over=False)
    with pytest.raises(Rejected) as refused:
        await place.decide(mail_id, "delete", by=WU)
    assert LIN in refused.value.public
    with pytest.raises(Rejected):
        await place.review.claim(VIEW, ACME, WU, id_, seconds=60, take_over=False)
    taken = await place.review.claim(VIEW, ACME, WU, id_, seconds=60, take_over=True)
    assert (taken.hold.steps[-1].what, taken.hold.steps[-1].detail) == ("take_over", LIN)
    with pytest.raises(Rejected):
        await place.decide(mail_id, "delete", by=LIN)
    place.time += timedelta(seconds=61)
    assert (await place.decide(mail_id, "delete", by=LIN)).hold.state == "deleted"


async def test_of_two_claims_at_once_one_holds(place: Place) -> None:
    """The store decides."""
    mail_id = await place.decided(reviewers=("board",))
    results = await asyncio.gather(
        *(place.review.claim(VIEW, ACME, who, f"{mail_id}.2", seconds=60, take_over=False) for who in (LIN, WU)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, Rejected) for r in results) == 1


async def test_deputy_decides_in_the_reviewers_place(place: Place) -> None:
    """Recorded for whom; not for a level that the reviewer decided; not after its time; not who is no reviewer."""
    mail_id = await place.decided(reviewers=("legal",), levels=2)
    with person(LIN):
        with pytest.raises(InvalidInput):
            await place.api.SetDeputy(pb.SetDeputyRequest(deputy="plain@acme.example"), ANY)
        with pytest.raises(InvalidInput):
            await place.api.SetDeputy(pb.SetDeputyRequest(deputy="rev@umbrella.example"), ANY)
        await place.api.SetDeputy(pb.SetDeputyRequest(deputy=REV), ANY)
    with person(REV):
        listed: Any = await place.api.ListDeputies(pb.ListDeputiesRequest(), ANY)
        assert [(d.reviewer, d.deputy) for d in listed.deputies] == [(LIN, REV)]
        answer: Any = await place.api.ReleaseHold(pb.ReleaseHoldRequest(id=mail_id), ANY)
    assert [(s.by, s.acting_for) for s in answer.hold.steps] == [(REV, LIN)]
    with pytest.raises(Rejected):
        await place.decide(mail_id, "release", by=LIN)
    with person(LIN):
        await place.api.ClearDeputy(pb.ClearDeputyRequest(), ANY)
    with person(REV), pytest.raises(NotFound):
        await place.api.GetHold(pb.GetHoldRequest(id=mail_id), ANY)
    assert all(b"example" not in data for data in place.objects.objects.values())


async def test_nobody_releases_their_own_mail_as_reviewer(place: Place) -> None:
    """Another reviewer does; the sender may still let it be deleted."""
    mail_id = await place.decided(reviewers=("board",), sender=LIN)
    with pytest.raises(Rejected, match="own mail"):
        await place.decide(mail_id, "release", by=LIN)
    assert (await place.decide(mail_id, "release", by=WU)).hold.state == "released"


async def test_forward_redirects_the_leg(place: Place) -> None:
    """The leg's copy goes to the address alone, with its own number and fate."""
    mail_id = await place.decided()
    with person(LIN):
        for bad in ("", "nobody", "a@b\r\nRCPT", "<a@b.example>"):
            with pytest.raises(InvalidInput):
                await place.api.ForwardHold(pb.ForwardHoldRequest(id=mail_id, to=bad), ANY)
        answer: Any = await place.api.ForwardHold(pb.ForwardHoldRequest(id=mail_id, to="counsel@out.example"), ANY)
    assert answer.hold.state == pb.HOLD_STATE_FORWARDED
    (trace,) = await place.told("mail.released.")
    assert (list(trace.legs), list(trace.decision.legs[1].redirect)) == ([2], ["counsel@out.example"])


@pytest.mark.parametrize("format_", holds.FORMATS)
async def test_seal_adds_a_transform_that_encryption_takes(place: Place, format_: str) -> None:
    """In the format asked for, in place of another seal, and only on this leg."""
    mail_id = await place.decided()
    with person(LIN):
        await place.api.SealHold(pb.SealHoldRequest(id=mail_id, format=format_), ANY)
    (trace,) = await place.told("mail.released.")
    (transform,) = trace.decision.legs[1].transforms
    assert transform.kind == "seal"
    assert orjson.loads(transform.settings) == {"format": format_, "password": "random"}
    assert not trace.decision.legs[0].transforms


async def test_malware_never_leaves(place: Place) -> None:
    """Not forced, not by expiry, not as something else; deleting it is still possible."""
    place.engines.malware = True
    mail_id = await place.decided(seconds=10, on_expiry="release")
    for action, target in (("release", ""), ("forward", "a@b.example"), ("seal", "zip/random")):
        with pytest.raises(Rejected, match="malware"):
            await place.decide(mail_id, action, target=target, note="trust me", force=True)  # type: ignore[arg-type]
    place.time += timedelta(seconds=11)
    await place.quarantine.on_due(Message(f"quarantine.due.{ACME}", f"{mail_id}.2".encode()))
    held = await place.held(mail_id)
    assert (held.hold.state, held.hold.steps[-1].note) == ("overdue", "it is malware by the engines of today")
    assert await place.told("mail.released.") == []
    assert (await place.decide(mail_id, "delete")).hold.state == "deleted"


async def test_worse_by_the_policy_of_today_needs_force_and_a_note(place: Place) -> None:
    """What it was held for is no reason; what would be refused is."""
    mail_id = await place.decided()
    place.engines.disposition = mail_pb2.DISPOSITION_REFUSE
    with pytest.raises(Rejected) as refused:
        await place.decide(mail_id, "release")
    assert "refuse" in refused.value.public
    with pytest.raises(InvalidInput):
        await place.decide(mail_id, "release", force=True)
    held = await place.decide(mail_id, "release", force=True, note="agreed")
    assert (held.hold.state, held.hold.steps[-1].forced) == ("released", True)


async def test_policy_away_releases_nothing(place: Place) -> None:
    """The person hears so; an expiry tries again."""
    mail_id = await place.decided(seconds=10, on_expiry="release")
    place.engines.away = True
    with pytest.raises(Unavailable):
        await place.decide(mail_id, "release")
    place.time += timedelta(seconds=11)
    await place.quarantine.resume([ACME])
    assert (await place.held(mail_id)).hold.state == "held"
    place.engines.away = False
    await place.quarantine.resume([ACME])
    assert (await place.held(mail_id)).hold.state == "released"


@pytest.mark.parametrize("on_expiry", ["return", "release", "escalate"])
async def test_expiry_is_never_silent(place: Place, on_expiry: str) -> None:
    """At three quarters of its time every reviewer may decide it; then it does as the rule says."""
    mail_id = await place.decided(seconds=100, on_expiry=on_expiry)
    with person(REV), pytest.raises(NotFound):
        await place.api.GetHold(pb.GetHoldRequest(id=mail_id), ANY)
    place.time += timedelta(seconds=76)
    await place.quarantine.on_due(Message(f"quarantine.due.{ACME}", f"{mail_id}.2".encode()))
    with person(REV):
        assert (await place.api.GetHold(pb.GetHoldRequest(id=mail_id), ANY)).hold.HasField("escalated_at")
    place.time += timedelta(seconds=25)
    await place.quarantine.on_due(Message(f"quarantine.due.{ACME}", f"{mail_id}.2".encode()))
    held = await place.held(mail_id)
    assert held.hold.steps[0].what == "escalate"
    assert held.hold.state == {"return": "returned", "release": "released", "escalate": "overdue"}[on_expiry]


async def test_delayed_leg_leaves_at_its_time(place: Place) -> None:
    """It waits as deferred, is asked of no engine, and goes on in the name of the expiry."""
    mail_id = await place.decided(disposition=mail_pb2.DISPOSITION_DELAY, seconds=600, reviewers=())
    assert await place.outcomes() == [(2, "STATE_DEFERRED")]
    for reviewer in (LIN, REV):
        with person(reviewer), pytest.raises(NotFound):
            await place.api.GetHold(pb.GetHoldRequest(id=mail_id), ANY)
    place.time += timedelta(seconds=601)
    await place.quarantine.on_due(Message(f"quarantine.due.{ACME}", f"{mail_id}.2".encode()))
    assert [t.actor for t in await place.told("mail.released.")] == ["expiry"]
    assert place.engines.asked == 0


async def test_sender_cancels_a_delayed_mail_and_nobody_else(place: Place) -> None:
    """Cancelled is deleted for the recipient; once it left it cannot be cancelled."""
    mail_id = await place.decided(disposition=mail_pb2.DISPOSITION_DELAY, seconds=600, reviewers=())
    for other in (LIN, "plain@acme.example"):
        with pytest.raises(NotFound):
            await place.decide(mail_id, "cancel", by=other)
    assert (await place.decide(mail_id, "cancel", by=ALICE)).hold.state == "cancelled"
    assert await place.outcomes() == [(2, "STATE_DEFERRED"), (2, "STATE_DELETED")]
    place.time += timedelta(seconds=601)
    await place.quarantine.resume([ACME])
    assert await place.told("mail.released.") == []
    gone = await place.decided(disposition=mail_pb2.DISPOSITION_DELAY, seconds=600, reviewers=())
    place.time += timedelta(seconds=601)
    await place.quarantine.resume([ACME])
    with pytest.raises(Rejected):
        await place.decide(gone, "cancel", by=ALICE)


async def test_forged_sender_of_inbound_mail_decides_nothing(place: Place) -> None:
    """Whoever wrote from outside under alice's address made her no sender."""
    mail_id = await place.decided(reviewers=("sender",), direction=mail_pb2.DIRECTION_INBOUND)
    with pytest.raises(NotFound):
        await place.decide(mail_id, "release", by=ALICE)


async def test_recipient_asks_once_and_learns_nothing(place: Place) -> None:
    """Only who the mail is for; others, and other tenants, have no such mail."""
    mail_id = await place.decided(
        direction=mail_pb2.DIRECTION_INBOUND, sender="s@out.example", second="plain@acme.example"
    )
    with person("plain@acme.example"):
        for asked in (True, False):
            answer = await place.api.RequestRelease(pb.RequestReleaseRequest(mail_id=mail_id, note="mine"), ANY)
            assert answer.asked is asked
        with pytest.raises(NotFound):
            await place.api.GetHold(pb.GetHoldRequest(id=mail_id), ANY)
    for other in (ALICE, "rev@umbrella.example"):
        with person(other), pytest.raises(NotFound):
            await place.api.RequestRelease(pb.RequestReleaseRequest(mail_id=mail_id), ANY)
    assert [s.what for s in (await place.held(mail_id)).hold.steps] == ["request"]


async def test_content_is_read_only_after_its_entry_is_durable(place: Place) -> None:
    """With the log away nothing is given; who it is not routed to gets nothing and leaves no entry."""
    mail_id = await place.decided()
    place.log.unavailable = True
    with person(LIN), pytest.raises(Unavailable):
        _ = [p async for p in place.api.ReadHold(pb.ReadHoldRequest(id=mail_id), ANY)]
    place.log.unavailable = False
    with person(REV), pytest.raises(NotFound):
        _ = [p async for p in place.api.ReadHold(pb.ReadHoldRequest(id=mail_id), ANY)]
    with person(LIN):
        pieces = [p.piece async for p in place.api.ReadHold(pb.ReadHoldRequest(id=mail_id, purpose="to decide"), ANY)]
    assert b"".join(pieces) == b"Subject: x\r\n\r\nhello\r\n"
    (entry,) = place.log.entries
    assert (entry.action, entry.actor, entry.mail_ids, entry.detail["purpose"]) == (
        "hold.viewed",
        LIN,
        (mail_id,),
        "to decide",
    )


async def test_findings_are_masked_and_senders_can_be_blocked(place: Place) -> None:
    """A reviewer sees spans as policy masked them; a verdict on the sender is sealed, listed, and taken back."""
    mail_id = await place.decided()
    with person(LIN):
        shown: Any = await place.api.GetHold(pb.GetHoldRequest(id=mail_id), ANY)
        assert list(shown.hold.findings) == ["cards-out: 4111********"]
        await place.api.SetSender(pb.SetSenderRequest(id=mail_id, verdict=pb.SENDER_VERDICT_BLOCK, note="spam"), ANY)
        listed: Any = await place.api.ListSenders(pb.ListSendersRequest(), ANY)
        assert [(s.address, s.verdict, s.by) for s in listed.senders] == [(ALICE, pb.SENDER_VERDICT_BLOCK, LIN)]
        await place.api.SetSender(pb.SetSenderRequest(id=mail_id), ANY)
        assert not (await place.api.ListSenders(pb.ListSendersRequest(), ANY)).senders
    with person(ALICE), pytest.raises(NotFound):
        await place.api.ListSenders(pb.ListSendersRequest(), ANY)
    assert all(b"example" not in data for data in place.objects.objects.values())


async def test_release_lost_on_its_way_is_told_again_when_asked_for(place: Place) -> None:
    """The sweeper asks for a leg whose delivery forgot it: the release is told again."""
    mail_id = await place.decided()
    await place.decide(mail_id, "release")
    (trace,) = await place.told("mail.released.")
    place.broker._seen.clear()
    subject = f"mail.decided.{ACME}"
    await place.quarantine.on_decided(Message(subject, await place.facts.encode(subject, "decided", trace)))
    assert len(await place.told("mail.released.")) == 2


def test_table_of_states() -> None:
    """Every action in every state: the state it leads to, or a refusal."""
    hold = holds.Hold(MailId.new(), 1, datetime.now(UTC), revision=1)
    for state in ("held", "overdue", *holds.DONE.values()):
        for action, goal in holds.DONE.items():
            given = replace(hold, state=state)  # type: ignore[arg-type]
            decision = holds.Decision(action)
            if state in holds.OPEN or state == goal:
                assert holds.decide(given, decision, by="x", at=hold.held_at).state == goal
            else:
                with pytest.raises(Rejected):
                    holds.decide(given, decision, by="x", at=hold.held_at)
