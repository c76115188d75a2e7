"""The composition: real facts, keys and signatures over the in-memory bus and store, policy at the other end."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from letterlock.mail.v1 import mail_pb2
from structlog.testing import capture_logs

from services.common import config, tls
from services.common.app import Context
from services.common.bus import Message
from services.common.components import TlsConfig, TrustConfig
from services.common.errors import InvalidInput
from services.common.facts import DECIDE, Facts, MailReader
from services.common.ids import MailId
from services.common.sealing import age, keys, writers
from services.common.sealing.factkeys import FactKeys
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.objects import InMemoryObjects
from services.ingress import app
from services.ingress.config import IngressConfig
from tests.unit.ingress.conftest import ACME, decision, directory, until

MAIL = b"Subject: hello\r\n\r\nhello\r\n"


class Keeper:
    """Keys as `encryption` keeps them: statements in the store, identities for the pipeline."""

    def __init__(self, objects: InMemoryObjects, signer: writers.Signer) -> None:
        self._objects, self._signer = objects, signer
        self._private: dict[str, str] = {}

    async def make(self, name: str) -> None:
        """A key pair by name."""
        self._private[name], recipient = age.generate()
        await self._objects.create(keys.PUBLIC + name, keys.statement(name, recipient, self._signer))

    async def pipeline(self, day: Any) -> list[str]:
        """See `IdentitySource`."""
        return [self._private[keys.pipeline_name(day)]]

    async def trace(self, tenant: Any) -> list[str]:
        """See `IdentitySource`."""
        return [self._private[keys.tenant_name("trace", tenant, 1)]]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Context, InMemoryBroker, Keeper, InMemoryObjects]]:
    """Ingress on free ports."""
    environment = {"LETTERLOCK_DATA": str(folder)} | {
        f"LETTERLOCK_INGRESS__{name}_LISTEN": "127.0.0.1:0" for name in ("RELAY", "SUBMISSION", "SUBMISSIONS")
    }
    settings = config.load({"ingress": IngressConfig, "tls": TlsConfig, "trust": TrustConfig}, environment)
    writers.ensure_dev(writers.trust_folder(settings), ["ingress", "policy", "encryption"])
    tls.ensure(folder / "tls", "ingress")
    objects, broker = InMemoryObjects(), InMemoryBroker()
    keeper = Keeper(objects, writers.load_signer(settings, "encryption"))
    for name in (
        keys.tenant_name("archive", ACME, 1),
        keys.tenant_name("trace", ACME, 1),
        keys.pipeline_name(keys.today()),
    ):
        await keeper.make(name)
    context = Context(
        name="ingress",
        settings=settings,
        objects=objects,
        bus=InMemoryBus("ingress", broker),
        control=cast(Any, SimpleNamespace(directory=directory())),
        rpc=cast(Any, None),
    )
    async with app.build(context):
        yield context, broker, keeper, objects


async def test_mail_goes_from_socket_to_fact(tmp_path: Path) -> None:
    """Policy opens the question and answers it; the object and the fact open for the pipeline."""
    async with running(tmp_path) as (context, broker, keeper, objects):
        assert await context.health.failures() == {}
        trusted = writers.load_writers(context.settings)
        public, identities = keys.PublicKeys(objects, trusted), keys.Identities(keeper)
        bus = InMemoryBus("policy", broker)
        reader = MailReader(objects, identities, trusted)
        facts = Facts(bus, FactKeys(bus.bucket("factkeys"), public, identities), reader)

        async def answer(message: Message) -> bytes:
            question = await facts.open_question(message)
            assert await question.content() == MAIL
            return await facts.seal_answer(question, decision(question.envelope))

        port = int(context.addresses["relay"].rpartition(":")[2])

        def send() -> str:
            with smtplib.SMTP("127.0.0.1", port, timeout=20) as smtp:
                smtp.ehlo("client.example")
                smtp.mail("x@remote.example")
                smtp.rcpt("bob@acme.example")
                return smtp.data(MAIL)[1].decode()

        async with bus.serve(DECIDE, answer):
            said = await asyncio.to_thread(send)
        mail_id = MailId.parse(said.split()[1])
        record, raw = await reader.read(ACME, mail_id)
        assert raw == MAIL
        assert record.HasField("decision")
        subject = f"mail.decided.{ACME}"
        await until(lambda: len(broker.kept(subject)) == 1)
        fact = await facts.open(broker.kept(subject)[0])
        assert (fact.mail_id, await fact.content()) == (mail_id, MAIL)
        assert fact.trace.decision.legs[0].disposition == mail_pb2.DISPOSITION_DELIVER


async def test_nobody_answers_is_451(tmp_path: Path) -> None:
    """Without policy nothing is accepted and nothing kept."""
    async with running(tmp_path) as (context, _, _, objects):
        port = int(context.addresses["relay"].rpartition(":")[2])

        def send() -> int:
            with smtplib.SMTP("127.0.0.1", port, timeout=20) as smtp:
                smtp.ehlo("client.example")
                smtp.mail("x@remote.example")
                smtp.rcpt("bob@acme.example")
                return smtp.data(MAIL)[0]

        assert await asyncio.to_thread(send) == 451
        assert not [k for k in objects.objects if not k.startswith("keys/")]


def test_settings_that_cannot_be_are_told(tmp_path: Path) -> None:
    """Too few recipients, a network that is none, a certificate that is none."""
    with pytest.raises(InvalidInput):
        app.limits_of(IngressConfig(max_recipients=99))
    with pytest.raises(InvalidInput):
        app.networks(("10.0.0.1/8",))
    with pytest.raises(InvalidInput):
        app.tls_context(tmp_path / "no.pem", tmp_path / "no.key")


async def test_replaced_certificate_is_loaded(tmp_path: Path) -> None:
    """A renewed file is used without a restart; a broken one changes nothing."""
    for name in ("one", "two"):
        tls.ensure(tmp_path, name)
    certificate, key = tmp_path / "one.pem", tmp_path / "one.key"
    context = app.tls_context(certificate, key)
    with capture_logs() as logs:
        renewing = asyncio.create_task(app.renew(context, certificate, key, every=0.01))
        await asyncio.sleep(0)
        certificate.write_text("broken")
        await until(lambda: any(e["event"] == "smtp.certificate_unusable" for e in logs))
        for suffix in ("pem", "key"):
            (tmp_path / f"one.{suffix}").write_bytes((tmp_path / f"two.{suffix}").read_bytes())
        await until(lambda: any(e["event"] == "smtp.certificate_renewed" for e in logs))
        renewing.cancel()
