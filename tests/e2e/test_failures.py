"""What an installation does while a part of it, or around it, fails; and that it goes on by itself afterwards."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import random
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from services.common.processes import free_port
from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.api import archive
from tests.harness.disk import Disk, allow_writing, forbid_writing
from tests.harness.installation import Installation
from tests.harness.sink import Sink
from tests.harness.smtp import Sent, send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
LONG = 90.0
"""Seconds until a condition counts as never met; a healthy run meets each within a few."""
SLOW_CLIENTS = 200
DELIVERY_SLOTS = 8
DEAD_MAILS = 3 * DELIVERY_SLOTS
LAST_WAIT = 600
"""Seconds: the last step of the retry schedule here; nobody waits for it."""


@dataclass
class Place:
    """An installation, its disk and its next hops. `mute` is globex's way out: it connects, and says nothing."""

    installation: Installation
    disk: Disk
    inside: Sink
    outside: Sink
    globex: Sink
    mute: socket.socket

    async def inbound(self, nonce: str, *, to: str = "alice@acme.example", size: int = 500) -> Sent:
        """A mail from a stranger."""
        sender = "s@elsewhere.example"
        return await self._send(sender, to, mails.sized(sender, to, nonce, size), world.STRANGER)

    async def outbound(self, nonce: str, sender: str, to: str, text: str = "hello") -> Sent:
        """A mail from a tenant's connector."""
        source = world.ACME_PEER if sender.endswith("@acme.example") else world.GLOBEX_PEER
        return await self._send(sender, to, mails.plain(sender, to, f"mail {nonce}", text), source)

    async def _send(self, sender: str, to: str, content: bytes, source: str) -> Sent:
        where = self.installation.host_port("relay")
        return await send_async(*where, sender, [to], content, source=source, timeout=LONG)

    async def accepted_again(self, nonce: str) -> Sent:
        """The first mail that is accepted, and has arrived, after a failure is over."""

        async def sent() -> Sent | None:
            answer = await self.inbound(nonce)
            return answer if answer.mail_id else None

        found = cast(Sent, await eventually(sent, timeout=LONG))
        await arrived(self.inside, found.mail_id)
        return found

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop a process without ending it: it answers nothing and closes nothing."""
        pid = self.installation.pids()[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


async def arrived(sink: Sink, *mail_ids: str) -> None:
    """Return when each of the mails is at the sink."""
    await eventually(lambda: set(mail_ids) <= {m.mail_id for m in sink.mails}, timeout=LONG)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Both tenants; every service its own process; the object store on a disk of its own."""
    inside, outside, globex = await Sink().start(), await Sink().start(), await Sink().start()
    mute = socket.create_server(("127.0.0.1", 0), backlog=64)
    host, port = mute.getsockname()
    places = world.two_tenants(
        acme=inside.address, acme_out=outside.address, globex=globex.address, globex_out=f"{host}:{port}"
    )
    data: Path = tmp_path_factory.mktemp("failures")
    settings = {
        "ARCHIVE__SWEEP_AFTER": "2s",
        "DELIVERY__RETRY_AFTER": f"1s,1s,1s,{LAST_WAIT}s",
        "DELIVERY__CONCURRENCY": str(DELIVERY_SLOTS),
        # A slow machine is no failure that is meant here.
        "POLICY__DECIDE_TIMEOUT": "60s",
        "INGRESS__RATE_GRACE": "10m",
    }
    disk = Disk(data / "objects").attach()
    installation = Installation(data, places, settings=settings)
    try:
        await installation.start()
        yield Place(installation, disk, inside, outside, globex, mute)
    finally:
        await installation.stop()
        disk.detach()
        mute.close()
        for sink in (inside, outside, globex):
            await sink.stop()


