"""Who sees which password, and that nobody does before the log says so."""

from __future__ import annotations

import math
import os
from collections import Counter
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from letterlock.encryption.v1 import encryption_pb2 as pb

from services.common import rpc
from services.common.audit_client import Receipt
from services.common.audit_entries import AuditEntry
from services.common.auth import Principal
from services.common.directory import Directory, Group, Person, Tenant
from services.common.errors import Denied, InvalidInput, NotFound, Unavailable
from services.common.ids import MailId, TenantId
from services.common.testing.objects import InMemoryObjects
from services.encryption.adapters.book import StoredBook
from services.encryption.adapters.passwords import PasswordServicer
from services.encryption.core import passwords
from services.encryption.ports import Agreed, Plan, Secret

ACME, GLOBEX = TenantId.new(now=1), TenantId.new(now=2)
ALICE, ADMIN = "alice@acme.example", "admin@acme.example"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MAIL = MailId.new(now=NOW.timestamp())
ANY: Any = None


class Master:
    """The key that wraps."""

    def get(self) -> bytes:
        return b"m" * 32


class Log:
    """The audit log; `up` False: it cannot be written."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.up = True

    async def append(self, entry: AuditEntry) -> Receipt:
        if not self.up:
            raise Unavailable("the audit log is away")
        self.entries.append(entry)
        return Receipt(b"", 0, (), b"", b"")


VIEW = Directory(
    tenants={ACME: Tenant(ACME, "acme"), GLOBEX: Tenant(GLOBEX, "globex")},
    people={
        ALICE: Person(ALICE, ACME, aliases=("a.lin@acme.example",)),
        ADMIN: Person(ADMIN, ACME, frozenset({"tenant_admin"})),
        "eve@globex.example": Person("eve@globex.example", GLOBEX, frozenset({"tenant_admin", "user"})),
    },
    groups={(ACME, "sales"): Group("sales", ACME, frozenset({ALICE}), "sales@acme.example")},
)


def acting(address: str, tenant: TenantId | None = ACME, **more: Any) -> AbstractContextManager[None]:
    """Call as this person."""
    roles = VIEW.people[address].roles if address in VIEW.people else frozenset()
    who = Principal("person", tenant, address, roles) if tenant else Principal(**more)
    return rpc.acting_as(who, VIEW)


def plan(sender: str = ALICE, mail_id: MailId = MAIL, leg: int = 1) -> Plan:
    """A sealed leg."""
    secret = Secret((0,), ("bob@partner.example",), f"secret-of-{sender}-{leg}")
    return Plan(ACME, mail_id, leg, sender, NOW, (secret,))


@pytest.fixture
def book() -> StoredBook:
    """An empty book."""
    return StoredBook(InMemoryObjects(), Master())


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()


@pytest.fixture
def api(book: StoredBook, log: Log) -> PasswordServicer:
    """The service."""
    return PasswordServicer(book, log, now=lambda: NOW)


async def test_the_sender_gets_it_after_the_log_has_it(api: PasswordServicer, book: StoredBook, log: Log) -> None:
    """By mail id or by password id; the entry names who, which mail, and not the password."""
    await book.add(plan())
    with acting(ALICE):
        answer = await api.GetPassword(pb.GetPasswordRequest(id=MAIL), ANY)
        again = await api.GetPassword(pb.GetPasswordRequest(id=f"{MAIL}.1"), ANY)
    assert [s.secret for s in answer.passwords] == [s.secret for s in again.passwords] == [f"secret-of-{ALICE}-1"]
    assert [(e.action, e.actor, e.mail_ids, e.outcome) for e in log.entries] == [
        ("password.viewed", ALICE, (MAIL,), "done")
    ] * 2
    assert b"secret-of" not in b"".join(e.dump() for e in log.entries)


async def test_no_log_no_password(api: PasswordServicer, book: StoredBook, log: Log) -> None:
    """It fails closed."""
    await book.add(plan())
    log.up = False
    with acting(ALICE), pytest.raises(Unavailable):
        await api.GetPassword(pb.GetPasswordRequest(id=MAIL), ANY)
    with acting(ADMIN), pytest.raises(Unavailable):
        await api.SetAgreedPassword(pb.SetAgreedPasswordRequest(partner="partner.example"), ANY)
    assert await book.agreed(ACME) == []


@pytest.mark.parametrize("sender", ["a.lin@acme.example", "sales@acme.example", "ALICE@acme.example"])
async def test_every_address_of_theirs_is_the_sender(api: PasswordServicer, book: StoredBook, sender: str) -> None:
    """Aliases, groups, and any case."""
    await book.add(plan(sender))
    with acting(ALICE):
        assert (await api.GetPassword(pb.GetPasswordRequest(id=MAIL), ANY)).passwords
        assert (await api.ListPasswords(pb.ListPasswordsRequest(), ANY)).passwords[0].mail_id == MAIL


async def test_to_everybody_else_it_does_not_exist(api: PasswordServicer, book: StoredBook, log: Log) -> None:
    """Not the admin's, not another tenant's, not the operator's; attempts are recorded."""
    await book.add(plan())
    with acting(ADMIN):
        assert not (await api.ListPasswords(pb.ListPasswordsRequest(), ANY)).passwords
        with pytest.raises(NotFound):
            await api.GetPassword(pb.GetPasswordRequest(id=MAIL), ANY)
    assert [e.outcome for e in log.entries] == ["denied"]
    with acting("eve@globex.example", GLOBEX), pytest.raises(NotFound):
        await api.GetPassword(pb.GetPasswordRequest(tenant="acme", id=MAIL), ANY)
    with acting("", None, kind="operator", roles=frozenset({"operator"})):
        for call in (
            api.GetPassword(pb.GetPasswordRequest(tenant="acme", id=MAIL), ANY),
            api.ListPasswords(pb.ListPasswordsRequest(tenant="acme"), ANY),
            api.SetAgreedPassword(pb.SetAgreedPasswordRequest(tenant="acme", partner="x.example"), ANY),
        ):
            with pytest.raises(Denied):
                await call


