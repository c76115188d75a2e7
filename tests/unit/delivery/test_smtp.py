"""Attempts over real sockets: what each next hop gets, and what becomes of each recipient."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.common import tls
from services.common.components import DnsConfig
from services.common.config import Address
from services.common.directory import Tls
from services.common.testing import eventually
from services.delivery.adapters.dns import NoAnswer, Resolver
from services.delivery.adapters.smtp import SmtpTransport
from services.delivery.config import DeliveryConfig
from services.delivery.core.destinations import Destinations
from services.delivery.core.routes import ByMx, Destination, Fixed, Mx
from services.delivery.ports import Outgoing, Overflow, Recipient
from tests.unit.delivery.sinks import Sink, certificate, greet, say, scripted, sink, zone

CONTENT = b"Received: x\r\nSubject: hi\r\n\r\n.leading dot\r\n..two\r\n\xa4\xa4\r\n.\r\nend\r\n"
CONFIG = DeliveryConfig(
    connect_timeout=timedelta(seconds=2),
    command_timeout=timedelta(seconds=2),
    data_timeout=timedelta(seconds=2),
    idle_close=timedelta(seconds=30),
)


def mail(*recipients: str, **fields: object) -> Outgoing:
    names = recipients or ("bob@b.example",)
    return replace(Outgoing("alice@a.example", [Recipient(r) for r in names], CONTENT), **fields)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def transport(config: DeliveryConfig = CONFIG, dns: str = "127.0.0.1:9") -> AsyncIterator[SmtpTransport]:
    resolver = Resolver(DnsConfig(servers=(dns,), timeout_seconds=2))
    made = SmtpTransport(config, resolver, Destinations(most=4, first=5.0))
    try:
        yield made
    finally:
        await made.close()


def to(address: str, tls: Tls = "none") -> Destination:
    return Fixed(address, tls)


@pytest.mark.parametrize("offered", [("PIPELINING",), ()])
async def test_a_mail_arrives_byte_for_byte(offered: tuple[str, ...]) -> None:
    """With and without pipelining, dots and 8-bit bytes included."""
    async with sink(offered=offered) as hop, transport() as way:
        results = await way.send(to(hop.address), mail())
        assert [r.fate for r in results] == ["delivered"]
        assert hop.taken[0].content == CONTENT
        assert results[0].remote == hop.address


@pytest.mark.parametrize("offered", [("PIPELINING",), ()])
async def test_each_recipient_gets_its_own_result(offered: tuple[str, ...]) -> None:
    """One taken, one put off, one refused, in one transaction."""
    replies = {"busy@b.example": "450 4.2.1 later", "none@b.example": "550 5.1.1 who?"}
    async with sink(Sink(replies), offered=offered) as hop, transport() as way:
        results = await way.send(to(hop.address), mail("bob@b.example", "busy@b.example", "none@b.example"))
        assert [(r.fate, r.status) for r in results] == [
            ("delivered", "2.0.0"),
            ("deferred", "4.2.1"),
            ("failed", "5.1.1"),
        ]
        assert hop.taken[0].recipients == ["bob@b.example"]
        again = await way.send(to(hop.address), mail())
        assert again[0].fate == "delivered"
        assert len(hop.sessions) == 1


@pytest.mark.parametrize("offered", [("PIPELINING",), ()])
async def test_when_all_are_refused_nothing_is_sent_and_the_connection_stays(offered: tuple[str, ...]) -> None:
    """Then the next mail goes over the same connection."""
    async with sink(Sink({"none@b.example": "550 5.1.1 who?"}), offered=offered) as hop, transport() as way:
        assert [r.fate for r in await way.send(to(hop.address), mail("none@b.example"))] == ["failed"]
        assert [r.fate for r in await way.send(to(hop.address), mail())] == ["delivered"]
        assert len(hop.taken) == 1
        assert len(hop.sessions) == 1


async def test_a_354_without_recipients_is_ended_by_an_empty_mail() -> None:
    """RFC 2920 3.1: the body is never sent to nobody."""
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer, "PIPELINING")
        for _ in range(3):
            seen.append(await reader.readuntil(b"\r\n"))
        await say(writer, "250 ok", "550 5.1.1 no", "354 go on")
        seen.append(await reader.readuntil(b"\r\n"))
        await say(writer, "554 5.5.1 no valid recipients")

    async with scripted(script) as address, transport() as way:
        assert [r.status for r in await way.send(to(address), mail())] == ["5.1.1"]
    assert seen[-1] == b".\r\n"


@pytest.mark.parametrize(
    ("final", "fate", "code"),
    [("451 4.3.0 disk", "deferred", "remote_deferred"), ("554 5.7.1 spam", "failed", "remote_refused")],
)
async def test_the_reply_to_the_dot_holds_for_all_accepted(final: str, fate: str, code: str) -> None:
    """4xx and 5xx after DATA."""
    async with sink(Sink(final=final)) as hop, transport() as way:
        results = await way.send(to(hop.address), mail("a@b.example", "c@b.example"))
        assert [(r.fate, r.code) for r in results] == [(fate, code)] * 2


async def test_a_refused_sender_is_every_recipients_result() -> None:
    """5xx at MAIL FROM."""
    async with sink(Sink(mail_reply="550 5.1.8 bad sender")) as hop, transport() as way:
        assert [r.status for r in await way.send(to(hop.address), mail("a@b.example", "c@b.example"))] == ["5.1.8"] * 2


async def test_a_disconnect_in_the_middle_of_data_is_deferred_and_not_tried_elsewhere() -> None:
    """It may have arrived: only a later attempt may risk the double."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer, "PIPELINING")
        for _ in range(3):
            await reader.readuntil(b"\r\n")
        await say(writer, "250 ok", "250 ok", "354 go on")
        await reader.readuntil(b"\r\n")

    async with scripted(script) as address, transport() as way:
        assert [(r.fate, r.code) for r in await way.send(to(address), mail())] == [("deferred", "disconnected")]


