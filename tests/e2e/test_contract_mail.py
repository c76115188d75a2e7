"""What becomes of mail as CONTRACT promises it: its bytes, its way, what is said of it, and processes that fail."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import Any

import pytest

from services.common.testing import eventually
from tests.e2e.town import LOOSE, Town, a_mail, accepted_id, arrived, town
from tests.harness import world
from tests.harness.dialogue import dialogue

__all__ = ["town"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


# Bytes.


@pytest.mark.parametrize("bad", [b"a\nb", b"a\rb", b"a\0b", b"a\r\r\nb", b"a\n.\nb", b"a\n.\r\nb", b"a\r.\r\nb"])
async def test_bare_cr_lf_and_nul_are_refused_and_end_nothing(town: Town, bad: bytes) -> None:
    """`550 5.5.2`, once, at the real end; what follows the false end is content, not commands."""
    async with dialogue(town.relay) as peer:
        content = a_mail() + bad + b"\r\nMAIL FROM:<smuggled@elsewhere.example>\r\n"
        assert (await peer.mail("s@elsewhere.example", ["alice@acme.example"], content)).startswith("550 5.5.2 ")
        assert await peer.ask("NOOP") == "250 2.0.0 ok"
        accepted_id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], a_mail()))


async def test_where_the_tenant_says_so_they_are_normalised_on_the_way_out(town: Town) -> None:
    """Sent on with CRLF and without NUL; inbound and outbound alike."""
    content = a_mail(to="a@loose.example") + b"one\ntwo\rthree\0four\r\n.. dot\n.\nend\r\n"
    clean = a_mail(to="a@loose.example")
    async with dialogue(town.relay) as peer:
        inbound = accepted_id(
            await peer.mail("s@elsewhere.example", ["a@loose.example"], content.replace(b"\r\n..", b"\r\n..."))
        )
    async with dialogue(town.relay, LOOSE) as peer:
        outbound = accepted_id(
            await peer.mail("a@loose.example", ["x@partner.example"], content.replace(b"\r\n..", b"\r\n..."))
        )
    for mail_id in (inbound, outbound):
        found = (await arrived(town.inside, mail_id)).original
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
        mail_id = accepted_id(await peer.mail("寄件@e.example", ["收件@acme.example"], a_mail(), "SMTPUTF8"))
    mail = await arrived(town.inside, mail_id)
    assert (mail.sender, mail.recipients) == ("寄件@e.example", ("收件@acme.example",))


async def test_only_our_trace_headers_are_prepended(town: Town) -> None:
    """What leaves begins with the promised headers and ends with what came, byte for byte."""
    content = a_mail("Exact") + b"..\r\n. \r\n" + "é機密\u3000\t \r\n\r\n\r\n".encode()
    async with dialogue(town.relay) as peer:
        mail_id = accepted_id(
            await peer.mail("s@elsewhere.example", ["alice@acme.example"], content.replace(b"\r\n.", b"\r\n.."))
        )
    mail = await arrived(town.inside, mail_id)
    assert mail.content.endswith(content)
    ours = re.sub(rb"\r\n[ \t]", b" ", mail.content[: -len(content)]).decode().splitlines()
    assert ours[0].startswith("Received: from client.test ")
    allowed = r"(Received|Authentication-Results|ARC-[A-Za-z-]+|DKIM-Signature|X-Letterlock-[A-Za-z-]+): "
    assert all(re.match(allowed, line) for line in ours), ours


# Where it goes, and what is said of it.


async def test_mx_is_looked_up_at_the_configured_servers(town: Town) -> None:
    """acme has no smarthost: the best MX gets it; a null MX gives it back."""
    async with dialogue(town.relay, world.ACME_PEER) as peer:
        sent = accepted_id(await peer.mail("alice@acme.example", ["x@partner.example"], a_mail()))
        nowhere = accepted_id(await peer.mail("alice@acme.example", ["x@nomail.example", "x@never.example"], a_mail()))
    assert (await arrived(town.internet, sent)).recipients == ("x@partner.example",)
    assert ("partner.example", "MX") in town.names.asked

    async def returned() -> bool:
        return {r["state"] for r in (await town.status(nowhere)).get("recipients", ())} == {"returned"}

    await eventually(returned, timeout=30)
    await eventually(lambda: any(not m.sender and m.recipients == ("alice@acme.example",) for m in town.inside.mails))


async def test_mail_status_has_the_promised_shape(town: Town) -> None:
    """`{"mail_id", "tenant", "direction", "recipients": [{"address", "state", "detail"}], "events"}`, no content."""
    async with dialogue(town.relay) as peer:
        mail_id = accepted_id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], a_mail("Nonce7391")))

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
        mail_id = accepted_id(await peer.mail("alice@acme.example", ["secretname@dark.example"], a_mail()))

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
            mail_id = accepted_id(await peer.mail("s@elsewhere.example", ["alice@acme.example"], a_mail()))
        await _ready_is(town, 503)
        assert all(m.mail_id != mail_id for m in town.inside.mails)
    finally:
        os.kill(policy, signal.SIGCONT)
    await arrived(town.inside, mail_id)
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