async def test_50_mib_mail_costs_ingress_less_than_30_mib(place: Place) -> None:
    """The high-water mark of ingress's memory hardly moves: content goes to the store as it arrives."""
    await place.accepted_again("warm")
    pid = place.installation.pids()["ingress"]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the mark starts again from what is in use now
    idle = _peak_kib(pid)
    film = random.Random(50).randbytes(50 * MIB * 3 // 4 * 76 // 78 - 4096)  # as base64 in lines, 50 MiB
    content = mails.with_attachment("s@elsewhere.example", "alice@acme.example", "Film", "See.", "film.bin", film)
    assert 49.9 * MIB < len(content) <= 50 * MIB
    sent = await place._send("s@elsewhere.example", "alice@acme.example", content, world.STRANGER)
    assert sent.mail_id, sent
    grown = (_peak_kib(pid) - idle) / 1024
    print(f"\ningress: idle {idle / 1024:.0f} MiB, a mail of {len(content) / MIB:.1f} MiB costs {grown:.1f} MiB")
    assert grown < 30
    await arrived(place.inside, sent.mail_id)
    assert next(m for m in place.inside.mails if m.mail_id == sent.mail_id).original == content


def _peak_kib(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


async def test_slow_clients_do_not_keep_the_next_one_waiting(place: Place) -> None:
    """200 clients are in the middle of DATA, sending a byte at a time; one more is served, then each of them."""
    connections = await asyncio.gather(*(_in_data(place, number) for number in range(SLOW_CLIENTS)))

    async def dribble() -> None:
        while True:
            for _, writer in connections:
                writer.write(b"x")
            await asyncio.sleep(0.2)

    dribbling = asyncio.create_task(dribble())
    try:
        sent = await place.inbound("quick")
        assert sent.mail_id
        await arrived(place.inside, sent.mail_id)
        assert not any(reader._buffer or reader.at_eof() for reader, _ in connections)  # type: ignore[attr-defined]
        dribbling.cancel()
        for reader, writer in connections:
            writer.write(b"\r\n.\r\n")
            assert (await asyncio.wait_for(reader.readline(), LONG)).startswith(b"250 ")
    finally:
        dribbling.cancel()
        for _, writer in connections:
            writer.close()


async def _in_data(place: Place, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has been told 354 and has sent a header."""
    source = f"127.0.1.{number + 1}"
    reader, writer = await asyncio.open_connection(*place.installation.host_port("relay"), local_addr=(source, 0))
    await reader.readline()
    for command in (b"HELO slow.test", b"MAIL FROM:<s@elsewhere.example>", b"RCPT TO:<bob@acme.example>", b"DATA"):
        writer.write(command + b"\r\n")
        line = await asyncio.wait_for(reader.readline(), LONG)
        assert line[:1] in b"23", line
    writer.write(b"Subject: slow\r\n\r\n")
    return reader, writer


async def test_policy_changes_are_whole_or_nothing_and_in_force_at_once(place: Place, tmp_path: Path) -> None:
    """A bad document is refused with line and reason and changes nothing; a good one acts on the next mails."""
    cli, rule = place.installation.cli, tmp_path / "policy.yaml"
    before = (await cli("policy", "get", "-o", "json", token=world.ACME_ADMIN)).json
    rule.write_text("version: 1\nrules:\n  - id: one\n    mode: enforce\n    wehn: []\n    then: [{pass: {}}]\n")
    bad = await cli("policy", "apply", "-f", str(rule), token=world.ACME_ADMIN)
    assert bad.status in (1, 2)
    assert re.fullmatch(r"error: .*line 5.*wehn.*\n", bad.err), bad.err
    assert (await cli("policy", "get", "-o", "json", token=world.ACME_ADMIN)).json == before
    secret = ("alice@acme.example", "r@partner.example", "a trade secret")
    assert (await place.outbound("old-rule", *secret)).code == 550

    rule.write_text(_RULE)
    good = await cli("policy", "apply", "-f", str(rule), "--note", "spring", "-o", "json", token=world.ACME_ADMIN)
    assert good.status == 0, good.err
    since = asyncio.get_running_loop().time()
    word = ("alice@acme.example", "r@partner.example", "the zebra sleeps")

    async def refused() -> bool:
        answer = await place.outbound("new-rule", *word)
        return answer.code == 550 and "no zebras" in answer.text

    await eventually(refused, timeout=LONG)
    print(f"\na new policy was in force after {asyncio.get_running_loop().time() - since:.2f} s")
    assert (await place.outbound("old-rule-gone", *secret)).mail_id

    history = (await cli("policy", "history", "-o", "json", token=world.ACME_ADMIN)).json["items"]
    assert history[0]["note"] == "spring"
    assert len(history) == 2
    trace = tmp_path / "zebra.eml"
    trace.write_bytes(mails.plain(*word[:2], "Zoo", word[2]))
    told = await cli("policy", "trace", "--eml", str(trace), "-o", "json", token=world.ACME_ADMIN)
    assert told.status == 0, told.err
    assert [(leg["disposition"], leg["rule"]) for leg in told.json["decision"]["legs"]] == [("refuse", "zebras")]

    back = await cli("policy", "rollback", str(history[1]["number"]), token=world.ACME_ADMIN)
    assert back.status == 0, back.err

    async def old_rules() -> bool:
        return (await place.outbound("rolled-back", *secret)).code == 550

    await eventually(old_rules, timeout=LONG)
    assert len((await cli("policy", "history", "-o", "json", token=world.ACME_ADMIN)).json["items"]) == 3


_RULE = """version: 1
rules:
  - id: zebras
    mode: enforce
    direction: outbound
    when:
      - {text: {contains: [zebra]}}
    then:
      - {refuse: {text: no zebras}}
"""


@pytest.mark.parametrize("failure", ["full", "read_only", "full_logs_too"])
async def test_store_that_takes_nothing_means_451_until_it_does(place: Place, failure: str) -> None:
    """Small and streamed mails are deferred; with room again mail flows, in the same processes."""
    disk, installation = place.disk, place.installation
    pids = place.installation.pids()
    before = await place.inbound(f"{failure}-before")
    kept = [before.mail_id]
    try:

        async def deferred() -> bool:
            match failure:
                case "full":
                    await disk.fill(installation)
                case "read_only":
                    await disk.lock(installation)
                case _:
                    forbid_writing(installation)
            small = await place.inbound(f"{failure}-small")
            large = await place.inbound(f"{failure}-large", size=MIB)
            # Until nobody is in the middle of a write there may still be a little room.
            kept.extend(s.mail_id for s in (small, large) if s.mail_id)
            assert {small.code, large.code} <= {250, 451}
            return small.code == large.code == 451 and small.text == large.text and "4.3.0" in small.text

        await eventually(deferred, timeout=LONG)
    finally:
        allow_writing(installation)
        await disk.recover(installation)
    kept.append((await place.accepted_again(f"{failure}-after")).mail_id)
    await arrived(place.inside, *kept)
    await _final(place, *kept)
    assert place.installation.pids() == pids


async def test_broker_away_means_451_then_goes_on_and_nothing_is_lost(place: Place) -> None:
    """While the broker answers nothing no mail is accepted; what was accepted around it arrives once it answers."""
    pids = place.installation.pids()
    around = [asyncio.create_task(place.inbound(f"around-{number}")) for number in range(12)]
    await asyncio.wait(around, return_when=asyncio.FIRST_COMPLETED)
    with place.stopped("nats"):
        away = await asyncio.gather(*(place.inbound(f"away-{number}") for number in range(3)))
        assert {s.code for s in away} == {451}
        answers = await asyncio.gather(*around)
        assert {s.code for s in answers} <= {250, 451}
    accepted = [s.mail_id for s in answers if s.mail_id]
    assert accepted
    accepted.append((await place.accepted_again("broker-back")).mail_id)
    await arrived(place.inside, *accepted)
    await _final(place, *accepted)
    assert place.installation.pids() == pids


async def _final(place: Place, *mail_ids: str) -> None:
    """Return when the records say that each mail was delivered."""
    async with archive(place.installation, world.ACME_ADMIN) as api:
        for mail_id in mail_ids:

            async def delivered(mail_id: str = mail_id) -> bool:
                status = await api.status(mail_id)
                return status is not None and status.final and {r.state for r in status.recipients} == {"delivered"}

            await eventually(delivered, timeout=LONG)


async def test_index_away_delays_only_the_index(place: Place) -> None:
    """Mail is accepted, delivered and recorded; coverage counts it as not found until the index has caught up."""
    with place.stopped("index"):
        sent = await asyncio.gather(*(place.inbound(f"unindexed-{number}") for number in range(5)))
        ids = [s.mail_id for s in sent]
        assert all(ids)
        await arrived(place.inside, *ids)
        await _final(place, *ids)
        between = await place.installation.cli("archive", "coverage", "-o", "json", token=world.ACME_ADMIN)
        assert between.status == 0, between.err
        assert between.json["indexed"] + len(ids) <= between.json["in_scope"]
        assert between.json["tenants"][0]["reasons"]

    async with archive(place.installation, world.ACME_ADMIN) as api:

        async def indexed() -> bool:
            coverage = await api.coverage()
            return coverage is not None and coverage.indexed == coverage.in_scope and not coverage.segments_behind

        await eventually(indexed, timeout=LONG)


async def test_next_hop_away_is_tried_on_schedule_and_on_the_operators_word(place: Place) -> None:
    """Attempts follow the schedule; `queue` shows domains and no address; retry delivers, fail tells the sender."""
    await place.outside.stop()
    wanted = await place.outbound("wanted", "alice@acme.example", "waiting.person@partner.example")
    unwanted = await place.outbound("unwanted", "alice@acme.example", "other.person@lost.example")
    assert wanted.mail_id
    assert unwanted.mail_id

    async def last_step() -> bool:
        now = datetime.now(UTC)
        items = {i["mail_id"]: i for i in await _queue(place)}
        return all(
            mail_id in items
            and items[mail_id]["destinations"][0]["attempts"] == 4
            and datetime.fromisoformat(items[mail_id]["next_attempt_at"]).timestamp() > now.timestamp() + LAST_WAIT / 2
            for mail_id in (wanted.mail_id, unwanted.mail_id)
        )

    await eventually(last_step, timeout=LONG)
    await _shows_no_address(place)
    refused = await place.installation.cli("queue", "list", token=world.ACME_ADMIN)
    assert refused.status == 4

    failed = await place.installation.cli(
        "queue", "fail", unwanted.mail_id, "--note", "no such host", token=world.OPERATOR
    )
    assert failed.status == 0, failed.err
    report = await _report(place.inside, "other.person@lost.example")
    assert report["action"] == "failed"

    await place.outside.start()
    retried = await place.installation.cli("queue", "retry", "--domain", "partner.example", token=world.OPERATOR)
    assert retried.status == 0, retried.err
    await arrived(place.outside, wanted.mail_id)

    async def empty() -> bool:
        return not {wanted.mail_id, unwanted.mail_id} & {i["mail_id"] for i in await _queue(place)}

    await eventually(empty, timeout=LONG)
    again = await place.installation.cli("queue", "fail", unwanted.mail_id, token=world.OPERATOR)
    assert again.status == 3
    async with archive(place.installation, world.ACME_ADMIN) as api:

        async def returned() -> bool:
            status = await api.status(unwanted.mail_id)
            return status is not None and status.final and status.recipients[0].state == "returned"

        await eventually(returned, timeout=LONG)


async def _queue(place: Place) -> list[dict[str, Any]]:
    answer = await place.installation.cli("queue", "list", "-o", "json", token=world.OPERATOR)
    assert answer.status == 0, answer.err
    return list(answer.json["items"])


async def _shows_no_address(place: Place) -> None:
    for form in ("table", "json", "yaml"):
        shown = await place.installation.cli("queue", "list", "-o", form, token=world.OPERATOR)
        assert "partner.example" in shown.out
        assert not re.search(r"@|person|alice", shown.out), shown.out


async def _report(sink: Sink, recipient: str) -> dict[str, str]:
    """The fields of the DSN (RFC 3464) about a recipient, once it has arrived; checks its form."""

    def find() -> dict[str, str] | None:
        for received in sink.mails:
            if received.sender == "":
                fields = _delivery_status(received.original)
                if fields.get("final-recipient", "").endswith(f"; {recipient}"):
                    return fields
        return None

    return cast("dict[str, str]", await eventually(find, timeout=LONG))


def _delivery_status(content: bytes) -> dict[str, str]:
    message = cast(EmailMessage, email.message_from_bytes(content, policy=email.policy.default))
    if message.get_content_type() != "multipart/report":
        return {}
    assert message.get_param("report-type") == "delivery-status"
    parts = list(message.iter_parts())
    kinds = [p.get_content_type() for p in parts]
    assert kinds[:2] == ["text/plain", "message/delivery-status"]
    assert kinds[2] in ("text/rfc822-headers", "message/rfc822")
    about, recipient = cast("list[EmailMessage]", parts[1].get_payload())
    assert about["Reporting-MTA"]
    return {"to": str(message["To"])} | {name.lower(): str(value) for name, value in recipient.items()}


async def test_destination_that_says_nothing_does_not_delay_another(place: Place) -> None:
    """Three times as many mails as delivery handles at once wait for a mute host; the live one gets its own first."""
    dead = [await place.outbound(f"dead-{n}", "carol@globex.example", f"u{n}@mute.example") for n in range(DEAD_MAILS)]
    live = [await place.inbound(f"live-{n}", to="carol@globex.example") for n in range(DELIVERY_SLOTS)]
    assert all(s.mail_id for s in (*dead, *live))
    await arrived(place.globex, *(s.mail_id for s in live))  # the mute host has answered nobody yet
    late = await Sink(listener=place.mute).start()
    try:
        await arrived(late, *(s.mail_id for s in dead))
    finally:
        await late.stop()


async def test_expiry_is_told_to_our_own_senders_only(tmp_path: Path) -> None:
    """Given up after some attempts: an RFC 3464 report for the tenant's sender; none for a stranger or for `<>`."""
    inside = await Sink().start()
    nobody = f"127.0.0.1:{free_port()}"
    places = world.two_tenants(acme=inside.address, acme_out=nobody, globex=nobody, globex_out=nobody)
    settings = {"DELIVERY__RETRY_AFTER": "1s", "DELIVERY__GIVE_UP_AFTER": "5s"}
    installation = Installation(tmp_path / "data", places, processes="one", settings=settings)
    try:
        relay = (await installation.start()).host_port("relay")

        async def send(sender: str, to: str, source: str) -> str:
            sent = await send_async(*relay, sender, [to], mails.plain(sender, to, "Late", "?"), source=source)
            assert sent.mail_id
            return sent.mail_id

        ours = await send("alice@acme.example", "gone@partner.example", world.ACME_PEER)
        null = await send("", "null@partner.example", world.ACME_PEER)
        stranger = await send("s@elsewhere.example", "carol@globex.example", world.STRANGER)

        report = await _report(inside, "gone@partner.example")
        assert (report["action"], report["status"][:2]) == ("failed", "4.")
        assert report["to"].strip("<>") == "alice@acme.example"
        for mail_id, token in ((ours, world.ACME_ADMIN), (null, world.ACME_ADMIN), (stranger, world.GLOBEX_ADMIN)):
            async with archive(installation, token) as api:

                async def returned(mail_id: str = mail_id, api: Any = api) -> bool:
                    status = await api.status(mail_id)
                    return status is not None and status.final and status.recipients[0].state == "returned"

                await eventually(returned, timeout=LONG)
                events = [e.event for e in (await api.status(mail_id)).events]
                assert "deferred" in events
        stored = [f.name for f in (tmp_path / "data" / "objects").glob("*/mail/*/*/*/*")]
        assert len(stored) == 4, "three mails, one report"
        assert await installation.stop() == 0
    finally:
        await installation.stop()
        await inside.stop()
