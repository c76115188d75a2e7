"""Sealing over doubles of store and broker: what follows from a fact, and what a crash after each step leaves."""

from __future__ import annotations

import email
import email.policy
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import pyzipper
from letterlock.mail.v1 import mail_pb2

from services.common.bus import Later, Message
from services.common.directory import Directory, Domain, Route, Tenant
from services.common.errors import AlreadyExists, NotFound, Unavailable
from services.common.facts import Facts, MailReader
from services.common.ids import MailId, TenantId
from services.common.notices import Templates
from services.common.sealing import mailobject
from services.common.sealing.content import content_key, read_content
from services.common.secretmail import SecretMail
from services.common.secretmail import SecretNotices as Opens
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.encryption.adapters.book import StoredBook
from services.encryption.adapters.contents import SecretNotices, StoredContents
from services.encryption.adapters.packer import ThreadedPacker
from services.encryption.ports import Agreed
from services.encryption.seal import REQUIRE_TLS, Seal

ACME = TenantId.new(now=1)
RAW = (
    b"From: alice@acme.example\r\nTo: bob@partner.example\r\nSubject: offer\r\nMessage-ID: <1@acme>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nthe eagle has landed\r\n"
)
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Master:
    """The key that wraps the passwords."""

    def get(self) -> bytes:
        return b"m" * 32


class Dies(InMemoryObjects):
    """A store before which the process dies: the `nth` writing call and all later ones fail."""

    left = 10**9

    def _step(self) -> None:
        if self.left <= 0:
            raise Unavailable("died")
        self.left -= 1

    async def create(self, key: str, data: bytes) -> None:
        self._step()
        await super().create(key, data)


@dataclass
class World:
    """One encryption service."""

    tls: str = "none"
    objects: Dies = field(default_factory=Dies)
    broker: InMemoryBroker = field(default_factory=InMemoryBroker)
    keys: FakeKeys = field(default_factory=FakeKeys)

    def __post_init__(self) -> None:
        self.bus = InMemoryBus("encryption", self.broker)
        self.ingress = InMemoryBus("ingress", self.broker)
        self.quarantine = InMemoryBus("quarantine", self.broker)
        self.reader = MailReader(self.objects, self.keys.identities, self.keys.writers)
        self.facts = Facts(self.bus, self.keys.fact_keys(self.bus.bucket("factkeys")), self.reader)
        self.book = StoredBook(self.objects, Master())
        self.opens = Opens(self.objects, self.keys.identities, self.keys.writers)
        signer = self.keys.signer("encryption")
        templates = Templates(self.objects)
        secret = SecretMail(self.objects, self.keys.public, signer, self.facts, self.directory)
        self.packer = ThreadedPacker(
            templates, threads=1, google_domains=("gmail.com",), language=lambda tenant: "", largest=10**6
        )
        self.seal = Seal(
            facts=self.facts,
            book=self.book,
            contents=StoredContents(self.objects, self.keys.public, signer),
            packer=self.packer,
            notices=SecretNotices(secret, templates, hostname="mx.example", language=lambda tenant: ""),
            directory=self.directory,
            now=lambda: datetime.now(UTC),
        )

    def directory(self) -> Directory:
        route = Route("127.0.0.1:9", self.tls)  # type: ignore[arg-type]
        return Directory(
            tenants={ACME: Tenant(ACME, "acme", route, route)}, domains={"acme.example": Domain("acme.example", ACME)}
        )

    async def accept(
        self,
        recipients: Sequence[str] = ("bob@partner.example",),
        *,
        raw: bytes = RAW,
        sender: str = "alice@acme.example",
        kind: str = "decided",
        direction: int = mail_pb2.DIRECTION_OUTBOUND,
        leg: Callable[[mail_pb2.Leg], None] = lambda leg: None,
        **settings: object,
    ) -> Message:
        """A decided mail in the store whose one leg is to be sealed, and its fact."""
        mail_id = MailId.new()
        named = [mail_pb2.Recipient(address=a, direction=direction) for a in recipients]  # type: ignore[arg-type]
        envelope = mail_pb2.Envelope(
            tenant=ACME, mail_id=mail_id, sender=sender, recipients=named, size=len(raw),
            sha256=hashlib.sha256(raw).digest(), origin="relay",
        )  # fmt: skip
        one = mail_pb2.Leg(number=1, recipients=range(len(named)), disposition=mail_pb2.DISPOSITION_DELIVER)
        one.transforms.add(kind="seal", rule="secrets-out", settings=orjson.dumps(settings))
        leg(one)
        decision = mail_pb2.Decision(tenant=ACME, mail_id=mail_id, recipients=named, legs=[one], origin="policy")
        header = mail_pb2.ObjectHeader(tenant=ACME, mail_id=mail_id, envelope=envelope, decision=decision)
        to = [await self.keys.public.archive(ACME), await self.keys.public.pipeline()]
        data = mailobject.seal(header, raw, recipients=to, signer=self.keys.signer("ingress"))
        await self.objects.create(mailobject.mail_key(ACME, mail_id), data)
        by = self.quarantine if kind == "released" else self.ingress
        trace = mail_pb2.Trace(envelope=envelope, decision=decision, legs=[1] if kind == "released" else [])
        suffix = "1:r:1" if kind == "released" else "d:0"
        tell = Facts(by, self.keys.fact_keys(by.bucket("factkeys")))
        await tell.publish(kind, trace, raw=raw, msg_id=f"{mail_id}:{suffix}")  # type: ignore[arg-type]
        return next(m for m in reversed(self.broker.sent) if m.subject == f"mail.{kind}.{ACME}")

    async def told(self, kind: str) -> list[mail_pb2.Trace]:
        """What is on the bus of this kind."""
        return [
            (await Facts(self.bus, self.facts._keys).open(m)).trace
            for m in self.broker.sent
            if m.subject.startswith(f"mail.{kind}.")
        ]

    async def sealed(self, mail_id: str, variant: int = 0) -> tuple[mail_pb2.ContentHeader, email.message.EmailMessage]:
        """The content of the leg."""
        header, raw = await read_content(
            self.objects, self.keys.identities, self.keys.writers, ACME, MailId.parse(mail_id), 1, variant
        )
        return header, email.message_from_bytes(raw, policy=email.policy.default)  # type: ignore[return-value]

    async def secrets(self) -> list[tuple[mail_pb2.ObjectHeader, bytes]]:
        """The secret notices that lie in the store."""
        keys = [m.key async for m in self.objects.list(f"{ACME}/secret/")]
        return [await self.opens.read(ACME, MailId.parse(k.rpartition("/")[2])) for k in keys]


