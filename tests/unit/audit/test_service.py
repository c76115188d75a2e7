"""The service: who may write what, what readers see, what comes on the bus, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from letterlock.audit.v1 import audit_pb2 as pb

from services.audit.adapters.grpc import AuditServicer
from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.leases import Leases
from services.audit.adapters.store import StoredLogs
from services.audit.append import Logs
from services.audit.consume import Taking
from services.audit.core.actions import WRITERS, may_write
from services.audit.read import Reading
from services.audit.witnessing import Witnessing
from services.common import rpc
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.auth import Principal
from services.common.directory import Directory
from services.common.errors import Denied, InvalidInput, NotFound, TooLarge
from services.common.ids import INSTALLATION, TenantId
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.common.tlog import checkpoint, entry, merkle, note, proof, receipt
from services.common.tlog.policy import Policy

ACME, OTHER = TenantId.new(), TenantId.new()
NOBODY = Directory()
KEYS = FakeKeys()


class Place:
    """One sequencer with everything in memory."""

    def __init__(self, address: str = "", objects: InMemoryObjects | None = None, broker: InMemoryBroker | None = None):
        self.keys = KEYS
        self.objects, self.broker = objects or InMemoryObjects(), broker or InMemoryBroker()
        self.bus = InMemoryBus("audit", self.broker)
        store, signer = StoredLogs(self.objects), self.keys.signer("audit")
        log_keys = StoredLogKeys(self.objects, self.keys.public, self.keys.identities)
        self.logs = Logs(store, log_keys, "audit.test", signer.public, signer.sign)
        self.leases = Leases(self.bus.bucket("leases"), address)
        self.peers: dict[str, Any] = {}

        async def nobody(*_: object) -> int:
            raise AssertionError("no witness is configured")

        self.api = AuditServicer(
            self.logs,
            Reading(self.logs, store, log_keys),
            Witnessing(store, Policy(), nobody, alarm=1.0),
            self.leases,
            self.peers.__getitem__,
        )

    async def append(self, service: str, found: AuditEntry, said: str = "") -> Any:
        """Append as a service calls it."""
        request = pb.AppendRequest(tenant=found.tenant, entry=found.stamped().dump(), service=said)
        with rpc.acting_as(Principal("service", service=service), NOBODY):
            return await self.api.Append(request, None)  # type: ignore[arg-type]


@contextmanager
def officer(tenant: TenantId = ACME) -> Iterator[None]:
    """A data protection officer's call."""
    who = Principal("person", tenant, "dpo@acme.example", frozenset({"data_protection_officer"}))
    with rpc.acting_as(who, NOBODY):
        yield


