"""What a sender is told, over real SMTP: RET, ENVID, NOTIFY and ORCPT (RFC 3461) in reports (RFC 3464)."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, cast

import pytest
import pytest_asyncio

from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.dialogue import dialogue
from tests.harness.installation import Installation
from tests.harness.sink import Received, Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE, NOBODY, LATER = "alice@acme.example", "nobody@partner.example", "later@partner.example"
ID = re.compile(r"250 2\.0\.0 ([0-9A-HJKMNP-TV-Z]{26}) accepted")
RULES = [
    {
        "id": "give-back", "mode": "enforce", "direction": "outbound", "priority": 300,
        "when": [{"text": {"contains": ["returnme"]}}], "then": [{"return": {"text": "請改用安全信箱"}}],
    },
    {
        "id": "cards-back", "mode": "enforce", "direction": "outbound", "priority": 400,
        "when": [{"all": [{"detector": {"name": "payment_card", "at_least": 1}}, {"subject": {"contains": ["back"]}}]}],
        "then": [{"return": {"text": "no cards by mail"}}],
    },
    {
        "id": "warn", "mode": "enforce", "direction": "inbound",
        "when": [{"subject": {"contains": ["warnme"]}}], "then": [{"banner": {"text": "外部郵件"}}],
    },
]  # fmt: skip


@dataclass
class Post:
    """An installation that tells of delays at once, the tenant's own hop and the world's."""

    installation: Installation
    inside: Sink
    outside: Sink

    async def send(
        self, to: str, *, sender: str = ALICE, mail: str = "", rcpt: str = "", source: str = world.ACME_PEER,
        content: bytes = b"",
    ) -> tuple[str, bytes]:  # fmt: skip
        """One mail with parameters; its id and its bytes."""
        content = content or mails.plain(sender or "x@x.example", to, "Report", "the body of it\n")
        async with dialogue(self.installation.host_port("relay"), source) as peer:
            for line in (f"MAIL FROM:<{sender}> {mail}".strip(), f"RCPT TO:<{to}> {rcpt}".strip()):
                answer = await peer.ask(line)
                assert answer.startswith("250"), answer
            answer = await peer.content(content)
        accepted = ID.fullmatch(answer)
        assert accepted, answer
        return accepted[1], content

    async def ends(self, mail_id: str, state: str) -> str:
        """Wait until the only recipient is in this state; its detail."""

        async def known() -> list[dict[str, Any]]:
            answer = await self.installation.cli("mail", "status", mail_id, "-o", "json", token=world.ACME_ADMIN)
            found = answer.json["recipients"] if answer.status == 0 else []
            return [r for r in found if r["state"] == state]

        return str(cast(list[dict[str, Any]], await eventually(known, timeout=60))[0]["detail"])

    def reports(self, about: str, sink: Sink | None = None) -> list[EmailMessage]:
        """The reports that arrived about a mail."""
        found = [email.message_from_bytes(m.original, policy=email.policy.default) for m in (sink or self.inside).mails]
        reports = [m for m in found if m.get_content_type() == "multipart/report"]
        return [m for m in reports if about in cast(EmailMessage, next(iter(m.iter_parts()))).get_content()]

    async def report(self, about: str) -> tuple[str, EmailMessage, EmailMessage, EmailMessage]:
        """The only report about a mail: its text, the fields of the mail and of the recipient, and the third part."""
        (found,) = cast(list[EmailMessage], await eventually(lambda: self.reports(about), timeout=60))
        text, status, original = cast(list[EmailMessage], list(found.iter_parts()))
        per_mail, per_recipient = cast(list[EmailMessage], status.get_payload())
        return text.get_content(), per_mail, per_recipient, original


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def post(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Post]:
    """One process, since nothing is killed here."""
    inside, outside = await Sink().start(), await Sink().start()
    outside.refuse = {NOBODY: "550 5.1.1 no such user here", LATER: "451 4.2.1 not now"}
    inside.refuse = {"gone@acme.example": "550 5.1.1 gone"}
    places = world.two_tenants(
        acme=inside.address, acme_out=outside.address, globex=inside.address, globex_out=inside.address
    )
    places["tenants"][0]["policy"]["rules"] += RULES
    settings = {"DELIVERY__RETRY_AFTER": "1s", "DELIVERY__DELAY_NOTICE_AFTER": "1s"}
    data = tmp_path_factory.mktemp("post")
    installation = Installation(data, places, processes="one", settings=settings)
    try:
        await installation.start()
        yield Post(installation, inside, outside)
    finally:
        await installation.stop()
        await inside.stop()
        await outside.stop()


async def test_a_failure_is_told_with_the_senders_own_names_for_it_and_headers_only(post: Post) -> None:
    """ENVID and ORCPT come back decoded; RET=HDRS returns no body."""
    mail_id, _ = await post.send(
        NOBODY, mail="RET=HDRS ENVID=QQ+2B1", rcpt="NOTIFY=FAILURE,DELAY ORCPT=rfc822;Old+2BName@partner.example"
    )
    text, per_mail, per_recipient, original = await post.report(mail_id)
    assert per_mail["Original-Envelope-Id"] == "QQ+1"
    assert per_recipient["Original-Recipient"] == "rfc822; Old+Name@partner.example"
    assert per_recipient["Final-Recipient"] == f"rfc822; {NOBODY}"
    assert (per_recipient["Action"], per_recipient["Status"]) == ("failed", "5.1.1")
    assert per_recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user here"
    assert "no such user here" in text
    assert original.get_content_type() == "text/rfc822-headers"
    assert "Subject: Report" in original.as_string()
    assert "the body of it" not in original.as_string()
    sent = next(m for m in post.inside.mails if mail_id.encode() in m.content)
    assert (sent.sender, sent.recipients) == ("", (ALICE,))


async def test_ret_full_returns_the_mail_byte_for_byte(post: Post) -> None:
    """As it came in."""
    mail_id, content = await post.send(NOBODY, mail="RET=FULL")
    *_, original = await post.report(mail_id)
    assert original.get_content_type() == "message/rfc822"
    assert any(content in m.content for m in post.inside.mails)


async def test_success_is_told_where_the_next_hop_tells_nothing(post: Post) -> None:
    """Relayed (RFC 3461 5.2.2), and only when asked for."""
    asked, _ = await post.send("bob@partner.example", rcpt="NOTIFY=SUCCESS")
    silent, _ = await post.send("bob@partner.example")
    _, _, per_recipient, _ = await post.report(asked)
    assert (per_recipient["Action"], per_recipient["Status"]) == ("relayed", "2.0.0")
    await post.ends(silent, "delivered")
    assert post.reports(silent) == []


async def test_a_delay_is_told_once_and_until_when(post: Post) -> None:
    """And no more when the mail arrives after all."""
    mail_id, _ = await post.send(LATER, rcpt="NOTIFY=DELAY")
    quiet, _ = await post.send(LATER, rcpt="NOTIFY=FAILURE")
    _, _, per_recipient, _ = await post.report(mail_id)
    assert per_recipient["Action"] == "delayed"
    assert per_recipient["Will-Retry-Until"]
    del post.outside.refuse[LATER]
    for one in (mail_id, quiet):
        await post.ends(one, "delivered")
    assert len(post.reports(mail_id)) == 1
    assert post.reports(quiet) == []


@pytest.mark.parametrize(
    ("notify", "sender"), [("NOTIFY=NEVER", ALICE), ("NOTIFY=SUCCESS", ALICE), ("NOTIFY=DELAY", ALICE), ("", "")]
)
async def test_who_asked_for_no_report_gets_none(post: Post, notify: str, sender: str) -> None:
    """A notification is on its way before the recipient is returned, so the sink has heard of it by a later one."""
    mail_id, _ = await post.send(NOBODY, rcpt=notify, sender=sender)
    await post.ends(mail_id, "returned")
    later, _ = await post.send(NOBODY)
    await post.report(later)
    assert post.reports(mail_id) == []
    assert post.reports(mail_id, post.outside) == []


async def test_a_stranger_is_never_told(post: Post) -> None:
    """Inbound mail that the own hop refuses: recorded, and nobody outside hears of it."""
    mail_id, _ = await post.send(
        "gone@acme.example", sender="s@elsewhere.example", source=world.STRANGER, rcpt="NOTIFY=FAILURE"
    )
    await post.ends(mail_id, "returned")
    later, _ = await post.send(NOBODY)
    await post.report(later)
    assert post.reports(mail_id, post.outside) == []


async def test_what_a_rule_gives_back_carries_its_text_and_masked_findings(post: Post) -> None:
    """Of the mail itself only what RET asks for."""
    content = mails.plain(ALICE, "bob@partner.example", "back", "card 4111-1111-1111-1111\n")
    mail_id, _ = await post.send("bob@partner.example", content=content)
    text, _, per_recipient, original = await post.report(mail_id)
    assert "no cards by mail" in text
    assert "••••1111" in text
    assert "4111-1111-1111-1111" not in text + original.as_string()
    assert per_recipient["Status"] == "5.7.1"
    chinese = mails.plain(ALICE, "bob@partner.example", "x", "please returnme\n")
    mail_id, _ = await post.send("bob@partner.example", content=chinese)
    text, *_ = await post.report(mail_id)
    assert "請改用安全信箱" in text


async def test_a_banner_is_seen_and_the_status_tells_of_it(post: Post) -> None:
    """Or why it is not there."""
    plain = mails.plain("s@elsewhere.example", ALICE, "warnme", "hello")
    signed = mails.plain("s@elsewhere.example", ALICE, "warnme", "-----BEGIN PGP SIGNED MESSAGE-----\nhello")
    for content, tells in ((plain, "changed: banner"), (signed, "left alone: banner (signed)")):
        mail_id, _ = await post.send(ALICE, sender="s@elsewhere.example", source=world.STRANGER, content=content)
        assert tells in await post.ends(mail_id, "delivered")
        found = await eventually(lambda mail_id=mail_id: [m for m in post.inside.mails if m.mail_id == mail_id])  # type: ignore[misc]
        original = cast(list[Received], found)[0].original
        want = content.replace(b"hello", "外部郵件\r\n\r\nhello".encode()) if content is plain else content
        assert original == want
