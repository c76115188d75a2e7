"""SMTP as CONTRACT promises it, word by word: who may send what to whom, and how much."""

from __future__ import annotations

import asyncio
import re

import pytest

from services.common.testing import eventually
from tests.e2e.town import FORWARDER, MIB50, PASSWORD, Town, a_mail, accepted_id, arrived, town
from tests.harness import world
from tests.harness.dialogue import Dialogue, dialogue, trusting

__all__ = ["town"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


# Greeting and acceptance.


async def test_ehlo_offers_what_is_promised_in_the_clear_and_under_tls(town: Town) -> None:
    """STARTTLS and SIZE of 50 MiB; AUTH only under TLS; STARTTLS not again."""
    async with dialogue(town.relay, ehlo=False) as peer:
        assert re.fullmatch(r"220 \S+ ESMTP Letterlock", peer.greeting)
        offers = set((await peer.ask("EHLO client.test")).replace("250 ", "250-").split("\n250-"))
        assert {
            f"SIZE {MIB50}", "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "DSN", "STARTTLS",
        } <= offers  # fmt: skip
        assert not any(o.startswith("AUTH") for o in offers)
        after = (await peer.starttls(trusting())).split("\n")
        assert any(o[4:].startswith("AUTH ") for o in after)
        assert all(o[4:] != "STARTTLS" for o in after)
        assert await peer.ask("QUIT") == "221 2.0.0 bye"


async def test_an_accepted_mail_has_an_id_that_sorts_by_time(town: Town) -> None:
    """`250 2.0.0 <mail id> accepted`, one connection for several mails, ids in order."""
    async with dialogue(town.relay) as peer:
        ids = []
        for _ in range(3):
            ids.append(accepted_id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], a_mail())))
            await asyncio.sleep(0.002)
    assert ids == sorted(ids)
    assert len(set(ids)) == 3


async def test_a_refusal_by_policy_says_what_the_rule_says(town: Town) -> None:
    """`550 5.7.1 <text>`."""
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        answer = await peer.mail("alice@acme.example", ["x@partner.example"], a_mail("the trade secret"))
        assert answer == "550 5.7.1 company secrets stay inside"


# Who may send what to whom.


async def test_a_stranger_sends_to_hosted_domains_only(town: Town) -> None:
    """`550 5.7.1 relaying denied`, also for subdomains, quoted and routed forms."""
    async with dialogue(town.relay) as peer:
        await peer.ask("MAIL FROM:<s@elsewhere.example>")
        for to in ("x@partner.example", "x@sub.acme.example", '"a@acme.example"@partner.example', "x@[127.0.0.1]"):
            assert await peer.ask(f"RCPT TO:<{to}>") == "550 5.7.1 relaying denied"
        for to in ("<@acme.example:x@partner.example>", "<x%partner.example@>", "<x@partner.example@acme.example>"):
            assert (await peer.ask(f"RCPT TO:{to}")).startswith("553 5.1.3 ")
        assert await peer.ask("RCPT TO:<Alice@ACME.example>") == "250 2.1.5 ok"


async def test_recipients_of_a_second_tenant_need_their_own_transaction(town: Town) -> None:
    """`452 4.5.3` for them; those of the first tenant's other domains go on."""
    async with dialogue(town.relay) as peer:
        await peer.ask("MAIL FROM:<s@elsewhere.example>")
        assert await peer.ask("RCPT TO:<alice@acme.example>") == "250 2.1.5 ok"
        assert (await peer.ask("RCPT TO:<a@globex.example>")).startswith("452 4.5.3 ")
        assert await peer.ask("RCPT TO:<shopkeeper@shop.acme.example>") == "250 2.1.5 ok"
        accepted_id(await peer.content(a_mail()))


async def test_a_listed_domain_takes_known_addresses_and_postmaster(town: Town) -> None:
    """`550 5.1.1` for others; a domain with `any` takes everything."""
    async with dialogue(town.relay) as peer:
        await peer.ask("MAIL FROM:<>")
        assert (await peer.ask("RCPT TO:<nobody@shop.acme.example>")).startswith("550 5.1.1 ")
        for to in ("shopkeeper@shop.acme.example", "Postmaster@shop.acme.example", "whoever@acme.example"):
            assert await peer.ask(f"RCPT TO:<{to}>") == "250 2.1.5 ok"