async def test_silence_is_deferred_within_the_timeout() -> None:
    """A host that accepts and says nothing more."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await asyncio.Event().wait()

    config = replace(CONFIG, command_timeout=timedelta(milliseconds=100))
    async with scripted(script) as address, transport(config) as way:
        result = (await way.send(to(address), mail()))[0]
        assert (result.fate, result.code) == ("deferred", "disconnected")


@pytest.mark.parametrize("line", ["hello", "2x0 ok", "250-" + "x" * 9000])
async def test_nonsense_is_deferred(line: str) -> None:
    """What is no SMTP reply ends the attempt, not the service."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await reader.readuntil(b"\r\n")
        await say(writer, line)

    async with scripted(script) as address, transport() as way:
        assert [r.fate for r in await way.send(to(address), mail())] == ["deferred"]


async def test_a_5xx_greeting_is_the_hosts_and_not_the_mails() -> None:
    """The mail is kept."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await say(writer, "554 5.3.2 not here")

    async with scripted(script) as address, transport() as way:
        assert [(r.fate, r.code) for r in await way.send(to(address), mail())] == [("deferred", "connect_refused")]


async def test_a_kept_connection_that_died_is_replaced_without_a_word() -> None:
    """An idle connection that the host closed costs a new one, not a retry."""
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        for reply in ("250 ok", "250 ok", "354 go"):
            await reader.readuntil(b"\r\n")
            await say(writer, reply)
        await reader.readuntil(b"end\r\n.\r\n")
        await say(writer, "250 2.0.0 taken")

    async with scripted(script) as address, transport() as way:
        assert (await way.send(to(address), mail()))[0].fate == "delivered"
        assert (await way.send(to(address), mail()))[0].fate == "delivered"
    assert connections == 2


async def test_required_tls_is_never_done_without() -> None:
    """No STARTTLS: deferred, and no byte of the mail in clear."""
    async with sink() as hop, transport() as way:
        result = (await way.send(to(hop.address, "required"), mail()))[0]
        assert (result.fate, result.code) == ("deferred", "tls_unavailable")
        assert hop.taken == []


@pytest.mark.parametrize("tls", ["opportunistic", "required"])
async def test_tls_is_used_where_it_is_offered(tls: Tls, tmp_path: Path) -> None:
    """Also with a certificate of nobody's, where nobody asks for one: it keeps listeners out."""
    config = replace(CONFIG, verify_certificates=False)
    async with sink(tls=certificate(tmp_path)) as hop, transport(config) as way:
        assert (await way.send(to(hop.address, tls), mail()))[0].fate == "delivered"
        assert hop.taken[0].tls
        assert hop.taken[0].content == CONTENT


