"""What becomes of legs: delivered, retried, returned, closed, and told."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from datetime import timedelta
from email.message import Message as Parsed
from typing import cast

import pytest
from letterlock.delivery.v1 import delivery_pb2
from letterlock.mail.v1 import mail_pb2

from services.common import rpc
from services.common.auth import Principal
from services.common.errors import NotFound
from services.common.ids import MailId
from services.common.mailedit import rebuild
from services.common.sealing import age
from services.common.sealing.content import content_key, read_content, write_content
from services.common.systemmail import utc_now
from services.common.testing import eventually
from services.delivery.adapters.rpc import QueueService
from tests.unit.delivery.conftest import ACME, RAW, World
from tests.unit.delivery.sinks import Sink, greet, say, scripted, sink

TEXT = b"Subject: x\r\n\r\nhello\r\n"
DELIVER, HOLD = mail_pb2.DISPOSITION_DELIVER, mail_pb2.DISPOSITION_HOLD


def leg(number: int, *positions: int, disposition: mail_pb2.Disposition = DELIVER, **fields: object) -> mail_pb2.Leg:
    return mail_pb2.Leg(number=number, recipients=positions, disposition=disposition, **fields)  # type: ignore[arg-type]


def tag(**settings: object) -> mail_pb2.Transform:
    return mail_pb2.Transform(kind="tag", rule="mark", settings=json.dumps(settings).encode())


def banner(text: str) -> mail_pb2.Transform:
    return mail_pb2.Transform(kind="banner", rule="warn", settings=json.dumps({"text": text}).encode())


async def content_of(world: World, trace: mail_pb2.Trace, leg: int) -> tuple[mail_pb2.ContentHeader, bytes]:
    mail_id = MailId.parse(trace.envelope.mail_id)
    return await read_content(world.objects, world.keys.identities, world.keys.writers, ACME, mail_id, leg)


async def settled(world: World, trace: mail_pb2.Trace, *states: str) -> None:
    async def so() -> bool:
        return [s for _, (s, _) in sorted((await world.states(trace)).items())] == list(states)

    await eventually(so)


def dsn_fields(content: bytes) -> list[Parsed]:
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report"
    return cast(list[Parsed], list(parsed.iter_parts())[1].get_payload())


async def test_a_decided_mail_leaves_byte_for_byte_after_our_headers(world: World) -> None:
    """To the next hop for own domains, to the smarthost for the world, each recorded."""
    async with sink() as hop, sink() as smart, world.running():
        world.hop, world.smarthost = hop.address, smart.address
        trace = await world.accept(["lin@acme.example", "bob@b.example", "carol@c.example"])
        await settled(world, trace, "delivered", "delivered", "delivered")
        assert hop.taken[0].content.endswith(RAW)
        head = hop.taken[0].content[: -len(RAW)]
        assert head.startswith(b"Received: from client.example ([192.0.2.7])\r\n")
        assert trace.envelope.mail_id.encode() in head
        assert b"for <lin@acme.example>" in head
        assert smart.taken[0].recipients == ["bob@b.example", "carol@c.example"]
        assert b"for <" not in smart.taken[0].content[: -len(RAW)]
        assert world.asked == 0
        assert not world.broker.kept("mail.decided.*") or not world.broker.queues["delivery-decided"].open


async def test_a_put_off_recipient_is_retried_alone_and_the_others_are_not_sent_twice(world: World) -> None:
    """4xx for one of two, then 250."""
    handler = Sink({"bob@b.example": "451 4.2.1 later"})
    async with sink(handler) as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example", "carol@c.example"])
        await settled(world, trace, "deferred", "delivered")
        handler.replies.clear()
        await settled(world, trace, "delivered", "delivered")
        assert [t.recipients for t in smart.taken] == [["carol@c.example"], ["bob@b.example"]]
        deferred = [o for o in await world.outcomes(trace) if o.state == mail_pb2.STATE_DEFERRED]
        assert [o.attempts for o in deferred] == list(range(1, len(deferred) + 1))
        await eventually(lambda: not world.broker.schedules)

        async def gone() -> bool:
            return await world.queue.keys() == []

        await eventually(gone)


async def test_no_address_waits_in_the_broker(world: World) -> None:
    """What is kept between attempts names recipients by position and domain."""
    async with sink(Sink({"secretname@b.example": "451 later"})) as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["secretname@b.example"])
        await settled(world, trace, "deferred")

        async def kept() -> delivery_pb2.RetryState | None:
            return await world.queue.get(ACME, MailId.parse(trace.envelope.mail_id), 1)

        state = cast(delivery_pb2.RetryState, await eventually(kept))
        assert state.recipients[0].domain == "b.example"
        assert state.recipients[0].last_code == "remote_deferred"
        assert all(b"secretname" not in m.data for m in world.broker.sent)


async def test_a_refused_recipient_is_reported_to_an_outbound_sender(world: World) -> None:
    """5xx: state returned, and one DSN from the null sender to the sender's own hop."""
    async with sink() as hop, sink(Sink({"none@b.example": "550 5.1.1 who?"})) as smart, world.running():
        world.hop, world.smarthost = hop.address, smart.address
        trace = await world.accept(["none@b.example", "bob@b.example"])
        await settled(world, trace, "returned", "delivered")
        await eventually(lambda: hop.taken)
        assert hop.taken[0].sender == "<>"
        assert hop.taken[0].recipients == ["alice@acme.example"]
        _, fields = dsn_fields(hop.taken[0].content)
        assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
        assert fields["Final-Recipient"] == "rfc822; none@b.example"
        assert (await world.states(trace))[0] == ("returned", "remote_refused")


