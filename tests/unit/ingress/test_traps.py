"""The eighteen traps of aiosmtpd 1.4.6, one test each: what the stock class does wrong, this one must not."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import struct
import time
from base64 import b64encode
from collections.abc import AsyncIterator

import aiosmtpd.smtp
import pytest
from letterlock.mail.v1 import mail_pb2
from structlog.testing import capture_logs

from services.ingress.adapters.smtp import SmtpSession
from services.ingress.adapters.spool import Spool
from services.ingress.core.limits import Limits
from tests.unit.ingress.conftest import PASSWORD, House, Open, client_tls, decision, until

MAIL = b"Subject: hello\r\n\r\nhello\r\n"


async def test_trap_01_unhandled_exception_is_451_and_says_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure inside a command is temporary, and its text stays inside."""

    async def broken(self: SmtpSession, argument: str) -> None:
        raise RuntimeError("nats://user:pw@host timeout")

    monkeypatch.setattr(SmtpSession, "smtp_NOOP", broken)
    async with house.client() as client:
        with capture_logs() as logs:
            assert await client.ask("NOOP") == "451 4.3.0 temporary failure, please try again later"
        assert any(entry["event"] == "smtp.command_failed" for entry in logs)
        assert (await client.transact(MAIL)).startswith("250")


@pytest.mark.parametrize("ending", ["half_close", "reset"])
async def test_trap_02_hang_up_does_not_cancel_the_accept(house: House, ending: str) -> None:
    """The peer goes while policy thinks: the mail is committed all the same."""
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        asked.set()
        await gate.wait()
        return decision(envelope)

    house.decider.answer = slow
    async with house.client() as client:
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<bob@acme.example>\r\nDATA\r\n" + MAIL + b".\r\n")
        await asked.wait()
        if ending == "half_close":
            client.writer.write_eof()
        else:
            channel = client.writer.get_extra_info("socket")
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.writer.transport.abort()
            await until(lambda: house.server.sessions == 0)
        gate.set()
        await until(lambda: len(house.mails()) == 1 and len(house.publisher.facts) == 1)


async def test_trap_03_time_limit_is_per_silence_with_a_minimum_rate(open_house: Open) -> None:
    """An active DATA may take longer than the idle time-out; silence and a trickle are told 421."""
    async with open_house(limits=Limits(idle=0.3, min_rate=0)) as house, house.client() as client:
        for command in ("MAIL FROM:<>", "RCPT TO:<bob@acme.example>", "DATA"):
            await client.ask(command)
        began = time.monotonic()
        while time.monotonic() - began < 0.8:
            await client.say(b"X-Slow: yes\r\n")
            await asyncio.sleep(0.05)
        assert (await client.ask(b"\r\nbody\r\n.\r\n")).startswith("250")
        assert (await client.hear()).startswith("421 4.4.2")
        assert await client.hear() == ""
    async with open_house(limits=Limits(min_rate=1000, rate_grace=0.2)) as house, house.client() as client:
        for command in ("MAIL FROM:<>", "RCPT TO:<bob@acme.example>", "DATA"):
            await client.ask(command)
        heard = asyncio.create_task(client.hear())
        while not heard.done():
            await client.say(b"x")
            await asyncio.sleep(0.02)
        assert heard.result().startswith("421 4.4.2")
    async with open_house(limits=Limits(idle=0.2, transaction=0.5)) as house, house.client() as client:
        assert (await client.ask("MAIL FROM:<>")).startswith("250")
        answers = []
        while (answer := await client.ask("NOOP")).startswith("250"):
            answers.append(answer)
            await asyncio.sleep(0.1)
        assert answer.startswith("421 4.4.2")


async def test_trap_03_content_has_an_overall_limit(open_house: Open) -> None:
    """A peer that never ends is told 421, however fast it is."""
    async with open_house(limits=Limits(transaction=0.4)) as house, house.client() as client:
        for command in ("MAIL FROM:<>", "RCPT TO:<bob@acme.example>", "DATA"):
            await client.ask(command)
        heard = asyncio.create_task(client.hear())
        while not heard.done():
            with contextlib.suppress(OSError):
                await client.say(b"line\r\n" * 100)
            await asyncio.sleep(0.01)
        assert heard.result().startswith("421 4.4.2")
        assert not house.objects.objects


