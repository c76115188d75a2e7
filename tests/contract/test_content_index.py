"""Searching what mails say, on the embedded server and on a real OpenSearch (`make test-opensearch`)."""

from __future__ import annotations

import asyncio
import email.message
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from letterlock.mail.v1 import mail_pb2
from opensearchpy import AsyncOpenSearch

from services.archive.adapters import content_mapping, osmem
from services.archive.adapters.content_index import OpenSearchContentIndex
from services.archive.config import ArchiveConfig
from services.archive.ports import Hit
from services.common.config import Secret
from services.common.errors import Unavailable
from services.common.grants import Scope
from services.common.ids import MailId, TenantId
from tests.unit.archive.doubles import mail
from tests.unit.archive.searching import AUDITOR, Library

REAL = os.environ.get("LETTERLOCK_TEST_OPENSEARCH") == "real"


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


class RefreshedIndex(OpenSearchContentIndex):
    """Shows at once what was written, as no server with a refresh interval does."""

    async def write(self, tenant: TenantId, documents: object) -> int:
        """See `ports.ContentIndex`."""
        refused = await super().write(tenant, documents)  # type: ignore[arg-type]
        if documents:
            await self.refresh()
        return refused


@pytest.fixture
async def library(url: str) -> AsyncIterator[Library]:
    """An archive over an index that is ready."""
    config = ArchiveConfig(opensearch_url=url, refresh_interval=timedelta(hours=1), opensearch_password=Secret(""))
    index = RefreshedIndex(config)
    for _ in range(200):
        try:
            await index.ensure()
            break
        except Unavailable:
            await asyncio.sleep(0.02)
    yield Library(index)
    await index.close()


def written(subject: str, body: str, *, html: str = "", attach: tuple[str, bytes] | None = None) -> bytes:
    """A mail as a program writes it."""
    made = email.message.EmailMessage()
    made["From"], made["To"] = "Alice <alice@acme.example>", "bob@sub.partner.example"
    made["Subject"], made["Message-ID"] = subject, "<Abc.1@acme.example>"
    made["List-Id"] = "weekly numbers <list.acme.example>"
    made.set_content(body)
    if html:
        made.add_alternative(html, subtype="html")
    if attach is not None:
        made.add_attachment(attach[1], maintype="application", subtype="octet-stream", filename=attach[0])
    return made.as_bytes()


def trace(
    tenant: TenantId,
    *,
    to: str = "bob@sub.partner.example",
    sender: str = "alice@acme.example",
    made: float | None = None,
) -> mail_pb2.Trace:
    """A decided mail to one recipient and a blind copy."""
    return mail(
        tenant, to, *(["hidden@watch.example"] if to.endswith("partner.example") else []), sender=sender, made=made
    )


async def test_every_field_of_the_language_finds_its_mail_and_no_other(library: Library) -> None:
    """Fields, phrases, addresses, codes, sizes and times, each alone and with NOT."""
    tenant = library.tenant()
    raw = written(
        "Quarterly 報告書",
        "The budget of next year is 機密資料, truly.\nsecond line",
        attach=("plan Ω.txt", b"annex zebra"),
    )
    wanted = await library.keep(trace(tenant), raw)
    await library.keep(
        trace(tenant, to="carol@else.example", sender="dave@else.example"),
        b"From: dave@else.example\r\n\r\nother words entirely\r\n",
    )
    await library.ready()
    day = wanted.day
    for query in (
        "budget", "BUDGET", '"budget of next year"', "機密資料", "密資", "机密资料", "書", "subject:quarterly",
        "subject:報告", "from:alice@acme.example", "from:acme.example", "from:alice@", "to:partner.example",
        "to:sub.partner.example", "recipient:hidden@watch.example", "attachment:zebra", "filename:plan",
        "header:list-id:weekly", 'header:List-Id:"weekly numbers"', "messageid:<Abc.1@acme.example>",
        "messageid:abc.1@acme.example", f"budget after:{day}", f"budget before:{day + timedelta(days=1)}",
        "budget larger:100", "budget smaller:1MB", "direction:outbound budget", "verdict:deliver zebra",
        "rule:cards-out budget", "budget OR nosuchword", "budget NOT nosuchword", "(budget AND zebra)",
    ):  # fmt: skip
        assert await library.found(tenant, query) == {wanted}, query
    for query in (
        "budge", '"of budget"', "subject:budget", "from:partner.example", "header:subject:weekly", "密機",
        "from:bob@sub.partner.example", f"budget before:{day}", "budget larger:1MB", "direction:inbound",
        "verdict:hold", "rule:other", "NOT deliver NOT verdict:deliver", '"truly second year"',
    ):  # fmt: skip
        assert await library.found(tenant, query) == set(), query


