"""Held mail: kept, routed, decided once, told exactly as decided, across crashes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from letterlock.mail.v1 import mail_pb2
from letterlock.quarantine.v1 import quarantine_pb2 as pb

from services.common.bus import Message
from services.common.errors import NotFound, Rejected, Unavailable
from services.common.testing import eventually
from tests.unit.quarantine.conftest import ACME, Place, person


async def test_held_leg_is_kept_told_and_sealed(place: Place) -> None:
    """One hold, one outcome `held` for its recipient; no address stands in the stored document."""
    mail_id = await place.decided()
    held = await place.store.get(ACME, f"{mail_id}.2")
    assert held is not None
    assert held.hold.reviewers == ("legal",)
    outcome = (await place.told("mail.outcome."))[0].outcome
    assert (outcome.leg, list(outcome.recipients), outcome.state) == (2, [1], mail_pb2.STATE_HELD)
    assert all(b"example" not in data and b"card numbers" not in data for data in place.objects.objects.values())


async def test_second_delivery_holds_nothing_twice(place: Place) -> None:
    """The same fact again, also by another process, leaves one hold with one revision."""
    mail_id = await place.decided()
    place.restart()
    await place.quarantine.on_decided(place.message)
    held = await place.store.get(ACME, f"{mail_id}.2")
    assert held is not None
    assert held.hold.revision == 1
    assert await place.outcomes() == [(2, "STATE_HELD")]


async def test_only_those_it_is_routed_to_see_it(place: Place) -> None:
    """A group's reviewer does; other reviewers, members without the role, the sender and strangers do not."""
    mail_id = await place.decided()
    for address, sees in (
        ("lin@acme.example", True),
        ("rev@acme.example", False),
        ("plain@acme.example", False),
        ("alice@acme.example", False),
        ("rev@umbrella.example", False),
    ):
        with person(address):
            listed: Any = await place.api.ListHolds(pb.ListHoldsRequest(), None)  # type: ignore[arg-type]
            assert bool(listed.holds) is sees
            if not sees:
                with pytest.raises(NotFound):
                    await place.api.ReleaseHold(pb.ReleaseHoldRequest(id=f"{mail_id}.2"), None)  # type: ignore[arg-type]
    with person("rev@umbrella.example"), pytest.raises(NotFound):
        await place.api.ListHolds(pb.ListHoldsRequest(tenant="acme"), None)  # type: ignore[arg-type]


async def test_sender_decides_where_the_rule_says_so(place: Place) -> None:
    """With `sender` the sender sees it and other users do not."""
    mail_id = await place.decided(reviewers=("sender",))
    with person("plain@acme.example"), pytest.raises(NotFound):
        await place.api.GetHold(pb.GetHoldRequest(id=mail_id), None)  # type: ignore[arg-type]
    with person("alice@acme.example"):
        answer: Any = await place.api.DeleteHold(pb.DeleteHoldRequest(id=mail_id), None)  # type: ignore[arg-type]
    assert answer.hold.state == pb.HOLD_STATE_DELETED


async def test_release_sends_the_leg_on_with_who_and_why(place: Place) -> None:
    """`mail.released` names the leg, the person and the note; releasing again tells nothing new."""
    mail_id = await place.decided()
    with person("lin@acme.example"):
        for _ in range(2):
            answer: Any = await place.api.ReleaseHold(
                pb.ReleaseHoldRequest(id=mail_id, note=" fine "),
                None,  # type: ignore[arg-type]
            )
    assert (answer.hold.decided_by, answer.hold.note) == ("lin@acme.example", "fine")
    assert list(answer.hold.recipients) == ["two@out.example"]
    (trace,) = await place.told("mail.released.")
    assert (list(trace.legs), trace.actor, trace.note) == ([2], "lin@acme.example", "fine")
    assert trace.decision.legs[1].disposition == mail_pb2.DISPOSITION_HOLD
    await eventually(lambda: any(m.subject == f"audit.entry.{ACME}" for m in place.broker.sent))


async def test_return_goes_back_with_the_note(place: Place) -> None:
    """The released trace says RETURN and the note for this leg alone."""
    mail_id = await place.decided()
    await place.decide(mail_id, "return", by="lin@acme.example", note="no cards please")
    (trace,) = await place.told("mail.released.")
    leg = trace.decision.legs[1]
    assert (leg.disposition, leg.text) == (mail_pb2.DISPOSITION_RETURN, "no cards please")
    assert trace.decision.legs[0].disposition == mail_pb2.DISPOSITION_DELIVER