def found(action: str = "archive.searched", number: int = 0, **more: Any) -> AuditEntry:
    """An entry like any other."""
    at = datetime(2026, 11, 24, 8, 0, number // 1000, number % 1000, UTC)
    fields = {"tenant": ACME, "actor": "aud@acme.example", "detail": {"query": f"機密 {number}"}, "at": at, **more}
    return AuditEntry(action=action, **fields)


@pytest.mark.parametrize("service", sorted({*WRITERS, "frontdoor", "dev"}))
async def test_a_service_writes_its_own_actions_alone(service: str) -> None:
    """For every service and action the table is what `Append` does."""
    place = Place()
    for number, action in enumerate(sorted(entry.ACTIONS)):
        if may_write(service, action):
            answer = await place.append(service, found(action, number))
            assert entry.load(answer.receipt.entry).service == service
        else:
            with pytest.raises(Denied):
                await place.append(service, found(action, number))


async def test_only_a_sequencer_may_speak_for_another_service() -> None:
    """`service` in a request of anyone else is not believed."""
    place = Place()
    with pytest.raises(Denied):
        await place.append("quarantine", found(), said="archive")
    answer = await place.append("audit", found(), said="archive")
    assert entry.load(answer.receipt.entry).service == "archive"


async def test_officers_see_their_own_log_and_operators_the_installations() -> None:
    """Paged, with values and facts in `detail`; what is another's does not exist."""
    place = Place()
    for number in range(5):
        await place.append("archive", found(number=number, grant_id="G", facts={"total": number}))
    await place.append("admin", found("directory.changed", 9, tenant=INSTALLATION, actor="operator:ops"))
    with officer():
        seen, token = [], ""
        while True:
            page: Any = await place.api.List(pb.ListRequest(page_size=2, page_token=token), None)  # type: ignore[arg-type]
            seen += page.items
            token = page.next_page_token
            if not token:
                break
        assert [(i.index, i.actor, i.action, i.grant_id) for i in seen] == [
            (n, "aud@acme.example", "archive.searched", "G") for n in range(5)
        ]
        assert orjson.loads(seen[3].detail) == {"query": "機密 3", "total": 3}
        for token in ("x", "-1", "9" * 16):
            with pytest.raises(InvalidInput):
                await place.api.List(pb.ListRequest(page_token=token), None)  # type: ignore[arg-type]
        only: Any = await place.api.List(pb.ListRequest(action="login"), None)  # type: ignore[arg-type]
        assert not only.items
        with pytest.raises(NotFound):
            await place.api.List(pb.ListRequest(tenant=str(OTHER)), None)  # type: ignore[arg-type]
    with officer(OTHER):
        empty: Any = await place.api.List(pb.ListRequest(), None)  # type: ignore[arg-type]
        assert not empty.items
    with rpc.acting_as(Principal("operator", None, "ops", frozenset({"operator"})), NOBODY):
        own: Any = await place.api.List(pb.ListRequest(), None)  # type: ignore[arg-type]
        assert [i.actor for i in own.items] == ["operator:ops"]
        with pytest.raises(NotFound):
            await place.api.List(pb.ListRequest(tenant=str(ACME)), None)  # type: ignore[arg-type]


async def test_proof_and_status_are_what_a_verifier_needs() -> None:
    """The proof verifies under the key that the status names; beyond the end there is none."""
    place = Place()
    early = await place.append("archive", found(number=0))
    for number in range(1, 3):
        await place.append("archive", found(number=number))
    with officer():
        status: Any = await place.api.Status(pb.StatusRequest(), None)  # type: ignore[arg-type]
        answer: Any = await place.api.GetProof(pb.GetProofRequest(index=1), None)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await place.api.GetProof(pb.GetProofRequest(index=3), None)  # type: ignore[arg-type]
        path: Any = await place.api.GetConsistency(pb.GetConsistencyRequest(first=1, second=3), None)  # type: ignore[arg-type]
        for first, second, error in [(2, 1, InvalidInput), (1, 4, NotFound)]:
            with pytest.raises(error):
                await place.api.GetConsistency(pb.GetConsistencyRequest(first=first, second=second), None)  # type: ignore[arg-type]
    old, new = (
        checkpoint.parse(note.parse(h).text) for h in (early.receipt.checkpoint, proof.parse(answer.proof).signed)
    )
    merkle.check_consistency(1, 3, old.root, new.root, path.proof)
    got = early.receipt
    known = receipt.key_of(got.checkpoint, ACME, KEYS.writers.public("audit"))
    assert receipt.check(got.entry, got.index, got.proof, got.checkpoint, got.opening, known).leaf.tenant == ACME
    with pytest.raises(ValueError, match="another log"):
        receipt.key_of(got.checkpoint, OTHER, KEYS.writers.public("audit"))
    key, read = note.Key.parse(status.key), proof.parse(answer.proof)
    assert proof.check(read.entry, 1, read.path, read.signed, key).size == status.size == 3


async def test_what_no_log_takes_is_refused() -> None:
    """Too many mails, too large values, a time without a zone, another tenant's, no JSON: and the log goes on."""
    place = Place()
    mail = "01M86BXR3RSRMMW29REDE19BZD"
    for wrong, error in [
        (found(mail_ids=(mail,) * 1001), TooLarge),
        (found(detail={"query": "x" * 300_000}), TooLarge),
        (found(outcome="maybe"), InvalidInput),
        (found(facts={"Bad": 1}), InvalidInput),
        (found(at=datetime(2026, 11, 24, 8)), InvalidInput),
    ]:
        with pytest.raises(error):
            await place.append("archive", wrong)
    with rpc.acting_as(Principal("service", service="archive"), NOBODY):
        with pytest.raises(InvalidInput):
            await place.api.Append(pb.AppendRequest(tenant=OTHER, entry=found().dump()), None)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput):
            await place.api.Append(pb.AppendRequest(tenant=ACME, entry=b"{"), None)  # type: ignore[arg-type]
    assert (await place.append("archive", found())).receipt.index == 0


async def test_entries_on_the_bus_become_entries_of_the_log_once() -> None:
    """What a trail tells is durable and acked; told again it is the same; approvals and reveals do not come so."""
    place = Place()
    teller = InMemoryBus("admin", place.broker)
    trail = AuditTrail(teller, place.keys.fact_keys(teller.bucket("factkeys"), identities=False))
    taking = Taking(place.logs, place.keys.fact_keys(place.bus.bucket("factkeys")))
    async with place.bus.consume("audit-entry", taking), trail.running():
        for action in ("directory.changed", "access.approved", "login"):
            trail.record(found(action))
        trail.record(found("login"))
        log = place.logs.of(ACME)
        await eventually(lambda: log.size == 2 and not place.broker.kept("audit.entry.*"))
    (dead,) = [m for m in place.broker.sent if m.subject.startswith("dead.")]
    assert dead.subject == f"dead.audit-entry.audit.entry.{ACME}"
    with officer():
        page: Any = await place.api.List(pb.ListRequest(), None)  # type: ignore[arg-type]
    assert {(i.action, i.service, i.actor) for i in page.items} == {
        ("directory.changed", "bus", "aud@acme.example"), ("login", "bus", "aud@acme.example"),
    }  # fmt: skip


class Peer:
    """A channel to another sequencer, as far as the stub uses it."""

    def __init__(self, place: Place) -> None:
        self.place, self.asked = place, 0

    def unary_unary(self, path: str, **_: Any) -> Any:
        async def call(request: Any, timeout: float) -> Any:
            self.asked += 1
            with rpc.acting_as(Principal("service", service="audit"), NOBODY):
                return await self.place.api.Append(request, None)  # type: ignore[arg-type]

        return call

    unary_stream = unary_unary


async def test_sequencers_take_turns_by_lease() -> None:
    """Who comes second hands its entries to the holder; without a broker both append, and the log is one."""
    one = Place("10.0.0.1:2550")
    two = Place("10.0.0.2:2550", one.objects, one.broker)
    peer = two.peers["10.0.0.1:2550"] = Peer(one)
    await one.append("archive", found(number=0))
    answer = await two.append("archive", found(number=1))
    assert (peer.asked, answer.receipt.index) == (1, 1)
    assert entry.load(answer.receipt.entry).service == "archive"
    one.broker.up = False
    fresh = Place("10.0.0.3:2550", one.objects, one.broker)
    answers = await asyncio.gather(*(fresh.append("archive", found(number=n)) for n in range(2, 6)))
    assert {a.receipt.index for a in answers} == {2, 3, 4, 5}
