"""Where CONTRACT's word is taken: three tenants, their next hop, the internet's mail host and its name server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common import tls
from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.installation import Installation
from tests.harness.nameserver import Nameserver
from tests.harness.sink import Received, Sink

PASSWORD = "correct horse battery staple"
FORWARDER, LOOSE = "127.0.0.4", "127.0.0.5"
ACCEPTED = re.compile(r"250 2\.0\.0 ([0-9A-HJKMNP-TV-Z]{26}) accepted")
MIB50 = 50 * 1024 * 1024


@dataclass
class Town:
    """An installation with three tenants, their next hop, the internet's mail host and its name server."""

    installation: Installation
    inside: Sink
    internet: Sink
    names: Nameserver
    certificates: Path

    @property
    def relay(self) -> tuple[str, int]:
        """The relay's address."""
        return self.installation.host_port("relay")

    async def status(self, mail_id: str) -> dict[str, Any]:
        """`mail status` as acme's admin sees it; empty while it is not known."""
        answer = await self.installation.cli("mail", "status", mail_id, "-o", "json", token=world.ACME_ADMIN)
        return dict(answer.json) if answer.status == 0 else {}


def _world(inside: str, certificate_name: str) -> dict[str, Any]:
    """acme has no smarthost, so that its mail to the world is looked up; loose takes bare newlines."""
    places = world.two_tenants(acme=inside, acme_out=inside, globex=inside, globex_out=inside)
    acme = places["tenants"][0]
    del acme["smarthost"]
    acme["connectors"] += [
        {"name": "edge", "tls_client": [certificate_name]},
        {"name": "forwarder", "networks": [f"{FORWARDER}/32"], "senders": ["*@acme.example", "*@partner.example"]},
        {"name": "app", "username": "app", "password": PASSWORD},
    ]
    acme["groups"]["sales"] = {"members": ["alice@acme.example"], "address": "sales@acme.example"}
    acme["people"][0]["aliases"] = ["al@acme.example"]
    acme["people"].append({"address": "shopkeeper@shop.acme.example", "roles": ["user"]})
    places["tenants"].append(
        {
            "name": "loose", "domains": ["loose.example"], "bare_newlines": "normalise",
            "next_hop": {"address": inside, "tls": "none"}, "smarthost": {"address": inside, "tls": "none"},
            "connectors": [{"name": "old", "networks": [f"{LOOSE}/32"]}],
        }
    )  # fmt: skip
    return places


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Every service its own process; leaving it says SIGTERM and expects status 0."""
    data = tmp_path_factory.mktemp("town")
    certificates = data / "clients"
    tls.ensure(certificates, "edge.acme.example")
    inside, internet = await Sink().start(), await Sink().start()
    names = await Nameserver(
        {
            ("partner.example", "MX"): ["20 dead.partner.example.", "10 mx.partner.example."],
            ("mx.partner.example", "A"): ["127.0.0.1"],
            ("dead.partner.example", "A"): ["127.0.0.1"],
            ("nomail.example", "MX"): ["0 ."],
        }
    ).start()
    settings = {
        "DNS__SERVERS": names.address, "DELIVERY__MX_PORT": str(internet.port), "DELIVERY__MX_ALLOW_LOOPBACK": "true",
        "DELIVERY__RETRY_AFTER": "1s,2s", "INGRESS__CLIENT_CA": str(certificates / "ca.pem"),
    }  # fmt: skip
    installation = Installation(data / "data", _world(inside.address, "edge.acme.example"), settings=settings)
    try:
        await installation.start()
        yield Town(installation, inside, internet, names, certificates)
        assert await installation.stop() == 0
    finally:
        await installation.stop()
        names.stop()
        await inside.stop()
        await internet.stop()


def a_mail(subject: str = "Hello", to: str = "alice@acme.example", sender: str = "s@elsewhere.example") -> bytes:
    """A short text mail."""
    return mails.plain(sender, to, subject, "a line\n")


def accepted_id(answer: str) -> str:
    """The mail id of a reply that accepts."""
    match = ACCEPTED.fullmatch(answer)
    assert match, answer
    return match[1]


async def arrived(sink: Sink, mail_id: str) -> Received:
    """The mail of this id, when a sink has it."""

    def found() -> Received | None:
        return next((m for m in sink.mails if m.mail_id == mail_id), None)

    mail = await eventually(found, timeout=30)
    assert isinstance(mail, Received)
    return mail