async def test_another_tenants_words_are_never_found(library: Library) -> None:
    """Nothing of A is found by B, whatever B asks, even though the words are alike."""
    acme, other = library.tenant(), library.tenant("other")
    mine = await library.keep(trace(acme), written("x", "nonce7741 shared"))
    theirs = await library.keep(trace(other), written("x", "shared"))
    await library.ready()
    assert await library.found(acme, "nonce7741") == {mine}
    for query in ("nonce7741", "nonce7741 OR shared", "NOT shared", "NOT nonce7741", "from:acme.example", "larger:0"):
        assert mine not in await library.found(other, query), query
    assert await library.found(other, "shared") == {theirs}


async def test_the_grants_scope_bounds_every_question(library: Library) -> None:
    """People and domains outside, and those who are excluded, are not found; OR and NOT do not lead out."""
    tenant = library.tenant()
    inside = await library.keep(trace(tenant), written("x", "word"))
    outside = await library.keep(
        trace(tenant, to="eve@far.example", sender="frank@far.example"), b"From: frank@far.example\r\n\r\nword\r\n"
    )
    await library.ready()
    for scope, expected in (
        (Scope(domains=("partner.example",)), {inside}),
        (Scope(people=("bob@sub.partner.example",)), {inside}),
        (Scope(excluded=("frank@far.example",)), {inside}),
        (Scope(excluded=("hidden@watch.example",)), {outside}),
        (Scope(), {inside, outside}),
    ):
        for query in ("word", "word OR nothing", "NOT nothing", "NOT (nothing AND word)"):
            assert await library.found(tenant, query, scope=scope) == expected, (scope, query)


async def test_months_are_searched_together_newest_first(library: Library) -> None:
    """Mails of three months, each under other keys and in another index, in one answer."""
    tenant = library.tenant()
    ids = []
    for made in (1_750_000_000, 1_753_000_000, 1_757_000_000):
        ids.append(await library.keep(trace(tenant, made=made), written("x", "across")))
    await library.ready()
    grant = library.grant(tenant, "across")
    answer = await library.reveal.search(tenant, AUDITOR, grant)
    assert [s["mail_id"] for s in answer.summaries] == ids[::-1]
    assert (answer.completeness.in_scope, answer.completeness.indexed) == (3, 3)
    assert await library.found(tenant, "across after:2025-07-01 before:2025-09-01") == {ids[1]}


