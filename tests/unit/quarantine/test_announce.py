"""Who is told what, once, together, and in whose words; links that act once."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import timedelta
from typing import Any

import pytest
from letterlock.mail.v1 import mail_pb2
from letterlock.quarantine.v1 import quarantine_pb2 as pb

from services.common import actionlinks, rpc
from services.common.auth import ANONYMOUS
from services.common.bus import Message
from services.common.errors import InvalidInput, NotFound
from services.common.notices import Template
from tests.unit.quarantine.conftest import ACME, VIEW, Place

LIN, WU, REV, ALICE = (f"{n}@acme.example" for n in ("lin", "wu", "rev", "alice"))
ANY: Any = None


async def sent(place: Place) -> list[tuple[str, str, str]]:
    """Reader, subject and text of each system mail so far."""
    found = []
    for message in place.broker.sent:
        if message.subject != f"mail.decided.{ACME}":
            continue
        fact = await place.facts.open(message)
        if fact.trace.envelope.origin == "system":
            raw = mail_pb2.Fact.FromString(message.data).content
            plain = await place.pipeline_content(raw, message.subject, fact.mail_id)
            parsed = email.message_from_bytes(plain, policy=email.policy.default)
            body = parsed.get_body(("plain",))
            assert body is not None
            found.append((fact.trace.envelope.recipients[0].address, str(parsed["subject"]), body.get_content()))
    return found


async def test_reviewers_are_told_once(place: Place) -> None:
    """Those of the group with the role; again nothing; after a restart nothing."""
    mail_id = await place.decided(reviewers=("board",))
    await place.announcer.tell([ACME])
    await place.announcer.tell([ACME])
    place.restart()
    await place.announcer.tell([ACME])
    told = await sent(place)
    assert sorted(t[0] for t in told) == [LIN, WU]
    for _, subject, text in told:
        assert subject == "A mail waits for your decision"
        assert "card numbers" in text
        assert "4111********" in text
        assert f"https://portal.example/holds/{mail_id}.2" in text


async def test_what_comes_together_is_one_mail(place: Place) -> None:
    """A hundred holds in a window are one notice to a reviewer, not a hundred."""
    for _ in range(100):
        await place.decided()
    await place.announcer.tell([ACME])
    ((reader, subject, text),) = await sent(place)
    assert (reader, subject) == (LIN, "100 mails wait for your decision")
    assert len(text.splitlines()) < 60


async def test_sender_is_told_of_own_holds_and_delays_only(place: Place) -> None:
    """Where the rule leaves it to them; with a link that cancels; a stranger is never told."""
    await place.decided(reviewers=("sender",))
    await place.decided(disposition=mail_pb2.DISPOSITION_DELAY, seconds=600, reviewers=())
    await place.decided(reviewers=("sender",), direction=mail_pb2.DIRECTION_INBOUND, sender="s@out.example")
    await place.announcer.tell([ACME])
    assert sorted((r, s) for r, s, _ in await sent(place)) == [
        (ALICE, "Your mail is held for review"),
        (ALICE, "Your mail leaves later"),
    ]


async def test_escalation_and_requests_are_told(place: Place) -> None:
    """To every reviewer then; the recipient's own words are not needed to know who asks."""
    mail_id = await place.decided(
        seconds=100, on_expiry="return", direction=mail_pb2.DIRECTION_INBOUND, second="plain@acme.example"
    )
    await place.announcer.tell([ACME])
    await place.review.request(VIEW, ACME, "plain@acme.example", mail_id, "please")
    await place.announcer.tell([ACME])
    place.time += timedelta(seconds=80)
    await place.quarantine.on_due(Message(f"quarantine.due.{ACME}", f"{mail_id}.2".encode()))
    await place.announcer.tell([ACME])
    assert [(r, s) for r, s, _ in await sent(place)] == [
        (LIN, "A mail waits for your decision"),
        (LIN, "A recipient asks for a held mail"),
        (LIN, "Overdue: a mail still waits for a decision"),
        (REV, "Overdue: a mail still waits for a decision"),
        (WU, "Overdue: a mail still waits for a decision"),
    ]


