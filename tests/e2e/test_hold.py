"""Held mail as people meet it: routed, claimed, read with a record, decided by levels, never expired in silence."""

from __future__ import annotations

import email
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.common.processes import free_port
from services.common.testing import eventually
from tests.e2e.conftest import Place
from tests.harness import mails, world
from tests.harness.installation import Answer, Installation
from tests.harness.sink import Sink
from tests.harness.smtp import send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIN, WU, REV, ALICE = (f"acme-{name}-0123456789abcdef" for name in ("lin", "wu", "rev", "alice"))
PATIENCE = 30


def _rule(word: str, **then: Any) -> dict[str, Any]:
    when = [{"text": {"contains": [word]}}]
    return {"id": word, "mode": "enforce", "direction": "outbound", "when": when, "then": [then]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """Three reviewers, two of them legal; rules that hold, by one level and by two, and one that delays."""
    inside, outside = await Sink().start(), await Sink().start()
    places = world.two_tenants(
        acme=inside.address, acme_out=outside.address, globex=inside.address, globex_out=f"127.0.0.1:{free_port()}"
    )
    acme = places["tenants"][0]
    acme["groups"] = {"legal": ["lin@acme.example", "wu@acme.example"]}
    acme["people"] = [
        {"address": "alice@acme.example", "roles": ["user"], "api_key": ALICE},
        *(
            {"address": f"{name}@acme.example", "roles": ["reviewer"], "api_key": key}
            for name, key in (("lin", LIN), ("wu", WU), ("rev", REV))
        ),
        {"address": "admin@acme.example", "roles": ["tenant_admin"], "api_key": world.ACME_ADMIN},
    ]
    acme["policy"] = {
        "version": 1,
        "rules": [
            _rule("held-one", hold={"reviewers": "legal"}),
            _rule("held-two", hold={"reviewers": "legal", "levels": 2}),
            _rule("held-short", hold={"reviewers": "legal", "expires": "4s", "on_expiry": "return"}),
            _rule("held-self", hold={"reviewers": "sender"}),
            _rule("later", delay={"for": "1h"}),
            _rule("soon", delay={"for": "2s"}),
        ],
    }
    settings = {
        "ARCHIVE__SWEEP_AFTER": "2s",
        "DELIVERY__RETRY_AFTER": "1s,2s,2s",
        "QUARANTINE__NOTICE_WINDOW": "500ms",
        "PORTAL__URL": "https://portal.example",
    }
    installation = Installation(tmp_path_factory.mktemp("holds"), places, processes="one", settings=settings)
    try:
        await installation.start()
        yield Place(installation, inside, outside, inside)
    finally:
        await installation.stop()
        for sink in (inside, outside):
            await sink.stop()


async def send(place: Place, word: str, to: str = "x@partner.example") -> str:
    """A mail of alice's with the word; its id."""
    content = mails.plain("alice@acme.example", to, "Offer", f"this is {word} here")
    sent = await send_async(
        *place.installation.host_port("relay"), "alice@acme.example", [to], content, source=world.ACME_PEER
    )
    assert sent.mail_id
    return str(sent.mail_id)


async def hold(place: Place, *words: str, token: str = LIN) -> Answer:
    """`letterlock hold …`."""
    return await place.installation.cli("hold", *words, "-o", "json", token=token)


async def waits(place: Place, mail_id: str, token: str = LIN) -> dict[str, Any]:
    """The hold of a mail, once it is there."""

    async def found() -> dict[str, Any]:
        answer = await hold(place, "list", token=token)
        assert answer.status == 0, answer.err
        return next((h for h in answer.json["items"] if h["mail_id"] == mail_id), {})

    item = await eventually(found, timeout=PATIENCE)
    assert isinstance(item, dict)
    return item


async def state(place: Place, mail_id: str) -> tuple[str, str]:
    """State and code of the only recipient."""
    answer = await place.installation.cli("mail", "status", mail_id, "-o", "json", token=world.ACME_ADMIN)
    if answer.status != 0:
        return "", ""
    (recipient,) = answer.json["recipients"]
    return recipient["state"], recipient["code"]


async def becomes(place: Place, mail_id: str, wanted: str) -> None:
    """Wait for the state of a mail."""

    async def is_so() -> bool:
        return (await state(place, mail_id))[0] == wanted

    await eventually(is_so, timeout=PATIENCE)


def arrived(sink: Sink, mail_id: str) -> bool:
    """Whether a mail came out."""
    return any(m.mail_id == mail_id for m in sink.mails)


async def test_group_claims_reads_and_releases_and_others_see_nothing(place: Place) -> None:
    """Two of legal cannot collide; who is not legal does not see it; content is read with an entry."""
    mail_id = await send(place, "held-one")
    item = await waits(place, mail_id)
    assert (item["rule"], item["level"], item["levels"]) == ("held-one", 1, 1)
    assert (await hold(place, "show", mail_id, token=REV)).status == 3
    assert (await hold(place, "release", mail_id, token=ALICE)).status == 3
    claimed = await hold(place, "claim", mail_id)
    assert claimed.json["claimed_by"] == "lin@acme.example"
    refused = await hold(place, "release", mail_id, token=WU)
    assert refused.status == 1
    assert "lin@acme.example has claimed it" in refused.err
    read = await place.installation.cli("hold", "show", mail_id, "--content", "--purpose", "to decide", token=LIN)
    assert read.status == 0, read.err
    assert "this is held-one here" in read.out
    assert (await hold(place, "show", mail_id, "--content", token=REV)).status == 3
    done = await hold(place, "release", mail_id, "--note", "fine")
    assert done.status == 0, done.err
    assert done.json["state"] == "released"
    await eventually(lambda: arrived(place.outside, mail_id), timeout=PATIENCE)


async def test_two_levels_are_two_people(place: Place) -> None:
    """The first cannot decide the second level; the mail leaves after the second."""
    mail_id = await send(place, "held-two")
    await waits(place, mail_id)
    first = await hold(place, "release", mail_id, "--note", "one")
    assert (first.status, first.json["state"], first.json["level"]) == (0, "held", 2)
    again = await hold(place, "release", mail_id)
    assert again.status == 1
    assert "another reviewer decides level 2" in again.err
    assert not arrived(place.outside, mail_id)
    second = await hold(place, "release", mail_id, token=WU)
    assert second.json["state"] == "released"
    await eventually(lambda: arrived(place.outside, mail_id), timeout=PATIENCE)
    shown = await hold(place, "show", mail_id)
    assert [(s["by"], s["level"]) for s in shown.json["steps"]] == [("lin@acme.example", 1), ("wu@acme.example", 2)]


async def test_return_tells_the_sender_why(place: Place) -> None:
    """The mail comes back to alice with the reviewer's words."""
    mail_id = await send(place, "held-one")
    await waits(place, mail_id)
    assert (await hold(place, "return", mail_id, "--note", "no offers by mail")).status == 0
    await becomes(place, mail_id, "returned")
    await eventually(
        lambda: any(not m.sender and b"no offers by mail" in _decoded(m.content) for m in place.inside.mails),
        timeout=PATIENCE,
    )


async def test_expiry_escalates_then_returns(place: Place) -> None:
    """Nobody decides: every reviewer is let in and told, then the mail goes back to its sender."""
    mail_id = await send(place, "held-short")
    await waits(place, mail_id)
    await waits(place, mail_id, token=REV)
    await becomes(place, mail_id, "returned")
    shown = await hold(place, "show", mail_id, token=REV)
    assert [(s["by"], s["what"]) for s in shown.json["steps"]] == [("expiry", "escalate"), ("expiry", "return")]


async def test_forward_goes_to_another(place: Place) -> None:
    """The original recipient gets nothing."""
    mail_id = await send(place, "held-one", to="original@partner.example")
    await waits(place, mail_id)
    assert (await hold(place, "forward", mail_id, "--to", "counsel@partner.example")).status == 0
    await eventually(lambda: arrived(place.outside, mail_id), timeout=PATIENCE)
    (copy,) = [m for m in place.outside.mails if m.mail_id == mail_id]
    assert list(copy.recipients) == ["counsel@partner.example"]


async def test_seal_leaves_encrypted(place: Place) -> None:
    """What a reviewer seals reaches its recipient as a ZIP, and the words of the mail do not."""
    mail_id = await send(place, "held-one", to="sealed@partner.example")
    await waits(place, mail_id)
    sealed = await hold(place, "seal", mail_id, "--note", "only so")
    assert (sealed.status, sealed.json["state"], sealed.json["target"]) == (0, "sealed", "zip/random"), sealed.err
    await eventually(lambda: arrived(place.outside, mail_id), timeout=PATIENCE)
    (copy,) = [m for m in place.outside.mails if m.mail_id == mail_id]
    assert list(copy.recipients) == ["sealed@partner.example"]
    parsed = email.message_from_bytes(copy.content)
    zips = [p for p in parsed.walk() if (p.get_filename() or "").endswith(".zip")]
    assert len(zips) == 1
    assert b"this is held-one" not in _decoded(copy.content)


async def test_sender_decides_and_cancels_own_mail(place: Place) -> None:
    """What a rule leaves to its sender, and what it delays."""
    mine, later, soon = [await send(place, word) for word in ("held-self", "later", "soon")]
    await waits(place, mine, token=ALICE)
    assert (await hold(place, "list")).json["items"] == []
    assert (await hold(place, "release", mine, token=ALICE)).status == 0
    await waits(place, later, token=ALICE)
    cancelled = await hold(place, "cancel", later, token=ALICE)
    assert cancelled.json["state"] == "cancelled", cancelled.err
    await becomes(place, later, "deleted")
    assert await state(place, later) == ("deleted", "cancelled_by_sender")
    for mail_id in (mine, soon):
        await eventually(lambda m=mail_id: arrived(place.outside, m), timeout=PATIENCE)  # type: ignore[misc]
    assert not arrived(place.outside, later)


async def test_bulk_tells_each_result(place: Place) -> None:
    """Several ids: one that is not there does not keep the others; then all of a rule."""
    ids = [await send(place, "held-one") for _ in range(3)]
    for mail_id in ids:
        await waits(place, mail_id)
    never = "01" + "A" * 24
    answer = await hold(place, "delete", ids[0], never)
    assert answer.status == 3
    assert [bool(i["error"]) for i in answer.json["items"]] == [False, True]
    rest = await hold(place, "delete", "--rule", "held-one", "--all")
    assert rest.status == 0, rest.err
    assert {i["hold_id"].partition(".")[0] for i in rest.json["items"]} == set(ids[1:])


async def test_reviewers_are_told_with_a_link(place: Place) -> None:
    """A notice of this hold to each of legal and to nobody else."""
    mail_id = await send(place, "held-one")

    def told() -> set[str]:
        link = f"https://portal.example/holds/{mail_id}.".encode()
        return {r for m in place.inside.mails if link in _decoded(m.content) for r in m.recipients}

    await eventually(lambda: len(told()) == 2, timeout=PATIENCE)
    assert told() == {"lin@acme.example", "wu@acme.example"}
    answer = await place.installation.cli("notice", "list", "-o", "json", token=world.ACME_ADMIN)
    assert answer.status == 0, answer.err
    assert any(t["name"] == "hold.notice.reviewer" for t in answer.json["templates"])


def _decoded(content: bytes) -> bytes:
    parsed = email.message_from_bytes(content)
    return b"".join(p.get_payload(decode=True) or b"" for p in parsed.walk() if p.get_content_type() == "text/plain")  # type: ignore[misc]