async def test_required_tls_takes_the_installations_certificates(tmp_path: Path) -> None:
    """Of the host that was asked for."""
    identity = tls.ensure(tmp_path / "tls", "relay")
    async with sink(tls=tls.server_context(identity)) as hop:
        made = SmtpTransport(
            CONFIG, Resolver(DnsConfig(servers=())), Destinations(most=4, first=5.0), own_ca=identity.ca
        )
        assert (await made.send(to(hop.address, "required"), mail()))[0].fate == "delivered"
        await made.close()
        assert hop.taken[0].tls


async def test_a_strange_certificate_is_refused_where_tls_is_required(tmp_path: Path) -> None:
    """Nobody listens, but who is it that reads?"""
    async with sink(tls=certificate(tmp_path)) as hop, transport() as way:
        result = (await way.send(to(hop.address, "required"), mail()))[0]
        assert (result.fate, result.code) == ("deferred", "tls_failed")
        assert hop.taken == []


async def test_a_verified_way_proves_the_host_whatever_the_setting(tmp_path: Path) -> None:
    """Mail that goes by TLS instead of sealed: a strange certificate, no TLS, or a name from DNS is not enough."""
    verified = Fixed("", "verified")
    async with sink(tls=certificate(tmp_path)) as hop, transport() as way:
        result = (await way.send(replace(verified, address=hop.address), mail()))[0]
        assert (result.fate, result.code) == ("deferred", "tls_failed")
        assert hop.taken == []
    async with sink() as hop, transport() as way:
        result = (await way.send(replace(verified, address=hop.address), mail()))[0]
        assert (result.fate, result.code) == ("deferred", "tls_unavailable")
        result = (await way.send(ByMx("b.example", tls="verified"), mail()))[0]
        assert (result.fate, result.code) == ("deferred", "tls_unavailable")
        assert hop.taken == []


async def test_a_verified_way_delivers_where_the_certificate_is_good(tmp_path: Path) -> None:
    """Under a CA that delivery was told of."""
    context = certificate(tmp_path, "localhost")
    config = replace(CONFIG, ca=tmp_path / "cert.pem")
    async with sink(tls=context) as hop, transport(config) as way:
        port = hop.address.rpartition(":")[2]
        result = (await way.send(Fixed(f"localhost:{port}", "verified"), mail()))[0]
        assert result.fate == "delivered", result
        assert [t.tls for t in hop.taken] == [True]


async def test_opportunistic_tls_falls_back_to_clear_when_the_handshake_fails() -> None:
    """A broken STARTTLS does not stop mail that would go in clear anyway."""
    tries = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await greet(reader, writer, "STARTTLS")
        if (await reader.readuntil(b"\r\n")).startswith(b"STARTTLS"):
            await say(writer, "220 go", "no TLS at all")
            return
        for reply in ("250 ok", "250 ok", "354 go"):
            await say(writer, reply)
            await reader.readuntil(b"\r\n")
        await reader.readuntil(b"end\r\n.\r\n")
        await say(writer, "250 ok")

    async with scripted(script) as address, transport() as way:
        await way.send(to(address, "opportunistic"), mail())
    assert tries == 2


async def test_parameters_are_sent_only_where_they_are_offered() -> None:
    """SIZE and 8BITMIME by aiosmtpd always, DSN where offered."""
    recipient = Recipient("bob@b.example", ("FAILURE", "DELAY"), "rfc822;bob@b.example")
    asked = mail(recipients=[recipient], ret="HDRS", envid="Q1")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *offered: str) -> None:
        await greet(reader, writer, *offered)
        for reply in ("250 ok", "550 no"):
            lines.append(await reader.readuntil(b"\r\n"))
            await say(writer, reply)

    lines: list[bytes] = []
    async with scripted(lambda r, w: script(r, w, "DSN", "SIZE", "8BITMIME")) as address, transport() as way:
        await way.send(to(address), asked)
    assert lines == [
        b"MAIL FROM:<alice@a.example> SIZE=%d BODY=8BITMIME RET=HDRS ENVID=Q1\r\n" % len(CONTENT),
        b"RCPT TO:<bob@b.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@b.example\r\n",
    ]
    lines.clear()
    async with scripted(script) as address, transport() as way:
        await way.send(to(address), asked)
    assert lines == [b"MAIL FROM:<alice@a.example>\r\n", b"RCPT TO:<bob@b.example>\r\n"]


