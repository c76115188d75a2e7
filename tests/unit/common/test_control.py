"""Control documents: revisions compare and set, nodes agree, and neither broker nor store has to be there all the time."""

from __future__ import annotations

import asyncio

import pytest

from services.common.control import Control
from services.common.control_documents import build
from services.common.control_store import ControlStore, encode_key
from services.common.errors import AlreadyExists, Conflict, InvalidInput
from services.common.ids import INSTALLATION, TenantId
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.objects import InMemoryObjects

ACME = TenantId.new()


def node(objects: InMemoryObjects, broker: InMemoryBroker, name: str = "admin", reread: float = 60.0) -> Control:
    """A service's view over shared parts."""
    return Control(objects, InMemoryBus(name, broker), node=name, debounce=0.001, reread=reread)


async def fill(control: Control) -> None:
    """A tenant with a domain and a person."""
    await control.put(INSTALLATION, "tenant-name", "acme", {"tenant": ACME}, expected=0, actor="t")
    await control.put(ACME, "tenant", "self", {"name": "acme"}, expected=0, actor="t")
    await control.put(INSTALLATION, "domain-claim", "acme.example", {"tenant": ACME}, expected=0, actor="t")
    await control.put(ACME, "domain", "acme.example", {"recipients": "listed"}, expected=0, actor="t")
    await control.put(ACME, "person", "alice@acme.example", {"roles": ["user"]}, expected=0, actor="t")


async def test_creation_is_the_compare_and_set() -> None:
    """Of two writers of one revision one wins and the other hears of it."""
    store = ControlStore(InMemoryObjects())

    async def write(number: int) -> object:
        try:
            return await store.put(ACME, "group", "legal", {"n": number}, expected=0, actor="t")
        except AlreadyExists as error:
            return error

    results = await asyncio.gather(*(write(n) for n in range(8)))
    assert sum(not isinstance(r, Exception) for r in results) == 1
    with pytest.raises(Conflict):
        await store.put(ACME, "group", "legal", {}, expected=2, actor="t")
    assert (await store.put(ACME, "group", "legal", {"n": 9}, expected=1, actor="t")).revision == 2
    assert [d.revision for d in await store.history(ACME, "group", "legal")] == [1, 2]


async def test_deleted_may_be_created_again() -> None:
    """A deletion is a revision; expecting none afterwards is right, and revisions go on."""
    store = ControlStore(InMemoryObjects())
    await store.put(ACME, "group", "legal", {}, expected=0, actor="t")
    await store.put(ACME, "group", "legal", None, expected=1, actor="t")
    assert (await store.put(ACME, "group", "legal", {}, expected=0, actor="t")).revision == 3


@pytest.mark.parametrize(
    "key",
    ["acme.example", "alice+b@acme.example", "..", ".a", "a..b", "李@例.example", "a=40b", "x" * 400, "A/b", "01J.1"],
)
async def test_any_key_is_one_safe_segment(key: str) -> None:
    """What is written under a key is read back under it, and no key meets another's."""
    encoded = encode_key(key)
    assert "/" not in encoded
    assert ".." not in encoded
    assert not encoded.startswith(".")
    store = ControlStore(InMemoryObjects())
    await store.put(ACME, "group", key, {"k": 1}, expected=0, actor="t")
    found = await store.get(ACME, "group", key)
    assert found is not None
    assert found.key == key
    assert encode_key("a=40b") != encode_key("a@b")


async def test_own_writes_are_seen_at_once_and_others_soon() -> None:
    """The writer's directory has the change on return; another node's has it after the news."""
    objects, broker = InMemoryObjects(), InMemoryBroker()
    async with node(objects, broker).running() as admin, node(objects, broker, "ingress").running() as ingress:
        await fill(admin)
        assert admin.directory.recipient_exists("alice@acme.example")
        assert not admin.directory.recipient_exists("bob@acme.example")
        await eventually(lambda: ingress.directory.recipient_exists("alice@acme.example"))
        assert ingress.revision == admin.revision