async def test_a_connector_is_known_by_its_network(town: Town) -> None:
    """Its mail may leave; MAIL FROM is its tenant's own domains, or null."""
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        for sender in ("x@globex.example", "x@elsewhere.example", "x@sub.acme.example"):
            assert (await peer.ask(f"MAIL FROM:<{sender}>")).startswith("550 5.7.1 ")
        assert await peer.ask("MAIL FROM:<>") == "250 2.1.0 ok"
        await peer.ask("RSET")
        assert await peer.ask("MAIL FROM:<any@Shop.ACME.example>") == "250 2.1.0 ok"
        assert await peer.ask("RCPT TO:<x@partner.example>") == "250 2.1.5 ok"
        assert await peer.ask("RCPT TO:<a@globex.example>") == "250 2.1.5 ok"


async def test_senders_globs_replace_the_own_domains_and_the_connector_decides_whose_mail_it_is(town: Town) -> None:
    """A forwarder's mail from partner.example is acme's outbound mail."""
    async with dialogue(town.relay, FORWARDER) as peer:
        assert (await peer.ask("MAIL FROM:<x@elsewhere.example>")).startswith("550 5.7.1 ")
        assert (await peer.ask("MAIL FROM:<x@shop.acme.example>")).startswith("550 5.7.1 ")
        mail_id = accepted_id(await peer.mail("bob@PARTNER.example", ["carol@partner.example"], a_mail()))
    status = await eventually(lambda: town.status(mail_id), timeout=30)
    assert isinstance(status, dict)
    assert (status["tenant"], status["direction"]) == ("acme", "outbound")


async def test_a_connector_is_known_by_its_tls_client_certificate(town: Town) -> None:
    """With the certificate mail may leave, without it relaying is denied; one of another CA is no identity."""
    own = (town.certificates / "edge.acme.example.pem", town.certificates / "edge.acme.example.key")
    async with dialogue(town.relay) as peer:
        await peer.starttls(trusting())
        await peer.ask("MAIL FROM:<alice@acme.example>")
        assert await peer.ask("RCPT TO:<x@partner.example>") == "550 5.7.1 relaying denied"
    async with dialogue(town.relay) as peer:
        await peer.starttls(trusting(own))
        assert (await peer.ask("MAIL FROM:<x@elsewhere.example>")).startswith("550 5.7.1 ")
        assert await peer.ask("MAIL FROM:<alice@acme.example>") == "250 2.1.0 ok"
        assert await peer.ask("RCPT TO:<x@partner.example>") == "250 2.1.5 ok"


async def test_a_connector_is_known_by_auth(town: Town) -> None:
    """`app` logs in at the relay over TLS and is acme's connector."""
    async with dialogue(town.relay) as peer:
        assert await peer.login("app", PASSWORD) == "538 5.7.11 encryption required for authentication"
        await peer.starttls(trusting())
        assert (await peer.login("app", "wrong")).startswith("535 5.7.8 ")
        assert (await peer.login("app", PASSWORD)).startswith("235 2.7.0 ")
        assert (await peer.ask("MAIL FROM:<x@globex.example>")).startswith("550 5.7.1 ")
        assert await peer.ask("MAIL FROM:<robot@acme.example>") == "250 2.1.0 ok"
        assert await peer.ask("RCPT TO:<x@partner.example>") == "250 2.1.5 ok"


async def _at_submission(peer: Dialogue) -> None:
    assert (await peer.ask("MAIL FROM:<alice@acme.example>")).startswith("530 5.7.0 ")
    assert (await peer.login("alice@acme.example", PASSWORD)).startswith("235 2.7.0 ")
    for sender in ("admin@acme.example", "x@elsewhere.example"):
        assert (await peer.ask(f"MAIL FROM:<{sender}>")).startswith("550 5.7.1 ")
    for sender in ("Alice@acme.example", "al@acme.example", "sales@acme.example"):
        assert await peer.ask(f"MAIL FROM:<{sender}>") == "250 2.1.0 ok"
        await peer.ask("RSET")


