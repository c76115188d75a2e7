"""Logging in: sessions that end with what they were given for, throttled, recorded, and never an administrator's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from letterlock.directory.v1 import session_pb2 as pb
from letterlock.directory.v1 import session_pb2_grpc as rpcs

from services.admin.adapters.sessions import SessionServicer
from services.admin.login import LogIn
from services.common import auth, rpc, sessions, tls
from services.common.audit_entries import AuditEntry
from services.common.control import Control
from services.common.errors import Busy, Unauthenticated
from services.common.ids import INSTALLATION, TenantId
from services.common.sealing.writers import Signer, Writer, Writers
from services.common.sessions import Session, Sessions
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.objects import InMemoryObjects

ACME = TenantId.new()
KEY, LIMITED = "acme-lin-0123456789abcdef", "acme-lim-0123456789abcdef"
SIGNER, OTHER = Signer("admin", b"a" * 32), Signer("admin", b"b" * 32)
WRITERS = Writers({"admin": Writer(SIGNER.public, frozenset({"session"}))})
START = datetime(2026, 3, 1, tzinfo=UTC)
WORLD: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("tenant", "self", {"name": "acme", "language": "ja"}),
    ("domain", "acme.example", {"recipients": "any"}),
    ("person", "lin@acme.example", {"roles": ["reviewer", "user"], "password_hash": auth.hash_password("long enough")}),
    ("person", "ada@acme.example", {"roles": ["tenant_admin"], "password_hash": auth.hash_password("long enough")}),
    ("apikey", auth.token_digest(KEY), {"owner": "lin@acme.example"}),
    ("apikey", auth.token_digest(LIMITED), {"owner": "lin@acme.example", "limited": True}),
)


class Trail:
    """Keeps the entries."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def record(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class House:
    """Admin's log-in over a real listener, with a clock of its own."""

    def __init__(self, control: Control) -> None:
        self.control, self.trail, self.at, self.seconds = control, Trail(), START, 0.0
        self.sessions = Sessions(WRITERS, now=lambda: self.at)
        self.log_in = LogIn(
            control, SIGNER, self.trail, lasts=timedelta(minutes=30), now=lambda: self.at, clock=lambda: self.seconds,
        )  # type: ignore[arg-type]  # fmt: skip

    def roles(self, token: str) -> frozenset[str] | None:
        found = self.sessions.principal(self.control.directory, token)
        return found.roles if found is not None else None

    async def begin(self, secret: str, address: str = "lin@acme.example", peer: str = "192.0.2.1") -> str:
        return (await self.log_in.begin(address, secret, peer, through="portal"))[0]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Acme with a reviewer and an administrator."""
    control = Control(InMemoryObjects(), InMemoryBus("admin", InMemoryBroker()), node="admin", debounce=0.001)
    async with control.running():
        await control.put(INSTALLATION, "domain-claim", "acme.example", {"tenant": str(ACME)}, expected=0, actor="t")
        for kind, key, value in WORLD:
            await control.put(ACME, kind, key, value, expected=0, actor="t")
        yield House(control)


async def test_own_key_reviews_and_a_password_or_limited_key_does_not(house: House) -> None:
    """Whoever can set a person's password must not become a reviewer by it; nobody administers by a session."""
    assert house.roles(await house.begin(KEY)) == {"reviewer", "user"}
    assert house.roles(await house.begin(LIMITED)) == {"user"}
    assert house.roles(await house.begin("long enough")) == {"user"}
    assert house.roles(await house.begin("long enough", "ADA@acme.example")) == {"user"}
    assert [(e.action, e.outcome, e.tenant) for e in house.trail.entries] == [("login", "done", ACME)] * 4


