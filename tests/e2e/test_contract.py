"""SMTP as CONTRACT promises it, word by word: who may send what to whom, limits, and what becomes of the bytes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common import tls
from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.dialogue import Dialogue, dialogue, trusting
from tests.harness.installation import Installation
from tests.harness.nameserver import Nameserver
from tests.harness.sink import Received, Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "correct horse battery staple"
FORWARDER, LOOSE = "127.0.0.4", "127.0.0.5"
ACCEPTED = re.compile(r"250 2\.0\.0 ([0-9A-HJKMNP-TV-Z]{26}) accepted")
MIB50 = 50 * 1024 * 1024


@dataclass
class Town:
    """An installation with three tenants, their next hop, the internet's mail host and its name server."""

    installation: Installation
    inside: Sink
    internet: Sink
    names: Nameserver
    certificates: Path

    @property
    def relay(self) -> tuple[str, int]:
        """The relay's address."""
        return self.installation.host_port("relay")

    async def status(self, mail_id: str) -> dict[str, Any]:
        """`mail status` as acme's admin sees it; empty while it is not known."""
        answer = await self.installation.cli("mail", "status", mail_id, "-o", "json", token=world.ACME_ADMIN)
        return dict(answer.json) if answer.status == 0 else {}


def _world(inside: str, certificate_name: str) -> dict[str, Any]:
    """acme has no smarthost, so that its mail to the world is looked up; loose takes bare newlines."""
    places = world.two_tenants(acme=inside, acme_out=inside, globex=inside, globex_out=inside)
    acme = places["tenants"][0]
    del acme["smarthost"]
    acme["connectors"] += [
        {"name": "edge", "tls_client": [certificate_name]},
        {"name": "forwarder", "networks": [f"{FORWARDER}/32"], "senders": ["*@acme.example", "*@partner.example"]},
        {"name": "app", "username": "app", "password": PASSWORD},
    ]
    acme["groups"]["sales"] = {"members": ["alice@acme.example"], "address": "sales@acme.example"}
    acme["people"][0]["aliases"] = ["al@acme.example"]
    acme["people"].append({"address": "shopkeeper@shop.acme.example", "roles": ["user"]})
    places["tenants"].append(
        {
            "name": "loose", "domains": ["loose.example"], "bare_newlines": "normalise",
            "next_hop": {"address": inside, "tls": "none"}, "smarthost": {"address": inside, "tls": "none"},
            "connectors": [{"name": "old", "networks": [f"{LOOSE}/32"]}],
        }
    )  # fmt: skip
    return places


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Every service its own process; leaving it says SIGTERM and expects status 0."""
    data = tmp_path_factory.mktemp("town")
    certificates = data / "clients"
    tls.ensure(certificates, "edge.acme.example")
    inside, internet = await Sink().start(), await Sink().start()
    names = await Nameserver(
        {
            ("partner.example", "MX"): ["20 dead.partner.example.", "10 mx.partner.example."],
            ("mx.partner.example", "A"): ["127.0.0.1"],
            ("dead.partner.example", "A"): ["127.0.0.1"],
            ("nomail.example", "MX"): ["0 ."],
        }
    ).start()
    settings = {
        "DNS__SERVERS": names.address, "DELIVERY__MX_PORT": str(internet.port), "DELIVERY__MX_ALLOW_LOOPBACK": "true",
        "DELIVERY__RETRY_AFTER": "1s,2s", "INGRESS__CLIENT_CA": str(certificates / "ca.pem"),
    }  # fmt: skip
    installation = Installation(data / "data", _world(inside.address, "edge.acme.example"), settings=settings)
    try:
        await installation.start()
        yield Town(installation, inside, internet, names, certificates)
        assert await installation.stop() == 0
    finally:
        await installation.stop()
        names.stop()
        await inside.stop()
        await internet.stop()


def _content(subject: str = "Hello", to: str = "alice@acme.example", sender: str = "s@elsewhere.example") -> bytes:
    return mails.plain(sender, to, subject, "a line\n")


def _id(answer: str) -> str:
    match = ACCEPTED.fullmatch(answer)
    assert match, answer
    return match[1]


async def _arrived(sink: Sink, mail_id: str) -> Received:
    def found() -> Received | None:
        return next((m for m in sink.mails if m.mail_id == mail_id), None)

    mail = await eventually(found, timeout=30)
    assert isinstance(mail, Received)
    return mail


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
            ids.append(_id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], _content())))
            await asyncio.sleep(0.002)
    assert ids == sorted(ids)
    assert len(set(ids)) == 3


async def test_a_refusal_by_policy_says_what_the_rule_says(town: Town) -> None:
    """`550 5.7.1 <text>`."""
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        answer = await peer.mail("alice@acme.example", ["x@partner.example"], _content("the trade secret"))
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
        _id(await peer.content(_content()))


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
        mail_id = _id(await peer.mail("bob@PARTNER.example", ["carol@partner.example"], _content()))
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
        submitted = _id(await peer.mail("alice@acme.example", ["b@acme.example"], bare))
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        relayed = _id(await peer.mail("alice@acme.example", ["b@acme.example"], bare))
    found = (await _arrived(town.inside, submitted)).original
    head, _, rest = found.partition(b"From: ")
    assert re.fullmatch(rb"Date: [^\r\n]+ \+0000\r\nMessage-ID: <[^<>\r\n]+@acme\.example>\r\n", head)
    assert b"From: " + rest == b"From: <alice@acme.example>\r\nSubject: s\r\n\r\nBcc: no\r\n"
    assert (await _arrived(town.inside, relayed)).original == bare


# Limits.


async def test_a_thousand_recipients_and_no_more(town: Town) -> None:
    """The 1,001st gets 452 4.5.3; the mail goes to the others."""
    async with dialogue(town.relay) as peer:
        lines = ["MAIL FROM:<s@elsewhere.example>", *(f"RCPT TO:<r{n}@acme.example>" for n in range(1001))]
        answers = await peer.pipelined(lines)
        assert set(answers[:-1]) == {"250 2.1.0 ok", "250 2.1.5 ok"}
        assert answers[-1].startswith("452 4.5.3 ")
        mail_id = _id(await peer.content(_content()))
    everybody = {f"r{n}@acme.example" for n in range(1000)}

    def all_reached() -> bool:
        return {r for m in town.inside.mails if m.mail_id == mail_id for r in m.recipients} == everybody

    await eventually(all_reached, timeout=30)


async def test_more_than_fifty_hops_are_a_loop(town: Town) -> None:
    """50 `Received` lines pass, 51 are `554 5.4.6`; lines of the body do not count."""
    hop = b"Received: from a by b; Tue, 24 Nov 2026 09:00:00 +0000\r\n"
    async with dialogue(town.relay) as peer:
        _id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], hop * 50 + _content() + hop))
        answer = await peer.mail("s@elsewhere.example", ["alice@acme.example"], hop * 51 + _content())
        assert answer.startswith("554 5.4.6 ")


async def test_what_is_too_large_is_said_at_once(town: Town) -> None:
    """`552 5.3.4` for SIZE beyond what is announced; what fits is taken."""
    async with dialogue(town.relay) as peer:
        assert (await peer.ask(f"MAIL FROM:<s@e.example> SIZE={MIB50 + 1}")).startswith("552 5.3.4 ")
        assert await peer.ask(f"MAIL FROM:<s@e.example> SIZE={MIB50}") == "250 2.1.0 ok"


# Bytes.


@pytest.mark.parametrize("bad", [b"a\nb", b"a\rb", b"a\0b", b"a\r\r\nb", b"a\n.\nb", b"a\n.\r\nb", b"a\r.\r\nb"])
async def test_bare_cr_lf_and_nul_are_refused_and_end_nothing(town: Town, bad: bytes) -> None:
    """`550 5.5.2`, once, at the real end; what follows the false end is content, not commands."""
    async with dialogue(town.relay) as peer:
        content = _content() + bad + b"\r\nMAIL FROM:<smuggled@elsewhere.example>\r\n"
        assert (await peer.mail("s@elsewhere.example", ["alice@acme.example"], content)).startswith("550 5.5.2 ")
        assert await peer.ask("NOOP") == "250 2.0.0 ok"
        _id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], _content()))


async def test_where_the_tenant_says_so_they_are_normalised_on_the_way_out(town: Town) -> None:
    """Sent on with CRLF and without NUL; inbound and outbound alike."""
    content = _content(to="a@loose.example") + b"one\ntwo\rthree\0four\r\n.. dot\n.\nend\r\n"
    clean = _content(to="a@loose.example")
    async with dialogue(town.relay) as peer:
        inbound = _id(
            await peer.mail("s@elsewhere.example", ["a@loose.example"], content.replace(b"\r\n..", b"\r\n..."))
        )
    async with dialogue(town.relay, LOOSE) as peer:
        outbound = _id(
            await peer.mail("a@loose.example", ["x@partner.example"], content.replace(b"\r\n..", b"\r\n..."))
        )
    for mail_id in (inbound, outbound):
        found = (await _arrived(town.inside, mail_id)).original
        assert found.startswith(clean[: clean.index(b"Message-ID")])
        assert found.endswith(b"one\r\ntwo\r\nthreefour\r\n.. dot\r\n.\r\nend\r\n"), found[-80:]
        assert b"\0" not in found
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", found)


async def test_bare_newlines_and_nul_in_a_command_are_syntax_errors(town: Town) -> None:
    """`500 5.5.2`, and the session goes on."""
    async with dialogue(town.relay) as peer:
        for line in (b"NOOP\n", b"NO\rOP\r\n", b"NOOP\0\r\n", b"MAIL FROM:<a\0@b.example>\r\n"):
            await peer.send(line)
            assert (await peer.reply()).startswith("500 5.5.2 ")
        assert (await peer.ask("FROB")).startswith("500 5.5.1 ")
        assert await peer.ask("NOOP") == "250 2.0.0 ok"


async def test_addresses_are_read_strictly_and_utf8_needs_smtputf8(town: Town) -> None:
    """553 for what is no address; 553 5.6.7 for UTF-8 without the parameter; with it the mail arrives."""
    async with dialogue(town.relay) as peer:
        for path in ("<a b@e.example>", "<a..b@e.example>", "<a@-e.example>", "<a@e..example>", "<a@>", "<@e.example>"):
            assert (await peer.ask(f"MAIL FROM:{path}")).startswith("553 5.1.7 ")
        assert (await peer.ask("MAIL FROM:a@e.example")).startswith("501 5.5.4 ")
        assert (await peer.ask("MAIL FROM:<寄件@e.example>")).startswith("553 5.6.7 ")
        await peer.ask("MAIL FROM:<s@e.example>")
        assert (await peer.ask("RCPT TO:<收件@acme.example>")).startswith("553 5.6.7 ")
        await peer.ask("RSET")
        mail_id = _id(await peer.mail("寄件@e.example", ["收件@acme.example"], _content(), "SMTPUTF8"))
    mail = await _arrived(town.inside, mail_id)
    assert (mail.sender, mail.recipients) == ("寄件@e.example", ("收件@acme.example",))


async def test_only_our_trace_headers_are_prepended(town: Town) -> None:
    """What leaves begins with the promised headers and ends with what came, byte for byte."""
    content = _content("Exact") + b"..\r\n. \r\n" + "é機密\u3000\t \r\n\r\n\r\n".encode()
    async with dialogue(town.relay) as peer:
        mail_id = _id(
            await peer.mail("s@elsewhere.example", ["alice@acme.example"], content.replace(b"\r\n.", b"\r\n.."))
        )
    mail = await _arrived(town.inside, mail_id)
    assert mail.content.endswith(content)
    ours = re.sub(rb"\r\n[ \t]", b" ", mail.content[: -len(content)]).decode().splitlines()
    assert ours[0].startswith("Received: from client.test ")
    allowed = r"(Received|Authentication-Results|ARC-[A-Za-z-]+|DKIM-Signature|X-Letterlock-[A-Za-z-]+): "
    assert all(re.match(allowed, line) for line in ours), ours


# Where it goes, and what is said of it.


async def test_mx_is_looked_up_at_the_configured_servers(town: Town) -> None:
    """acme has no smarthost: the best MX gets it; a null MX gives it back."""
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        sent = _id(await peer.mail("alice@acme.example", ["x@partner.example"], _content()))
        nowhere = _id(await peer.mail("alice@acme.example", ["x@nomail.example", "x@never.example"], _content()))
    assert (await _arrived(town.internet, sent)).recipients == ("x@partner.example",)
    assert ("partner.example", "MX") in town.names.asked

    async def returned() -> bool:
        return {r["state"] for r in (await town.status(nowhere)).get("recipients", ())} == {"returned"}

    await eventually(returned, timeout=30)
    await eventually(lambda: any(not m.sender and m.recipients == ("alice@acme.example",) for m in town.inside.mails))


async def test_mail_status_has_the_promised_shape(town: Town) -> None:
    """`{"mail_id", "tenant", "direction", "recipients": [{"address", "state", "detail"}], "events"}`, no content."""
    async with dialogue(town.relay) as peer:
        mail_id = _id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], _content("Nonce7391")))

    async def delivered() -> dict[str, Any]:
        found = await town.status(mail_id)
        return found if found and found["recipients"][0]["state"] == "delivered" else {}

    found = await eventually(delivered, timeout=30)
    assert isinstance(found, dict)
    assert (found["mail_id"], found["tenant"], found["direction"]) == (mail_id, "acme", "inbound")
    assert [r["address"] for r in found["recipients"]] == ["alice@acme.example"]
    assert "detail" in found["recipients"][0]
    assert found["events"]
    assert "Nonce7391" not in json.dumps(found)


async def test_a_dead_destination_is_deferred_and_listed_in_the_queue(town: Town) -> None:
    """`deferred` until it answers; the operator's queue names the domain, not the address."""
    town.names.records[("dark.example", "MX")] = ["10 dark.example."]
    town.names.records[("dark.example", "A")] = ["127.0.0.77"]
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        mail_id = _id(await peer.mail("alice@acme.example", ["secretname@dark.example"], _content()))

    async def deferred() -> bool:
        return [r["state"] for r in (await town.status(mail_id)).get("recipients", ())] == ["deferred"]

    await eventually(deferred, timeout=30)

    async def queued() -> str:
        answer = await town.installation.cli("queue", "list", "-o", "json", token=world.OPERATOR)
        return answer.out if answer.status == 0 and mail_id in answer.out else ""

    listed = str(await eventually(queued, timeout=30))
    assert "dark.example" in listed
    assert "secretname" not in listed
    failed = await town.installation.cli("queue", "fail", mail_id, "--note", "gone", token=world.OPERATOR)
    assert failed.status == 0, failed.err