@pytest.mark.parametrize("id", ["", "../../x", "a" * 65, "x y", f"{MAIL}.99", "*"])
async def test_odd_ids_are_no_passwords(api: PasswordServicer, book: StoredBook, id: str) -> None:
    """They are not looked up as paths."""
    await book.add(plan())
    with acting(ALICE), pytest.raises(NotFound):
        await api.GetPassword(pb.GetPasswordRequest(id=id), ANY)


async def test_agreed_passwords_are_the_admins(api: PasswordServicer, book: StoredBook, log: Log) -> None:
    """Set, listed without the secret, shown with a record, tried for policy, ended; a repeated set is one."""
    request = pb.SetAgreedPasswordRequest(
        partner="Partner.Example", password="as-we-agreed-on", note="by phone", request_id="r1"
    )
    request.valid_until.FromDatetime(NOW + timedelta(days=30))
    with acting(ADMIN):
        made = (await api.SetAgreedPassword(request, ANY)).password
        assert (await api.SetAgreedPassword(request, ANY)).password.id == made.id
        [listed] = (await api.ListPasswords(pb.ListPasswordsRequest(), ANY)).passwords
        assert b"as-we-agreed-on" not in listed.SerializeToString()
        shown = await api.GetPassword(pb.GetPasswordRequest(id=made.id), ANY)
        assert [s.secret for s in shown.passwords] == ["as-we-agreed-on"]
    with acting(ALICE):
        with pytest.raises(NotFound):
            await api.GetPassword(pb.GetPasswordRequest(id=made.id), ANY)
        assert not (await api.ListPasswords(pb.ListPasswordsRequest(), ANY)).passwords
    await book.add(plan())
    with acting("", None, kind="service", service="policy"):
        for_them = pb.PasswordsForRequest(tenant=ACME, sender=ALICE, recipients=["bob@partner.example"])
        assert list((await api.PasswordsFor(for_them, ANY)).passwords) == ["as-we-agreed-on", f"secret-of-{ALICE}-1"]
    with acting(ADMIN):
        await api.DeleteAgreedPassword(pb.DeleteAgreedPasswordRequest(id=made.id), ANY)
        await api.DeleteAgreedPassword(pb.DeleteAgreedPasswordRequest(id=made.id), ANY)
        assert not (await api.ListPasswords(pb.ListPasswordsRequest(), ANY)).passwords
        with pytest.raises(NotFound):
            await api.DeleteAgreedPassword(pb.DeleteAgreedPasswordRequest(id="nonsense"), ANY)
    assert [e.action for e in log.entries].count("password.changed") == 4


