"""Processes, settings, world file and command line as CONTRACT promises them, on an installation of one process."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from services.common.config import Address
from services.common.processes import alive, die_with_parent, free_port
from services.common.testing import eventually
from tests.harness import mails
from tests.harness.dialogue import dialogue
from tests.harness.installation import ROOT, Answer, Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIRECTORY = ("tenant", "domain", "connector", "person", "group", "apikey")
VERBS = {
    **dict.fromkeys(DIRECTORY, "list get create update delete"), "policy": "get apply check history rollback trace",
    "mail": "status why", "hold": "list show release delete return forward seal cancel", "archive": "coverage reindex",
    "audit": "list export verify witness proof",
}  # fmt: skip
ADMIN = "acme-admin-fedcba9876543210"
SERVICES = {"ingress", "policy", "quarantine", "encryption", "delivery", "archive", "audit", "admin"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Started without a world file; acme and globex come by `apply`, with the operator's key of the first start."""
    settings = {"INGRESS__MAX_BYTES": "1MB"}
    installation = Installation(tmp_path_factory.mktemp("house") / "data", None, processes="one", settings=settings)
    try:
        await installation.start()
        applied = _apply(installation, _WORLD)
        assert applied.status == 0, applied.err
        yield installation
        assert await installation.stop() == 0
    finally:
        await installation.stop()


_WORLD: dict[str, Any] = {
    "tenants": [
        {
            "name": "acme",
            "domains": ["acme.example"],
            "connectors": [{"name": "exchange", "networks": ["192.0.2.0/24"]}],
            "people": [{"address": "admin@acme.example", "roles": ["tenant_admin"], "api_key": ADMIN}],
        },
        {"name": "globex", "domains": ["globex.example"]},
    ]
}


def _apply(house: Installation, world: dict[str, Any], *options: str) -> Answer:
    file = house.data / "apply.yaml"
    file.write_text(yaml.safe_dump(world))
    return house.ask("apply", "-f", str(file), *options)


def _one_line(answer: Answer) -> str:
    assert re.fullmatch(r"error: [^\n]+\n", answer.err), answer.err
    assert answer.out == ""
    return answer.err


# Processes.


async def test_the_first_start_writes_an_operators_key_that_the_command_line_finds(house: Installation) -> None:
    """Mode 0600, and enough for `status` without a token."""
    key = house.data / "operator.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) >= 16
    answer = await house.cli("status", "-o", "json")
    assert answer.status == 0, answer.err
    assert {n["service"] for n in answer.json["nodes"]} == SERVICES


async def test_pids_follow_restarts(house: Installation) -> None:
    """The ready line and `run/pids.json` name every service, nats and index; a killed one comes back and is named."""
    assert set(house.ready["pids"]) == SERVICES | {"nats", "index"}
    before = house.pids()
    assert before == house.ready["pids"]
    assert house.kill("index")
    await eventually(lambda: house.pids().get("index") not in (None, before["index"]), timeout=20)
    after = house.pids()
    assert set(after) == set(before)
    assert alive(after["index"])


async def test_the_data_directory_has_one_owner(house: Installation) -> None:
    """A second `dev` on it says so in one line."""
    answer = await house.cli("dev", "--data", str(house.data))
    assert answer.status == 2
    assert "in use" in _one_line(answer)


async def test_sigterm_ends_with_0_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """On the same data: the same operator's key, the same tenants."""
    installation = Installation(tmp_path / "data", None, processes="one")
    try:
        await installation.start()
        key = (installation.data / "operator.key").read_text()
        assert installation.ask("tenant", "create", "kept").status == 0
        assert await installation.stop() == 0
        await installation.start()
        assert (installation.data / "operator.key").read_text() == key
        assert [t["name"] for t in installation.ask("tenant", "list", "-o", "json").json["items"]] == ["kept"]
        assert set(installation.pids()) == SERVICES | {"nats", "index"}
        assert await installation.stop() == 0
    finally:
        await installation.stop()