def opened(message: email.message.EmailMessage, password: str) -> dict[str, bytes]:
    """What is in the sealed attachment."""
    attachment = next(p for p in message.iter_attachments() if p.get_filename() == "sealed.zip")
    with pyzipper.AESZipFile(io.BytesIO(attachment.get_content())) as archive:
        archive.setpassword(password.encode())
        return {n: archive.read(n) for n in archive.namelist()}


async def password_of(world: World) -> str:
    """The password as the sender reads it in their notice."""
    [(header, raw)] = await world.secrets()
    text = email.message_from_bytes(raw, policy=email.policy.default).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert [r.address for r in header.envelope.recipients] == ["alice@acme.example"]
    return str(next(line.split()[-1] for line in text.splitlines() if line.startswith("Password:")))


@pytest.fixture
def world() -> World:
    """An installation."""
    return World()


async def test_the_password_reaches_the_sender_only_and_opens_the_content(world: World) -> None:
    """Content for the recipient, a notice for the sender by reference, the outcome, then the fact for delivery."""
    message = await world.accept()
    await world.seal.fact(message)
    [trace] = await world.told("sealed")
    mail_id = trace.envelope.mail_id
    header, mail = await world.sealed(mail_id)
    password = await password_of(world)
    assert b"the eagle has landed" in opened(mail, password)["1.txt"]
    assert (header.kind, list(header.rules), list(header.recipients)) == ("sealed", ["secrets-out"], [0])
    assert list(trace.legs) == [1]
    [outcome] = [t.outcome for t in await world.told("outcome")]
    assert (outcome.state, outcome.service, list(outcome.recipients)) == (mail_pb2.STATE_SEALED, "encryption", [0])
    notices = [t for t in await world.told("decided") if t.envelope.origin == "system-secret"]
    assert [r.address for t in notices for r in t.envelope.recipients] == ["alice@acme.example"]
    with pytest.raises(RuntimeError):
        opened(mail, "another-password")


async def test_no_password_and_no_text_is_anywhere_in_clear(world: World) -> None:
    """Not on the bus, not in the store, not in the mail that bears the content, not in a log."""
    message = await world.accept()
    await world.seal.fact(message)
    [trace] = await world.told("sealed")
    password = await password_of(world)
    _, mail = await world.sealed(trace.envelope.mail_id)
    assert password.encode() not in mail.as_bytes()
    assert b"eagle" not in mail.as_bytes()
    for told in [*await world.told("sealed"), *await world.told("outcome"), *await world.told("decided")]:
        assert password.encode() not in told.SerializeToString()
    secrets = [m for m in world.broker.sent if m.subject.startswith("mail.decided.")]
    assert all(not mail_pb2.Fact.FromString(m.data).HasField("content") for m in secrets[1:])
    stored = [await world.objects.get(m.key) async for m in world.objects.list("")]
    assert all(password.encode() not in data and b"alice" not in data for data in stored)


