"""The mail path as a black box: what CONTRACT.md promises, seen from outside."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from services.common.processes import alive
from services.common.testing import eventually
from tests.demo.__main__ import demo_mails, fates
from tests.e2e.conftest import Place
from tests.harness import mails, world
from tests.harness.smtp import send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_ready_line_names_addresses_and_living_processes(place: Place) -> None:
    """The ready line has what CONTRACT lists, and every pid lives."""
    ready = place.installation.ready
    assert ready["event"] == "ready"
    assert {"relay", "submission", "submissions", "api", "metrics", "data", "pids"} <= ready.keys()
    assert {
        "ingress",
        "policy",
        "delivery",
        "archive",
        "encryption",
        "quarantine",
        "audit",
        "admin",
        "nats",
        "index",
    } <= ready["pids"].keys()
    assert all(alive(pid) for pid in ready["pids"].values())


async def test_health_and_metrics_speak_for_the_whole(place: Place) -> None:
    """/readyz is 200 and /metrics has every service."""
    base = f"http://{place.installation.ready['metrics']}"
    with urllib.request.urlopen(f"{base}/readyz") as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{base}/metrics") as answer:
        page = answer.read().decode()
    for service in ("ingress", "policy", "delivery", "archive"):
        assert f'letterlock_up{{service="{service}"}} 1.0' in page


async def test_the_demos_dozen_meet_their_fates(place: Place) -> None:
    """Each of the demo's mails ends as its text promises."""
    for mail in demo_mails():
        where = place.installation.host_port("submission" if mail.login else "relay")
        sent = await send_async(
            *where, mail.sender, mail.recipients, mail.content, source=mail.source, login=mail.login
        )
        for recipient, state, detail in await fates(place.installation, mail, sent):
            assert state == mail.expect, f"{mail.what}: {recipient} is {state}: {detail}"
    await eventually(lambda: any(not m.sender for m in place.inside.mails), timeout=20)


async def test_what_is_delivered_is_byte_for_byte_what_came(place: Place) -> None:
    """After our trace headers comes the mail as sent, and no BCC recipient is named in it."""
    content = mails.plain("alice@acme.example", "a@partner.example", "Exact", "one  two\n..three\n\n")
    sent = await send_async(
        *place.installation.host_port("relay"), "alice@acme.example", ["a@partner.example", "hidden@partner.example"],
        content, source=world.ACME_PEER,
    )  # fmt: skip
    assert sent.mail_id
    copies = await eventually(lambda: [m for m in place.outside.mails if m.mail_id == sent.mail_id])
    assert all(m.original == content for m in copies)  # type: ignore[attr-defined]
    assert all(b"hidden@" not in m.content for m in copies)  # type: ignore[attr-defined]


async def test_a_held_mail_is_released_by_its_reviewer_only(place: Place) -> None:
    """The reviewer sees and releases the hold; globex's admin sees nothing of it."""
    content = mails.plain("alice@acme.example", "h@partner.example", "Card", "card 4111-1111-1111-1111")
    sent = await send_async(
        *place.installation.host_port("relay"),
        "alice@acme.example",
        ["h@partner.example"],
        content,
        source=world.ACME_PEER,
    )
    assert sent.mail_id

    async def held() -> str:
        answer = await place.installation.cli("hold", "list", "-o", "json", token=world.ACME_REVIEWER)
        assert answer.status == 0, answer.err
        return next((h["hold_id"] for h in answer.json["items"] if h["mail_id"] == sent.mail_id), "")

    hold = str(await eventually(held, timeout=30))
    other = await place.installation.cli("hold", "release", hold, token=world.GLOBEX_ADMIN)
    assert other.status in (3, 4)
    assert other.out == ""
    done = await place.installation.cli("hold", "release", hold, "--note", "checked", token=world.ACME_REVIEWER)
    assert done.status == 0, done.err
    await eventually(lambda: [m for m in place.outside.mails if m.mail_id == sent.mail_id], timeout=30)


async def test_another_tenants_mail_does_not_exist(place: Place) -> None:
    """`mail status` of acme's mail by globex's admin is exit 3, the same as for an id that never was."""
    sent = await send_async(
        *place.installation.host_port("relay"), "s@elsewhere.example", ["alice@acme.example"],
        mails.plain("s@elsewhere.example", "alice@acme.example", "Mine", "nonce-acme-4711"),
    )  # fmt: skip

    async def known() -> bool:
        return (await place.installation.cli("mail", "status", sent.mail_id, token=world.ACME_ADMIN)).status == 0

    await eventually(known, timeout=30)
    theirs = await place.installation.cli("mail", "status", sent.mail_id, token=world.GLOBEX_ADMIN)
    never = await place.installation.cli("mail", "status", "01" + "A" * 24, token=world.GLOBEX_ADMIN)
    assert theirs.status == never.status == 3
    assert theirs.err.replace(sent.mail_id, "ID") == never.err.replace("01" + "A" * 24, "ID")


async def test_no_content_address_or_subject_leaks_into_stores_bus_index_or_logs(place: Place) -> None:
    """A nonce in subject, body and address of a delivered mail is found nowhere on disk in clear."""
    nonce = "xyzzy1nonce9"
    address = f"{nonce}@acme.example"
    content = mails.plain(f"{nonce}@elsewhere.example", address, f"subject {nonce}", f"body {nonce}")
    sent = await send_async(*place.installation.host_port("relay"), f"{nonce}@elsewhere.example", [address], content)
    assert sent.mail_id
    await eventually(lambda: [m for m in place.inside.mails if m.mail_id == sent.mail_id])
    found = [
        str(file.relative_to(place.installation.data))
        for file in place.installation.data.rglob("*")
        if file.is_file() and nonce.encode() in file.read_bytes()
    ]
    assert found == []
    with urllib.request.urlopen(f"http://{place.installation.ready['metrics']}/metrics") as answer:
        assert nonce not in answer.read().decode()
    command = Path(f"/proc/{place.installation.pids()['index']}/cmdline").read_bytes().split(b"\0")
    index = command[command.index(b"-addr") + 1].decode()

    async def indexed() -> str:
        with urllib.request.urlopen(f"http://{index}/_all/_search?size=1000") as answer:
            page: str = answer.read().decode()
            return page if sent.mail_id in page else ""

    documents = str(await eventually(indexed, timeout=30))
    assert nonce not in documents
    assert "@" not in documents
    assert "example" not in documents


async def test_applying_the_world_twice_changes_nothing(place: Place) -> None:
    """A second apply has an empty diff."""
    file = place.installation.data / "world.yaml"
    answer = await place.installation.cli("apply", "-f", str(file), "--dry-run", "-o", "json", token=world.OPERATOR)
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["items"] == []
