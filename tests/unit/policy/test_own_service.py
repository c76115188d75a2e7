"""What tenants add, through the services: kept without a plain value, live on every node, nobody else's."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, cast

import pytest
from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import dataset_pb2 as pb
from letterlock.policy.v1 import detector_pb2, policy_pb2
from letterlock.policy.v1 import owndetector_pb2 as own_pb

from services.common import rpc
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.auth import Principal
from services.common.control import Control
from services.common.errors import AlreadyExists, Conflict, Corrupt, InvalidInput, NotFound, Rejected, Unavailable
from services.common.ids import INSTALLATION, MailId, TenantId
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.extraction import InProcessExtractor
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.policy.adapters.detectors import DetectorServicer
from services.policy.adapters.grpc import PolicyServicer
from services.policy.adapters.own import OwnStore
from services.policy.adapters.own_grpc import DataSetServicer, OwnDetectorServicer
from services.policy.adapters.revisions import Refused, Revisions
from services.policy.core.extract import Limits
from services.policy.decide import Bounds, Decider
from services.policy.pool import FairPool
from services.policy.shadow import ShadowTally
from tests.unit.policy.builders import mail
from tests.unit.policy.test_own import COLUMNS, CONTRACT, PEOPLE

PROJECT = own_pb.OwnDetector(
    name="project", about="our projects", patterns=own_pb.PatternRule(patterns=["PRJ-[0-9]{4}"], context=["project"])
)
_FILLED = own_pb.PatternRule(patterns=PROJECT.patterns.patterns, context=PROJECT.patterns.context, threshold=1)
CV = own_pb.OwnDetector(
    name="cv",
    words=own_pb.WordRule(
        words=[own_pb.WeightedWord(word="resume", weight=3), own_pb.WeightedWord(word="學歷")], threshold=4
    ),
)


def asks(when: str) -> str:
    """A policy of one rule that holds."""
    return f"version: 1\nrules:\n  - {{id: r, direction: any, when: {when}, then: {{hold: {{}}}}}}\n"


class Node:
    """One policy process: what it serves, and what it decides with."""

    def __init__(self, control: Control, objects: InMemoryObjects, keys: FakeKeys) -> None:
        self.control = control
        self.own = OwnStore(control, objects, keys.public, keys.identities)
        self.revisions = Revisions(control, cached=10, own=self.own)
        self.pool = FairPool(2, waiting=20, waiting_per_tenant=20)
        self.decider = Decider(self.revisions, self.pool, Bounds(Limits(), 1 << 20))
        shared = (self.own, self.revisions, self.pool, InProcessExtractor())
        self.services = (
            OwnDetectorServicer(*shared),
            DataSetServicer(*shared),
            PolicyServicer(self.revisions, self.decider, ShadowTally(objects, self.revisions.coarse_group)),
            DetectorServicer(InProcessExtractor(), self.pool, self.own),
        )


@dataclass
class House:
    """Two tenants on two nodes."""

    here: Node
    there: Node
    acme: TenantId
    other: TenantId
    objects: InMemoryObjects

    async def call(self, method: str, request: Any, *, tenant: TenantId | None = None, node: Node | None = None) -> Any:
        """Call as an administrator, by default of acme."""
        at = node or self.here
        caller = Principal("person", tenant or self.acme, "admin@acme.example", frozenset({"tenant_admin"}))
        service = next(s for s in at.services if hasattr(s, method) and method in type(s).__dict__)
        with rpc.acting_as(caller, at.control.directory):
            return await getattr(service, method)(request, None)

    async def applied(self, when: str) -> None:
        """Put a rule in force, here and there."""
        answer = await self.call("Apply", policy_pb2.ApplyRequest(document=asks(when)))
        await eventually(lambda: self.revision(self.there) == answer.revision.number)

    def revision(self, node: Node) -> int:
        """What the node decides with; -1 while it cannot."""
        try:
            return node.revisions.current(self.acme).revision
        except Unavailable:
            return -1

    async def decides(self, body: str, node: Node) -> bool:
        """Whether the policy in force on a node matches, without asking the store."""
        raw = mail(body, Content_Type="text/plain; charset=utf-8")
        envelope = mail_pb2.Envelope(tenant=self.acme, mail_id=MailId.new(), sender="a@acme.example", size=len(raw))
        envelope.recipients.add(address="b@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
        decision = await node.decider(envelope, raw, queued=False, timeout=10)
        return any(p.truth for rule in decision.why for p in rule.predicates)

    async def upload(self, rows: list[list[str]], *, name: str = "customers", parts: int = 1) -> pb.DataSet:
        """Replace the rows of a set."""
        upload = MailId.new()
        size = -(-len(rows) // parts)
        for part in range(parts):
            sent = [pb.Row(cells=r) for r in rows[part * size : (part + 1) * size]]
            await self.call("UploadRows", pb.UploadRowsRequest(
                set=name, upload=upload, part=part, columns=COLUMNS, rows=sent, line=2 + part * size,
            ))  # fmt: skip
        request = pb.CommitRowsRequest(set=name, upload=upload, parts=parts)
        answer = await self.call("CommitRows", request)
        assert await self.call("CommitRows", request) == answer
        found: pb.DataSet = answer.set
        return found


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Both nodes follow."""
    objects, broker, keys = InMemoryObjects(), InMemoryBroker(), FakeKeys()
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(2):
            control = await stack.enter_async_context(
                Control(objects, InMemoryBus("policy", broker), node="policy").running()
            )
            nodes.append(Node(control, objects, keys))
            await stack.enter_async_context(nodes[-1].revisions.following())
            stack.callback(nodes[-1].pool.close)
        acme, other = TenantId.new(), TenantId.new()
        for tenant, name in ((acme, "acme"), (other, "other")):
            await nodes[0].control.put(tenant, "tenant", "self", {"name": name}, expected=0, actor="ops")
        claim = {"tenant": acme}
        await nodes[0].control.put(INSTALLATION, "domain-claim", "acme.example", claim, expected=0, actor="ops")
        await nodes[0].control.put(acme, "domain", "acme.example", {"recipients": "any"}, expected=0, actor="ops")
        await eventually(lambda: acme in nodes[1].control.directory.tenants)
        yield House(nodes[0], nodes[1], acme, other, objects)


