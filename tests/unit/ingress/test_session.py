"""The dialogue on real sockets: extensions, BDAT, submission, AUTH, relay rules, limits of connections."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letterlock.mail.v1 import mail_pb2
from structlog.testing import capture_logs

from services.ingress.core.limits import Limits
from tests.unit.ingress import conftest
from tests.unit.ingress.conftest import PASSWORD, Client, House, Open, until

MAIL = b"Subject: hello\r\n\r\nhello\r\n"


def login(user: str, password: str = PASSWORD) -> str:
    """The command for AUTH PLAIN."""
    return "AUTH PLAIN " + b64encode(f"\0{user}\0{password}".encode()).decode()


async def test_ehlo_says_what_is_offered(house: House) -> None:
    """The extensions of the contract, with STARTTLS and without AUTH in the clear."""
    async with house.client(greeted=False) as client:
        await client.hear()
        lines = [line[4:] for line in (await client.ask("EHLO client.example")).split("\n")]
    assert lines[0] == "mx.test"
    assert set(lines[1:]) == {
        "SIZE 52428800",
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "DSN",
        "LIMITS RCPTMAX=1000",
        "STARTTLS",
    }


async def test_pipelined_commands_are_answered_in_order(house: House) -> None:
    """A whole session in one packet, two mails and all."""
    mail = b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nDATA\r\n" + MAIL + b".\r\n"
    async with house.client() as client:
        await client.say(mail + mail + b"NOOP\r\nQUIT\r\n")
        answers = [await client.hear() for _ in range(10)]
        assert [a[:3] for a in answers] == ["250", "250", "354", "250", "250", "250", "354", "250", "250", "221"]
        assert await client.hear() == ""
    assert len(house.mails()) == 2


async def test_stdlib_client_sends_with_starttls(house: House) -> None:
    """smtplib, as anybody uses it."""

    def send() -> None:
        with house.smtp() as smtp:
            smtp.starttls(context=conftest.client_tls())
            assert smtp.sendmail("x@remote.example", ["a@acme.example", "b@acme.example"], MAIL) == {}

    await asyncio.to_thread(send)
    assert len(house.mails()) == 1


async def test_dots_are_unstuffed_and_empty_mail_is_a_mail(house: House) -> None:
    """RFC 5321 §4.5.2; DATA that ends at once is an empty mail."""
    async with house.client() as client:
        _, raw = await house.stored(await client.transact(b"..first\r\n\r\n..\r\n...x\r\n"))
        assert raw == b".first\r\n\r\n.\r\n..x\r\n"
        record, raw = await house.stored(await client.transact(b""))
        assert raw == b""
        assert record.envelope.size == 0


async def test_bdat_chunks_make_one_mail(house: House) -> None:
    """Chunks, pipelined or not, a LAST of zero bytes, content without a final CRLF."""
    async with house.client() as client:
        await client.say(
            b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nBDAT 10\r\nSubject: aBDAT 4\r\n\r\n\r\nBDAT 3 last\r\n.\r\n"
        )
        answers = [await client.hear() for _ in range(5)]
        assert [a[:3] for a in answers] == ["250"] * 5
        _, raw = await house.stored(answers[-1])
        assert raw == b"Subject: a\r\n\r\n.\r\n"
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nBDAT 3\r\nA:bBDAT 0 LAST\r\n")
        answers = [await client.hear() for _ in range(4)]
        _, raw = await house.stored(answers[-1])
        assert raw == b"A:b"


async def test_bdat_that_cannot_be_is_read_all_the_same(open_house: Open) -> None:
    """Without a transaction, after a refused chunk, too large, mixed with DATA: no byte becomes a command."""
    async with open_house(limits=Limits(max_bytes=1000)) as house, house.client() as client:
        assert (await client.ask(b"BDAT 6 LAST\r\nQUIT\r\n")).startswith("503")
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nBDAT 4\r\nQU\nT")
        assert [(await client.hear())[:9] for _ in range(3)] == ["250 2.1.0", "250 2.1.5", "550 5.5.2"]
        assert (await client.ask(b"BDAT 6 LAST\r\nQUIT\r\n")).startswith("503")
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nBDAT 2000 LAST\r\n" + b"QUIT\r\n" * 333 + b"xx")
        assert [(await client.hear())[:9] for _ in range(3)] == ["250 2.1.0", "250 2.1.5", "552 5.3.4"]
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nBDAT 2\r\nA:DATA\r\nRSET\r\n")
        assert [(await client.hear())[:3] for _ in range(5)] == ["250", "250", "250", "503", "250"]
        assert (await client.transact(MAIL)).startswith("250")
        assert (await client.ask("BDAT x")).startswith("501")
        assert await client.hear() == ""
        async with house.client() as other:
            assert (await other.ask("BDAT 999999999999")).startswith("552 5.3.4")
            assert await other.hear() == ""
    assert len(house.mails()) == 1


@given(
    pieces=st.lists(st.sampled_from([b".", b"\r\n", b"a", b"..", b"\r\n.\r\n", b"QUIT\r\n", b"x" * 50]), max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    use_bdat=st.booleans(),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_in_any_packets_arrives_as_it_was(
    open_house: Open, pieces: list[bytes], cuts: list[int], use_bdat: bool
) -> None:
    """DATA and BDAT over a socket, split anywhere: the stored mail is the content, the session goes on."""
    content = b"A: b\r\n\r\n" + b"".join(pieces) + b"\r\n"
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    head = b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\n"
    tail = b"BDAT %d LAST\r\n" % len(content) + content if use_bdat else b"DATA\r\n" + stuffed + b".\r\n"
    whole = head + tail + b"NOOP\r\n"

    async def check() -> None:
        async with open_house() as house, house.client() as client:
            client.writer.get_extra_info("socket").setsockopt(6, 1, 1)
            start = 0
            for cut in [*sorted(cuts), len(whole)]:
                await client.say(whole[start:cut])
                await asyncio.sleep(0)
                start = max(start, cut)
            answers = [await client.hear() for _ in range(4 if use_bdat else 5)]
            assert answers[-1].startswith("250 2.0.0 ok")
            _, raw = await house.stored(answers[-2])
            assert raw == content

    asyncio.run(check())


LINES = st.lists(
    st.binary(max_size=80)
    | st.sampled_from(
        [
            b"EHLO x",
            b"HELO x",
            b"MAIL FROM:<>",
            b"MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME",
            b"RCPT TO:<a@acme.example>",
            b"RCPT TO:<a@acme.example> NOTIFY=NEVER",
            b"DATA",
            b".",
            b"BDAT 5",
            b"BDAT 3 LAST",
            b"RSET",
            b"AUTH PLAIN",
            b"*",
            b"NOOP",
            b"X" * 5000,
        ]
    ),
    max_size=30,
)


@given(lines=LINES, ends=st.sampled_from([b"\r\n", b"\n", b"\r"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_a_session_fail(open_house: Open, lines: list[bytes], ends: bytes) -> None:
    """Whatever a peer says: no exception escapes, every answer is a reply line, and the session ends with it."""

    async def check() -> None:
        async with open_house() as house, house.client() as client:
            await client.say(b"".join(line + (ends if n % 4 == 3 else b"\r\n") for n, line in enumerate(lines)))
            client.writer.write_eof()
            while answer := await client.hear():
                assert answer[:3].isdigit()
            await until(lambda: house.server.sessions == 0)
            assert not house.desk.counts._counts
            assert not house.blobs()

    with capture_logs() as logs:
        asyncio.run(check())
    assert not [e for e in logs if e["event"] in ("smtp.command_failed", "smtp.session_failed")]


async def test_commands_with_bare_line_ends_are_syntax_errors(house: House) -> None:
    """A bare LF ends a line for us too, but what it ends is refused; CR and NUL inside as well."""
    async with house.client() as client:
        for line in (b"NOOP\n", b"NO\rOP\r\n", b"NOOP \0\r\n", b"NOOP \xff\r\n", b"\r\n"):
            assert (await client.ask(line)).startswith("500 5.5"), line
        assert (await client.ask("NOOP")).startswith("250")
        assert (await client.ask("EHLO")).startswith("501")
        assert (await client.ask("EHLO a b")).startswith("501")
        assert (await client.ask("GET / HTTP/1.1")).startswith("421")


async def test_sequence_is_kept(house: House) -> None:
    """MAIL before EHLO, RCPT before MAIL, DATA before RCPT, nested MAIL: 503."""
    async with house.client(greeted=False) as client:
        await client.hear()
        assert (await client.ask("MAIL FROM:<>")).startswith("503")
        assert (await client.ask("HELO client.example")).startswith("250")
        assert (await client.ask("MAIL FROM:<> SIZE=1")).startswith("501")
        assert (await client.ask("RCPT TO:<a@acme.example>")).startswith("503")
        assert (await client.ask("DATA")).startswith("503")
        assert (await client.ask("MAIL FROM:<>")).startswith("250")
        assert (await client.ask("MAIL FROM:<>")).startswith("503")
        assert (await client.ask("DATA")).startswith("503")
        assert (await client.ask("RSET")).startswith("250")
        assert (await client.ask("RCPT TO:<a@acme.example>")).startswith("503")
        assert (await client.transact(MAIL)).startswith("250")


async def test_stranger_reaches_hosted_domains_of_one_tenant(house: House) -> None:
    """No relay for strangers; a second tenant's recipient waits for the next transaction; unknown users are told."""
    async with house.client() as client:
        await client.ask("MAIL FROM:<x@remote.example>")
        assert (await client.ask("RCPT TO:<y@elsewhere.example>")) == "550 5.7.1 relaying denied"
        assert (await client.ask("RCPT TO:<nobody@shop.acme.example>")).startswith("550 5.1.1")
        assert (await client.ask("RCPT TO:<Known@Shop.acme.example>")).startswith("250")
        assert (await client.ask("RCPT TO:<postmaster@shop.acme.example>")).startswith("250")
        assert (await client.ask("RCPT TO:<a@globex.example>")).startswith("452 4.5.3")
        assert (await client.ask("RCPT TO:<anyone@acme.example>")).startswith("250")
        assert (await client.ask("MAIL FROM:<alice@acme.example> SIZE=99999999")).startswith("503")
        await client.ask("RSET")
        assert (await client.ask("MAIL FROM:<alice@acme.example> SIZE=99999999")).startswith("552 5.3.4")