@pytest.mark.parametrize(
    "content", [b"foo\n.\nMAIL FROM:<x>\r\n", b"foo\r.\r\r\n", b"nul\0\r\n", b"\nfirst\r\n", b"foo\r\n.\rbar\r\n"]
)
async def test_trap_04_bare_cr_lf_or_nul_is_refused_or_kept_as_evidence(open_house: Open, content: bytes) -> None:
    """Refused with 550 5.5.2; where the tenant normalises, stored as it came and marked."""
    async with open_house() as house, house.client() as client:
        assert (await client.transact(content)).startswith("550 5.5.2")
        assert not house.objects.objects
        assert (await client.transact(MAIL)).startswith("250")
    async with open_house(acme={"bare_newlines": "normalise"}) as house, house.client() as client:
        record, raw = await house.stored(await client.transact(content))
        assert raw == content.replace(b"\r\n.", b"\r\n")
        assert record.envelope.bare_newlines


async def test_trap_05_long_lines_are_accepted(house: House) -> None:
    """A line beyond 1,000 bytes is no reason to bounce real mail."""
    content = b"Subject: long\r\n\r\n" + b"x" * 300_000 + b"\r\n"
    async with house.client() as client:
        _, raw = await house.stored(await client.transact(content))
    assert raw == content


async def test_trap_06_endless_line_is_bounded_and_drained(open_house: Open) -> None:
    """A line without end past the limit is read and dropped: 552 5.3.4 at its end, and the session goes on."""
    async with open_house(limits=Limits(max_bytes=100_000)) as house, house.client() as client:
        assert (await client.transact(b"y" * 3_000_000 + b"\r\n")).startswith("552 5.3.4")
        assert not house.objects.objects
        assert (await client.transact(MAIL)).startswith("250")