async def test_a_detector_is_made_read_changed_and_removed(house: House) -> None:
    """Each change is a revision; what the policy asks for stays."""
    made = (await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))).detector
    assert (made.revision, made.actor, made.patterns) == (1, "admin@acme.example", _FILLED)
    with pytest.raises(AlreadyExists):
        await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=CV))
    await house.applied("{detector: {name: project, confidence: low}}")
    with pytest.raises(Rejected, match="in use"):
        await house.call("DeleteOwnDetector", own_pb.DeleteOwnDetectorRequest(name="project"))
    await house.call("DeleteOwnDetector", own_pb.DeleteOwnDetectorRequest(name="cv"))
    with pytest.raises(NotFound):
        await house.call("GetOwnDetector", own_pb.GetOwnDetectorRequest(name="cv"))
    same = own_pb.UpdateOwnDetectorRequest(detector=PROJECT)
    assert (await house.call("UpdateOwnDetector", same)).detector.revision == 1
    with pytest.raises(Conflict):
        await house.call("UpdateOwnDetector", own_pb.UpdateOwnDetectorRequest(detector=PROJECT, revision=7))
    listed = (await house.call("ListDetectors", detector_pb2.ListDetectorsRequest(page_size=100))).detectors
    assert [(d.name, d.about) for d in listed if d.family == "own"] == [("project", "our projects")]


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        (own_pb.OwnDetector(name="x1", patterns=own_pb.PatternRule(patterns=["a", "(?<=b)c"])), "pattern 2"),
        (own_pb.OwnDetector(name="x1", patterns=own_pb.PatternRule(patterns=["a*"])), "pattern 1"),
        (own_pb.OwnDetector(name="payment_card", patterns=own_pb.PatternRule(patterns=["a"])), "built-in"),
        (own_pb.OwnDetector(name="X 1", patterns=own_pb.PatternRule(patterns=["a"])), "begins with a letter"),
        (own_pb.OwnDetector(name="x1"), "patterns or words"),
        (
            own_pb.OwnDetector(name="x1", words=own_pb.WordRule(words=[own_pb.WeightedWord(word="a")], threshold=2)),
            "never be met",
        ),
        (own_pb.OwnDetector(name="x1", patterns=own_pb.PatternRule(patterns=["a"], threshold=-1)), "threshold"),
    ],
)
async def test_what_cannot_be_looked_for_is_refused(house: House, detector: own_pb.OwnDetector, reason: str) -> None:
    """Nothing is kept of it."""
    with pytest.raises(InvalidInput, match=reason):
        await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=detector))
    assert not any("/own/" in key for key in house.objects.objects)