@pytest.mark.parametrize(
    ("sender", "notify"), [("", []), ("stranger@s.example", []), ("alice@acme.example", ["NEVER"])]
)
async def test_null_senders_strangers_and_never_get_no_report(world: World, sender: str, notify: list[str]) -> None:
    """The state is returned all the same."""
    recipient = mail_pb2.Recipient(
        address="none@acme.example",
        direction=mail_pb2.DIRECTION_INTERNAL if sender.endswith("acme.example") else mail_pb2.DIRECTION_INBOUND,
        notify=notify,
    )
    async with sink(Sink({"none@acme.example": "550 5.1.1 who?"})) as hop, world.running():
        world.hop = world.smarthost = hop.address
        trace = await world.accept([recipient], sender=sender)
        await settled(world, trace, "returned")
        assert {m.subject for m in world.broker.sent} == {
            f"mail.decided.{ACME}",
            f"mail.outcome.{ACME}.{trace.envelope.mail_id}",
        }
        assert len([m for m in world.broker.sent if m.subject.startswith("mail.decided")]) == 1


async def test_expiry_gives_up_with_the_last_reason(world: World) -> None:
    """The next hop never answers: deferred, then returned with a DSN of 4.4.7."""
    world.with_config(give_up_after=timedelta(milliseconds=500))
    async with sink() as hop, world.running():
        world.hop = hop.address
        trace = await world.accept(["bob@b.example"])
        await settled(world, trace, "returned")
        assert (await world.states(trace))[0] == ("returned", "expired")
        await eventually(lambda: hop.taken)
        _, fields = dsn_fields(hop.taken[0].content)
        assert fields["Status"] == "4.4.7"


async def test_a_delay_is_told_once(world: World) -> None:
    """RFC 3464 "delayed", at the first attempt after the time is up."""
    world.with_config(delay_notice_after=timedelta(0))
    handler = Sink({"bob@b.example": "451 4.2.1 later"})
    async with sink() as hop, sink(handler) as smart, world.running():
        world.hop, world.smarthost = hop.address, smart.address
        trace = await world.accept(["bob@b.example"])

        async def tried_thrice() -> bool:
            return max([o.attempts for o in await world.outcomes(trace)], default=0) >= 3

        await eventually(tried_thrice)
        await eventually(lambda: hop.taken)
        _, fields = dsn_fields(hop.taken[0].content)
        assert fields["Action"] == "delayed"
        assert len(hop.taken) == 1