async def test_connector_sends_for_its_tenant(house: House) -> None:
    """By its network: own senders or null, outbound to others (hosted ones too), internal to its own."""
    async with house.client(source="127.0.0.2") as client:
        assert (await client.ask("MAIL FROM:<x@globex.example>")).startswith("550 5.7.1")
        to = ["bob@acme.example", "y@elsewhere.example", "z@globex.example"]
        record, _ = await house.stored(await client.transact(MAIL, sender="ceo@acme.example", to=to))
        assert (await client.transact(MAIL, sender="", to=["y@elsewhere.example"])).startswith("250")
        await client.ask("MAIL FROM:<ceo@acme.example>")
        assert (await client.ask("RCPT TO:<nobody@shop.acme.example>")).startswith("550 5.1.1")
    assert [r.direction for r in record.envelope.recipients] == [
        mail_pb2.DIRECTION_INTERNAL,
        mail_pb2.DIRECTION_OUTBOUND,
        mail_pb2.DIRECTION_OUTBOUND,
    ]
    assert record.envelope.peer.connector == "exchange"


async def test_submission_needs_tls_and_auth(house: House) -> None:
    """587 takes nothing before STARTTLS and AUTH, not even from a connector's network."""
    async with house.client("submission", source="127.0.0.2") as client:
        assert (await client.ask("MAIL FROM:<ceo@acme.example>")).startswith("530 5.7.0")
        assert (await client.ask(login("exchange"))).startswith("538 5.7.11")
    async with house.client("submissions", tls=True, source="127.0.0.2") as client:
        assert (await client.ask("MAIL FROM:<ceo@acme.example>")).startswith("530 5.7.0")
        assert (await client.ask(login("exchange"))).startswith("235")
        answer = await client.transact(MAIL, sender="ceo@acme.example", to=["y@elsewhere.example"])
    record, _ = await house.stored(answer)
    assert (record.envelope.peer.connector, record.envelope.origin) == ("exchange", "submission")