async def test_serve_runs_the_named_services_against_the_configured_parts(house: Installation, tmp_path: Path) -> None:
    """A second policy and quarantine beside the installation, reached at one address; SIGTERM drains them with 0."""
    metrics, api = Address("127.0.0.1", free_port()), Address("127.0.0.1", free_port())
    nodes = house.ask("status", "-o", "json").json["nodes"]
    environment = house.environment() | {
        "LETTERLOCK_API__LISTEN": str(api),
        "LETTERLOCK_API__SERVICES": ",".join(f"{n['service']}={n['addresses']['rpc']}" for n in nodes),
        "LETTERLOCK_NATS__URL": _nats_url(house.pids()["nats"]), "LETTERLOCK_METRICS__LISTEN": str(metrics),
    }  # fmt: skip
    process = await _spawn(environment, "serve", "policy", "quarantine")
    try:

        async def ready() -> bool:
            reader, writer = await asyncio.open_connection(metrics.host, metrics.port)
            writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
            line = await reader.readline()
            writer.close()
            return b" 200 " in line

        await eventually(ready, timeout=30)
        assert house.ask("--server", str(api), "policy", "history", "--tenant", "acme").status == 0
        assert house.ask("--server", str(api), "hold", "list", token=ADMIN).status == 4
    finally:
        if process.returncode is None:
            process.terminate()
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def _spawn(environment: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *words, cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, preexec_fn=die_with_parent,
    )  # fmt: skip


def _nats_url(pid: int) -> str:
    """Where an embedded broker listens, from its own configuration."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    configuration = json.loads(next(Path(w).read_text() for w in words if w.endswith(".conf")))
    return f"nats://127.0.0.1:{configuration['port']}"


# Settings.


async def test_config_check_names_every_mistake_at_once(house: Installation, tmp_path: Path) -> None:
    """Unknown keys and bad values of the file and of the environment, on one line; exit 2."""
    file = tmp_path / "settings.yaml"
    file.write_text("ingress: {max_byte: 1, min_rate: huge}\nfoo: {a: 1}\ndns: {servers: [127.0.0.1:5353]}\n")
    environment = house.environment() | {"LETTERLOCK_DELIVERY__FROB": "1", "LETTERLOCK_INGRESS__MAX_RECIPIENTS": "9"}
    answer = await _run(environment, "config", "check", "--config", str(file))
    assert answer.status == 2
    error = _one_line(answer)
    for mistake in ("ingress.max_byte:", "ingress.min_rate:", "foo", "LETTERLOCK_DELIVERY__FROB"):
        assert mistake in error
    file.write_text("ingress: [\n")
    broken = await house.cli("config", "check", "--config", str(file))
    assert broken.status == 2
    assert "line 2" in _one_line(broken)
    few = await _run(house.environment() | {"LETTERLOCK_INGRESS__MAX_RECIPIENTS": "9"}, "config", "check")
    assert "at least 100" in _one_line(few)


async def test_config_show_says_what_is_in_force(house: Installation, tmp_path: Path) -> None:
    """Defaults, then the file, then the environment; as YAML or JSON, options anywhere."""
    file = tmp_path / "settings.yaml"
    file.write_text("ingress: {min_rate: 10KiB}\ndelivery: {retry_after: [1s, 2s]}\n")
    environment = house.environment() | {"LETTERLOCK_DELIVERY__RETRY_AFTER": "3s"}
    shown = await _run(environment, "--config", str(file), "config", "show", "-o", "json")
    assert shown.status == 0, shown.err
    assert shown.json["ingress"]["min_rate"] == 10 * 1024
    assert shown.json["delivery"]["retry_after"] == ["3s"]
    assert shown.json["ingress"]["max_bytes"] == 1_000_000
    assert shown.json["ingress"]["max_recipients"] == 1000
    assert yaml.safe_load((await house.cli("config", "show")).out)["data"] == str(house.data)


async def _run(environment: dict[str, str], *words: str) -> Answer:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *words, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Answer(process.returncode or 0, out.decode(), err.decode())


async def test_the_largest_mail_is_announced_and_held_to(house: Installation) -> None:
    """`LETTERLOCK_INGRESS__MAX_BYTES`: SIZE says it; more is `552 5.3.4`, declared or not, and the session goes on."""
    async with dialogue(house.host_port("relay"), ehlo=False) as peer:
        assert "SIZE 1000000" in await peer.ask("EHLO client.test")
        assert (await peer.ask("MAIL FROM:<s@e.example> SIZE=1000001")).startswith("552 5.3.4 ")
        large = mails.sized("s@e.example", "a@acme.example", "nonce", 1_000_001)
        assert (await peer.mail("s@e.example", ["a@acme.example"], large)).startswith("552 5.3.4 ")
        fits = mails.sized("s@e.example", "a@acme.example", "nonce", 900_000)
        assert (await peer.mail("s@e.example", ["a@acme.example"], fits)).startswith("250 2.0.0 ")


# The world file.


async def test_applying_again_changes_nothing_and_dry_run_only_says(house: Installation) -> None:
    """An empty list; `--dry-run` shows a change and does not make it."""
    again = _apply(house, _WORLD, "-o", "json")
    assert again.status == 0
    assert again.json["items"] == []
    more = json.loads(json.dumps(_WORLD))
    more["tenants"][1]["domains"].append("globex.test")
    dry = _apply(house, more, "--dry-run", "-o", "json")
    assert any("globex.test" in line for line in dry.json["items"])
    assert house.ask("domain", "get", "globex.test", "--tenant", "globex").status == 3


async def test_a_world_file_is_refused_whole_with_every_mistake(house: Installation) -> None:
    """Unknown keys, parents and children of others' domains, overlapping networks, short keys: one line, exit 1."""
    bad = {
        "tenants": [
            {
                "name": "globex", "frob": 1, "limits": {"recipients": 99}, "domains": ["sub.acme.example"],
                "connectors": [{"name": "in", "networks": ["192.0.2.7/32"]}],
                "people": [{"address": "a@globex.example", "api_key": "short", "roles": ["king"]}],
            }
        ]
    }  # fmt: skip
    answer = _apply(house, bad)
    assert answer.status == 1
    error = _one_line(answer)
    for mistake in ("frob", "api_key", "roles", "limits.recipients"):
        assert mistake in error
    del bad["tenants"][0]["frob"], bad["tenants"][0]["people"], bad["tenants"][0]["limits"]
    clashes = _one_line(_apply(house, bad))
    assert "domains[0]" in clashes
    assert "connectors[0]" in clashes
    assert [d["name"] for d in _items(house, "domain", "globex")] == ["globex.example"]


