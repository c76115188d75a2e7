"""Sealed mail as people meet it: the recipient opens it with what the sender was told, and nobody else was told."""

from __future__ import annotations

import email
import email.policy
import io
import shutil
import subprocess
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import pyzipper

from services.common.processes import free_port
from services.common.testing import eventually
from tests.e2e.conftest import Place
from tests.harness import world
from tests.harness.installation import Installation
from tests.harness.sink import Received, Sink
from tests.harness.smtp import send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE, LIN = "acme-alice-0123456789abcdef", "acme-lin-0123456789abcdef"
SEVEN = shutil.which("7zz") or shutil.which("7z")
NONCE = "xk93-eagle-4471"
PATIENCE = 45


def _rule(word: str, *then: dict[str, Any]) -> dict[str, Any]:
    when = [{"text": {"contains": [word]}}]
    return {"id": word, "mode": "enforce", "direction": "outbound", "when": when, "then": list(then)}


async def _start(folder: Path, processes: str) -> Place:
    """Rules that seal at once, seal after a hold, and seal with the agreed password."""
    inside, outside = await Sink().start(), await Sink().start()
    places = world.two_tenants(
        acme=inside.address, acme_out=outside.address, globex=inside.address, globex_out=f"127.0.0.1:{free_port()}"
    )
    acme = places["tenants"][0]
    acme["groups"] = {"legal": ["lin@acme.example"]}
    acme["people"] = [
        {"address": "alice@acme.example", "roles": ["user"], "api_key": ALICE},
        {"address": "lin@acme.example", "roles": ["reviewer"], "api_key": LIN},
        {"address": "admin@acme.example", "roles": ["tenant_admin"], "api_key": world.ACME_ADMIN},
    ]
    acme["policy"] = {
        "version": 1,
        "rules": [
            _rule("sealed-now", {"seal": {"format": "zip", "password": "random"}}),
            _rule("sealed-later", {"seal": {"password": "random"}}, {"hold": {"reviewers": "legal"}}),
            _rule("sealed-agreed", {"seal": {"password": "agreed"}}),
        ],
    }
    settings = {"ARCHIVE__SWEEP_AFTER": "2s", "DELIVERY__RETRY_AFTER": "1s,2s,2s"}
    installation = Installation(folder, places, processes=processes, settings=settings)
    await installation.start()
    return Place(installation, inside, outside, inside)


async def _stop(place: Place) -> None:
    try:
        await place.installation.stop()
    finally:
        for sink in (place.inside, place.outside):
            await sink.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """An installation in one process."""
    place = await _start(tmp_path_factory.mktemp("seal"), "one")
    yield place
    await _stop(place)