async def test_person_sends_as_their_own_addresses(house: House) -> None:
    """Their address, aliases and groups; nobody else's, and not the null sender."""
    async with house.client("submissions", tls=True) as client:
        assert (await client.ask(login("alice@acme.example"))).startswith("235")
        for own in ("Alice@acme.example", "a.lice@acme.example", "sales@acme.example"):
            assert (await client.ask(f"MAIL FROM:<{own}>")).startswith("250")
            await client.ask("RSET")
        for foreign in ("", "bob@acme.example", "x@remote.example"):
            assert (await client.ask(f"MAIL FROM:<{foreign}>")).startswith("550 5.7.1")


async def test_submission_completes_the_mail(house: House) -> None:
    """Bcc goes, Date and Message-ID come, everything else stays; the hash is of what is stored."""

    def send() -> None:
        with house.smtp("submissions") as smtp:
            smtp.login("alice@acme.example", PASSWORD)
            mail = b"From: alice@acme.example\r\nBcc: x@y.example,\r\n\tz@y.example\r\nSubject: s\r\n\r\nBcc: body\r\n"
            assert smtp.sendmail("alice@acme.example", ["x@y.example"], mail) == {}

    await asyncio.to_thread(send)
    key = house.mails()[0]
    record, raw = await house.stored(f"250 2.0.0 {key.rpartition('/')[2]}")
    assert raw.endswith(b"From: alice@acme.example\r\nSubject: s\r\n\r\nBcc: body\r\n")
    parsed = email.message_from_bytes(raw)
    assert parsed["Message-ID"] == f"<{record.mail_id}@acme.example>"
    assert parsed["Date"].endswith("+0000")
    assert "Bcc" not in parsed
    assert record.envelope.size == len(raw)