async def test_success_is_reported_when_the_next_hop_reports_none(world: World) -> None:
    """NOTIFY=SUCCESS and no DSN extension: "relayed" (RFC 3461 5.2.2)."""
    recipient = mail_pb2.Recipient(
        address="bob@b.example", direction=mail_pb2.DIRECTION_OUTBOUND, notify=["SUCCESS"], orcpt="rfc822;bob@b.example"
    )
    async with sink() as hop, sink() as smart, world.running():
        world.hop, world.smarthost = hop.address, smart.address
        trace = await world.accept([recipient])
        await settled(world, trace, "delivered")
        await eventually(lambda: hop.taken)
        _, fields = dsn_fields(hop.taken[0].content)
        assert fields["Action"] == "relayed"


async def test_dispositions_that_end_a_leg(world: World) -> None:
    """Delete; return and refuse of outbound mail with a DSN; refuse of inbound silently; hold is not ours."""
    inbound = mail_pb2.Recipient(address="x@acme.example", direction=mail_pb2.DIRECTION_INBOUND)
    outbound = ["a@b.example", "b@b.example", "c@b.example", "d@b.example"]
    legs = [
        leg(1, 0, disposition=mail_pb2.DISPOSITION_DELETE),
        leg(2, 1, disposition=mail_pb2.DISPOSITION_RETURN, text="no secrets"),
        leg(3, 2, disposition=mail_pb2.DISPOSITION_REFUSE),
        leg(4, 3, disposition=HOLD),
        leg(5, 4, disposition=mail_pb2.DISPOSITION_REFUSE),
    ]
    async with sink() as hop, world.running():
        world.hop = hop.address
        trace = await world.accept([*outbound, inbound], legs=legs)

        async def four() -> bool:
            return len(await world.states(trace)) == 4

        await eventually(four)
        assert await world.states(trace) == {
            0: ("deleted", "policy_deleted"),
            1: ("returned", "policy_returned"),
            2: ("returned", "policy_refused"),
            4: ("refused", "policy_refused"),
        }
        await eventually(lambda: len(hop.taken) == 2)
        assert any(b"no secrets" in t.content for t in hop.taken)


async def test_a_delayed_leg_leaves_when_it_is_released(world: World) -> None:
    """What a rule delays is quarantine's until its time is over: nothing is said or sent of it before."""
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        delayed = leg(1, 0, disposition=mail_pb2.DISPOSITION_DELAY, seconds=1)
        at_once = leg(2, 1)
        trace = await world.accept(["bob@b.example", "carl@b.example"], legs=[delayed, at_once])

        async def other() -> bool:
            return (await world.states(trace)).get(1) == ("delivered", "delivered")

        await eventually(other)
        assert 0 not in await world.states(trace)
        trace.legs.append(1)
        trace.actor = "expiry"
        await world.release.publish("released", trace, raw=None, msg_id=f"{trace.envelope.mail_id}:1:r:2")

        async def delivered() -> bool:
            return (await world.states(trace)).get(0) == ("delivered", "delivered")

        await eventually(delivered)


async def test_tags_change_the_mail_and_the_change_is_kept_beside_it(world: World) -> None:
    """Only the tagged leg; the manifest makes the delivered bytes again."""
    legs = [leg(1, 0), leg(2, 1, transforms=[tag(subject_prefix="[external]", header={"name": "X-F", "value": "1"})])]
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example", "carol@b.example"], legs=legs)
        await settled(world, trace, "delivered", "delivered")
        by = {t.recipients[0]: t.content for t in smart.taken}
        assert by["bob@b.example"].endswith(b"\r\n" + RAW)
        want = b"X-F: 1\r\n" + RAW.replace(b"Subject: ", b"Subject: [external] ")
        assert by["carol@b.example"].endswith(b"\r\n" + want)
        header, kept = await content_of(world, trace, 2)
        assert kept == want
        assert (header.kind, list(header.rules), list(header.recipients)) == ("changed", ["mark"], [1])
        assert rebuild(kept, header.manifest) == RAW
        assert [o.detail for o in await world.outcomes(trace) if o.leg == 2] == [
            "250 2.0.0 taken; changed: subject_prefix, header"
        ]
        assert f"{ACME}/content/{trace.envelope.mail_id}/1" not in world.objects.objects


