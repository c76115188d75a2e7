"""Nothing is revealed that is not in the log, and nothing outside of a grant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.archive.adapters import osmem
from services.archive.adapters.content_index import OpenSearchContentIndex
from services.archive.config import ArchiveConfig
from services.archive.ports import Opened
from services.common.config import Secret
from services.common.errors import Busy, Denied, InvalidInput, NotFound, Unavailable
from services.common.ids import MailId, TenantId
from tests.unit.archive.doubles import mail
from tests.unit.archive.searching import AUDITOR, Library

RAW = b"From: alice@acme.example\r\nSubject: plan\r\n\r\nthe word zebra\r\n"


@pytest.fixture
async def library() -> AsyncIterator[Library]:
    """One with an embedded index of its own."""
    server = osmem.start_index()
    index = OpenSearchContentIndex(ArchiveConfig(opensearch_url=server.url, opensearch_password=Secret("")))
    for _ in range(200):
        try:
            await index.ensure()
            break
        except Unavailable:
            await asyncio.sleep(0.02)
    yield Library(index)
    await index.close()
    server.stop()


async def kept(library: Library, tenant: TenantId, raw: bytes = RAW) -> MailId:
    """A mail that can be found."""
    mail_id = await library.keep(mail(tenant, "bob@partner.example"), raw)
    await library.ready()
    return mail_id


async def opened(library: Library, tenant: TenantId, grant: str, mail_id: MailId, actor: str = AUDITOR) -> bytes:
    """The bytes of a mail."""
    parts = [part async for part in library.reveal.open(tenant, actor, grant, mail_id)]
    assert isinstance(parts[-1], Opened)
    return b"".join(part for part in parts if isinstance(part, bytes))


async def test_a_search_is_in_the_log_twice_and_an_opened_mail_once_before_it_is_shown(library: Library) -> None:
    """Intent, result with its root and count, then the opening, each under grant, case and request hash."""
    tenant = library.tenant()
    mail_id = await kept(library, tenant)
    grant = library.grant(tenant, "zebra")
    answer = await library.reveal.search(tenant, AUDITOR, grant)
    assert await opened(library, tenant, grant, mail_id) == RAW
    intent, result, opening = library.audit.entries
    assert [e.action for e in library.audit.entries] == ["archive.searched", "archive.searched", "archive.opened"]
    assert (intent.facts["phase"], result.facts["phase"]) == ("intent", "result")
    assert result.facts["root"] == answer.commitment
    assert result.facts["count"] == 1
    assert opening.mail_ids == (mail_id,)
    assert opening.facts["result_index"] == 1
    assert {e.grant_id for e in library.audit.entries} == {grant}
    assert not any("zebra" in str(e.facts) for e in library.audit.entries)


async def test_without_a_log_nothing_is_asked_of_custody(library: Library) -> None:
    """Search and open fail closed."""
    tenant = library.tenant()
    mail_id = await kept(library, tenant)
    grant = library.grant(tenant, "zebra")
    await library.reveal.search(tenant, AUDITOR, grant)
    asked = list(library.custody.asked)
    library.audit.unavailable = True
    with pytest.raises(Unavailable):
        await library.reveal.search(tenant, AUDITOR, grant)
    with pytest.raises(Unavailable):
        await opened(library, tenant, grant, mail_id)
    assert library.custody.asked == asked


@pytest.mark.parametrize("how", ["expired", "another person", "no capability", "no approval", "query changed"])
async def test_what_a_grant_does_not_allow_is_denied_and_in_the_log(library: Library, how: str) -> None:
    """Each refusal leaves an entry that says denied, and shows nothing."""
    tenant = library.tenant()
    await kept(library, tenant)
    actor = "else@acme.example" if how == "another person" else AUDITOR
    grant = library.grant(
        tenant, "zebra", *(["open"] if how == "no capability" else []),
        granted_at=datetime.now(UTC) - timedelta(hours=2 if how == "expired" else 0),
        approvals=0 if how == "no approval" else 1,
    )  # fmt: skip
    if how == "query changed":
        library.tamper(tenant, grant, "plan")
    with pytest.raises(Denied):
        await library.reveal.search(tenant, actor, grant)
    assert [(e.action, e.outcome) for e in library.audit.entries] == [("archive.searched", "denied")]
    assert library.custody.asked == []


async def test_another_tenants_grant_and_a_mail_that_was_not_found_do_not_exist(library: Library) -> None:
    """Both are not found, and in the log of who asked."""
    acme, other = library.tenant(), library.tenant("other")
    await kept(library, acme)
    outside = await kept(library, acme, RAW.replace(b"zebra", b"horse"))
    grant = library.grant(acme, "zebra")
    with pytest.raises(NotFound):
        await library.reveal.search(other, AUDITOR, grant)
    await library.reveal.search(acme, AUDITOR, grant)
    with pytest.raises(NotFound):
        await opened(library, acme, grant, outside)
    with pytest.raises(NotFound):
        await library.reveal.search(acme, AUDITOR, '../x" OR')
    assert [e.outcome for e in library.audit.entries] == ["denied", "done", "done", "denied", "denied"]


async def test_an_export_logs_each_mail_and_leaves_out_what_is_there(library: Library) -> None:
    """Every mail of the last search, one entry each."""
    tenant = library.tenant()
    ids = [await kept(library, tenant) for _ in range(3)]
    grant = library.grant(tenant, "zebra", "search", "export")
    await library.reveal.search(tenant, AUDITOR, grant)
    parts = [p async for p in library.reveal.export(tenant, AUDITOR, grant, frozenset({ids[0]}))]
    assert {m for m, _, part in parts if isinstance(part, Opened)} == set(ids[1:])
    exported = [e for e in library.audit.entries if e.action == "archive.exported"]
    assert {e.mail_ids for e in exported} == {(m,) for m in ids[1:]}


async def test_counts_alone_show_no_mail(library: Library) -> None:
    """A grant for counts gives numbers, and no summary is opened."""
    tenant = library.tenant()
    await kept(library, tenant)
    answer = await library.reveal.search(tenant, AUDITOR, library.grant(tenant, "zebra", "counts"))
    assert (len(answer.hits), answer.summaries) == (1, ())
    assert library.custody.asked == ["archive.searched:intent"]


async def test_questions_are_bounded(library: Library) -> None:
    """Too many results, too many words and too many looks each have an error that says so."""
    tenant = library.tenant()
    for _ in range(3):
        await kept(library, tenant)
    few = Library(library.index, looks=1, most=2)
    few.control, few.objects = library.control, library.objects
    grant = library.grant(tenant, " ".join(f'"{"word " * 60}"' for _ in range(12)))
    with pytest.raises(InvalidInput, match="too many words"):
        await library.reveal.search(tenant, AUDITOR, grant)
    library.reveal._most_results = 2
    with pytest.raises(InvalidInput, match="more than 2 mails"):
        await library.reveal.search(tenant, AUDITOR, library.grant(tenant, "zebra"))
    library.reveal._looks = few.reveal._looks
    grant = library.grant(tenant, "nothing")
    await library.reveal.search(tenant, AUDITOR, grant)
    with pytest.raises(Busy, match="too many looks"):
        await library.reveal.search(tenant, AUDITOR, grant)
