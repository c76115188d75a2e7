"""Feeding the index: by itself, after absence, and from nothing."""

from __future__ import annotations

import pytest
from letterlock.archive.v1 import archive_pb2
from letterlock.mail.v1 import mail_pb2

from services.archive import fates
from services.archive.core import framing
from services.common.bus import Message
from services.common.errors import InvalidInput, Unavailable
from services.common.ids import MailId, TenantId
from services.common.testing import eventually
from tests.unit.archive.doubles import Archive, mail, outcome

ACME, OTHER = TenantId.new(), TenantId.new()
DELIVERED, DEFERRED = mail_pb2.STATE_DELIVERED, mail_pb2.STATE_DEFERRED


def mail_id_of(trace: mail_pb2.Trace) -> MailId:
    """A trace's mail id."""
    return MailId(trace.envelope.mail_id)


async def record(archive: Archive, *, tenant: TenantId = ACME, done: bool = True) -> mail_pb2.Trace:
    """One mail, decided and, if `done`, delivered."""
    trace = mail(tenant, "bob@partner.example")
    await archive.hear("decided", trace)
    if done:
        await archive.hear("outcome", outcome(trace, DELIVERED, 0))
    return trace


async def test_what_is_recorded_reaches_the_index_by_itself() -> None:
    """And the index is then up to date."""
    archive = Archive()
    async with archive.feed.running():
        await eventually(lambda: bool(archive.feed._generation))
        trace = await record(archive)
        await eventually(lambda: (ACME, mail_id_of(trace)) in archive.index.documents and not archive.feed.behind())


async def test_mail_is_recorded_while_the_index_is_away_and_indexed_when_it_is_back() -> None:
    """Nothing waits for the index; what it missed is replayed."""
    archive = Archive()
    async with archive.feed.running():
        await eventually(lambda: bool(archive.feed._generation))
        archive.index.away = True
        traces = [await record(archive) for _ in range(3)]
        await eventually(lambda: archive.feed.behind() > 0)
        assert not archive.index.documents
        archive.index.away = False
        await eventually(lambda: len(archive.index.documents) == len(traces) and archive.feed.complete(ACME))
        assert archive.feed.behind() == 0


async def test_a_lost_index_is_filled_again_without_any_key() -> None:
    """The embedded index forgets all at a restart; the segments alone bring it back, also beyond the cursor."""
    archive = Archive()
    traces = [await record(archive) for _ in range(3)]
    await archive.feed.catch_up()
    archive.clock.now += 3600
    await archive.feed.catch_up()
    assert archive.index.marks[f"cursor:{ACME}"]
    before = dict(archive.index.documents)
    archive.index.lose()
    archive.keys.destroyed |= {f"trace/{ACME}"}
    await archive.feed.catch_up()
    assert archive.index.documents == before
    assert len(before) == len(traces)


async def test_the_cursor_spares_a_restart_what_is_indexed() -> None:
    """Only segments beyond the cursor are read again, and a settled cursor leaves none."""
    archive = Archive()
    for _ in range(3):
        await record(archive)
    await archive.feed.catch_up()
    assert not archive.index.marks  # too young: an elder may still appear
    archive.clock.now += 3600
    await archive.feed.catch_up()
    second = archive.restart()
    writes = second.index.writes
    await second.feed.catch_up()
    assert second.index.writes == writes
    late = await record(second)
    await second.feed.catch_up()
    assert (ACME, mail_id_of(late)) not in second.index.documents or second.feed.behind() == 0


async def test_another_archives_segments_are_indexed_too() -> None:
    """Two processes share the consumers; each finds in the store what the other recorded."""
    first = Archive()
    second = first.restart()
    trace = await record(first)
    await second.feed.catch_up()
    assert (ACME, mail_id_of(trace)) in second.index.documents


@pytest.mark.parametrize("data", [b"rubbish", framing.pack([b"\xff"]), framing.pack([b"\x0a\x03../"])])
async def test_one_spoiled_segment_does_not_stop_the_others(data: bytes) -> None:
    """It is logged and passed over."""
    archive = Archive()
    await record(archive)
    key = next(k for k in archive.objects.objects if k.startswith(f"{ACME}/index/"))
    archive.objects.objects[key] = data
    trace = await record(archive)
    second = archive.restart()
    await second.feed.catch_up()
    assert (ACME, mail_id_of(trace)) in second.index.documents


async def test_fates_are_known_before_and_without_the_index() -> None:
    """From memory, from another process's segments, and with the index away."""
    archive = Archive()
    trace = mail(ACME, "bob@partner.example", "eve@partner.example")
    await archive.hear("decided", trace)
    await archive.hear("outcome", outcome(trace, DEFERRED, 0, 1, n=1, after=1))
    await archive.hear("outcome", outcome(trace, DELIVERED, 1, n=2, after=2))
    other = archive.restart()
    await other.feed.catch_up()
    away = archive.restart()
    away.index.away = True
    for process in (archive, other, away):
        answer = await fates.answering(process.look)(Message("archive.fates", _request(ACME, mail_id_of(trace))))
        found = archive_pb2.FatesResponse.FromString(answer)
        assert [(list(o.recipients), o.state, o.n) for o in found.outcomes] == [([0], DEFERRED, 1), ([1], DELIVERED, 2)]
        assert not found.outcomes[0].detail
    away.index.away = False


async def test_fates_of_another_tenants_mail_are_none() -> None:
    """And a request that is none is refused."""
    archive = Archive()
    trace = await record(archive)
    answer = await fates.answering(archive.look)(Message("archive.fates", _request(OTHER, mail_id_of(trace))))
    assert answer == b""
    with pytest.raises(InvalidInput):
        await fates.answering(archive.look)(Message("archive.fates", b""))


async def test_without_the_store_fates_are_unavailable_rather_than_none() -> None:
    """Whoever asks must not take silence for "nothing happened"."""
    archive = Archive()
    trace = await record(archive)
    archive.index.away = archive.objects.unavailable = True
    with pytest.raises(Unavailable):
        await archive.look.states(ACME, [mail_id_of(trace)])


def _request(tenant: TenantId, mail_id: MailId) -> bytes:
    request: bytes = archive_pb2.FatesRequest(tenant=tenant, mail_id=mail_id).SerializeToString()
    return request