async def test_secrets_and_policies_may_stand_in_files_beside_it(house: Installation) -> None:
    """`api_key_file` and `policy_file`; a weak key is a warning."""
    (house.data / "key").write_text("aud-0123456789abcdef\n")
    (house.data / "p.yaml").write_text(
        "version: 1\nrules:\n  - {id: big, mode: enforce, direction: any, when: {size: {larger_than: 1MB}}, then: {pass: {}}}\n"
    )
    person = {"address": "dpo@globex.example", "roles": ["data_protection_officer"], "api_key_file": "key"}
    answer = _apply(house, {"tenants": [{"name": "globex", "people": [person], "policy_file": "p.yaml"}]}, "-o", "json")
    assert answer.status == 0, answer.err
    assert any("128 bits" in w for w in answer.json["warnings"])
    policy = house.ask("policy", "get", "--tenant", "globex")
    assert "id: big" in policy.out


# The command line.


async def test_help_of_every_noun_names_its_verbs(house: Installation) -> None:
    """`--help` of all, of a noun, of a verb; no server is asked."""
    overview = house.ask("--help")
    assert overview.status == 0
    for noun, verbs in VERBS.items():
        answer = house.ask(noun, "--help")
        assert answer.status == 0
        assert re.search(rf"^  {noun}\b", overview.out, re.M)
        for verb in verbs.split():
            assert re.search(rf"^  {verb}\b", answer.out, re.M), f"{noun} {verb}"
    assert house.ask("tenant", "create", "--help").out.startswith("usage: letterlock tenant create")
    for answer in await asyncio.gather(*(house.cli(verb, "--help") for verb in ("dev", "serve", "config"))):
        assert answer.out.startswith("usage: letterlock")


