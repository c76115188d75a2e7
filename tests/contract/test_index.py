"""What the archive needs of its index, on the embedded server and on a real OpenSearch.

`LETTERLOCK_TEST_OPENSEARCH=real` (that is `make test-opensearch`) runs the
same suite against a real one.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from opensearchpy import AsyncOpenSearch

from services.archive.adapters import mapping, osmem
from services.archive.adapters.opensearch import OpenSearchIndex
from services.archive.config import ArchiveConfig
from services.archive.core.fold import Decided, Event, Leg, MailState, fold
from services.common.config import Secret
from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId

REAL = os.environ.get("LETTERLOCK_TEST_OPENSEARCH") == "real"

ACME, OTHER = TenantId.new(), TenantId.new()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own for this module."""
    if REAL:
        from tests import opensearch

        node = opensearch.start(Path(tmp_path_factory.mktemp("opensearch")))
        yield node.url
        node.stop()
    else:
        embedded = osmem.start_index()
        yield embedded.url
        embedded.stop()


def config(url: str) -> ArchiveConfig:
    """Settings for a server; a refresh that no test waits for."""
    return ArchiveConfig(opensearch_url=url, refresh_interval=timedelta(hours=1), opensearch_password=Secret(""))


@pytest.fixture
async def index(url: str) -> AsyncIterator[OpenSearchIndex]:
    """An index that is ready."""
    made = OpenSearchIndex(config(url))
    for _ in range(200):
        try:
            await made.check()
            break
        except Unavailable:
            await asyncio.sleep(0.02)
    await made.ensure()
    yield made
    await made.close()


def decided(mail_id: MailId, tenant: TenantId = ACME, *, recipients: int = 2) -> MailState:
    """A decided mail without outcomes."""
    made = int(mail_id.time.timestamp() * 1000)
    everybody = tuple(range(recipients))
    facts = Decided(
        decided=made + 5,
        received=made,
        size=4321,
        directions=("outbound",) * recipients,
        legs=(Leg(1, everybody, "deliver", rule="cards-out"),),
        origin="relay",
        revision=3,
        decision_origin="policy",
        rules=("cards-out",),
    )
    return MailState(str(tenant), mail_id, facts, (), frozenset({f"{mail_id.day.isoformat()}/{MailId.new()}"}))


def outcome(state: MailState, position: int, what: str, n: int) -> MailState:
    """An outcome of one recipient, as its own state."""
    made = int(MailId(state.mail_id).time.timestamp() * 1000)
    event = Event(made + 100 * n, 1, (position,), what, n, code=what, service="delivery", attempts=n)
    segment = f"{MailId(state.mail_id).day.isoformat()}/{MailId.new()}"
    return replace(state, decided=None, events=(event,), segments=frozenset({segment}))


async def test_what_was_written_is_read_at_once(index: OpenSearchIndex) -> None:
    """A read by id sees the last write without waiting for a refresh."""
    state = decided(MailId.new())
    assert await index.write([state, outcome(state, 0, "deferred", 1)]) == 0
    mail_id = MailId(state.mail_id)
    found = (await index.read(ACME, [mail_id, MailId.new()]))[mail_id]
    assert found.decided == state.decided
    assert found.state(0) == "deferred"
    assert len(found.segments) == 2


async def test_any_order_and_repetition_of_writes_gives_one_and_the_same_document(url: str) -> None:
    """Two writers that send the parts of one mail shuffled and twice end with the fold of all."""
    whole = decided(MailId.new())
    parts = [whole, *(outcome(whole, p, w, n) for p, w, n in [(0, "deferred", 1), (1, "delivered", 2)])]
    parts.append(outcome(whole, 0, "delivered", 3))
    expected = fold(parts)[whole.mail_id]
    shuffled = parts * 2
    random.Random(7).shuffle(shuffled)
    writers = [OpenSearchIndex(config(url)) for _ in range(2)]
    for writer in writers:
        await writer.ensure()
    await asyncio.gather(*(writers[n % 2].write([part]) for n, part in enumerate(shuffled)))
    found = await writers[0].read(ACME, [MailId(whole.mail_id)])
    assert found[MailId(whole.mail_id)] == expected
    assert found[MailId(whole.mail_id)].final
    for writer in writers:
        await writer.close()