async def test_what_left_once_is_what_every_retry_sends(world: World) -> None:
    """The bytes were kept before the first attempt; what rules or code would make of the mail by now is nothing."""
    handler = Sink({"bob@b.example": "451 4.2.1 later"})
    async with sink(handler) as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example"], raw=TEXT, legs=[leg(1, 0, transforms=[banner("Look")])])
        await settled(world, trace, "deferred")
        header, kept = await content_of(world, trace, 1)
        assert kept == TEXT.replace(b"hello", b"Look\r\n\r\nhello")
        key = content_key(ACME, MailId.parse(trace.envelope.mail_id), 1)
        del world.objects.objects[key]
        other = kept.replace(b"Look", b"Earlier")
        await write_content(world.objects, world.keys.public, world.keys.signer("delivery"), header, other)
        handler.replies.clear()
        await settled(world, trace, "delivered")
        assert smart.taken[0].content.endswith(other)


async def test_what_is_left_alone_is_told(world: World) -> None:
    """The mail goes byte for byte, nothing is kept beside it, and the outcome says why."""
    signed = b"Subject: x\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n"
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example"], raw=signed, legs=[leg(1, 0, transforms=[banner("Look")])])
        await settled(world, trace, "delivered")
        assert smart.taken[0].content.endswith(b"\r\n" + signed)
        assert [o.detail for o in await world.outcomes(trace)] == ["250 2.0.0 taken; left alone: banner (signed)"]
        assert not any("/content/" in key for key in world.objects.objects)


async def test_nothing_is_sent_while_the_change_cannot_be_kept(world: World) -> None:
    """As delivered is evidence: it is durable first."""
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        changed = [leg(1, 0, transforms=[banner("Look")])]
        trace = await world.accept(["bob@b.example"], raw=TEXT, legs=changed, publish=False)
        world.objects.full = True
        await world.tell.publish("decided", trace, raw=TEXT, msg_id=f"{trace.envelope.mail_id}:d:0")
        await eventually(lambda: world.broker.queues["delivery-decided"].deliveries)
        assert smart.taken == []
        world.objects.full = False
        await settled(world, trace, "delivered")


async def test_bare_newlines_are_normalised_on_the_wire_only(world: World) -> None:
    """The object stays as it came."""
    raw = b"Subject: x\r\n\r\na\nb\rc\0d\r\n"
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example"], raw=raw)
        await settled(world, trace, "delivered")
        assert smart.taken[0].content.endswith(b"Subject: x\r\n\r\na\r\nb\r\ncd\r\n")
        assert (await world.reader.read(ACME, MailId.parse(trace.envelope.mail_id)))[1] == raw


async def test_a_leg_to_be_sealed_never_leaves_unsealed(world: World) -> None:
    """Not when it is decided, and not when it is released."""
    sealed = leg(1, 0, transforms=[mail_pb2.Transform(kind="seal", settings=b"{}")])
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example", "carol@b.example"], legs=[sealed, leg(2, 1)])
        trace.legs.append(1)
        await world.release.publish("released", trace, raw=None, msg_id=f"{trace.envelope.mail_id}:1:r:1")

        async def other() -> bool:
            return list(await world.states(trace)) == [1]

        await eventually(other)
        await eventually(lambda: not world.broker.queues["delivery-released"].open)
        assert [t.recipients for t in smart.taken] == [["carol@b.example"]]


async def test_a_released_hold_is_delivered_and_survives_a_retry(world: World) -> None:
    """The leg's transforms stay on it; the retry knows that it was released."""
    handler = Sink({"bob@b.example": "451 later"})
    async with sink(handler) as smart, world.running():
        world.smarthost = smart.address
        held = leg(1, 0, disposition=HOLD, transforms=[tag(subject_prefix="[seen]")])
        trace = await world.accept(["bob@b.example"], legs=[held], publish=False)
        trace.legs.append(1)
        await world.release.publish("released", trace, raw=None, msg_id=f"{trace.envelope.mail_id}:1:r:1")
        await settled(world, trace, "deferred")
        handler.replies.clear()
        await settled(world, trace, "delivered")
        assert b"Subject: [seen] hello" in smart.taken[0].content


