"""A whole ingress on real sockets over doubles: store, keys and policy in memory."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import smtplib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from letterlock.mail.v1 import mail_pb2

from services.common.config import Address
from services.common.directory import Connector, Directory, Domain, Group, Network, Person, Tenant
from services.common.ids import MailId, TenantId
from services.common.sealing import mailobject
from services.common.testing import eventually
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.ingress.adapters.auth import Authenticator
from services.ingress.adapters.desk import Desk
from services.ingress.adapters.server import SmtpServer
from services.ingress.app import SealTo, tls_context
from services.ingress.core.limits import Limits
from services.ingress.receive import Receiver


# Production runs on uvloop, whose TLS and transports are its own.
@pytest.fixture(
    scope="session", params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"]
)
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Every test runs on both event loops."""
    made: asyncio.AbstractEventLoopPolicy = request.param()
    return made


ACME = TenantId("01JD0000000000000000000000")
GLOBEX = TenantId("01JD0000000000000000000001")
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery staple"


def directory(**acme: Any) -> Directory:
    """Two tenants; acme has a listed domain, people, a group and a connector on 127.0.0.2."""
    hashed = CHEAP.hash(PASSWORD)
    people = [
        Person("alice@acme.example", ACME, aliases=("a.lice@acme.example",), password_hash=hashed),
        Person("gone@acme.example", ACME, password_hash=hashed, active=False),
        Person("known@shop.acme.example", ACME),
    ]
    return Directory(
        revision=1,
        tenants={ACME: Tenant(ACME, "acme", **acme), GLOBEX: Tenant(GLOBEX, "globex")},
        domains={
            d.name: d
            for d in (
                Domain("acme.example", ACME),
                Domain("shop.acme.example", ACME, recipients="listed"),
                Domain("globex.example", GLOBEX),
            )
        },
        connectors=(
            Connector(
                "exchange",
                ACME,
                networks=(ipaddress.ip_network("127.0.0.2/32"),),
                username="exchange",
                password_hash=hashed,
            ),
        ),
        people={p.address: p for p in people},
        groups={(ACME, "sales"): Group("sales", ACME, frozenset({"alice@acme.example"}), address="sales@acme.example")},
    )


@dataclass
class FakeDecider:
    """Policy: delivers everything, or does what a test says."""

    answer: Callable[[mail_pb2.Envelope, bytes | None], Awaitable[mail_pb2.Decision]] | None = None
    asked: list[tuple[mail_pb2.Envelope, bytes | None]] = field(default_factory=list)

    async def decide(self, envelope: mail_pb2.Envelope, raw: bytes | None, *, timeout: float) -> mail_pb2.Decision:
        """See `Decider`."""
        self.asked.append((envelope, raw))
        return await self.answer(envelope, raw) if self.answer else decision(envelope)


def decision(envelope: mail_pb2.Envelope, *legs: tuple[Sequence[int], mail_pb2.Disposition, str]) -> mail_pb2.Decision:
    """A decision; without legs everybody is delivered to."""
    chosen = legs or ((range(len(envelope.recipients)), mail_pb2.DISPOSITION_DELIVER, ""),)
    return mail_pb2.Decision(
        tenant=envelope.tenant,
        mail_id=envelope.mail_id,
        recipients=envelope.recipients,
        origin="policy",
        legs=[
            mail_pb2.Leg(number=n, recipients=r, disposition=d, text=t) for n, (r, d, t) in enumerate(chosen, start=1)
        ],
    )


@dataclass
class FakePublisher:
    """The bus: remembers, or fails."""

    facts: list[tuple[mail_pb2.Trace, bytes | None]] = field(default_factory=list)
    error: Exception | None = None

    async def publish(self, trace: mail_pb2.Trace, raw: bytes | None) -> None:
        """See `Publisher`."""
        if self.error is not None:
            raise self.error
        self.facts.append((trace, raw))


