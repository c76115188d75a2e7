"""Who may look, on a running installation: case, request, another's approval, grant; and nobody by a sock puppet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common.testing import eventually
from tests.harness import world
from tests.harness.installation import Answer, Installation

AUD, APPR, DPO = "acme-aud-fedcba9876543210", "acme-appr-fedcba9876543210", "acme-dpo-fedcba9876543210"
ADMIN, OPERATOR = "acme-adm-fedcba9876543210", "op-0123456789abcdef"
QUERY = "機密 from:alice@acme.example after:2026-01-01"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def acme(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An installation whose tenant acme has an auditor, an approver, an officer and an admin."""
    nowhere = "127.0.0.1:9"
    places = world.two_tenants(acme=nowhere, acme_out=nowhere, globex=nowhere, globex_out=nowhere)
    people = [
        {"address": "aud@acme.example", "roles": ["auditor"], "api_key": AUD},
        {"address": "appr@acme.example", "roles": ["approver"], "api_key": APPR},
        {"address": "dpo@acme.example", "roles": ["data_protection_officer"], "api_key": DPO},
        {"address": "keeper@acme.example", "roles": ["tenant_admin"], "api_key": ADMIN},
    ]
    tenant = next(t for t in places["tenants"] if t["name"] == "acme")
    known = {p["address"] for p in people}
    tenant["people"] = [*(p for p in tenant.get("people", []) if p["address"] not in known), *people]
    places["operators"] = [{"name": "ops", "api_key": OPERATOR}]
    installation = Installation(tmp_path_factory.mktemp("access"), places)
    try:
        yield await installation.start()
    finally:
        await installation.stop()


async def _ask(acme: Installation, token: str, *words: str) -> Answer:
    # In a thread: the in-process command would block the loop. One at a time, since it swaps the environment.
    return await asyncio.to_thread(acme.ask, *words, "-o", "json", token=token)


async def _done(acme: Installation, token: str, *words: str) -> Any:
    answer = await _ask(acme, token, *words)
    assert answer.status == 0, answer.err
    return answer.json


async def _request(acme: Installation, *more: str, lasts: str = "2h") -> str:
    case = (await _done(acme, AUD, "case", "create", "--name", "leak of October"))["case_id"]
    asked = await _done(
        acme, AUD, "access", "request", "--case", case, "--query", QUERY, "--purpose", "who leaked it",
        "--capability", "search,open,export", "--for", lasts, *more,
    )  # fmt: skip
    assert {k: v for k, v in asked.items() if k != "request_id"} == {"state": "pending", "approvals": 0, "needed": 1}
    return str(asked["request_id"])


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_grant_is_another_s_word(acme: Installation) -> None:
    """The requester, an officer, an admin and an operator cannot approve; the approver can; all of it is in the log."""
    request = await _request(acme)
    for token in (AUD, DPO, ADMIN, OPERATOR):
        assert (await _ask(acme, token, "access", "approve", request, "--tenant", "acme")).status == 4
    done = await _done(acme, APPR, "access", "approve", request)
    assert (done.keys(), done["request_id"], done["state"]) == ({"request_id", "grant_id", "state"}, request, "granted")
    grant = await _done(acme, AUD, "access", "grant", done["grant_id"])
    assert (grant["state"], grant["query"]) == ("in force", QUERY)
    entries = (await _done(acme, DPO, "audit", "list"))["items"]
    mine = [(e["action"], e["actor"]) for e in entries if e["grant_id"] == done["grant_id"]]
    assert mine == [("access.requested", "aud@acme.example"), ("access.approved", "appr@acme.example")]
    assert next(e for e in entries if e["action"] == "access.requested")["detail"]["query"] == QUERY


async def test_what_cannot_be_asked_is_refused_at_once(acme: Installation) -> None:
    """A bad query, no such case, a closed one, no purpose."""
    case = (await _done(acme, AUD, "case", "create", "--name", "other"))["case_id"]
    ask = ("access", "request", "--purpose", "why", "--query")
    assert (await _ask(acme, AUD, *ask, "secr*t", "--case", case)).status == 1
    assert (await _ask(acme, AUD, *ask, "word", "--case", "01ARZ3NDEKTSV4RRFFQ69G5FAV")).status == 3
    assert (await _ask(acme, AUD, *ask, "word", "--case", case, "--purpose", " ")).status == 1
    assert (await _done(acme, DPO, "case", "close", case))["state"] == "closed"
    assert (await _ask(acme, AUD, *ask, "word", "--case", case)).status == 1
    assert (await _ask(acme, ADMIN, "case", "create", "--name", "x")).status == 4