async def send(place: Place, word: str) -> str:
    """A mail of alice's with the word, a secret, and an attachment whose name says too much; its id."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "alice@acme.example", "bob@partner.example", "Offer"
    message.set_content(f"{word} {NONCE}")
    message.add_attachment(f"id,{NONCE}", subtype="csv", filename="takeover.csv")
    sent = await send_async(
        *place.installation.host_port("relay"), "alice@acme.example", ["bob@partner.example"], message.as_bytes(),
        source=world.ACME_PEER,
    )  # fmt: skip
    assert sent.mail_id
    return sent.mail_id


async def arrived(place: Place, mail_id: str) -> Received:
    """What the recipient got."""
    found = await eventually(lambda: [m for m in place.outside.mails if m.mail_id == mail_id], timeout=PATIENCE)
    return found[0]  # type: ignore[index, no-any-return]


def archive(received: Received, folder: Path) -> Path:
    """The sealed attachment as a file; nothing of the mail is in clear around it."""
    for secret in (NONCE, "takeover"):
        assert secret.encode() not in received.content
    opened = email.message_from_bytes(received.content, policy=email.policy.default)
    attachment = next(p for p in opened.iter_attachments())  # type: ignore[attr-defined]
    path = folder / "sealed.zip"
    path.write_bytes(attachment.get_content())
    assert NONCE.encode() not in path.read_bytes()
    assert b"takeover" not in path.read_bytes()
    return path


def seven(path: Path, password: str, folder: Path) -> bool:
    """Whether 7-Zip opens it with the password."""
    assert SEVEN is not None
    out = subprocess.run([SEVEN, "x", "-y", f"-p{password}", f"-o{folder}", str(path)], capture_output=True)
    return out.returncode == 0


def notices(place: Place, mail_id: str) -> list[Received]:
    """What told somebody the password of a mail."""
    found = []
    for sink in {id(s): s for s in (place.inside, place.outside)}.values():
        for mail in sink.mails:
            message = email.message_from_bytes(mail.content, policy=email.policy.default)
            body = message.get_body(("plain",))  # type: ignore[attr-defined]
            if body is not None and mail_id in body.get_content() and "Password:" in body.get_content():
                found.append(mail)
    return found


async def told(place: Place, mail_id: str) -> tuple[Received, str]:
    """The notice of a mail, and the password in it."""
    found = await eventually(lambda: notices(place, mail_id), timeout=PATIENCE)
    notice: Received = found[0]  # type: ignore[index]
    message = email.message_from_bytes(notice.content, policy=email.policy.default)
    text = message.get_body(("plain",)).get_content()  # type: ignore[attr-defined, union-attr]
    return notice, next(line.split()[-1] for line in text.splitlines() if line.startswith("Password:"))


async def states(place: Place, mail_id: str) -> list[str]:
    """The states a recipient of a mail went through."""
    answer = await place.installation.cli("mail", "status", mail_id, "-o", "json", token=ALICE)
    return [e["event"] for e in answer.json["events"]] if answer.status == 0 else []


@pytest.mark.skipif(SEVEN is None, reason="no 7-Zip here")
async def test_7zip_opens_what_arrives_with_what_the_sender_was_told(place: Place, tmp_path: Path) -> None:
    """The whole promise: sealed for the recipient, told to the sender alone, recorded when looked up."""
    mail_id = await send(place, "sealed-now")
    path = archive(await arrived(place, mail_id), tmp_path)
    notice, password = await told(place, mail_id)
    assert list(notice.recipients) == ["alice@acme.example"]
    assert not seven(path, "wrong", tmp_path / "wrong")
    assert seven(path, password, tmp_path / "out")
    inside = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    assert NONCE.encode() in inside["1.txt"]
    assert NONCE.encode() in inside["2.csv"]
    assert b"takeover.csv" in inside["index.html"]
    assert len(notices(place, mail_id)) == 1
    assert all(password.encode() not in m.content for m in place.outside.mails)

    async def both() -> bool:
        seen = await states(place, mail_id)
        return "sealed" in seen and "delivered" in seen

    await eventually(both, timeout=PATIENCE)

    got = await place.installation.cli("password", "get", mail_id, "-o", "json", token=ALICE)
    assert got.status == 0, got.err
    assert [i["password"] for i in got.json["items"]] == [password]
    for other in (LIN, world.ACME_ADMIN, world.GLOBEX_ADMIN):
        assert (await place.installation.cli("password", "get", mail_id, token=other)).status in (3, 4)
    assert (await place.installation.cli("password", "get", mail_id, token=world.OPERATOR)).status == 4
    listed = await place.installation.cli("password", "list", "-o", "json", token=ALICE)
    assert mail_id in [i["mail_id"] for i in listed.json["items"]]
    assert password not in listed.out


async def test_the_password_is_nowhere_in_the_data_directory(place: Place) -> None:
    """Not in a stream, an object, the index or a log, once the notice is delivered."""
    mail_id = await send(place, "sealed-now")
    _, password = await told(place, mail_id)
    secret = place.installation.data / "objects"

    def gone() -> bool:
        return not [p for p in secret.glob("*/secret/*") if p.is_file()]

    await eventually(gone, timeout=PATIENCE)
    needle = password.encode()
    holders = [
        p for p in place.installation.data.rglob("*") if p.is_file() and not p.is_symlink() and needle in p.read_bytes()
    ]
    assert holders == []


@pytest.mark.skipif(SEVEN is None, reason="no 7-Zip here")
async def test_what_a_rule_sealed_is_released_sealed(place: Place, tmp_path: Path) -> None:
    """Held, then released by its reviewer: it leaves sealed."""
    mail_id = await send(place, "sealed-later")

    async def held() -> bool:
        answer = await place.installation.cli("hold", "list", "-o", "json", token=LIN)
        return answer.status == 0 and mail_id in answer.out

    await eventually(held, timeout=PATIENCE)
    assert notices(place, mail_id) == []
    released = await place.installation.cli("hold", "release", mail_id, token=LIN)
    assert released.status == 0, released.err
    path = archive(await arrived(place, mail_id), tmp_path)
    _, password = await told(place, mail_id)
    assert seven(path, password, tmp_path / "out")


@pytest.mark.skipif(SEVEN is None, reason="no 7-Zip here")
async def test_an_agreed_password_opens_it_and_nobody_is_told(place: Place, tmp_path: Path) -> None:
    """Set by the tenant's admin, never by the operator."""
    file = tmp_path / "password"
    file.write_text("what-we-agreed-on\n")
    arguments = ("password", "set", "partner.example", "--password-file", str(file))
    assert (await place.installation.cli(*arguments, token=world.OPERATOR, tenant="acme")).status == 4
    assert (await place.installation.cli(*arguments, token=ALICE)).status == 4
    made = await place.installation.cli(*arguments, "-o", "json", token=world.ACME_ADMIN)
    assert made.status == 0, made.err
    mail_id = await send(place, "sealed-agreed")
    path = archive(await arrived(place, mail_id), tmp_path)
    assert seven(path, "what-we-agreed-on", tmp_path / "out")
    assert notices(place, mail_id) == []


async def test_a_sealer_that_is_killed_again_and_again_loses_and_tells_nothing_twice(tmp_path: Path) -> None:
    """SIGKILL while it seals: every mail arrives sealed, and opens with the one password that its sender was told."""
    place = await _start(tmp_path / "many", "many")
    try:
        sent = []
        for round in range(3):
            sent += [await send(place, "sealed-now") for _ in range(4)]
            place.installation.kill("encryption")
            sent.append(await send(place, f"sealed-now round {round}"))
        for mail_id in sent:
            received = await arrived(place, mail_id)
            assert NONCE.encode() not in received.content
            _, password = await told(place, mail_id)
            opened = email.message_from_bytes(received.content, policy=email.policy.default)
            attachment = next(p for p in opened.iter_attachments())  # type: ignore[attr-defined]
            with pyzipper.AESZipFile(io.BytesIO(attachment.get_content())) as archive:
                archive.setpassword(password.encode())
                assert NONCE.encode() in archive.read("1.txt")
        passwords = {(await told(place, mail_id))[1] for mail_id in sent}
        assert len(passwords) == len(sent)
    finally:
        await _stop(place)