@pytest.mark.parametrize(
    "fields",
    [
        {"partner": "nonsense"}, {"partner": "a b@x.example"}, {"partner": "x.example", "password": "short"},
        {"partner": "x.example", "password": "aaaaaaaaaaaaaaaa"}, {"partner": "x.example", "password": "密碼密碼密碼密碼密碼密碼"},
        {"partner": "x.example", "password": "with a space in it"}, {"partner": "x.example", "note": "x" * 201},
    ],
)  # fmt: skip
async def test_what_cannot_be_agreed_is_said(api: PasswordServicer, fields: dict[str, str]) -> None:
    """And not repeated in the error."""
    with acting(ADMIN), pytest.raises(InvalidInput) as caught:
        await api.SetAgreedPassword(pb.SetAgreedPasswordRequest(**fields), ANY)  # type: ignore[arg-type]
    assert not fields.get("password") or fields["password"] not in str(caught.value)


async def test_the_first_plan_stays(book: StoredBook) -> None:
    """A second try gets the password of the first, and a plan moved to another place does not open."""
    assert await book.add(plan()) == plan()
    other = Plan(ACME, MAIL, 1, ALICE, NOW, (Secret((0,), ("bob@partner.example",), "another"),))
    assert await book.add(other) == plan()
    assert not await book.told(plan())
    await book.set_told(plan())
    await book.set_told(plan())
    assert await book.told(plan())
    assert await book.plans(ACME, [ALICE], mail_id=MAIL) == [plan()]
    assert await book.plans(GLOBEX, [ALICE]) == []


async def test_passwords_expire_and_agreed_ones_do_not(book: StoredBook) -> None:
    """What was made long ago can no longer be looked up."""
    await book.add(plan())
    await book.set_told(plan())
    await book.agree(ACME, Agreed("a1", "x.example", "as-we-agreed-on", NOW), actor="x")
    assert await book.expire(ACME, before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert await book.expire(ACME, before=datetime.now(UTC) + timedelta(days=1)) == 2
    assert await book.plans(ACME, [ALICE]) == []
    assert [a.id for a in await book.agreed(ACME)] == ["a1"]
    another = StoredBook(book._objects, Master())
    await another.end(ACME, "a1", actor="x")
    assert await book.agreed(ACME) == []


def test_made_passwords_are_random_and_read_aloud_well() -> None:
    """At least 80 bits; no letter that is taken for another; each letter as likely."""
    assert passwords.BITS >= 80
    assert math.isclose(passwords.BITS, 20 * math.log2(31))
    assert not set("01ilo") & set(passwords.ALPHABET)
    many = [passwords.made(os.urandom(128)) for _ in range(3000)]
    assert len(set(many)) == len(many)
    assert all(len(p) == 24 for p in many)
    counts = Counter("".join(many).replace("-", ""))
    assert set(counts) == set(passwords.ALPHABET)
    expected = 3000 * 20 / 31
    assert all(abs(n - expected) < 8 * math.sqrt(expected) for n in counts.values())
