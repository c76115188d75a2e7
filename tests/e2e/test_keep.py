"""What is kept proves itself, off line, and a byte that was changed in the store is found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.common.testing import eventually
from tests.e2e.conftest import Place
from tests.harness import mails, world
from tests.harness.installation import Installation
from tests.harness.sink import Sink
from tests.harness.smtp import send_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDITOR, OFFICER = (f"acme-{name}-0123456789abcdef" for name in ("aud", "dpo"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """acme with an auditor, an officer and seven years."""
    inside = await Sink().start()
    places = world.two_tenants(
        acme=inside.address, acme_out=inside.address, globex=inside.address, globex_out=inside.address
    )
    acme = places["tenants"][0]
    acme["people"] = [
        {"address": "aud@acme.example", "roles": ["auditor"], "api_key": AUDITOR},
        {"address": "dpo@acme.example", "roles": ["data_protection_officer"], "api_key": OFFICER},
        {"address": "admin@acme.example", "roles": ["tenant_admin"], "api_key": world.ACME_ADMIN},
    ]
    acme["archive"] = {"retention": "7y"}
    installation = Installation(tmp_path_factory.mktemp("installation"), places)
    try:
        await installation.start()
        yield Place(installation, inside, inside, inside)
    finally:
        await installation.stop()
        await inside.stop()


async def test_a_mail_has_a_proof_that_holds_off_line_and_for_its_bytes_alone(place: Place, tmp_path: Path) -> None:
    installation = place.installation
    raw = mails.plain("alice@acme.example", "bob@partner.example", "kept", "to be proved")
    relay, to = installation.host_port("relay"), ["bob@partner.example"]
    sent = await send_async(*relay, "alice@acme.example", to, raw, source=world.ACME_PEER)
    mail_id = sent.mail_id
    answer = await installation.cli("archive", "proof", mail_id, "-o", "json", token=AUDITOR)
    assert answer.status == 0, answer.err
    proof, mail = tmp_path / "proof.json", tmp_path / "mail.eml"
    proof.write_text(answer.out)
    mail.write_bytes(raw)
    key = answer.json["key"]
    holds = await installation.cli("archive", "check", str(proof), "--eml", str(mail), "--key", key, "-o", "json")
    assert holds.status == 0, holds.err
    assert (holds.json["mail_id"], holds.json["bytes_checked"]) == (mail_id, True)
    assert holds.json["until"] > "2030"
    mail.write_bytes(raw.replace(b"proved", b"forged"))
    assert (await installation.cli("archive", "check", str(proof), "--eml", str(mail))).status == 1
    entries = (await installation.cli("audit", "list", "-o", "json", token=OFFICER)).json["items"]
    roots = [json.dumps(e) for e in entries if e["action"] == "ingest.sealed"]
    assert any(holds.json["root"] in entry for entry in roots)


async def test_only_auditors_and_officers_get_proofs_and_only_of_their_own(place: Place) -> None:
    installation = place.installation
    for token, status in ((world.ACME_ADMIN, 4), (world.OPERATOR, 4), (OFFICER, 3)):
        answer = await installation.cli("archive", "proof", "01K0000000ABCDEFGHJKMNPQRS", token=token, tenant="acme")
        assert answer.status == status, answer.err
    assert (await installation.cli("archive", "verify", token=AUDITOR, tenant="globex")).status in (3, 4)


async def test_verify_judges_sealed_days_and_counts_the_others(place: Place) -> None:
    async def counted() -> int:
        answer = await place.installation.cli("archive", "verify", "-o", "json", token=OFFICER)
        assert answer.status == 0, answer.err
        assert answer.json["items"] == []
        return int(answer.json["unsealed"])

    await eventually(counted)