async def test_all_of_a_tenant_s_patterns_and_words_are_bounded(house: House) -> None:
    """Together, not one by one; the other tenant has its own."""
    many = own_pb.PatternRule(patterns=[f"own{i}" for i in range(600)])
    await house.call(
        "CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=own_pb.OwnDetector(name="d1", patterns=many))
    )
    second = own_pb.CreateOwnDetectorRequest(detector=own_pb.OwnDetector(name="d2", patterns=many))
    with pytest.raises(InvalidInput, match="1,000 patterns"):
        await house.call("CreateOwnDetector", second)
    await house.call("CreateOwnDetector", second, tenant=house.other)


async def test_changes_are_live_on_every_node(house: House) -> None:
    """Without another revision of the policy."""
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    await house.applied("{detector: {name: project}}")
    for node in (house.here, house.there):
        assert await house.decides("the project PRJ-1234", node)
        assert not await house.decides("the project TSK-1234", node)
    changed = own_pb.OwnDetector(name="project", patterns=own_pb.PatternRule(patterns=["TSK-[0-9]{4}"]))
    await house.call("UpdateOwnDetector", own_pb.UpdateOwnDetectorRequest(detector=changed), node=house.there)
    for node in (house.here, house.there):
        await eventually(lambda n=node: house.decides("the project TSK-1234", n))  # type: ignore[misc]


async def test_a_node_that_cannot_read_the_content_decides_nothing(house: House) -> None:
    """It is busy, so the mail waits; it is never taken for one without finds. Then it recovers."""
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    await house.applied("{detector: {name: project}}")
    fresh = Node(house.here.control, house.objects, FakeKeys())
    with pytest.raises(Unavailable):
        fresh.revisions.current(house.acme)
    async with fresh.revisions.following():
        await eventually(lambda: house.revision(fresh) == 1)
        assert await house.decides("project PRJ-1234", fresh)
    fresh.pool.close()


async def test_names_of_another_tenant_are_unknown(house: House) -> None:
    """Refused in its policy, not found in its calls."""
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    await house.call("CreateSet", pb.CreateSetRequest(name="customers", kind=pb.SET_KIND_EXACT_DATA))
    for when in ("{detector: {name: project}}", "{exact_data: {set: customers}}", "{fingerprint: {set: customers}}"):
        with pytest.raises(Refused, match=r"line 3.*unknown"):
            await house.call("Apply", policy_pb2.ApplyRequest(document=asks(when)), tenant=house.other)
    with pytest.raises(NotFound):
        await house.call("GetOwnDetector", own_pb.GetOwnDetectorRequest(name="project"), tenant=house.other)
    with pytest.raises(NotFound):
        await house.call("GetSet", pb.GetSetRequest(name="customers"), tenant=house.other)
    assert not (await house.call("ListSets", pb.ListSetsRequest(), tenant=house.other)).sets
    with pytest.raises(InvalidInput, match="no detector"):
        request = detector_pb2.TestDetectorsRequest(text="PRJ-1234", detectors=["project"])
        await house.call("TestDetectors", request, tenant=house.other)