async def test_listeners_hear_of_each_new_view() -> None:
    """A callback gets the new directory; one that fails does not keep the others from it."""
    heard: list[int] = []

    def bad(_: object) -> None:
        raise ValueError

    async with node(InMemoryObjects(), InMemoryBroker()).running() as control:
        control.on_change(bad)
        end = control.on_change(lambda view: heard.append(view.revision))
        await fill(control)
        await eventually(lambda: heard and heard[-1] == control.revision)
        end()
        count = len(heard)
        await control.put(ACME, "group", "legal", {}, expected=0, actor="t")
        assert control.directory.groups
        assert len(heard) == count


async def test_empty_bucket_is_filled_from_the_store() -> None:
    """A new broker costs nothing: the store has all of it, and the bucket has it again."""
    objects = InMemoryObjects()
    async with node(objects, InMemoryBroker()).running() as control:
        await fill(control)
    broker = InMemoryBroker()
    async with node(objects, broker).running() as control:
        assert control.directory.tenant(ACME) is not None
        keys = await InMemoryBus("admin", broker).bucket("control").keys()
        assert len(keys) == 5


async def test_reader_does_not_write_the_cache() -> None:
    """A service that may not write the bucket loads the directory and leaves the bucket alone."""
    objects = InMemoryObjects()
    async with node(objects, InMemoryBroker()).running() as control:
        await fill(control)
    broker = InMemoryBroker()
    async with node(objects, broker, "ingress").running() as control:
        assert control.directory.tenant(ACME) is not None
        assert await InMemoryBus("", broker).bucket("control").keys() == []


async def test_without_a_broker_the_store_is_enough() -> None:
    """A node starts and writes with the broker away, and another reads it when it reads again."""
    objects, broker = InMemoryObjects(), InMemoryBroker()
    async with node(objects, broker, "ingress", reread=0.05).running() as ingress:
        broker.up = False
        async with node(objects, broker).running() as admin:
            await fill(admin)
            assert admin.directory.tenant_named("acme") is not None
            await eventually(lambda: ingress.directory.tenant_named("acme"))


async def test_bucket_of_an_older_store_is_not_believed() -> None:
    """What is cached and not in the store is dropped: the store is the truth."""
    broker = InMemoryBroker()
    async with node(InMemoryObjects(), broker).running() as control:
        await fill(control)
    async with node(InMemoryObjects(), broker).running() as control:
        assert control.directory.tenants == {}


async def test_every_node_says_which_revision_it_runs() -> None:
    """Both nodes are listed, with equal revisions once they are settled, and one that left is gone."""
    objects, broker = InMemoryObjects(), InMemoryBroker()
    async with node(objects, broker).running() as admin:
        async with node(objects, broker, "ingress").running():
            await fill(admin)

            async def settled() -> bool:
                nodes = await admin.node_revisions()
                return {n.service for n in nodes} == {"admin", "ingress"} and {n.revision for n in nodes} == {
                    admin.revision
                }

            await eventually(settled)
        assert {n.service for n in await admin.node_revisions()} == {"admin"}


async def test_a_domain_belongs_to_its_claim() -> None:
    """A domain document without the installation's claim admits nobody, and neither do people in it."""
    other = TenantId.new()
    store = ControlStore(InMemoryObjects())
    documents = [
        await store.put(INSTALLATION, "domain-claim", "acme.example", {"tenant": ACME}, expected=0, actor="t"),
        await store.put(other, "tenant", "self", {"name": "other"}, expected=0, actor="t"),
        await store.put(other, "domain", "acme.example", {}, expected=0, actor="t"),
        await store.put(other, "person", "ceo@acme.example", {}, expected=0, actor="t"),
        await store.put(other, "apikey", "0" * 64, {"owner": "ceo@acme.example"}, expected=0, actor="t"),
    ]
    view = build(documents)
    assert (view.domains, view.people, view.api_keys) == ({}, {}, {})


async def test_too_large_a_document_is_refused() -> None:
    """Nothing that the broker could not carry is stored."""
    with pytest.raises(InvalidInput):
        await ControlStore(InMemoryObjects()).put(ACME, "group", "g", {"x": "y" * 10**6}, expected=0, actor="t")
