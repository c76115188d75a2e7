"""Recording: what is acked is durable, what comes twice is one, and what the index says is all codes."""

from __future__ import annotations

import asyncio

import pytest
from letterlock.mail.v1 import mail_pb2

from services.archive.core import framing
from services.archive.record import CONSUMERS
from services.common.errors import Busy, Corrupt, Unavailable
from services.common.ids import MailId, TenantId
from services.common.sealing import age
from services.common.testing import eventually
from tests.unit.archive.doubles import Archive, mail, outcome

ACME, OTHER = TenantId.new(), TenantId.new()
DELIVERED, DEFERRED = mail_pb2.STATE_DELIVERED, mail_pb2.STATE_DEFERRED


def segments(archive: Archive, tenant: TenantId, kind: str) -> list[str]:
    """Keys of a tenant's segments."""
    return [k for k in archive.objects.objects if k.startswith(f"{tenant}/{kind}/")]


async def test_facts_that_come_together_share_a_segment_per_tenant() -> None:
    """One record and one index segment per tenant and batch, of the same name."""
    archive = Archive()
    mails = [mail(t, "bob@partner.example") for t in (ACME, ACME, ACME, OTHER)]
    await asyncio.gather(*(archive.hear("decided", m) for m in mails))
    for tenant in (ACME, OTHER):
        (record,), (index,) = segments(archive, tenant, "record"), segments(archive, tenant, "index")
        assert record.removeprefix(f"{tenant}/record/") == index.removeprefix(f"{tenant}/index/")
    name = segments(archive, ACME, "record")[0].removeprefix(f"{ACME}/record/")
    assert {r.mail_id for r in await archive.segments.records(ACME, name)} == {m.envelope.mail_id for m in mails[:3]}


async def test_a_fact_is_not_acked_before_its_segment_is_durable() -> None:
    """A full or unreachable store fails the handler, so the fact comes again; then it is recorded."""
    archive = Archive()
    message = await archive.message("decided", mail(ACME, "bob@partner.example"))
    for trouble, error in (("full", Busy), ("unavailable", Unavailable)):
        setattr(archive.objects, trouble, True)
        with pytest.raises(error):
            await archive.take(message)
        setattr(archive.objects, trouble, False)
    await archive.take(message)
    assert len(segments(archive, ACME, "record")) == 1


async def test_a_crash_between_segment_and_ack_leaves_one_mail() -> None:
    """The fact is recorded twice, by two processes; both copies fold into one document and one history."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example")
    decided = await archive.hear("decided", trace)
    done = await archive.hear("outcome", outcome(trace, DELIVERED, 0))
    second = archive.restart()
    for message in (done, decided, done):
        await second.take(message)
    await second.feed.catch_up()
    mail_id = MailId(trace.envelope.mail_id)
    assert list(second.index.documents) == [(ACME, mail_id)]
    state = (await second.look.states(ACME, [mail_id]))[mail_id]
    assert [(e.state, e.n) for e in state.events] == [("delivered", 1)]
    assert state.final


async def test_records_open_with_the_tenants_trace_key_only() -> None:
    """Addresses in a record are sealed; another tenant's key does not open it."""
    archive = Archive()
    await archive.hear("decided", mail(ACME, "bob@partner.example"))
    data = archive.objects.objects[segments(archive, ACME, "record")[0]]
    assert b"bob" not in data
    with pytest.raises(Corrupt):
        age.decrypt(data, await archive.keys.identities.trace(OTHER))
    assert b"bob@partner.example" in b"".join(
        framing.unpack(age.decrypt(data, await archive.keys.identities.trace(ACME)))
    )


async def test_the_index_is_told_no_address_word_or_reply() -> None:
    """Neither its segments nor its documents hold anything that a person wrote, whatever stands in a fact."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example", sender="alice@acme.example")
    trace.decision.legs[0].text = "secret text of a rule"
    trace.decision.why[0].predicates.add(path="when.text", truth=True, spans=["4111 **** 1111"])
    await archive.hear("decided", trace)
    told = outcome(trace, DEFERRED, 0, detail="450 4.2.0 bob is away")
    told.outcome.code = "450 bob@partner.example"
    await archive.hear("outcome", told)
    await archive.feed.catch_up()
    seen = "".join(str(d) for d in archive.index.documents.values())
    for key in segments(archive, ACME, "index"):
        seen += b"".join(framing.unpack(archive.objects.objects[key])).decode("latin-1")
    for secret in ("bob", "alice", "partner.example", "secret text", "4111", "away"):
        assert secret not in seen
    assert "cards-out" in seen
    assert "other" in seen


async def test_a_stranger_on_the_bus_is_not_recorded() -> None:
    """A fact that was sealed for another subject is refused and leaves nothing."""
    archive = Archive()
    message = await archive.message("decided", mail(ACME, "bob@partner.example"))
    forged = type(message)(f"mail.decided.{OTHER}", message.data)
    with pytest.raises(Corrupt):
        await archive.take(forged)
    assert not segments(archive, ACME, "record")


async def test_all_four_consumers_ack_after_recording() -> None:
    """Over the bus: what was published is recorded, and nothing waits any more."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example")
    async with archive.bus.consume(CONSUMERS[0], archive.take), archive.bus.consume(CONSUMERS[3], archive.take):
        await archive.facts.publish("decided", trace, raw=None, msg_id=f"{trace.envelope.mail_id}:d:0")
        await archive.facts.outcome(trace.envelope, outcome(trace, DELIVERED, 0).outcome)

        async def acked() -> bool:
            return await archive.bus.lag("archive-decided") == await archive.bus.lag("archive-outcome") == 0

        await eventually(acked)
    await archive.feed.catch_up()
    mail_id = MailId(trace.envelope.mail_id)
    assert (await archive.look.states(ACME, [mail_id]))[mail_id].final