async def test_own_detectors_can_be_tried(house: House) -> None:
    """By name, and with all of them."""
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    for names in (["project"], []):
        request = detector_pb2.TestDetectorsRequest(text="project PRJ-1234", detectors=names)
        hits = (await house.call("TestDetectors", request)).hits
        (hit,) = [h for h in hits if h.detector == "project"]
        assert (hit.detector, hit.confidence, hit.offset) == ("project", "high", 8)


async def test_rows_are_kept_as_digests_only(house: House) -> None:
    """Uploaded in parts, committed at once, found on every node; no cell anywhere in the store, nor the key."""
    made = (await house.call("CreateSet", pb.CreateSetRequest(name="customers", kind=pb.SET_KIND_EXACT_DATA))).set
    assert (made.rows, made.kind) == (0, pb.SET_KIND_EXACT_DATA)
    stored = await house.upload(PEOPLE, parts=2)
    assert (stored.rows, list(stored.columns)) == (3, COLUMNS)
    await house.applied("{exact_data: {set: customers, columns: 2}}")
    for node in (house.here, house.there):
        assert await house.decides("王小明 a123-456-789", node)
        assert not await house.decides("陳美麗 a123-456-789", node)
    for key, content in house.objects.objects.items():
        assert not any(cell.encode() in content for row in PEOPLE for cell in row if cell), key
    assert not any("/own/parts/" in key for key in house.objects.objects)


async def test_a_new_upload_replaces_the_rows_everywhere(house: House) -> None:
    """All of them, at once."""
    await house.call("CreateSet", pb.CreateSetRequest(name="customers", kind=pb.SET_KIND_EXACT_DATA))
    await house.upload(PEOPLE)
    await house.applied("{exact_data: {set: customers}}")
    await house.upload([["D999999999", "x", "y", "z"]])
    await eventually(lambda: house.decides("D999999999", house.there))
    assert not await house.decides("A123456789", house.there)


async def test_rows_that_cannot_be_used_are_refused_with_their_line(house: House) -> None:
    """And an upload with a missing part is none."""
    await house.call("CreateSet", pb.CreateSetRequest(name="customers", kind=pb.SET_KIND_EXACT_DATA))
    with pytest.raises(InvalidInput, match="line 3"):
        await house.upload([PEOPLE[0], ["12", "a", "b", "c"]])
    with pytest.raises(NotFound):
        request = pb.CommitRowsRequest(set="customers", upload=MailId.new(), parts=1)
        await house.call("CommitRows", request)
    with pytest.raises(InvalidInput):
        await house.call("UploadRows", pb.UploadRowsRequest(set="customers", upload="../x", rows=[pb.Row(cells=["a"])]))


async def test_a_set_s_key_is_good_in_its_place_only(house: House) -> None:
    """A document moved to another set or tenant is not believed."""
    await house.call("CreateSet", pb.CreateSetRequest(name="customers", kind=pb.SET_KIND_EXACT_DATA))
    value = (await house.here.own.set(house.acme, "customers")).value
    await house.here.control.put(house.acme, "dataset", "copy", value, expected=0, actor="x")
    with pytest.raises(Corrupt):
        await house.upload(PEOPLE, name="copy")