async def test_last_fates_are_read_where_it_may_have_been_tried(world: World) -> None:
    """A swept fact sends nothing to whom it was delivered, by the broker's outcomes or the archive's records."""
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example", "carol@b.example"], publish=False)
        mail_id = trace.envelope.mail_id
        world.recorded.append(
            mail_pb2.Outcome(tenant=ACME, mail_id=mail_id, leg=1, recipients=[0], state=mail_pb2.STATE_DELIVERED)
        )
        await world.tell.publish("decided", trace, raw=RAW, msg_id=f"{mail_id}:d:1")
        await eventually(lambda: smart.taken)
        assert smart.taken[0].recipients == ["carol@b.example"]
        assert world.asked == 1


async def test_without_the_archive_nothing_is_sent_twice_and_nothing_is_lost(world: World) -> None:
    """A part of ours that is away makes mail late."""
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        members = world.broker.members.pop("archive.fates")
        trace = await world.accept(["bob@b.example"], publish=False)
        await world.tell.publish("decided", trace, raw=RAW, msg_id=f"{trace.envelope.mail_id}:d:1")
        await asyncio.sleep(0.1)
        assert smart.taken == []
        world.broker.members["archive.fates"] = members
        await settled(world, trace, "delivered")


async def test_redirected_mail_arrives_when_a_copy_does(world: World) -> None:
    """One address refuses, the other takes it: delivered, and the sender hears nothing."""
    async with sink(Sink({"none@acme.example": "550 who?"})) as hop, world.running():
        world.hop = hop.address
        moved = leg(1, 0, redirect=["none@acme.example", "lin@acme.example"])
        trace = await world.accept(["bob@b.example"], legs=[moved])
        await settled(world, trace, "delivered")
        assert [t.recipients for t in hop.taken] == [["lin@acme.example"]]
        assert (await world.states(trace))[0] == ("delivered", "redirected")


async def test_a_recipient_that_a_rule_added_is_never_reported(world: World) -> None:
    """The sender does not learn of the blind copy, not even by its failure."""
    added = mail_pb2.Recipient(address="none@acme.example", direction=mail_pb2.DIRECTION_INTERNAL, added=True)
    async with sink(Sink({"none@acme.example": "550 who?"})) as hop, sink() as smart, world.running():
        world.hop, world.smarthost = hop.address, smart.address
        trace = await world.accept(["bob@b.example", added])
        await settled(world, trace, "delivered", "returned")
        assert hop.taken == []


async def test_notices_are_sent_once_to_people_groups_and_the_sender(world: World) -> None:
    """Also for a leg that is held; without subject or content; a repetition sends nothing new."""
    wish = mail_pb2.Transform(
        kind="notify", rule="r1", settings=json.dumps({"to": ["legal", "sender"], "template": "Look."}).encode()
    )
    async with sink() as hop, world.running():
        world.hop = hop.address
        trace = await world.accept(["bob@b.example"], legs=[leg(1, 0, disposition=HOLD, transforms=[wish])])
        await eventually(lambda: len(hop.taken) == 2)
        assert {t.recipients[0] for t in hop.taken} == {"lin@acme.example", "alice@acme.example"}
        text = email.message_from_bytes(hop.taken[0].content, policy=email.policy.default).get_content()
        assert text.startswith("Look.")
        assert "r1" in text
        assert "hello" not in text
        await world.tell.publish("decided", trace, raw=RAW, msg_id=f"{trace.envelope.mail_id}:d:1")
        await eventually(lambda: world.asked == 1)
        await eventually(lambda: not world.broker.queues["delivery-decided"].open)
        assert len(hop.taken) == 2


