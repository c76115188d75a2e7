"""The world file: read whole, applied once, and the same the second time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.admin.core.world import parse
from services.admin.world import ApplyWorld
from services.common import auth
from services.common.audit_entries import AuditTrail
from services.common.control import Control
from services.common.errors import InvalidInput, Unavailable
from services.common.grpc_status import violations
from services.common.ids import INSTALLATION, TenantId
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects

WORLD = """
operators:
  - {name: ops, api_key: op-0123456789abcdef}
tenants:
  - name: acme
    domains: [acme.example, {name: shop.acme.example, recipients: listed}]
    next_hop: {address: "127.0.0.1:2526", tls: none}
    smarthost: {address: "127.0.0.1:2527", tls: none}
    connectors:
      - {name: exchange, networks: [127.0.0.2/32]}
    groups:
      legal: [lin@acme.example]
    people:
      - {address: alice@acme.example, roles: [user], password: correct horse battery staple}
      - {address: admin@acme.example, roles: [tenant_admin], api_key: admin-0123456789abcdef}
      - {address: lin@acme.example, roles: [reviewer], api_key: lin-0123456789abcdef}
    archive: {retention: 7y, keep_refused: true, approvals: 1}
    policy: {version: 1, rules: []}
"""


class InMemoryPolicies:
    """Keeps policies; what contains `bad` is refused."""

    def __init__(self) -> None:
        self.texts: dict[TenantId, str] = {}
        self.up = True

    async def current(self, tenant: TenantId) -> str | None:
        """See the port."""
        if not self.up:
            raise Unavailable
        return self.texts.get(tenant)

    async def check(self, tenant: TenantId, document: str, groups: Sequence[str]) -> list[tuple[str, str]]:
        """See the port."""
        return [("rules[0]", "unknown predicate")] if "bad" in document else []

    async def apply(self, tenant: TenantId, document: str, note: str) -> bool:
        """See the port."""
        self.texts[tenant] = document
        return True


@pytest.fixture
async def place() -> AsyncIterator[SimpleNamespace]:
    """The verb over parts in memory."""
    broker, policies = InMemoryBroker(), InMemoryPolicies()
    bus = InMemoryBus("admin", broker)
    trail = AuditTrail(bus, FakeKeys().fact_keys(bus.bucket("factkeys")))
    control = Control(InMemoryObjects(), bus, node="admin", debounce=0.001)
    async with control.running(), trail.running():
        apply = ApplyWorld(control, policies, trail, asyncio.Lock())
        yield SimpleNamespace(apply=apply, control=control, policies=policies, broker=broker)


async def mistakes(place: SimpleNamespace, document: str) -> Mapping[str, str]:
    """What is wrong with a document, by path."""
    with pytest.raises(InvalidInput) as caught:
        await place.apply(document, dry_run=False, actor="t")
    return dict(violations(caught.value))


async def test_everything_in_the_contract_is_in_the_directory(place: SimpleNamespace) -> None:
    """The example of CONTRACT is applied, and the directory answers by it."""
    done = await place.apply(WORLD, dry_run=False, actor="service:dev")
    view = place.control.directory
    tenant = view.tenant_named("acme")
    assert tenant.retention == "7y"
    assert tenant.keep_refused
    assert (tenant.next_hop.address, tenant.next_hop.tls) == ("127.0.0.1:2526", "none")
    assert not view.recipient_exists("nobody@shop.acme.example")
    assert view.recipient_exists("nobody@acme.example")
    assert view.connector_for("127.0.0.2").name == "exchange"
    assert view.group(tenant.id, "legal") == {"lin@acme.example"}
    assert await auth.verify_password(view.person("alice@acme.example").password_hash, "correct horse battery staple")
    assert not await auth.verify_password(view.person("alice@acme.example").password_hash, "wrong")
    assert auth.principal_for(view, "op-0123456789abcdef").kind == "operator"
    assert auth.principal_for(view, "lin-0123456789abcdef").address == "lin@acme.example"
    assert auth.principal_for(view, "unknown-0123456789abcdef") is None
    assert yaml.safe_load(place.policies.texts[tenant.id]) == {"version": 1, "rules": []}
    assert "+ tenant acme" in done.changes
    assert "+ policy of acme" in done.changes
    assert done.warnings


async def test_second_time_changes_nothing(place: SimpleNamespace) -> None:
    """Applied twice, the second says nothing and writes nothing, passwords and keys included."""
    await place.apply(WORLD, dry_run=False, actor="t")
    revision = place.control.revision
    assert (await place.apply(WORLD, dry_run=False, actor="t")).changes == ()
    assert place.control.revision == revision


async def test_dry_run_says_and_does_not(place: SimpleNamespace) -> None:
    """The lines are those of the real run; nothing is there afterwards."""
    said = await place.apply(WORLD, dry_run=True, actor="t")
    assert place.control.revision == 0
    assert place.policies.texts == {}
    assert said == await place.apply(WORLD, dry_run=False, actor="t")


async def test_a_change_names_its_fields_and_no_secret(place: SimpleNamespace) -> None:
    """A new password, key and route are told by name; a replaced key stops working."""
    await place.apply(WORLD, dry_run=False, actor="t")
    changed = WORLD.replace("correct horse", "correct cow").replace("lin-0", "lin-1").replace(":2527", ":2600")
    done = await place.apply(changed, dry_run=False, actor="t")
    assert done.changes == (
        "~ tenant acme (smarthost)",
        "~ person alice@acme.example (password)",
        "+ apikey of lin@acme.example",
        "- apikey of lin@acme.example (replaced)",
    )
    view = place.control.directory
    assert auth.principal_for(view, "lin-0123456789abcdef") is None
    assert auth.principal_for(view, "lin-1123456789abcdef") is not None


async def test_what_a_file_does_not_name_stays_and_null_removes(place: SimpleNamespace) -> None:
    """A smaller file leaves people and domains alone; `smarthost: null` takes the smarthost away."""
    await place.apply(WORLD, dry_run=False, actor="t")
    done = await place.apply("tenants: [{name: acme, smarthost: null}]", dry_run=False, actor="t")
    assert done.changes == ("~ tenant acme (smarthost)",)
    tenant = place.control.directory.tenant_named("acme")
    assert tenant.smarthost is None
    assert tenant.next_hop is not None
    assert place.control.directory.person("alice@acme.example") is not None


async def test_all_mistakes_come_at_once(place: SimpleNamespace) -> None:
    """Each with its path; nothing is written."""
    found = await mistakes(
        place,
        """