@pytest.mark.parametrize("steps", range(6))
async def test_a_crash_after_any_step_changes_nothing_of_the_result(steps: int) -> None:
    """Die at the n-th write, come again: one plan, one content, one notice, one password."""
    world = World()
    message = await world.accept()
    world.objects.left = steps
    died = False
    try:
        await world.seal.fact(message)
    except Later:
        died = True
    world.objects.left = 10**9
    before = {m.key: await world.objects.get(m.key) async for m in world.objects.list("")}
    await world.seal.fact(message)
    assert died == (steps < 4)  # plan, content, notice, note that it was sent
    assert all([await world.objects.get(k) == data for k, data in before.items()])
    [trace] = await world.told("sealed")
    _, mail = await world.sealed(trace.envelope.mail_id)
    assert opened(mail, await password_of(world))
    [plan] = await world.book.plans(ACME, ["alice@acme.example"])
    assert plan.secrets[0].password == await password_of(world)


async def test_a_broker_that_dies_in_between_loses_nothing(world: World) -> None:
    """Content is there, the fact is not: a repetition tells it and seals nothing anew."""
    message = await world.accept()
    publish, calls = world.bus.publish, 0

    async def failing(*args: object, **more: object) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Unavailable("broker died")
        await publish(*args, **more)  # type: ignore[arg-type]

    world.bus.publish = failing  # type: ignore[assignment, method-assign]
    with pytest.raises(Later):
        await world.seal.fact(message)
    assert await world.told("sealed") == []
    world.bus.publish = publish  # type: ignore[method-assign]
    before = await password_of(world)
    await world.seal.fact(message)
    [trace] = await world.told("sealed")
    assert opened((await world.sealed(trace.envelope.mail_id))[1], before)


async def test_a_notice_that_was_delivered_is_not_sent_again(world: World) -> None:
    """Delivery deletes it; the fact comes once more; the sender hears nothing more."""
    message = await world.accept()
    await world.seal.fact(message)
    [(header, _)] = await world.secrets()
    await world.opens.delete(ACME, MailId.parse(header.mail_id))
    await world.seal.fact(message)
    assert await world.secrets() == []


async def test_what_is_held_is_sealed_when_it_is_released_and_not_before(world: World) -> None:
    """Transforms survive a hold."""

    def hold(leg: mail_pb2.Leg) -> None:
        leg.disposition = mail_pb2.DISPOSITION_HOLD

    await world.seal.fact(await world.accept(leg=hold))
    assert await world.told("sealed") == []
    await world.seal.fact(await world.accept(leg=hold, kind="released"))
    [trace] = await world.told("sealed")
    assert opened((await world.sealed(trace.envelope.mail_id))[1], await password_of(world))


async def test_an_agreed_password_is_used_and_nobody_is_told(world: World) -> None:
    """The newest in force for the domain; the person's own before it; what has ended is not used."""
    for number, (partner, until) in enumerate(
        [("partner.example", None), ("partner.example", -1), ("carol@partner.example", None)]
    ):
        ends = datetime.now(UTC) + timedelta(days=until) if until is not None else None
        agreed = Agreed(str(MailId.new()), partner, f"agreed-password-{number}", datetime.now(UTC), None, ends)
        await world.book.agree(ACME, agreed, actor="admin@acme.example")
    recipients = ["bob@partner.example", "carol@partner.example"]
    await world.seal.fact(await world.accept(recipients, password="agreed"))
    [trace] = await world.told("sealed")
    first, one = await world.sealed(trace.envelope.mail_id, 0)
    second, two = await world.sealed(trace.envelope.mail_id, 1)
    assert (list(first.recipients), list(second.recipients), first.variants) == ([0], [1], 2)
    assert opened(one, "agreed-password-0")
    assert opened(two, "agreed-password-2")
    with pytest.raises(RuntimeError):
        opened(one, "agreed-password-2")
    assert await world.secrets() == []


async def test_without_an_agreed_password_one_is_made_for_the_sender(world: World) -> None:
    """It is never sent open because there is none."""
    await world.seal.fact(await world.accept(password="agreed"))
    [trace] = await world.told("sealed")
    assert opened((await world.sealed(trace.envelope.mail_id))[1], await password_of(world))


@pytest.mark.parametrize(
    ("sender", "direction"), [("", mail_pb2.DIRECTION_OUTBOUND), ("eve@evil.example", mail_pb2.DIRECTION_INBOUND)]
)
async def test_a_password_that_nobody_could_be_told_gives_the_mail_back(
    world: World, sender: str, direction: int
) -> None:
    """A null sender, or a stranger's address that may be forged: the leg is returned, never sent open."""
    await world.seal.fact(await world.accept(sender=sender, direction=direction))
    [trace] = await world.told("sealed")
    assert trace.decision.legs[0].disposition == mail_pb2.DISPOSITION_RETURN
    assert await world.secrets() == []
    with pytest.raises(NotFound):
        await world.objects.get(content_key(ACME, MailId.parse(trace.envelope.mail_id), 1))