# Processes.


async def _ready(town: Town) -> int:
    host, port = town.installation.host_port("metrics")
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


async def _ready_is(town: Town, status: int) -> None:
    async def so() -> bool:
        return await _ready(town) == status

    await eventually(so, timeout=30)


async def test_while_policy_is_silent_mail_is_accepted_and_decided_later(town: Town) -> None:
    """/readyz says 503 meanwhile; the mail gets its 250 and is delivered once policy answers."""
    await _ready_is(town, 200)
    policy = town.installation.pids()["policy"]
    os.kill(policy, signal.SIGSTOP)
    try:
        async with dialogue(town.relay) as peer:
            mail_id = _id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], _content()))
        await _ready_is(town, 503)
        assert all(m.mail_id != mail_id for m in town.inside.mails)
    finally:
        os.kill(policy, signal.SIGCONT)
    await _arrived(town.inside, mail_id)
    await _ready_is(town, 200)


async def test_a_killed_service_comes_back_at_its_address(town: Town) -> None:
    """The ready line's relay answers again, by another process that pids.json names."""
    before = town.installation.pids()
    assert town.installation.kill("ingress")

    async def greeted() -> bool:
        async with dialogue(town.relay) as peer:
            return peer.greeting.startswith("220 ")

    await eventually(greeted, timeout=30)
    after = town.installation.pids()
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} == {"ingress"}