async def test_trap_07_content_is_not_collected_in_memory(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past 512 KiB the spool holds a batch, not the mail (the process is measured in `test_memory.py`)."""
    held: list[int] = []
    write = Spool.write

    async def watched(self: Spool, data: bytes) -> None:
        await write(self, data)
        held.append(len(self._buffer))

    monkeypatch.setattr(Spool, "write", watched)
    async with house.client() as client:
        record, _ = await house.stored(await client.transact(b"Subject: big\r\n\r\n" + b"z" * 4_000_000 + b"\r\n"))
    assert record.blob
    assert 0 < max(held) <= 512 * 1024


async def test_trap_08_recipients_errors_and_commands_are_limited(open_house: Open) -> None:
    """1,001st recipient: 452 4.5.3. Too many errors or idle commands: 421."""
    async with open_house(limits=Limits(max_recipients=100)) as house, house.client() as client:
        await client.ask("MAIL FROM:<>")
        for n in range(100):
            assert (await client.ask(f"RCPT TO:<r{n}@acme.example>")).startswith("250")
        assert (await client.ask("RCPT TO:<more@acme.example>")).startswith("452 4.5.3")
        assert (await client.ask("DATA")).startswith("354")
        record, _ = await house.stored(await client.ask(MAIL + b".\r\n"))
        assert len(record.envelope.recipients) == 100
    async with open_house(acme={"limits": {"recipients": 2}}) as house, house.client() as client:
        assert (await client.transact(MAIL, to=[f"{n}@acme.example" for n in range(3)])).startswith("452 4.5.3")
    async with open_house(acme={"limits": {"max_bytes": len(MAIL)}}) as house, house.client() as client:
        assert (await client.transact(MAIL)).startswith("250")
        assert (await client.transact(MAIL + b"more\r\n")).startswith("552 5.3.4")
    async with open_house(limits=Limits(max_errors=5)) as house, house.client() as client:
        for _ in range(5):
            assert (await client.ask("XYZZY")).startswith("500 5.5.1")
        assert (await client.ask("XYZZY")).startswith("500")
        assert (await client.hear()).startswith("421 4.7.0")
        assert await client.hear() == ""
    async with open_house(limits=Limits(max_commands=10)) as house, house.client() as client:
        answers = [await client.ask("NOOP") for _ in range(10)]
        assert answers[-1].startswith("250")
        assert (await client.hear()).startswith("421 4.7.0")


async def test_trap_09_command_sizes_do_not_leak_between_connections(house: House) -> None:
    """Fifty EHLOs change no limit of this or another connection."""
    before = dict(aiosmtpd.smtp.SMTP.command_size_limits)
    async with house.client() as client, house.client() as other:
        for _ in range(50):
            assert "SIZE" in await client.ask("EHLO again.example")
        for c in (client, other):
            assert (await c.ask("NOOP " + "x" * 5000)).startswith("500 5.5.2")
            assert (await c.ask("MAIL FROM:<>")).startswith("250")
    assert dict(aiosmtpd.smtp.SMTP.command_size_limits) == before


async def test_trap_10_implicit_tls_offers_auth_and_no_starttls(house: House) -> None:
    """On 465 TLS is there from the start: AUTH is offered, STARTTLS is not and is refused."""
    async with house.client("submissions", tls=True, greeted=False) as client:
        assert (await client.hear()).startswith("220")
        offered = await client.ask("EHLO client.example")
        assert "AUTH PLAIN LOGIN" in offered
        assert "STARTTLS" not in offered
        assert (await client.ask("STARTTLS")).startswith("503")
        login = b64encode(f"\0alice@acme.example\0{PASSWORD}".encode()).decode()
        assert (await client.ask(f"AUTH PLAIN {login}")).startswith("235 2.7.0")
        answer = await client.transact(MAIL, sender="alice@acme.example", to=["x@remote.example"])
    record, _ = await house.stored(answer)
    assert record.envelope.peer.account == "alice@acme.example"
    assert record.envelope.peer.tls.startswith("TLSv1.")


async def test_trap_11_auth_is_case_insensitive_long_and_off_the_loop(house: House) -> None:
    """`auth plain` works, a 10,000-byte response is read, and the loop turns while a password is checked."""
    async with house.client("submissions", tls=True) as client:
        long = b64encode(b"\0alice@acme.example\0" + b"w" * 7000).decode()
        assert (await client.ask(f"AUTH PLAIN {long}")).startswith("535 5.7.8")
        assert (await client.ask("auth login")) == "334 " + b64encode(b"Username:").decode()
        assert (await client.ask(b64encode(b"alice@acme.example").decode())).startswith("334 ")

        blocked = asyncio.Event()
        verify, loop = house.desk.authenticator._verify, asyncio.get_running_loop()

        def slow(stored: str, password: str) -> bool:
            asyncio.run_coroutine_threadsafe(blocked.wait(), loop).result(5)
            return verify(stored, password)

        house.desk.authenticator._verify = slow  # type: ignore[method-assign]
        await client.say(b64encode(PASSWORD.encode()).decode())
        async with house.client() as other:
            assert (await other.ask("NOOP")).startswith("250")
        blocked.set()
        assert (await client.hear()).startswith("235")
        assert (await client.ask("AUTH CRAM-MD5")).startswith("503")


async def test_trap_12_parameters_keep_their_case_and_dsn_is_understood(house: House) -> None:
    """AUTH=, RET=, ENVID=, NOTIFY= and ORCPT= are parsed and kept as the sender gave them."""
    async with house.client() as client:
        mail = "MAIL FROM:<x@remote.example> SIZE=100 BODY=8bitmime RET=hdrs ENVID=QQ+2Bx AUTH=<>"
        assert (await client.ask(mail)).startswith("250")
        rcpt = "RCPT TO:<Bob@acme.example> NOTIFY=success,failure ORCPT=rfc822;Bob+40Acme.example"
        assert (await client.ask(rcpt)).startswith("250")
        assert (await client.ask("RCPT TO:<c@acme.example> FOO=1")).startswith("555 5.5.4")
        await client.ask("DATA")
        record, _ = await house.stored(await client.ask(MAIL + b".\r\n"))
        assert (await client.ask("MAIL FROM:<> BODY=BINARYMIME")).startswith("555 5.5.4")
    envelope = record.envelope
    assert (envelope.body, envelope.ret, envelope.envid) == ("8BITMIME", "HDRS", "QQ+2Bx")
    recipient = envelope.recipients[0]
    assert (list(recipient.notify), recipient.orcpt) == (["SUCCESS", "FAILURE"], "rfc822;Bob+40Acme.example")
    assert recipient.address == "Bob@acme.example"


async def test_trap_13_null_sender_is_empty(house: House) -> None:
    """`<>` is nobody, not an address of two brackets."""
    async with house.client() as client:
        record, _ = await house.stored(await client.transact(MAIL, sender=""))
    assert record.envelope.sender == ""


async def test_trap_14_no_name_look_up_per_connection(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The greeting's name is configured; nothing blocks to find it."""

    def forbidden(*_: object) -> str:
        raise AssertionError("blocking look-up")

    monkeypatch.setattr(socket, "getfqdn", forbidden)
    async with house.client(greeted=False) as client:
        assert await client.hear() == "220 mx.test ESMTP Letterlock"


async def test_trap_15_no_address_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Neither our events nor the library's records hold an address, a subject or a password."""
    with capture_logs() as logs:
        async with house.client() as client:
            await client.transact(MAIL, to=("bob@acme.example",))
            await client.ask("XYZZY secret@acme.example")
        async with house.client("submissions", tls=True) as client:
            login = b64encode(f"\0alice@acme.example\0{PASSWORD}".encode()).decode()
            await client.ask(f"AUTH PLAIN {login}")
    told = repr(logs) + caplog.text
    assert logs
    for secret in ("bob@", "alice@", "secret@", "remote.example", "hello", "correct horse", login):
        assert secret not in told


@pytest.fixture
async def balanced(open_house: Open) -> AsyncIterator[House]:
    """A house behind a balancer at 127.0.0.9."""
    async with open_house(balancers=(ipaddress.ip_network("127.0.0.9/32"),)) as house:
        yield house


async def test_trap_16_proxy_is_believed_from_named_balancers_only(balanced: House) -> None:
    """From the balancer the header is required and names the peer; from anyone else it is an unknown command."""
    header = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 25\r\n"
    async with balanced.client(source="127.0.0.9", greeted=False) as client:
        await client.say(header)
        assert (await client.hear()).startswith("220")
        await client.ask("EHLO client.example")
        record, _ = await balanced.stored(await client.transact(MAIL))
        assert record.envelope.peer.address == "203.0.113.7"
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([198, 51, 100, 4, 192, 0, 2, 1, 1, 2, 0, 25])
    async with balanced.client(source="127.0.0.9", greeted=False) as client:
        await client.say(v2)
        assert (await client.hear()).startswith("220")
        await client.ask("EHLO client.example")
        record, _ = await balanced.stored(await client.transact(MAIL))
        assert record.envelope.peer.address == "198.51.100.4"
    async with balanced.client(source="127.0.0.9", greeted=False) as client:
        await client.say("EHLO client.example")
        assert await client.hear() == ""
    async with balanced.client(greeted=False) as client:
        assert (await client.hear()).startswith("220")
        assert (await client.ask(header)).startswith("500")


async def test_trap_16_proxy_before_implicit_tls(balanced: House) -> None:
    """On 465 the header comes before the handshake, also when both arrive together."""
    address = balanced.addresses["submissions"]

    def talk() -> bytes:
        raw = socket.create_connection((address.host, address.port), timeout=10, source_address=("127.0.0.9", 0))
        raw.sendall(b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 465\r\n")
        with client_tls().wrap_socket(raw) as channel:
            return channel.recv(1000)

    assert (await asyncio.to_thread(talk)).startswith(b"220 mx.test")


async def test_trap_17_early_talkers_are_refused_and_vrfy_tells_nothing(open_house: Open) -> None:
    """With a greeting delay who speaks first is shown out; VRFY is 252 for everybody."""
    async with open_house(greeting_delay=0.3) as house:
        async with house.client(greeted=False) as client:
            await client.say("EHLO early.example")
            assert (await client.hear()).startswith("554 5.5.1")
            assert await client.hear() == ""
        async with house.client() as client:
            assert (await client.transact(MAIL)).startswith("250")
    async with open_house() as house, house.client() as client:
        answers = {await client.ask(f"VRFY {who}@shop.acme.example") for who in ("known", "unknown")}
        assert len(answers) == 1
        assert answers.pop().startswith("252")
        assert (await client.ask("EXPN all")).startswith("502")
        assert (await client.ask("HELP")).startswith("214")


async def test_trap_18_addresses_are_parsed_by_our_own_grammar(house: House) -> None:
    """What two parsers could read differently is refused (the grammar is fuzzed in `test_address.py`)."""
    async with house.client() as client:
        await client.ask("MAIL FROM:<x@remote.example>")
        for bad in (
            "<bob@acme.example@globex.example>",
            "<bob acme@acme.example>",
            "<@relay.example:bob@acme.example>",
            "<bob@acme..example>",
            "<bob@-acme.example>",
            "<b(comment)ob@acme.example>",
            "<.bob@acme.example>",
            "<böb@acme.example>",
        ):
            answer = await client.ask(f"RCPT TO:{bad}")
            assert answer.startswith(("553 5.1.3", "553 5.6.7", "501")), (bad, answer)
        assert (await client.ask('RCPT TO:<"b > ob"@acme.example>')).startswith("250")


async def test_plain_text_behind_starttls_does_not_survive(house: House) -> None:
    """Commands injected before the handshake are forgotten, and so is the greeting (CVE-2024-34083)."""
    async with house.client() as client:
        await client.say(b"STARTTLS\r\nMAIL FROM:<injected@remote.example>\r\n")
        assert (await client.hear()).startswith("220")
        await client.writer.start_tls(client_tls(), server_hostname="mx.test")
        assert (await client.ask("MAIL FROM:<x@remote.example>")).startswith("503")
        offered = await client.ask("EHLO client.example")
        assert "STARTTLS" not in offered
        assert "AUTH" in offered
        record, _ = await house.stored(await client.transact(MAIL))
        assert record.envelope.peer.tls.startswith("TLSv1.")
        assert record.envelope.sender == "x@remote.example"


def test_tls_below_1_2_is_not_spoken(certificate: ssl.SSLContext) -> None:
    """The context refuses what is broken."""
    assert certificate.minimum_version >= ssl.TLSVersion.TLSv1_2