async def test_delete_is_an_outcome(place: Place) -> None:
    """Deleted mail is final for its recipient and goes nowhere."""
    mail_id = await place.decided()
    await place.decide(mail_id, "delete", by="lin@acme.example", note="")
    assert await place.outcomes() == [(2, "STATE_HELD"), (2, "STATE_DELETED")]
    assert await place.told("mail.released.") == []
    with pytest.raises(Rejected):
        await place.decide(mail_id, "release", by="lin@acme.example", note="")


async def test_of_two_decisions_at_once_one_holds(place: Place) -> None:
    """Two reviewers decide differently at the same moment: one is told that it is decided already."""
    mail_id = await place.decided(reviewers=("board",))
    results = await asyncio.gather(
        place.decide(mail_id, "release", by="lin@acme.example", note=""),
        place.decide(mail_id, "delete", by="wu@acme.example", note=""),
        return_exceptions=True,
    )
    assert sum(isinstance(r, Rejected) for r in results) == 1
    deleted = (2, "STATE_DELETED") in await place.outcomes()
    assert len(await place.told("mail.released.")) == (0 if deleted else 1)


async def test_decision_survives_a_crash_before_it_is_told(place: Place) -> None:
    """With the broker away the decision stands; the next process tells it, once."""
    mail_id = await place.decided()
    place.broker.up = False
    held = await place.decide(mail_id, "release", by="lin@acme.example", note="")
    assert held.hold.state == "released"
    assert not held.hold.told
    place.broker.up = True
    place.restart()
    await place.quarantine.resume([ACME])
    await place.quarantine.resume([ACME])
    assert len(await place.told("mail.released.")) == 1


async def test_store_away_decides_nothing(place: Place) -> None:
    """Without the store the person hears so and nothing is told."""
    mail_id = await place.decided()
    place.objects.unavailable = True
    with pytest.raises(Unavailable):
        await place.decide(mail_id, "release", by="lin@acme.example", note="")
    assert await place.told("mail.released.") == []


@pytest.mark.parametrize(("on_expiry", "state"), [("release", "released"), ("return", "returned"), ("", "overdue")])
async def test_expiry_does_what_the_rule_says(place: Place, on_expiry: str, state: str) -> None:
    """Release and return are told in the name of the expiry; escalate keeps the mail for every reviewer."""
    mail_id = await place.decided(seconds=3600, on_expiry=on_expiry)
    place.time += timedelta(hours=2)
    await place.quarantine.on_due(Message(f"quarantine.due.{ACME}", f"{mail_id}.2".encode()))
    held = await place.store.get(ACME, f"{mail_id}.2")
    assert held is not None
    assert held.hold.state == state
    assert [t.actor for t in await place.told("mail.released.")] == ([] if state == "overdue" else ["expiry"])
    if state == "overdue":
        with person("rev@acme.example"):
            answer: Any = await place.api.GetHold(pb.GetHoldRequest(id=mail_id), None)  # type: ignore[arg-type]
        assert answer.hold.state == pb.HOLD_STATE_OVERDUE


async def test_schedule_fires_by_itself(place: Place) -> None:
    """The consumer of schedules expires the hold at its time."""
    place.time = datetime.now(UTC)
    async with place.bus.consume("quarantine-due", place.quarantine.on_due):
        place.time -= timedelta(seconds=9.9)
        mail_id = await place.decided(seconds=10, on_expiry="release")
        place.time += timedelta(seconds=10)
        await eventually(lambda: any(m.subject.startswith("mail.released.") for m in place.broker.sent))
    assert (await place.store.get(ACME, f"{mail_id}.2")) is not None


async def test_lost_schedule_is_found(place: Place) -> None:
    """A broker that forgot its schedules does not keep a mail for ever."""
    await place.decided(seconds=60, on_expiry="return")
    place.time += timedelta(minutes=2)
    place.restart()
    await place.quarantine.resume([ACME])
    assert len(await place.told("mail.released.")) == 1


async def test_pages_are_newest_first(place: Place) -> None:
    """Two pages have every hold once."""
    ids = [await place.decided() for _ in range(3)]
    with person("lin@acme.example"):
        first: Any = await place.api.ListHolds(pb.ListHoldsRequest(page_size=2), None)  # type: ignore[arg-type]
        request = pb.ListHoldsRequest(page_size=2, page_token=first.next_page_token)
        second: Any = await place.api.ListHolds(request, None)  # type: ignore[arg-type]
    assert [h.mail_id for h in (*first.holds, *second.holds)] == sorted(ids, reverse=True)
    assert second.next_page_token == ""