operator: []
operators: [{name: Ops!, api_key: short}]
tenants:
  - name: acme
    domains: [acme, {name: a.example, recipients: some}]
    next_hop: {address: nowhere}
    connectors: [{name: x, networks: [127.0.0.1/8]}, {name: y}]
    groups: [a]
    people:
      - {address: alice, password: 1234}
      - {address: b@a.example, roles: [tenant_admin, reviewer, king]}
    archive: {retention: forever, approvals: 0}
    colour: red
""",
    )
    assert found.keys() == {
        "operator",
        "operators[0].name",
        "operators[0].api_key",
        "tenants[0].domains[0].name",
        "tenants[0].domains[1].recipients",
        "tenants[0].next_hop.address",
        "tenants[0].connectors[0].networks[0]",
        "tenants[0].connectors[1]",
        "tenants[0].groups",
        "tenants[0].people[0].address",
        "tenants[0].people[0].password",
        "tenants[0].people[1].roles[2]",
        "tenants[0].people[1].roles",
        "tenants[0].archive.retention",
        "tenants[0].archive.approvals",
        "tenants[0].colour",
    }
    assert place.control.revision == 0


@pytest.mark.parametrize(
    ("other", "path"),
    [
        ("domains: [acme.example]", "tenants[0].domains[0]"),
        ("domains: [mail.acme.example]", "tenants[0].domains[0].name"),
        ("domains: [example]", "tenants[0].domains[0].name"),
        (
            "domains: [b.example], connectors: [{name: c, networks: [127.0.0.0/30]}]",
            "tenants[0].connectors[0].networks",
        ),
        ("domains: [b.example], people: [{address: eve@acme.example}]", "tenants[0].people[0].address"),
        (
            "domains: [b.example], people: [{address: eve@b.example, aliases: [alice@acme.example]}]",
            "tenants[0].people[0].aliases",
        ),
        (
            "domains: [b.example], people: [{address: eve@b.example, api_key: lin-0123456789abcdef}]",
            "tenants[0].people[0].api_key",
        ),
        (
            "domains: [b.example], groups: {all: {members: [], address: all@acme.example}}",
            "tenants[0].groups.all.address",
        ),
    ],
)
async def test_tenants_cannot_have_what_is_another_s(place: SimpleNamespace, other: str, path: str) -> None:
    """Domains with parents and children, networks, addresses and keys; the other is not named."""
    await place.apply(WORLD, dry_run=False, actor="t")
    found = await mistakes(place, f"tenants: [{{name: umbrella, {other}}}]")
    assert list(found) == [path]
    assert "acme" not in found[path].replace("alice@acme.example", "").replace("such as acme.example", "")


async def test_bad_policy_stops_all_of_it(place: SimpleNamespace) -> None:
    """A policy's mistakes have their place in the file, and no document is written."""
    found = await mistakes(place, WORLD.replace("rules: []", "rules: [bad]"))
    assert found == {"tenants[0].policy.rules[0]": "unknown predicate"}
    assert place.control.revision == 0