async def test_note_reaches_whom_a_reviewer_names(place: Place) -> None:
    """The mail stays held; nobody outside is told, and no link comes with it."""
    mail_id = await place.decided()
    await place.announcer.tell([ACME])
    before = len(await sent(place))
    for notify in ("s@out.example", "rev@umbrella.example"):
        with pytest.raises(InvalidInput):
            await place.review.leave(VIEW, ACME, LIN, mail_id, "look", notify)
    for notify in ("sender", "plain@acme.example"):
        await place.review.leave(VIEW, ACME, LIN, mail_id, f"for {notify}", notify)
    await place.review.leave(VIEW, ACME, LIN, mail_id, "to myself")
    await place.announcer.tell([ACME])
    told = (await sent(place))[before:]
    assert [r for r, _, _ in told] == [ALICE, "plain@acme.example"]
    assert "Note: for sender" in told[0][2]
    assert all("portal.example" not in text for _, _, text in told)
    held = await place.held(mail_id)
    assert [held.hold.state, *(s.what for s in held.hold.steps)] == ["held", "notify", "notify", "pending"]


async def test_broker_away_tells_later(place: Place) -> None:
    """Nothing is lost, and nothing is told twice."""
    await place.decided()
    place.broker.up = False
    await place.announcer.tell([ACME])
    place.broker.up = True
    place.restart()
    await place.announcer.tell([ACME])
    assert len(await sent(place)) == 1


async def test_digest_at_its_hour_once(place: Place) -> None:
    """What still waits, at the set hour, once an hour however often it is looked at."""
    await place.decided()
    await place.announcer.tell([ACME])
    place.time = place.time.replace(hour=1, minute=5) + timedelta(days=1)
    for _ in range(3):
        await place.announcer.tell([ACME])
        place.restart()
    assert [s for _, s, _ in await sent(place)] == ["A mail waits for your decision", "1 mails wait for your decision"]


async def test_tenants_words_are_used(place: Place) -> None:
    """In place of the system's."""
    await place.templates.set(ACME, "hold.notice.reviewer", "en", Template("LOOK {rule}", "{reason}"), actor="admin")
    await place.decided()
    await place.announcer.tell([ACME])
    assert [s for _, s, _ in await sent(place)] == ["LOOK cards-out"]


async def test_link_acts_once_for_its_person(place: Place) -> None:
    """Described without acting, then done in the person's name, then gone; a changed token is nobody's."""
    mail_id = await place.decided()
    await place.announcer.tell([ACME])
    ((_, _, text),) = await sent(place)
    release, delete = re.findall(r"https://portal.example/act/(\S+)", text)
    with rpc.acting_as(ANONYMOUS, VIEW):
        described: Any = await place.api.DescribeLink(pb.DescribeLinkRequest(token=release), ANY)
        assert (described.action, described.person, described.hold.id) == ("release", LIN, f"{mail_id}.2")
        assert (await place.held(mail_id)).hold.state == "held"
        for bad in (release[:-2] + "xx", "x." + release.partition(".")[2], "", "a.b", release + "a", "é.é"):
            with pytest.raises(NotFound):
                await place.api.ActByLink(pb.ActByLinkRequest(token=bad), ANY)
        done: Any = await place.api.ActByLink(pb.ActByLinkRequest(token=release, note="by link"), ANY)
        assert (done.hold.state, done.hold.decided_by) == (pb.HOLD_STATE_RELEASED, LIN)
        with pytest.raises(NotFound):
            await place.api.ActByLink(pb.ActByLinkRequest(token=release), ANY)
        with pytest.raises(Exception, match="decided otherwise"):
            await place.api.ActByLink(pb.ActByLinkRequest(token=delete), ANY)
    place.restart()
    with rpc.acting_as(ANONYMOUS, VIEW), pytest.raises(NotFound):
        await place.api.DescribeLink(pb.DescribeLinkRequest(token=release), ANY)


async def test_link_is_over_at_its_time_and_for_who_left(place: Place) -> None:
    """The signature does not outlive its time, its key's tenant or its person's role."""
    held = await place.held(await place.decided(seconds=60, on_expiry="return"))
    token = (await place.links.make(ACME, LIN, held.hold, "delete")).rpartition("/")[2]
    stranger = (await place.links.make(ACME, "gone@acme.example", held.hold, "delete")).rpartition("/")[2]
    with rpc.acting_as(ANONYMOUS, VIEW):
        with pytest.raises(NotFound):
            await place.api.ActByLink(pb.ActByLinkRequest(token=stranger), ANY)
        place.time += timedelta(seconds=61)
        with pytest.raises(NotFound):
            await place.api.ActByLink(pb.ActByLinkRequest(token=token), ANY)
    with pytest.raises(NotFound):
        actionlinks.verify(token, bytes(32), now=held.hold.held_at)