async def test_submission_wants_tls_and_a_login_and_the_persons_own_address(town: Town) -> None:
    """587: 530 before STARTTLS and before AUTH, though the peer is a connector's network; own addresses only."""
    async with dialogue(town.installation.host_port("submission"), world.ACME_PEER) as peer:
        assert (await peer.ask("MAIL FROM:<alice@acme.example>")).startswith("530 5.7.0 ")
        assert (await peer.login("alice@acme.example", PASSWORD)).startswith("538 5.7.11 ")
        await peer.starttls(trusting())
        await _at_submission(peer)


async def test_submissions_is_tls_from_the_first_byte(town: Town) -> None:
    """465: the same without STARTTLS."""
    async with dialogue(town.installation.host_port("submissions"), tls=trusting()) as peer:
        assert "STARTTLS" not in await peer.ask("EHLO client.test")
        await _at_submission(peer)


async def test_submission_completes_a_mail_and_the_relay_does_not(town: Town) -> None:
    """Bcc goes, Date and Message-ID come, every other byte stays; by the relay all stays."""
    bare = b"From: <alice@acme.example>\r\nBcc: <hidden@acme.example>,\r\n <too@acme.example>\r\nSubject: s\r\n\r\nBcc: no\r\n"
    async with dialogue(town.installation.host_port("submissions"), tls=trusting()) as peer:
        await peer.login("alice@acme.example", PASSWORD)
        submitted = accepted_id(await peer.mail("alice@acme.example", ["b@acme.example"], bare))
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        relayed = accepted_id(await peer.mail("alice@acme.example", ["b@acme.example"], bare))
    found = (await arrived(town.inside, submitted)).original
    head, _, rest = found.partition(b"From: ")
    assert re.fullmatch(rb"Date: [^\r\n]+ \+0000\r\nMessage-ID: <[^<>\r\n]+@acme\.example>\r\n", head)
    assert b"From: " + rest == b"From: <alice@acme.example>\r\nSubject: s\r\n\r\nBcc: no\r\n"
    assert (await arrived(town.inside, relayed)).original == bare


# Limits.


async def test_a_thousand_recipients_and_no_more(town: Town) -> None:
    """The 1,001st gets 452 4.5.3; the mail goes to the others."""
    async with dialogue(town.relay) as peer:
        lines = ["MAIL FROM:<s@elsewhere.example>", *(f"RCPT TO:<r{n}@acme.example>" for n in range(1001))]
        answers = await peer.pipelined(lines)
        assert set(answers[:-1]) == {"250 2.1.0 ok", "250 2.1.5 ok"}
        assert answers[-1].startswith("452 4.5.3 ")
        mail_id = accepted_id(await peer.content(a_mail()))
    everybody = {f"r{n}@acme.example" for n in range(1000)}

    def all_reached() -> bool:
        return {r for m in town.inside.mails if m.mail_id == mail_id for r in m.recipients} == everybody

    await eventually(all_reached, timeout=30)


async def test_more_than_fifty_hops_are_a_loop(town: Town) -> None:
    """50 `Received` lines pass, 51 are `554 5.4.6`; lines of the body do not count."""
    hop = b"Received: from a by b; Tue, 24 Nov 2026 09:00:00 +0000\r\n"
    async with dialogue(town.relay) as peer:
        accepted_id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], hop * 50 + a_mail() + hop))
        answer = await peer.mail("s@elsewhere.example", ["alice@acme.example"], hop * 51 + a_mail())
        assert answer.startswith("554 5.4.6 ")


async def test_what_is_too_large_is_said_at_once(town: Town) -> None:
    """`552 5.3.4` for SIZE beyond what is announced; what fits is taken."""
    async with dialogue(town.relay) as peer:
        assert (await peer.ask(f"MAIL FROM:<s@e.example> SIZE={MIB50 + 1}")).startswith("552 5.3.4 ")
        assert await peer.ask(f"MAIL FROM:<s@e.example> SIZE={MIB50}") == "250 2.1.0 ok"