async def test_session_ends_with_its_time_its_credential_its_person_and_the_log_out(house: House) -> None:
    """Each alone is enough."""
    by_key, by_password = await house.begin(KEY), await house.begin("long enough")
    assert await house.control.put(ACME, "apikey", auth.token_digest(KEY), None, expected=None, actor="t")
    assert house.roles(by_key) is None
    assert house.roles(by_password) == {"user"}
    house.at += timedelta(minutes=30)
    assert house.roles(by_password) is None
    house.at -= timedelta(minutes=1)
    assert house.roles(by_password) == {"user"}
    caller = house.sessions.principal(house.control.directory, by_password)
    assert caller is not None
    await house.log_in.end(caller)
    assert house.roles(by_password) is None
    again = await house.begin("long enough")
    assert house.roles(again) == {"user"}
    person = {**WORLD[2][2], "password_hash": auth.hash_password("another one")}
    await house.control.put(ACME, "person", "lin@acme.example", person, expected=None, actor="t")
    assert house.roles(again) is None


async def test_token_of_another_hand_is_nobodys(house: House) -> None:
    """Signed by a stranger, cut, lengthened, or of a service that may not sign sessions."""
    micros = int(START.timestamp() * 1_000_000)
    credential = sessions.credential_of_key(auth.token_digest(KEY))
    session = Session("lin@acme.example", credential, micros, micros + 10**9)
    good = sessions.issue(session, SIGNER)
    assert house.roles(good) == {"reviewer", "user"}
    other = Writers({"admin": Writer(SIGNER.public, frozenset({"mail"}))})
    assert Sessions(other, now=lambda: START).principal(house.control.directory, good) is None
    for wrong in (
        sessions.issue(session, OTHER),
        good[:-2],
        good + "A",
        good.replace(".", "", 1),
        "lls_",
        "lls_" + "A" * 2000,
        "lls_é.é",
    ):
        assert house.roles(wrong) is None


async def test_guessing_is_throttled_without_locking_the_owner_out(house: House) -> None:
    """Twenty failures for an account from anywhere; a peer that was let in before still is; then time heals."""
    await house.begin("long enough", peer="198.51.100.7")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await house.begin("wrong")
    with pytest.raises(Busy):
        await house.begin("long enough")
    assert await house.begin("long enough", peer="198.51.100.7")
    house.seconds += 601
    assert await house.begin("long enough")
    assert [e.outcome for e in house.trail.entries].count("denied") == 3


async def test_unknown_person_is_told_what_a_wrong_password_is_told(house: House) -> None:
    """And a key that is somebody else's logs nobody in."""
    said = set()
    for address, secret in (
        ("lin@acme.example", "wrong"),
        ("x@acme.example", "wrong"),
        ("ada@acme.example", KEY),
        ("", ""),
        ("lin@acme.example", "x" * 600),
    ):
        with pytest.raises(Unauthenticated) as refused:
            await house.begin(secret, address)
        said.add(refused.value.public)
    assert said == {"not logged in"}


async def test_every_service_takes_a_session_as_it_takes_a_key(house: House, tmp_path: Path) -> None:
    """Over the wire: log in by the portal's certificate, ask who one is, log out, and be nobody."""
    server = rpc.RpcServer("admin", house.control, tmp_path)
    server.believe(house.sessions)
    server.add(rpcs.add_SessionServiceServicer_to_server, SessionServicer(house.log_in))
    address = await server.start("127.0.0.1:0")
    async with rpc.connect(str(address), tls.ensure(tmp_path, "portal"), peer="admin") as channel:
        stub: Any = rpcs.SessionServiceStub(channel)
        answer = await stub.LogIn(pb.LogInRequest(address="lin@acme.example", secret=KEY, peer="192.0.2.1"), timeout=10)
        metadata = [("authorization", f"Bearer {answer.token}")]
        me = await stub.WhoAmI(pb.WhoAmIRequest(), metadata=metadata, timeout=10)
        assert (me.name, list(me.roles), me.tenant, me.language) == (
            "lin@acme.example",
            ["reviewer", "user"],
            "acme",
            "ja",
        )
        await stub.LogOut(pb.LogOutRequest(), metadata=metadata, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.WhoAmI(pb.WhoAmIRequest(), metadata=metadata, timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await server.stop(0)