async def test_a_search_counts_each_mail_once_and_by_tenant(index: OpenSearchIndex) -> None:
    """Days count what a search finds, unrefreshed writes included, and nothing of another tenant."""
    acme, other = TenantId.new(), TenantId.new()
    for tenant, many in ((acme, 3), (other, 1)):
        for _ in range(many):
            state = decided(MailId.new(), tenant)
            await index.write([state])
            await index.write([outcome(state, 0, "delivered", 1)])
    today = MailId.new().day
    assert await index.days(acme) == {today: 3}
    assert await index.days(other) == {today: 1}
    assert await index.days(TenantId.new()) == {}


async def test_another_tenants_mail_does_not_exist(index: OpenSearchIndex) -> None:
    """A read or a look for presence under the wrong tenant finds nothing."""
    state = decided(MailId.new())
    await index.write([state])
    mail_id = MailId(state.mail_id)
    assert await index.read(OTHER, [mail_id]) == {}
    assert await index.present(OTHER, [mail_id]) == set()
    assert await index.present(ACME, [mail_id]) == {mail_id}


async def test_months_are_separate_indices_behind_aliases(index: OpenSearchIndex, url: str) -> None:
    """A mail goes to the index of its id's month, made from the template, with the strict mapping."""
    state = decided(MailId.new(now=1_750_000_000))
    await index.write([state])
    client = AsyncOpenSearch(hosts=[url])
    aliases = await client.indices.get_alias(index=mapping.month_index("2025-06"))
    assert set(aliases[mapping.month_index("2025-06")]["aliases"]) == {mapping.MAIL, mapping.month_alias("2025-06")}
    found = await client.indices.get_mapping(index=mapping.month_index("2025-06"))
    assert found[mapping.month_index("2025-06")]["mappings"]["dynamic"] == "strict"
    await client.close()


async def test_one_refused_document_leaves_the_others(index: OpenSearchIndex) -> None:
    """A document the mapping refuses is counted; its neighbours are written."""
    good, bad = decided(MailId.new()), decided(MailId.new())
    beyond = replace(outcome(bad, 0, "deferred", 1).events[0], attempts=1 << 40)
    assert await index.write([replace(bad, events=(beyond,)), good]) == 1
    assert await index.present(ACME, [MailId(good.mail_id), MailId(bad.mail_id)]) == {MailId(good.mail_id)}


async def test_cursors_are_kept(index: OpenSearchIndex) -> None:
    """A tenant's cursor is empty at first and then what was set last."""
    tenant = TenantId.new()
    assert await index.cursor(tenant) == ""
    for segment in ("2026-01-01/a", "2026-01-02/b"):
        await index.set_cursor(tenant, segment)
    assert await index.cursor(tenant) == "2026-01-02/b"


async def test_a_thousand_mails_in_one_write(index: OpenSearchIndex) -> None:
    """More than one page of reads and of bulk items in one write."""
    tenant = TenantId.new()
    states = [decided(MailId.new(), tenant, recipients=1) for _ in range(1200)]
    assert await index.write(states) == 0
    assert await index.write([outcome(s, 0, "delivered", 1) for s in states]) == 0
    found = await index.read(tenant, [MailId(s.mail_id) for s in states])
    assert len(found) == 1200
    assert all(s.final for s in found.values())


@pytest.mark.skipif(REAL, reason="a real one keeps its documents")
async def test_an_index_that_lost_everything_says_so_by_its_generation() -> None:
    """After a restart of the embedded index nothing is written into an index without its mapping."""
    first = osmem.start_index()
    index = OpenSearchIndex(config(first.url))
    state = decided(MailId.new())
    generation = await _ready(index)
    await index.write([state])
    first.stop()
    with pytest.raises(Unavailable):
        await index.write([outcome(state, 0, "delivered", 1)])
    second = osmem.start_index(int(first.url.rpartition(":")[2]))
    with pytest.raises(Unavailable):
        await _ready(index, ensure=False)
        await index.write([outcome(state, 0, "delivered", 1)])
    assert await _ready(index) != generation
    await index.write([outcome(state, 0, "delivered", 1)])
    await index.write([state])
    assert (await index.read(ACME, [MailId(state.mail_id)]))[MailId(state.mail_id)].state(0) == "delivered"
    await index.close()
    second.stop()


async def _ready(index: OpenSearchIndex, *, ensure: bool = True) -> str:
    for _ in range(200):
        try:
            await index.check()
            return await index.ensure() if ensure else ""
        except Unavailable:
            await asyncio.sleep(0.02)
    raise AssertionError("the index does not answer")