async def test_large_submission_is_completed_too(house: House) -> None:
    """The header is completed before the body streams to its blob; just below the border as well."""
    async with house.client("submissions", tls=True) as client:
        await client.ask(login("alice@acme.example"))
        for size in (512 * 1024 - 30, 700_000):
            body = b"\r\n" + b"y" * size + b"\r\n"
            answer = await client.transact(
                b"Bcc: x@y.example\r\n" + body, sender="alice@acme.example", to=["x@y.example"]
            )
            record, raw = await house.stored(answer)
            assert raw.startswith(b"Date: ")
            assert raw.endswith(body)
            assert b"Bcc" not in raw
            assert record.blob


async def test_failed_logins_are_throttled_per_peer(open_house: Open) -> None:
    """After the limit the right password is not even looked at; wrong, unknown and inactive are all the same."""
    async with open_house(auth={"peer_failures": 3}) as house, house.client("submissions", tls=True) as client:
        for attempt in (
            login("alice@acme.example", "no"),
            login("nobody@acme.example"),
            login("gone@acme.example"),
        ):
            assert await client.ask(attempt) == "535 5.7.8 authentication credentials invalid"
        assert (await client.ask(login("alice@acme.example"))).startswith("454 4.7.0")


async def test_failed_logins_are_throttled_per_account(open_house: Open) -> None:
    """Many peers cannot guess at one account for ever, nor lock out where its owner has logged in before."""
    async with open_house(auth={"account_failures": 2}) as house:
        async with house.client("submissions", tls=True) as client:
            assert (await client.ask(login("alice@acme.example"))).startswith("235")
        for source in ("127.0.0.3", "127.0.0.4"):
            async with house.client("submissions", tls=True, source=source) as client:
                assert (await client.ask(login("alice@acme.example", "no"))).startswith("535")
        async with house.client("submissions", tls=True, source="127.0.0.5") as client:
            assert (await client.ask(login("ALICE@acme.example"))).startswith("454")
            assert (await client.ask(login("exchange"))).startswith("235")
        async with house.client("submissions", tls=True) as client:
            assert (await client.ask(login("alice@acme.example"))).startswith("235")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("AUTH PLAIN !!!", "501"),
        ("AUTH PLAIN " + b64encode(b"a\0b").decode(), "501"),
        ("AUTH PLAIN " + b64encode(b"other@acme.example\0alice@acme.example\0x").decode(), "535"),
        ("AUTH PLAIN " + b64encode(b"\0\xff\0x").decode(), "501"),
        ("AUTH XOAUTH2 x", "504"),
        ("AUTH", "504"),
    ],
)
async def test_bad_auth_is_answered(house: House, command: str, code: str) -> None:
    """Malformed exchanges get their codes and leave the session usable."""
    async with house.client("submissions", tls=True) as client:
        assert (await client.ask(command)).startswith(code)
        assert (await client.ask("AUTH PLAIN")) == "334 "
        assert (await client.ask("*")).startswith("501 5.7.0")
        assert (await client.ask(login("alice@acme.example"))).startswith("235")