class Client:
    """A raw SMTP client: says bytes, hears replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes | str) -> None:
        """Send bytes, or a line of text."""
        self.writer.write(data if isinstance(data, bytes) else data.encode() + b"\r\n")
        await self.writer.drain()

    async def hear(self) -> str:
        """One whole reply, its lines joined by newlines; empty at the end."""
        lines: list[str] = []
        with contextlib.suppress(ConnectionResetError):
            await self._hear(lines)
        return "\n".join(lines)

    async def _hear(self, lines: list[str]) -> None:
        while line := (await asyncio.wait_for(self.reader.readline(), 10)).decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break

    async def ask(self, data: bytes | str) -> str:
        """Say and hear."""
        await self.say(data)
        return await self.hear()

    async def transact(self, content: bytes, *, sender: str = "x@remote.example", to: Sequence[str] = ()) -> str:
        """MAIL, RCPT, DATA with stuffed content that ends in CRLF; the last reply."""
        for command in (
            f"MAIL FROM:<{sender}>",
            *(f"RCPT TO:<{r}>" for r in to or ("bob@acme.example",)),
            "DATA",
        ):
            answer = await self.ask(command)
            if answer[0] not in "23":
                return answer
        return await self.ask(content + b".\r\n")


@dataclass
class House:
    """A running ingress and its doubles."""

    objects: InMemoryObjects
    keys: FakeKeys
    decider: FakeDecider
    publisher: FakePublisher
    receiver: Receiver
    desk: Desk
    server: SmtpServer
    addresses: dict[str, Address]
    view: list[Directory]

    @contextlib.asynccontextmanager
    async def client(
        self, kind: str = "relay", *, source: str = "127.0.0.1", tls: bool = False, greeted: bool = True
    ) -> AsyncIterator[Client]:
        """A raw connection, after EHLO unless `greeted` is False."""
        address = self.addresses[kind]
        context = client_tls() if tls else None
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, local_addr=(source, 0))
        client = Client(reader, writer)
        try:
            if greeted:
                assert (await client.hear()).startswith("220")
                assert (await client.ask("EHLO client.example")).startswith("250")
            yield client
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    def smtp(self, kind: str = "relay") -> smtplib.SMTP:
        """A blocking client for use in a thread."""
        address = self.addresses[kind]
        if kind == "submissions":
            return smtplib.SMTP_SSL(address.host, address.port, context=client_tls(), timeout=20)
        return smtplib.SMTP(address.host, address.port, timeout=20)

    async def stored(self, answer: str) -> tuple[mail_pb2.ObjectHeader, bytes]:
        """The mail whose id a 250 named, opened as a reader would."""
        mail_id = MailId.parse(answer.split()[2])
        key = next(k for k in self.objects.objects if k.endswith(mail_id) and "/mail/" in k)
        return await self.opened(TenantId(key.partition("/")[0]), mail_id, key)

    async def opened(self, tenant: TenantId, mail_id: MailId, key: str) -> tuple[mail_pb2.ObjectHeader, bytes]:
        """The object at `key` and its body."""
        identities = await self.keys.identities.pipeline(mail_id.day)
        record, raw = mailobject.open(
            await self.objects.get(key),
            identities=identities,
            writers=self.keys.writers,
            tenant=tenant,
            mail_id=mail_id,
        )
        if record.blob:
            place = f"{key}.blob" if "/refused/" in key else mailobject.blob_key(tenant, mail_id)
            sealed = await self.objects.get(place)
            raw = mailobject.open_blob(sealed, identities, sha256=record.envelope.sha256)
        return record, raw

    def mails(self) -> list[str]:
        """Keys of the committed mails."""
        return [k for k in self.objects.objects if "/mail/" in k]

    def blobs(self) -> list[str]:
        """Keys of the blobs."""
        return [k for k in self.objects.objects if "/blob/" in k]


_certificates: dict[str, Path] = {}


def client_tls() -> ssl.SSLContext:
    """Trusts the test's certificate."""
    context = ssl.create_default_context(cafile=str(_certificates["certificate"]))
    context.check_hostname = False
    return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """The server's TLS context, with a certificate made for this run."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mail.acme.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    _certificates["certificate"] = folder / "cert.pem"
    _certificates["key"] = folder / "key.pem"
    _certificates["certificate"].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    _certificates["key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tls_context(folder / "cert.pem", folder / "key.pem", folder / "cert.pem")


type Open = Callable[..., contextlib.AbstractAsyncContextManager[House]]


@pytest.fixture
def open_house(certificate: ssl.SSLContext) -> Open:
    """Opens houses: `limits`, `balancers`, `acme` (fields of the tenant), and anything of `Desk`."""

    @contextlib.asynccontextmanager
    async def opened(
        *,
        limits: Limits | None = None,
        balancers: tuple[Network, ...] = (),
        acme: dict[str, Any] | None = None,
        objects: Any = None,
        auth: dict[str, Any] | None = None,
        decide_within: float = 5.0,
        **desk: Any,
    ) -> AsyncIterator[House]:
        store, keys, decider, publisher = objects or InMemoryObjects(), FakeKeys(), FakeDecider(), FakePublisher()
        view = [directory(**(acme or {}))]
        receiver = Receiver(
            objects=store,
            keys=SealTo(keys.public),
            signer=keys.signer("ingress"),
            decider=decider,
            publisher=publisher,
            hostname="mx.test",
            limits=limits or Limits(),
            decide_within=decide_within,
        )
        authenticator = Authenticator(lambda: view[0], hasher=CHEAP, **(auth or {}))
        made = Desk(
            hostname="mx.test",
            directory=lambda: view[0],
            receiver=receiver,
            authenticator=authenticator,
            tls=certificate,
            limits=limits or Limits(),
            **desk,
        )
        server = SmtpServer(made, balancers=balancers)
        anywhere = Address("127.0.0.1", 0)
        addresses = {
            "relay": await server.listen(anywhere, "relay"),
            "submission": await server.listen(anywhere, "submission"),
            "submissions": await server.listen(anywhere, "submissions"),
        }
        try:
            yield House(store, keys, decider, publisher, receiver, made, server, addresses, view)
        finally:
            await server.drain(5)
            authenticator.close()

    return opened


@pytest.fixture
async def house(open_house: Open) -> AsyncIterator[House]:
    """A house with default limits."""
    async with open_house() as opened:
        yield opened


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 10 s."""
    await eventually(condition)