async def test_an_answer_longer_than_a_page_is_whole(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """More hits than a page holds come once each, from one moment's view."""
    monkeypatch.setattr("services.archive.adapters.content_index._PAGE", 7)
    tenant = library.tenant()
    ids = await asyncio.gather(*(library.keep(trace(tenant), written("x", "many")) for _ in range(30)))
    await library.ready()
    answer = await library.reveal.search(tenant, AUDITOR, library.grant(tenant, "many"))
    assert sorted(s["mail_id"] for s in answer.summaries) == sorted(ids)


async def test_a_lost_index_is_filled_from_the_segments_without_a_key(library: Library, url: str) -> None:
    """After the loss of every index the segments alone bring back each answer."""
    tenant = library.tenant()
    wanted = await library.keep(trace(tenant), written("x", "again 再次"))
    await library.ready()
    client = AsyncOpenSearch(hosts=[url])
    await client.indices.delete(index=f"{content_mapping.TEXT}-v*")
    library.index._months.clear()  # type: ignore[attr-defined]
    library.custody.index_keys = None  # type: ignore[assignment,method-assign]
    library.feed.forget(tenant)
    await library.ready()
    assert await library.found(tenant, "再次") == {wanted}
    await client.close()


async def test_an_index_document_that_was_changed_is_noticed(library: Library, url: str) -> None:
    """An edited summary, one moved to another document and an invented document show no mail; a deleted one is
    missing in the completeness."""
    tenant = library.tenant()
    first = await library.keep(trace(tenant), written("first", "tamper"))
    second = await library.keep(trace(tenant), written("second", "tamper"))
    await library.ready()
    grant = library.grant(tenant, "tamper")
    hits = (await library.reveal.search(tenant, AUDITOR, grant)).hits
    client = AsyncOpenSearch(hosts=[url])
    index = content_mapping.month_index(hits[0].month)
    where = {"index": index, "params": {"routing": tenant, "refresh": "true"}}
    documents = [d async for d in _documents(library, tenant)]
    await client.index(id=hits[0].id, body={**documents[0], "id": hits[0].id, "summary": hits[1].summary}, **where)
    await client.index(id="invented", body={**documents[0], "id": "invented"}, **where)
    answer = await library.reveal.search(tenant, AUDITOR, grant)
    shown = [s.get("mail_id") for s in answer.summaries]
    assert len(shown) == 3
    assert shown.count(None) == 2
    assert {first, second} >= set(filter(None, shown))
    await client.delete(id="invented", **where)
    await client.delete(id=hits[0].id, **where)
    answer = await library.reveal.search(tenant, AUDITOR, grant)
    assert (answer.completeness.in_scope, answer.completeness.indexed) == (2, 1)
    assert answer.completeness.unsearchable["not_indexed", ""] == 1
    await client.close()


async def _documents(library: Library, tenant: TenantId) -> AsyncIterator[dict[str, object]]:
    import orjson

    async for name in library.segments.names(tenant):
        for document in await library.segments.read(tenant, name):
            yield orjson.loads(document.source)


async def test_the_index_holds_no_word_no_address_and_no_id(library: Library, url: str) -> None:
    """All that lies in the index and in the segments, looked through for what was written."""
    tenant = library.tenant()
    made = await library.keep(
        trace(tenant), written("secretsubject", "plainword 機密", attach=("namefile.txt", b"inside"))
    )
    await library.ready()
    client = AsyncOpenSearch(hosts=[url])
    answer = await client.search(index=content_mapping.TEXT, body={"query": {"term": {"tenant": tenant}}})
    assert answer["hits"]["hits"]
    everything = str(answer) + str([d async for d in _documents(library, tenant)])
    for word in (
        "secretsubject",
        "plainword",
        "機密",
        "机密",
        "namefile",
        "inside",
        "alice",
        "acme.example",
        "cards-out",
        made,
    ):
        assert word not in everything
    await client.close()


TEXTS = {
    "big5": "臺北辦公室的年度預算報告已經完成，請於星期五以前回覆意見。合約金額為三百萬元，屬於機密資料。",
    "gb18030": "上海分公司的季度财务报表已经提交，请各部门经理审阅。供应商合同将于下周签署，金额保密。",
    "utf-8": "The annual budget for Zürich is complete; naïve readers need the über-résumé. 最終版の報告書を添付します。",
    "shift_jis": "来週の会議の資料を添付いたしました。売上高は前年比で増加しています。ご確認をお願いいたします。",
    "iso-2022-jp": "契約書の最終案をお送りします。金額は社外秘です。東京本社の部長に転送してください。",
    "euc-kr": "다음 주 회의 자료를 첨부합니다. 계약 금액은 대외비입니다. 서울 본사에서 검토해 주시기 바랍니다.",
}


@pytest.mark.parametrize("label", ["right", "none", "wrong"])
async def test_at_least_99_of_100_words_are_found_in_every_charset(library: Library, label: str) -> None:
    """Each word (of CJK: each two characters) of mails in six charsets, labelled rightly, not at all, or wrongly."""
    from services.common.search import words

    tenant, sought, lost = library.tenant(), 0, []
    for charset, text in TEXTS.items():
        said = {"right": f"; charset={charset}", "none": "", "wrong": "; charset=iso-8859-1"}[label]
        raw = f"From: a@acme.example\r\nSubject: x\r\nContent-Type: text/plain{said}\r\n\r\n".encode() + (
            "\r\n".join([text] * 3)
        ).encode(charset)
        wanted = await library.keep(trace(tenant), raw)
        await library.ready()
        document = [d async for d in _documents(library, tenant)][-1]
        tokens = set(str(document["body"]).split())
        blinder = library.indexer._months[tenant, str(document["month"])].blinder
        for word in dict.fromkeys(words.words(text)):
            sought += 1
            if not set(blinder.tokens("body", [word])) <= tokens:
                lost.append((charset, word))
        middle = {"utf-8": "最終版の報告書", "euc-kr": "계약 금액은 대외비"}.get(charset, text[3:8])
        if wanted not in await library.found(tenant, f'"{middle}"'):
            lost.append((charset, middle))
    assert sought > 150
    assert len(lost) <= sought // 100, lost


async def test_documents_that_come_twice_are_one(library: Library) -> None:
    """The same mail indexed again, by another process, is found once."""
    tenant = library.tenant()
    fact = trace(tenant)
    await library.keep(fact, written("x", "twice"))
    again = Library(library.index)
    again.control, again.objects = library.control, library.objects
    raw = library.mails[tenant, fact.envelope.mail_id][1]

    async def content() -> bytes:
        return raw

    library.indexer._done.clear()
    await library.indexer.add(fact, content)
    await library.ready()
    hits: list[Hit] = list((await library.reveal.search(tenant, AUDITOR, library.grant(tenant, "twice"))).hits)
    assert len(hits) == 1
    assert MailId(fact.envelope.mail_id).day.isoformat()[:7] == hits[0].month
