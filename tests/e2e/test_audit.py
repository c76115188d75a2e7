"""The audit log of a running installation: read by its officers, exported, witnessed, and whole after kills."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from services.audit.verifier import letterlock_verify
from services.common.processes import die_with_parent
from services.common.testing import eventually
from tests.harness import world
from tests.harness.installation import ROOT, Answer, Installation

OFFICER, ADMIN, OPERATOR = "acme-dpo-fedcba9876543210", "acme-adm-fedcba9876543210", "op-0123456789abcdef"


def _world() -> dict[str, object]:
    nowhere = "127.0.0.1:9"
    places = world.two_tenants(acme=nowhere, acme_out=nowhere, globex=nowhere, globex_out=nowhere)
    people = [
        {"address": "officer@acme.example", "roles": ["data_protection_officer"], "api_key": OFFICER},
        {"address": "keeper@acme.example", "roles": ["tenant_admin"], "api_key": ADMIN},
    ]
    tenant = next(t for t in places["tenants"] if t["name"] == "acme")
    tenant["people"] = [*tenant.get("people", []), *people]
    places["operators"] = [{"name": "ops", "api_key": OPERATOR}]
    return places


async def _entries(installation: Installation, token: str = OFFICER) -> list[dict[str, object]]:
    answer = await installation.cli("audit", "list", "-o", "json", token=token)
    assert answer.status == 0, answer.err
    assert answer.json["next"] is None
    found: list[dict[str, object]] = answer.json["items"]
    return found


async def _actions(installation: Installation, token: str = OFFICER) -> set[tuple[object, object, object]]:
    return {(e["action"], e["actor"], e["outcome"]) for e in await _entries(installation, token)}


async def _verify(installation: Installation, file: Path, *more: str) -> Answer:
    return await installation.cli("audit", "verify", str(file), "-o", "json", *more)


async def test_what_people_do_is_logged_and_verified_off_line(tmp_path: Path) -> None:
    """A change, a log-in and a refusal are in the log; the audit process is killed; the export verifies; a flip shows."""
    installation = await Installation(tmp_path / "data", _world()).start()
    try:
        made = await installation.cli("group", "create", "audited", "--member", "officer@acme.example", token=ADMIN)
        assert made.status == 0, made.err
        assert (await installation.cli("audit", "list", token=ADMIN)).status == 4
        assert (await installation.cli("tenant", "list", token=OPERATOR)).status == 0
        wanted = {
            ("directory.changed", "keeper@acme.example", "done"),
            ("login", "keeper@acme.example", "done"),
            ("rpc.refused", "keeper@acme.example", "denied"),
        }
        await eventually(lambda: _has(installation, OFFICER, wanted), timeout=30)
        await eventually(lambda: _has(installation, OPERATOR, {("login", "operator:ops", "done")}), timeout=30)

        before = tmp_path / "before.tlog-proof"
        before.write_text((await installation.cli("audit", "proof", "0", token=OFFICER)).out)
        assert installation.kill("audit")
        again = await installation.cli("group", "delete", "audited", token=ADMIN)
        assert again.status == 0, again.err
        await eventually(lambda: _grown(installation, 2), timeout=30)

        file = tmp_path / "acme.tar"
        exported = await installation.cli("audit", "export", str(file), token=OFFICER)
        assert exported.status == 0, exported.err
        key = json.loads((await installation.cli("audit", "witness", "-o", "json", token=OFFICER)).out)["key"]
        verified = await _verify(installation, file, "--key", key, "--known", str(before))
        assert (verified.status, verified.json["verdict"]) == (0, "self-consistent only"), verified.out
        assert verified.json["actions"]["directory.changed"] >= 2
        assert letterlock_verify.main([str(file), "--key", key]) == 0
        assert (await _verify(installation, before, "--key", key)).status == 0

        data = bytearray(file.read_bytes())
        data[data.index(b'"directory.changed"') + 3] ^= 1
        file.write_bytes(data)
        flipped = await _verify(installation, file, "--key", key)
        assert flipped.status == 1
        assert "tile/entries/000" in flipped.err
        assert letterlock_verify.main([str(file), "--key", key]) == 1
    finally:
        assert await installation.stop() == 0


async def _has(installation: Installation, token: str, wanted: set[tuple[object, object, object]]) -> bool:
    return wanted <= await _actions(installation, token)


async def _grown(installation: Installation, changes: int) -> bool:
    answer = await installation.cli("audit", "list", "--action", "directory.changed", "-o", "json", token=OFFICER)
    if answer.status != 0:
        return False
    mine = [e for e in answer.json["items"] if e["actor"] == "keeper@acme.example"]
    return len(mine) >= changes


async def _witness(folder: Path, *logs: str) -> tuple[asyncio.subprocess.Process, dict[str, str]]:
    """`letterlock witness` in its own folder; what its ready line says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", "witness", "--name", "witness.acme.example", "--listen", "127.0.0.1:0",
        "--key", str(folder / "witness.key"), "--state", str(folder / "witness.json"),
        *(word for log in logs for word in ("--log", log)),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, preexec_fn=die_with_parent,
    )  # fmt: skip
    assert process.stdout is not None
    ready: dict[str, str] = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    return process, ready


async def test_a_tenants_own_witness_sees_the_log(tmp_path: Path) -> None:
    """Named in the policy file, `letterlock witness` cosigns; an export is then witnessed for who holds the policy."""
    installation = await Installation(tmp_path / "data", _world()).start()
    try:
        status = json.loads((await installation.cli("audit", "witness", "-o", "json", token=OFFICER)).out)
        assert status["witnesses"] is False
    finally:
        assert await installation.stop() == 0
    process, ready = await _witness(tmp_path, status["key"])
    rules = tmp_path / "acme.policy"
    rules.write_text(f"log {status['key']}\nwitness ours {ready['key']} http://{ready['listen']}\nquorum ours\n")
    installation.settings = {"AUDIT__WITNESS_POLICY": str(rules), "AUDIT__WITNESS_EVERY": "1s"}
    installation.world = None
    try:
        await installation.start()

        async def witnessed() -> bool:
            answer = await installation.cli("audit", "witness", "-o", "json", token=OFFICER)
            return answer.status == 0 and answer.json["witnessed_size"] > 0

        await eventually(witnessed, timeout=60)
        file = tmp_path / "acme.tar"
        assert (await installation.cli("audit", "export", str(file), token=OFFICER)).status == 0
        verified = await _verify(installation, file, "--policy", str(rules))
        assert verified.status == 0, verified.out
        assert verified.json["verdict"].startswith("witnessed")
    finally:
        assert await installation.stop() == 0
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0


pytestmark = pytest.mark.timeout(280)