def _items(house: Installation, noun: str, tenant: str) -> list[dict[str, Any]]:
    answer = house.ask(noun, "list", "-o", "json", "--tenant", tenant)
    assert answer.status == 0, answer.err
    assert set(answer.json) == {"items"}
    return list(answer.json["items"])


LIFE = {
    "domain": ("acme.test", ("--recipients", "listed"), ("--recipients", "any"), ("recipients", "any")),
    "connector": ("edge", ("--network", "198.51.100.0/24"), ("--sender", "*@acme.example"), ("senders", ["*@acme.example"])),
    "person": ("bo@acme.example", ("--role", "user"), ("--alias", "bob@acme.example"), ("aliases", ["bob@acme.example"])),
    "group": ("legal", ("--member", "admin@acme.example"), ("--address", "legal@acme.example"), ("address", "legal@acme.example")),
}  # fmt: skip


@pytest.mark.parametrize("noun", LIFE)
async def test_the_life_of_a_directory_document(house: Installation, noun: str) -> None:
    """create, get, list, update, delete; afterwards it is not found (3)."""
    key, made, changed, (field, value) = LIFE[noun]
    create = house.ask("--tenant", "acme", noun, "create", key, *made)
    assert create.status == 0, create.err
    update = house.ask(noun, "update", key, *changed, "-o", "json", "--tenant", "acme")
    assert update.status == 0, update.err
    assert update.json[field] == value
    got = house.ask("-o", "yaml", noun, "get", key, "--tenant", "acme")
    assert yaml.safe_load(got.out)[field] == value
    assert key in {i.get("name") or i.get("address") for i in _items(house, noun, "acme")}
    again = house.ask(noun, "create", key, *made, "--tenant", "acme")
    assert again.status == 1
    _one_line(again)
    assert house.ask(noun, "delete", key, "--tenant", "acme").status == 0
    gone = house.ask(noun, "get", key, "--tenant", "acme")
    assert gone.status == 3
    _one_line(gone)


async def test_the_life_of_an_api_key(house: Installation) -> None:
    """Its token is said once, works, and ends with the key."""
    made = house.ask("apikey", "create", "--owner", "admin@acme.example", "--tenant", "acme", "-o", "json")
    assert made.status == 0, made.err
    token = made.json["secret"]
    assert house.ask("domain", "list", token=token).status == 0
    shown = house.ask("apikey", "get", made.json["id"], "--tenant", "acme", "-o", "json")
    assert token not in shown.out
    assert house.ask("apikey", "delete", made.json["id"], "--tenant", "acme").status == 0

    async def ended() -> bool:
        return house.ask("domain", "list", token=token).status == 4

    await eventually(ended, timeout=20)