async def test_client_certificate_names_a_connector(open_house: Open) -> None:
    """A verified certificate identifies the connector wherever it comes from."""
    async with open_house() as house:
        view = house.view[0]
        house.view[0] = dataclasses.replace(
            view,
            connectors=(dataclasses.replace(view.connectors[0], networks=(), tls_client=("mail.acme.example",)),),
        )
        async with house.client() as client:
            await client.ask("STARTTLS")
            context = conftest.client_tls()
            context.load_cert_chain(conftest._certificates["certificate"], conftest._certificates["key"])
            await client.writer.start_tls(context, server_hostname="mx.test")
            await client.ask("EHLO client.example")
            record, _ = await house.stored(
                await client.transact(MAIL, sender="a@acme.example", to=["y@elsewhere.example"])
            )
    assert record.envelope.peer.connector == "exchange"


async def test_connections_are_limited_per_peer_and_tenant(open_house: Open) -> None:
    """One too many is told 421 and closed; when one leaves, there is room again."""
    async with open_house(max_connections_per_peer=2) as house:
        async with house.client() as first, house.client():
            async with house.client(greeted=False) as third:
                assert (await third.hear()).startswith("421 4.7.0")
                assert await third.hear() == ""
            async with house.client(source="127.0.0.7"):
                pass
            await first.ask("QUIT")
            await until(lambda: house.server.sessions == 1)
            async with house.client():
                pass
        await until(lambda: house.server.sessions == 0)
        assert not house.desk.counts._counts
    async with (
        open_house(acme={"limits": {"connections": 1}}) as house,
        house.client(source="127.0.0.2"),
        house.client(source="127.0.0.2", greeted=False) as second,
    ):
        assert (await second.hear()).startswith("421")


async def test_slow_clients_do_not_slow_the_next(house: House) -> None:
    """200 clients in the middle of DATA; the 201st is served at once."""

    async def hang(client: Client) -> None:
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nDATA\r\nSubject: slow\r\n")
        for _ in range(3):
            await client.hear()

    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(house.client()) for _ in range(200)]
        await asyncio.gather(*(hang(c) for c in clients))
        client = await stack.enter_async_context(house.client())
        assert (await asyncio.wait_for(client.transact(MAIL), 2)).startswith("250")


async def test_utf8_addresses_need_smtputf8(house: House) -> None:
    """With the parameter they pass whole; without it they are refused."""
    async with house.client() as client:
        assert (await client.ask("MAIL FROM:<用戶@例子.example>")).startswith("553 5.6.7")
        assert (await client.ask("MAIL FROM:<用戶@例子.example> SMTPUTF8")).startswith("250")
        assert (await client.ask("RCPT TO:<李@acme.example>")).startswith("250")
        await client.ask("DATA")
        record, _ = await house.stored(await client.ask(MAIL + b".\r\n"))
    assert (record.envelope.sender, record.envelope.smtputf8) == ("用戶@例子.example", True)


async def test_abandoned_content_leaves_nothing(house: House) -> None:
    """A peer that goes in the middle of a large mail leaves no blob."""
    async with house.client() as client:
        await client.say(b"MAIL FROM:<>\r\nRCPT TO:<a@acme.example>\r\nDATA\r\nA: b\r\n\r\n" + b"x" * 900_000)
    await until(lambda: house.server.sessions == 0)
    assert not house.objects.objects