async def test_smtputf8_that_is_not_offered_fails_for_good() -> None:
    """5.6.7, RFC 6531; where it is offered it is used."""
    async with sink() as hop, transport() as way:
        result = (await way.send(to(hop.address), mail("大@b.example")))[0]
        assert (result.fate, result.status) == ("failed", "5.6.7")
    async with sink(offered=("SMTPUTF8", "PIPELINING")) as hop, transport() as way:
        assert (await way.send(to(hop.address), mail("大@b.example")))[0].fate == "delivered"
        assert "SMTPUTF8" in hop.taken[0].mail_options


async def test_what_one_recipient_needs_does_not_fail_the_others() -> None:
    """An ASCII recipient beside one that needs SMTPUTF8 gets the mail."""
    async with sink() as hop, transport() as way:
        results = await way.send(to(hop.address), mail("bob@b.example", "大@b.example", "carol@b.example"))
        assert [r.fate for r in results] == ["delivered", "failed", "delivered"]
        assert hop.taken[0].recipients == ["bob@b.example", "carol@b.example"]


async def test_a_mail_over_the_announced_size_is_not_sent() -> None:
    """5.3.4 without trying."""
    async with sink() as hop, transport() as way:
        result = (await way.send(to(hop.address), mail(content=b"x: y\r\n\r\n" + b"a" * 1_000_001 + b"\r\n")))[0]
        assert (result.fate, result.status) == ("failed", "5.3.4")


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n"])
async def test_no_bare_newline_or_nul_leaves(content: bytes) -> None:
    """Whoever forgot to normalise is stopped at the door."""
    async with sink() as hop, transport() as way:
        assert (await way.send(to(hop.address), mail(content=content)))[0].code == "not_sendable"
        assert hop.taken == []


@pytest.mark.parametrize(
    "address",
    ["bob@b.example>\r\nRCPT TO:<eve@b.example", "bob@b.example> SIZE=1", "a b@b.example", '"a\r\n"@b.example', "bob"],
)
async def test_an_address_cannot_add_a_command(address: str) -> None:
    """CR, LF and what would end the path never reach the wire."""
    async with sink() as hop, transport() as way:
        assert (await way.send(to(hop.address), mail(address)))[0].code == "not_sendable"


async def test_a_quoted_local_part_is_sent_as_it_is() -> None:
    """Spaces and brackets inside quotes are an address (RFC 5321 4.1.2)."""
    async with sink() as hop, transport() as way:
        assert (await way.send(to(hop.address), mail('"a b>c"@b.example')))[0].code != "not_sendable"


async def test_a_dead_destination_is_left_alone_and_answers_at_once() -> None:
    """The second mail does not wait for a connection that cannot be."""
    async with sink() as hop:
        dead = hop.address
    async with transport() as way, sink() as hop:
        assert (await way.send(to(dead), mail()))[0].code == "connect_failed"
        began = time.monotonic()
        results = await asyncio.gather(*(way.send(to(dead), mail()) for _ in range(50)))
        assert {r[0].code for r in results} == {"connect_failed"}
        assert time.monotonic() - began < 0.5
        assert (await way.send(to(hop.address), mail()))[0].fate == "delivered"


async def test_a_slow_destination_overflows_and_does_not_hold_the_rest() -> None:
    """With all slots taken by a host that does not answer, other mail for it comes back later."""
    reached = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        await asyncio.Event().wait()

    config = replace(CONFIG, connect_timeout=timedelta(seconds=5))
    async with scripted(script) as address, sink() as hop, transport(config) as way:
        slow = [asyncio.create_task(way.send(to(address), mail())) for _ in range(4)]
        await eventually(lambda: reached == 4)
        with pytest.raises(Overflow):
            await way.send(to(address), mail())
        assert (await way.send(to(hop.address), mail()))[0].fate == "delivered"
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_connections_to_a_destination_are_limited_and_reused() -> None:
    """Fifty mails at once, at most four connections."""
    async with sink() as hop, transport() as way:
        results = await asyncio.gather(*(way.send(to(hop.address), mail()) for _ in range(50)))
        assert all(r[0].fate == "delivered" for r in results)
        assert len(hop.taken) == 50
        assert len(hop.sessions) <= 4