@pytest.mark.parametrize(("tls", "plain"), [("required", True), ("opportunistic", False), ("none", False)])
async def test_unless_tls_goes_plain_only_where_tls_is_certain(tls: str, plain: bool) -> None:
    """And then with the demand that delivery enforces."""
    world = World(tls=tls)
    await world.seal.fact(await world.accept(unless_tls=True))
    [trace] = await world.told("sealed")
    kinds = [t.kind for t in trace.decision.legs[0].transforms]
    assert kinds == ([REQUIRE_TLS] if plain else ["seal"])
    assert bool(await world.secrets()) != plain


async def test_a_mail_that_is_encrypted_already_goes_as_it_is(world: World) -> None:
    """Not sealed twice; nobody gets a password that opens nothing."""
    raw = (
        b"From: alice@acme.example\r\nContent-Type: multipart/encrypted; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n--b--\r\n"
    )
    await world.seal.fact(await world.accept(raw=raw))
    [trace] = await world.told("sealed")
    assert not trace.decision.legs[0].transforms
    assert await world.secrets() == []


async def test_what_a_rule_strips_is_not_sealed_either(world: World) -> None:
    """Inside the archive delivery could not take it out any more."""
    raw = (
        b"From: alice@acme.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=bad.exe\r\n\r\n"
        b"program\r\n--b--\r\n"
    )

    def strip(leg: mail_pb2.Leg) -> None:
        leg.transforms.add(kind="strip", rule="no-exe", settings=orjson.dumps({"attachments": ["*.exe"], "why": ""}))

    await world.seal.fact(await world.accept(raw=raw, leg=strip))
    [trace] = await world.told("sealed")
    inside = opened((await world.sealed(trace.envelope.mail_id))[1], await password_of(world))
    assert b"program" not in b"".join(inside.values())


async def test_too_large_is_given_back(world: World) -> None:
    """What cannot be sealed does not leave."""
    await world.seal.fact(await world.accept(raw=RAW + b"x" * 1_000_001))
    [trace] = await world.told("sealed")
    assert trace.decision.legs[0].disposition == mail_pb2.DISPOSITION_RETURN


async def test_legs_of_others_are_left_alone(world: World) -> None:
    """Returned, refused and plain legs are delivery's."""

    def returned(leg: mail_pb2.Leg) -> None:
        leg.disposition = mail_pb2.DISPOSITION_RETURN

    def plain(leg: mail_pb2.Leg) -> None:
        del leg.transforms[:]

    for change in (returned, plain):
        await world.seal.fact(await world.accept(leg=change))
    assert await world.told("sealed") == []


async def test_a_pdf_opens_with_the_password_and_brings_the_attachments(world: World) -> None:
    """AES-256; Chinese and Japanese text; what was attached is inside."""
    import pikepdf

    raw = (
        "From: alice@acme.example\r\nSubject: 報價\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n機密の見積り eagle\r\n"
        "--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=rows.csv\r\n\r\na,b\r\n--b--\r\n"
    ).encode()
    await world.seal.fact(await world.accept(raw=raw, format="pdf", language="en"))
    [trace] = await world.told("sealed")
    header, mail = await world.sealed(trace.envelope.mail_id)
    assert header.kind == "pdf"
    data = next(mail.iter_attachments()).get_content()
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(io.BytesIO(data))
    with pikepdf.open(io.BytesIO(data), password=await password_of(world)) as document:
        assert document.encryption.R == 6
        assert document.attachments["2.csv"].get_file().read_bytes().startswith(b"a,b")
    assert b"eagle" not in data


async def test_notices_that_the_broker_lost_are_told_again(world: World) -> None:
    """They lie in the store until delivery has deleted them."""
    await world.seal.fact(await world.accept())
    secret = SecretMail(world.objects, world.keys.public, world.keys.signer("encryption"), world.facts, world.directory)
    later = datetime.now(UTC) + timedelta(minutes=30)
    assert await secret.resume(ACME, world.opens, before=later) == 1
    assert await secret.resume(ACME, world.opens, before=datetime.now(UTC) - timedelta(minutes=30)) == 0
    told = [t for t in await world.told("decided") if t.envelope.origin == "system-secret"]
    assert len(told) == 2
    with pytest.raises(AlreadyExists):
        await world.objects.create(
            content_key(ACME, MailId.parse((await world.told("sealed"))[0].envelope.mail_id), 1), b""
        )