async def test_documents_are_registered_from_files_and_forgotten(house: House) -> None:
    """Read in the sandbox, also in an archive; only hashes are kept; removed means removed."""
    await house.call("CreateSet", pb.CreateSetRequest(name="contracts", kind=pb.SET_KIND_FINGERPRINT))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("master.txt", CONTRACT)
    add = pb.AddDocumentRequest(set="contracts", name="master", file=packed.getvalue())
    assert (await house.call("AddDocument", add)).set.document_count == 1
    other = pb.AddDocumentRequest(set="contracts", name="notes", file=" ".join(f"word{i}" for i in range(90)).encode())
    assert (await house.call("AddDocument", other)).set.document_count == 2
    assert list((await house.call("GetSet", pb.GetSetRequest(name="contracts"))).set.documents) == ["master", "notes"]
    await house.applied("{fingerprint: {set: contracts, at_least: 0.6}}")
    assert await house.decides(f"as agreed:\n{CONTRACT}", house.there)
    assert not await house.decides("hello", house.there)
    assert not any(b"agreement is made" in content for content in house.objects.objects.values())
    await house.call("RemoveDocument", pb.RemoveDocumentRequest(set="contracts", name="master"))
    await eventually(lambda: _not(house.decides(CONTRACT, house.there)))
    with pytest.raises(NotFound):
        await house.call("RemoveDocument", pb.RemoveDocumentRequest(set="contracts", name="master"))
    with pytest.raises(InvalidInput, match="too few"):
        await house.call("AddDocument", pb.AddDocumentRequest(set="contracts", name="x", file=b"short"))
    with pytest.raises(InvalidInput, match="no text"):
        await house.call("AddDocument", pb.AddDocumentRequest(set="contracts", name="x", file=b"\x00\x01\x02\xff" * 9))


async def _not(answer: Any) -> bool:
    return not await answer


async def test_a_deleted_set_leaves_no_digest(house: House) -> None:
    """And cannot be deleted while a rule asks for it."""
    await house.call("CreateSet", pb.CreateSetRequest(name="customers", kind=pb.SET_KIND_EXACT_DATA))
    await house.upload(PEOPLE)
    await house.applied("{exact_data: {set: customers}}")
    with pytest.raises(Rejected, match="in use"):
        await house.call("DeleteSet", pb.DeleteSetRequest(name="customers"))
    await house.applied("{tls: false}")
    await house.call("DeleteSet", pb.DeleteSetRequest(name="customers"))
    assert not any("/own/" in key for key in house.objects.objects)
    with pytest.raises(NotFound):
        await house.call("GetSet", pb.GetSetRequest(name="customers"))


async def test_a_certificate_with_own_detectors_can_be_replayed(house: House) -> None:
    """From the truths that were kept, without the mail and without the set."""
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    await house.applied("{detector: {name: project}}")
    traced = await house.call("Trace", policy_pb2.TraceRequest(mail=mail("project PRJ-1234")))
    answer = await house.call("ReplayWhy", policy_pb2.ReplayWhyRequest(decision=traced.decision))
    assert answer.same, answer.differences


class _Trail:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def record(self, entry: AuditEntry) -> None:
        """Keep it."""
        self.entries.append(entry)


async def test_what_changes_a_policy_is_told_to_the_audit_log(house: House) -> None:
    """Who, which revision; never what it says."""
    trail = _Trail()
    revisions = Revisions(house.here.control, cached=10, own=house.here.own, trail=cast(AuditTrail, trail))
    await revisions.apply(house.acme, asks("{tls: false}"), expected=None, note="first", actor="admin@acme.example")
    await revisions.apply(house.acme, asks("{tls: false}"), expected=None, note="again", actor="admin@acme.example")
    service = OwnDetectorServicer(
        house.here.own, revisions, house.here.pool, InProcessExtractor(), cast(AuditTrail, trail)
    )
    house.here.services = (service, *house.here.services[1:])
    await house.call("CreateOwnDetector", own_pb.CreateOwnDetectorRequest(detector=PROJECT))
    assert [(e.tenant, e.action, e.actor) for e in trail.entries] == [
        (house.acme, "policy.applied", "admin@acme.example")
    ] * 2
    assert trail.entries[0].detail == {"revision": 1, "note": "first"}
    assert trail.entries[1].detail == {"detector": "project", "change": "created", "revision": 1}
