"""Log-ins and refusals: told once in a while, by whom, to whose log, and never without bound."""

from __future__ import annotations

import pytest

from services.common.audit_calls import AuditedCalls
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.auth import ANONYMOUS, Principal
from services.common.ids import INSTALLATION, TenantId
from services.common.testing.bus import InMemoryBus
from services.common.testing.keys import FakeKeys

ACME = TenantId.new()
ALICE = Principal("person", ACME, "alice@acme.example", frozenset({"user"}))
OPS = Principal("operator", None, "ops", frozenset({"operator"}))


class Trail(AuditTrail):
    """Keeps what it is told."""

    def __init__(self) -> None:
        bus = InMemoryBus()
        super().__init__(bus, FakeKeys().fact_keys(bus.bucket("factkeys")))
        self.told: list[AuditEntry] = []

    def record(self, entry: AuditEntry) -> None:
        self.told.append(entry)


class Clock:
    """Seconds, set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def trail() -> Trail:
    return Trail()


def test_a_login_is_told_once_an_hour(trail: Trail) -> None:
    """Many calls are one log-in; an operator's is in the installation's log; services and strangers have none."""
    clock = Clock()
    calls = AuditedCalls(trail, "admin", clock=clock)
    for _ in range(5):
        for caller in (ALICE, OPS, ANONYMOUS, Principal("service", service="policy")):
            calls.seen(caller)
    assert [(e.tenant, e.action, e.actor, e.outcome) for e in trail.told] == [
        (ACME, "login", "alice@acme.example", "done"),
        (INSTALLATION, "login", "operator:ops", "done"),
    ]
    clock.now += 3600
    calls.seen(ALICE)
    assert len(trail.told) == 3


def test_a_wrong_password_is_told_apart_from_a_login(trail: Trail) -> None:
    """Guesses are one entry a minute, and hide no log-in."""
    calls = AuditedCalls(trail, "ingress", clock=Clock())
    for _ in range(50):
        calls.failed(ALICE)
    calls.seen(ALICE)
    assert [(e.action, e.outcome) for e in trail.told] == [("login", "denied"), ("login", "done")]


def test_a_refusal_names_its_rpc_and_is_bounded(trail: Trail) -> None:
    """Once a minute for each RPC, and so many a minute for all."""
    clock = Clock()
    calls = AuditedCalls(trail, "quarantine", clock=clock)
    for _ in range(3):
        calls.refused(ALICE, "/x.Y/Z")
    assert [(e.action, e.outcome, e.detail) for e in trail.told] == [
        ("rpc.refused", "denied", {"service": "quarantine", "method": "/x.Y/Z"})
    ]
    for number in range(5000):
        calls.refused(ALICE, f"/x.Y/{number}")
    assert len(trail.told) == 600
    clock.now += 61
    calls.refused(ALICE, "/x.Y/Z")
    assert len(trail.told) == 601