ZONE = """
b.example. 60 IN MX 20 second.b.example.
b.example. 60 IN MX 10 first.b.example.
first.b.example. 60 IN A 127.0.0.3
second.b.example. 60 IN A 127.0.0.1
plain.example. 60 IN A 127.0.0.1
null.example. 60 IN MX 0 .
us.example. 60 IN MX 5 letterlock.localhost.
nohost.example. 60 IN MX 5 missing.example.
own.example. 60 IN MX 5 own.host.example.
own.host.example. 60 IN A 203.0.113.9
"""


def by_mx(port: int, **fields: object) -> DeliveryConfig:
    return replace(CONFIG, mx_port=port, mx_allow_loopback=True, **fields)  # type: ignore[arg-type]


async def test_mx_is_followed_and_a_dead_host_is_passed_over() -> None:
    """The second host takes what the first does not answer."""
    with zone(ZONE) as dns:
        async with sink() as hop, transport(by_mx(hop.port), dns) as way:
            assert (await way.send(ByMx("b.example"), mail()))[0].fate == "delivered"
            assert (await way.send(ByMx("plain.example"), mail()))[0].fate == "delivered"


@pytest.mark.parametrize(
    ("domain", "fate", "code"),
    [
        ("null.example", "failed", "null_mx"),
        ("us.example", "failed", "loop"),
        ("own.example", "failed", "loop"),
        ("nohost.example", "failed", "no_host"),
        ("missing.example", "failed", "no_such_domain"),
        ("broken.example", "deferred", "dns_failed"),
        ("[127.0.0.1]", "failed", "loop"),
        ("..", "failed", "no_such_domain"),
    ],
)
async def test_dns_decides_where_no_mail_can_go(domain: str, fate: str, code: str) -> None:
    """Certain answers fail, no answer is tried again."""
    with zone(ZONE, broken=("broken.example",)) as dns:
        async with transport(replace(CONFIG, own_addresses=("203.0.113.9",)), dns) as way:
            result = (await way.send(ByMx(domain), mail()))[0]
            assert (result.fate, result.code) == (fate, code)


async def test_loopback_by_a_public_name_is_refused() -> None:
    """Whoever has a domain cannot make us talk to our own ports."""
    with zone(ZONE) as dns:
        async with sink() as hop, transport(replace(CONFIG, mx_port=hop.port), dns) as way:
            result = (await way.send(ByMx("plain.example"), mail()))[0]
            assert (result.fate, result.code) == ("failed", "loop")
            assert hop.taken == []


@pytest.mark.parametrize("domain", ["us.example", "plain.example", "missing.example", "broken.example"])
async def test_another_hosted_tenants_domain_comes_in_by_our_relay(domain: str) -> None:
    """The exception: what leads to us, or nowhere, is delivered to the relay."""
    with zone(ZONE, broken=("broken.example",)) as dns:
        async with sink() as relay:
            config = replace(CONFIG, self_relay=Address("127.0.0.1", relay.port))
            async with transport(config, dns) as way:
                assert (await way.send(ByMx(domain, hosted=True), mail()))[0].fate == "delivered"
                assert len(relay.taken) == 1


async def test_the_resolver_tells_nothing_from_no_answer() -> None:
    """NXDOMAIN, no data, SERVFAIL."""
    with zone(ZONE, broken=("broken.example",)) as dns:
        resolver = Resolver(DnsConfig(servers=(dns,), timeout_seconds=2))
        assert await resolver.mx("plain.example") == (Mx(0, "plain.example"),)
        with pytest.raises(NoAnswer) as absent:
            await resolver.mx("missing.example")
        assert not absent.value.exists
        assert await resolver.addresses("192.0.2.7") == ("192.0.2.7",)
        assert await resolver.addresses("localhost") == ("127.0.0.1", "::1")