async def test_a_dead_destination_does_not_delay_a_live_one(world: World) -> None:
    """A hundred mails for a host that never greets, then one for a live one."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with scripted(silent) as dead, sink() as hop, world.running():
        world.hop, world.smarthost = hop.address, dead
        for _ in range(100):
            await world.accept(["bob@b.example"])
        trace = await world.accept(["lin@acme.example"])
        await settled(world, trace, "delivered")


async def test_recipients_of_two_transactions_are_both_delivered_at_once(world: World) -> None:
    """452 4.5.3 asks for another transaction, not for another hour."""
    count = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        await greet(reader, writer)
        for _ in range(2):
            taken = 0
            while True:
                line = await reader.readuntil(b"\r\n")
                if line.startswith(b"RCPT"):
                    taken += 1
                    await say(writer, "250 ok" if taken == 1 else "452 4.5.3 one at a time")
                elif line.startswith(b"DATA"):
                    await say(writer, "354 go")
                    await reader.readuntil(b"\r\n.\r\n")
                    await say(writer, "250 ok")
                    count += 1
                    break
                else:
                    await say(writer, "250 ok")

    world.with_config(retry_after=(timedelta(hours=1),))
    async with scripted(script) as address, world.running():
        world.smarthost = address
        trace = await world.accept(["bob@b.example", "carol@b.example"])
        await settled(world, trace, "delivered", "delivered")
        assert count == 2


async def test_an_operator_lists_retries_and_fails_without_seeing_addresses(world: World) -> None:
    """Domains, counts and codes; fail tells the sender."""
    world.with_config(retry_after=(timedelta(hours=1),))
    handler = Sink({"bob@b.example": "451 4.2.1 later", "carol@c.example": "451 4.2.2 full"})
    async with sink() as hop, sink(handler) as smart, world.running():
        world.hop, world.smarthost = hop.address, smart.address
        service = QueueService(world.queue, world.destinations)
        first = await world.accept(["bob@b.example"])
        await settled(world, first, "deferred")  # and not in the same millisecond, so that ids tell the order
        second = await world.accept(["carol@c.example"])
        await settled(world, second, "deferred")
        operator = Principal("operator", address="ops")
        with rpc.acting_as(operator, world.directory()):

            async def both() -> bool:
                return len((await service.ListQueue(delivery_pb2.ListQueueRequest(), None)).items) == 2

            await eventually(both)
            page = await service.ListQueue(delivery_pb2.ListQueueRequest(tenant="acme", page_size=1), None)
            assert page.items[0].mail_id == first.envelope.mail_id
            assert page.items[0].destinations[0].last_reply_code == "4.2.1"
            rest = await service.ListQueue(
                delivery_pb2.ListQueueRequest(tenant="acme", page_token=page.next_page_token), None
            )
            assert [i.mail_id for i in rest.items] == [second.envelope.mail_id]
            assert "bob" not in str(page)
            handler.replies.clear()
            await service.Retry(delivery_pb2.RetryRequest(domain="b.example"), None)
            await settled(world, first, "delivered")
            await service.Fail(delivery_pb2.FailRequest(mail_id=second.envelope.mail_id, note="wrong"), None)
            await settled(world, second, "returned")
            assert (await world.states(second))[0] == ("returned", "failed_by_operator")
            await eventually(lambda: hop.taken)
            with pytest.raises(NotFound):
                await service.Retry(delivery_pb2.RetryRequest(mail_id=second.envelope.mail_id), None)


async def test_a_planted_mail_is_never_delivered(world: World) -> None:
    """A retry reads the object, and an object that somebody else wrote is refused."""
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example"], publish=False)
        key = next(k for k in world.objects.objects if trace.envelope.mail_id in k)
        world.objects.objects[key] = age.encrypt(b"LLmail1\nplanted", [await world.keys.public.pipeline()])
        state = delivery_pb2.RetryState(tenant=ACME, mail_id=trace.envelope.mail_id, leg=1)
        state.recipients.add(position=0, domain="b.example").next_attempt_at.FromDatetime(utc_now())
        await world.queue.schedule(state, at=utc_now())
        await eventually(lambda: world.broker.kept("dead.>"))
        assert smart.taken == []