async def test_a_tenant_is_made_and_removed(house: Installation) -> None:
    """By an operator; a tenant's admin may not (4)."""
    made = house.ask("tenant", "create", "initech", "--next-hop", "127.0.0.1:2526", "-o", "json")
    assert made.status == 0, made.err
    assert made.json["next_hop"]["address"] == "127.0.0.1:2526"
    assert house.ask("tenant", "update", "initech", "--suspended").status == 0
    assert house.ask("tenant", "get", "initech", "-o", "json").json["suspended"] is True
    denied = house.ask("tenant", "create", "other", token=ADMIN)
    assert denied.status == 4
    _one_line(denied)
    assert house.ask("tenant", "delete", "initech").status == 0
    assert house.ask("tenant", "get", "initech").status == 3


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("version",), 0), (("health",), 0), (("archive", "coverage"), 0),
        (("queue", "list"), 0), (("policy", "history", "--tenant", "acme"), 0),
        (("frob",), 2), (("tenant",), 2), (("tenant", "frob"), 2), (("tenant", "list", "--frob"), 2),
        (("mail", "status"), 2), (("domain", "list"), 2), (("tenant", "list", "extra"), 2), (("tenant", "update", "acme"), 2),
        (("world",), 2), (("apply",), 2), (("-o", "xml", "tenant", "list"), 2), (("--server", "x", "tenant", "list"), 2),
        (("apply", "-f", "/nowhere.yaml"), 1), (("--token", "wrong-wrong-wrong", "tenant", "list"), 4),
        (("tenant", "get", "nobody"), 3), (("mail", "status", "01" + "A" * 24, "--tenant", "acme"), 3),
        (("domain", "list", "--tenant", "nobody"), 3), (("--server", "127.0.0.1:1", "tenant", "list"), 5),
    ],
)  # fmt: skip
async def test_exit_statuses_and_one_line_errors(house: Installation, words: tuple[str, ...], status: int) -> None:
    """0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 unavailable; one line `error: …` but for 0."""
    answer = house.ask(*words)
    assert answer.status == status, answer.err
    if status:
        _one_line(answer)


async def test_a_tenants_admin_sees_the_own_tenant_only(house: Installation) -> None:
    """What is another tenant's does not exist: exit 3, the same words as for what never was."""
    theirs = house.ask("domain", "list", "--tenant", "globex", token=ADMIN)
    never = house.ask("domain", "list", "--tenant", "never-was", token=ADMIN)
    assert theirs.status == never.status == 3
    assert theirs.err == never.err
    assert [d["name"] for d in house.ask("domain", "list", "-o", "json", token=ADMIN).json["items"]] == ["acme.example"]


async def test_a_policy_is_checked_whole_and_the_old_one_stays(house: Installation, tmp_path: Path) -> None:
    """Every mistake with its line; `apply` of it fails; a good one is in force, and goes back by `rollback`."""
    rule = "  - {{id: {0}, mode: enforce, direction: outbound, when: {{tls: false}}, then: {{{1}}}}}\n"
    bad, good, other = tmp_path / "bad.yaml", tmp_path / "good.yaml", tmp_path / "other.yaml"
    bad.write_text("version: 1\nfrob: 1\nrules:\n" + rule.format("a", "frob: {}"))
    good.write_text("version: 1\nrules:\n" + rule.format("a", "return: {text: no}"))
    other.write_text("version: 1\nrules:\n" + rule.format("b", "pass: {}"))
    check = house.ask("policy", "check", "-f", str(bad), "-o", "json", token=ADMIN)
    assert check.status == 1
    assert {i["line"] for i in check.json["items"]} == {2, 4}
    assert house.ask("policy", "apply", "-f", str(good), token=ADMIN).status == 0
    refused = house.ask("policy", "apply", "-f", str(bad), token=ADMIN)
    assert refused.status == 1
    assert "line 2" in _one_line(refused)
    assert house.ask("policy", "get", token=ADMIN).out == good.read_text()
    assert house.ask("policy", "apply", "-f", str(other), token=ADMIN).status == 0
    history = house.ask("policy", "history", "-o", "json", token=ADMIN).json["items"]
    assert [r["number"] for r in history] == [2, 1]
    assert house.ask("policy", "rollback", "1", token=ADMIN).status == 0
    assert house.ask("policy", "get", token=ADMIN).out == good.read_text()


async def test_the_api_is_tls_under_the_installations_ca(house: Installation, tmp_path: Path) -> None:
    """`LETTERLOCK_CA` is believed before the data directory's; without the right one nothing is said (5)."""
    environment = house.environment() | {"LETTERLOCK_SERVER": house.ready["api"], "LETTERLOCK_TOKEN": ADMIN}
    environment["LETTERLOCK_DATA"] = str(tmp_path)
    named = await _run(environment | {"LETTERLOCK_CA": str(house.data / "tls" / "ca.pem")}, "domain", "list")
    assert named.status == 0, named.err
    unknown = await _run(environment, "domain", "list")
    assert unknown.status == 5
    _one_line(unknown)