async def test_unreachable_policy_is_unavailable(place: SimpleNamespace) -> None:
    """Without policy nothing of a file with a policy is applied; one without it is."""
    place.policies.up = False
    with pytest.raises(Unavailable):
        await place.apply(WORLD, dry_run=False, actor="t")
    assert place.control.revision == 0
    await place.apply("tenants: [{name: acme}]", dry_run=False, actor="t")
    assert place.control.directory.tenant_named("acme") is not None


async def test_interrupted_apply_goes_on(place: SimpleNamespace) -> None:
    """A claim without its tenant is taken up: the tenant gets the claimed id."""
    tenant = TenantId.new()
    await place.control.put(INSTALLATION, "tenant-name", "acme", {"tenant": tenant}, expected=0, actor="t")
    await place.apply(WORLD, dry_run=False, actor="t")
    assert place.control.directory.tenant_named("acme").id == tenant


async def test_changes_are_audited_without_showing_on_the_bus(place: SimpleNamespace) -> None:
    """One entry per document of a tenant, none with an address in clear."""
    await place.apply(WORLD, dry_run=False, actor="t")
    tenant = place.control.directory.tenant_named("acme").id
    from services.common.testing import eventually

    entries = await eventually(lambda: [m for m in place.broker.sent if m.subject == f"audit.entry.{tenant}"])
    assert all(b"alice" not in m.data for m in entries)


def test_key_twice_in_yaml_is_a_mistake() -> None:
    """YAML would keep the last one silently."""
    _, wrong = parse("tenants: []\ntenants: []")
    assert wrong.found == [("line 2", "this key stands twice")]


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_no_text_escapes(document: str) -> None:
    """Whatever is sent is a world or a list of mistakes."""
    parse(document)


_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "tenants",
                    "name",
                    "domains",
                    "people",
                    "address",
                    "roles",
                    "groups",
                    "connectors",
                    "policy",
                    "networks",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_TREES)
def test_no_tree_escapes(tree: object) -> None:
    """Wrong types anywhere are mistakes, never exceptions."""
    parse(yaml.safe_dump(tree))
