"""Mail that policy gave back: what its sender reads, and who never reads it."""

from __future__ import annotations

import dataclasses
import email
import email.policy
from email.message import EmailMessage
from typing import cast

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.directory import Connector, Directory
from services.common.testing import eventually
from services.delivery.core.returned import Fired, findings, vouched
from tests.unit.delivery.conftest import ACME, World
from tests.unit.delivery.sinks import sink
from tests.unit.delivery.test_deliver import leg, settled

GIVEN_BACK = mail_pb2.DISPOSITION_RETURN


def why(rule: str, *spans: str, matched: bool = True) -> mail_pb2.RuleWhy:
    predicate = mail_pb2.PredicateWhy(path="when", truth=True, spans=spans)
    return mail_pb2.RuleWhy(rule=rule, matched=matched, recipients=[0], predicates=[predicate])


class Speaking(World):
    """An installation whose tenant speaks a language and has a connector."""

    language = "zh-TW"
    senders: tuple[str, ...] = ()

    def directory(self) -> Directory:
        """The world's, with these."""
        view = super().directory()
        tenant = dataclasses.replace(view.tenants[ACME], language=self.language)
        connector = Connector("exchange", ACME, senders=self.senders)
        return dataclasses.replace(view, tenants={**view.tenants, ACME: tenant}, connectors=(connector,))


def given_back(text: str = "不可外寄") -> list[mail_pb2.Leg]:
    return [leg(1, 0, disposition=GIVEN_BACK, rule="cards-out", text=text)]


async def test_the_sender_reads_the_tenants_text_and_masked_findings_in_two_languages() -> None:
    """Of the rule that decided and of no other; the subject of the mail stands only in the mail itself."""
    world = Speaking()
    async with sink() as hop, world.running():
        world.hop = hop.address
        trace = await world.accept(["bob@b.example"], legs=given_back(), publish=False)
        trace.decision.why.extend(
            [why("cards-out", "4111 **** **** 1111", "4111 **** **** 1111"), why("other", "A1******89")]
        )
        await world.tell.publish(
            "decided", trace, raw=b"Subject: s\r\n\r\nx\r\n", msg_id=f"{trace.envelope.mail_id}:d:0"
        )
        await settled(world, trace, "returned")
        await eventually(lambda: hop.taken)
        report = email.message_from_bytes(hop.taken[0].content, policy=email.policy.default)
        assert report.get_content_type() == "multipart/report"
        words = cast(EmailMessage, next(iter(report.iter_parts()))).get_content()
        own, english = words.replace("\r\n", "\n").split("-" * 40)
        for text in (own, english):
            assert "不可外寄" in text
            assert text.count("4111 **** **** 1111") == 1
            assert "bob@b.example" in text
            assert "A1******89" not in text
        assert "Your mail was returned" in english
        assert "Your mail" not in own
        assert any("\u4e00" <= c <= "\u9fff" for c in str(report["Subject"]))
        fields = list(report.iter_parts())[1].as_string()
        assert "Diagnostic-Code: x-letterlock; " in fields
        assert "4111" not in fields


@pytest.mark.parametrize(
    ("sender", "senders", "told"),
    [
        ("alice@acme.example", (), True),
        ("ceo@victim.example", (), False),
        ("ann@partner.example", ("*@partner.example",), True),
        ("ann@partner.example", ("*@else.example",), False),
        ("x@other.example", (), False),
        ("", (), False),
    ],
)
async def test_only_a_sender_that_the_tenant_stands_for_is_told(
    sender: str, senders: tuple[str, ...], told: bool
) -> None:
    """An address of its domains, or one that its connector may use; a forged one gets nothing."""
    world = Speaking()
    world.senders = senders
    recipient = mail_pb2.Recipient(address="bob@b.example", direction=mail_pb2.DIRECTION_OUTBOUND)

    def by_connector(envelope: mail_pb2.Envelope) -> None:
        envelope.peer.connector = "exchange"

    async with sink() as hop, world.running():
        world.hop = world.smarthost = hop.address
        trace = await world.accept([recipient], sender=sender, legs=given_back(), change=by_connector)
        await settled(world, trace, "returned")
        if told:
            await eventually(lambda: hop.taken)
            assert hop.taken[0].recipients == [sender]
        else:
            # The notification is on the bus before the outcome is.
            assert len([m for m in world.broker.sent if m.subject.startswith("mail.decided")]) == 1


def test_findings_are_few_and_short() -> None:
    """Whatever a mail is full of."""
    many = [Fired("r", frozenset(), [f"{i} " + "*" * 500 for i in range(50)])]
    lines = findings(many, "r", [0]).split("\n")
    assert len(lines) == 21
    assert max(map(len, lines)) <= 80
    assert findings([Fired("r", frozenset({1}), ["x"])], "r", [0]) == ""
    assert findings(many, "other", [0]) == ""


def test_a_glob_stands_for_what_it_says() -> None:
    """Case does not matter, and nothing else passes."""
    assert vouched("Ann@Partner.Example", own=False, senders=["*@partner.example"])
    assert not vouched("ann@partner.example.evil", own=False, senders=["*@partner.example"])