async def test_a_grant_ends(acme: Installation) -> None:
    """By its time and by revocation; then it opens nothing."""
    short = (await _done(acme, APPR, "access", "approve", await _request(acme, lasts="1s")))["grant_id"]

    async def expired() -> bool:
        return str((await _done(acme, AUD, "access", "grant", short))["state"]) == "expired"

    await eventually(expired, timeout=30)
    longer = (await _done(acme, APPR, "access", "approve", await _request(acme)))["grant_id"]
    assert (await _done(acme, DPO, "access", "revoke", longer, "--reason", "enough"))["state"] == "revoked"
    for grant in (short, longer):
        assert (await _ask(acme, AUD, "archive", "search", "--grant", grant)).status == 4


async def test_an_approval_is_signed_once_a_key_is_enrolled(acme: Installation, tmp_path: Path) -> None:
    """By a code of the officer's and the approver's own token; from then on an unsigned yes is none."""
    code = (await _done(acme, DPO, "person", "code", "appr@acme.example"))["code"]
    (tmp_path / "code").write_text(code)
    key = tmp_path / "key.pem"
    words = ("person", "enrol", "appr@acme.example", "--code-file", str(tmp_path / "code"), "--key-file", str(key))
    assert (await _ask(acme, DPO, *words)).status == 4
    assert not key.exists()
    await _done(acme, APPR, *words)
    assert key.stat().st_mode & 0o777 == 0o600
    request = await _request(acme)
    assert (await _ask(acme, APPR, "access", "approve", request)).status == 4
    signed = await _ask(acme, APPR, "access", "approve", request, "--key-file", str(key))
    assert (signed.status, QUERY in signed.err) == (0, True)
    grant = await _done(acme, AUD, "access", "grant", signed.json["grant_id"])
    assert [(a["approver"], a["signed"]) for a in grant["approvals"]] == [("appr@acme.example", True)]


async def test_an_admin_s_sock_puppets_reach_nothing(acme: Installation, tmp_path: Path) -> None:
    """Their auditor and approver wait for consent, and the admin's tokens for them never work; the person's own does."""
    tokens = {}
    for name, role in (("puppet", "auditor"), ("hand", "approver")):
        address = f"{name}@acme.example"
        made = await _done(acme, ADMIN, "person", "create", address, "--role", role)
        assert (made["roles"], made["pending_roles"]) == ([], [role])
        tokens[name] = (await _done(acme, ADMIN, "apikey", "create", "--owner", address))["secret"]
        assert (await _ask(acme, ADMIN, "person", "consent", address)).status == 4
    assert (await _ask(acme, tokens["hand"], "person", "consent", "puppet@acme.example")).status == 4
    assert (await _ask(acme, tokens["puppet"], "case", "create", "--name", "x")).status == 4
    consent = await _done(acme, DPO, "person", "consent", "puppet@acme.example")
    assert consent["roles"] == ["auditor"]
    assert (await _ask(acme, tokens["puppet"], "case", "create", "--name", "x")).status == 4
    own = tmp_path / "token"
    await _done(acme, "", "person", "enrol", "puppet@acme.example", "--code", consent["code"], "--token-file", str(own))
    await _done(acme, own.read_text().strip(), "case", "create", "--name", "theirs")
    refused = await _ask(acme, ADMIN, "person", "update", "keeper@acme.example", "--role", "tenant_admin,auditor")
    assert refused.status == 1
    assert "at once" in refused.err


async def test_the_report_says_that_duties_are_apart(acme: Installation) -> None:
    """Every combination, and who holds what."""
    report = await _done(acme, DPO, "access", "sod-report")
    assert report["sound"] is True
    assert len(report["combinations"]) == 64
    assert {"address": "aud@acme.example", "roles": ["auditor"]}.items() <= next(
        p for p in report["people"] if p["address"] == "aud@acme.example"
    ).items()


async def test_the_log_of_it_all_verifies(acme: Installation, tmp_path: Path) -> None:
    """Off line, requests and approvals included."""
    file = tmp_path / "log.tar"
    await _done(acme, DPO, "audit", "export", str(file))
    verified = await acme.cli("audit", "verify", str(file), "-o", "json")
    assert verified.status == 0, verified.out
    assert json.loads(verified.out)["actions"]["access.approved"] >= 3
