"""Control documents over a real broker: watched by who may only read, through a kill and an empty bucket."""

from __future__ import annotations

import shutil
from pathlib import Path

from structlog.testing import capture_logs

from services.common.control import Control
from services.common.ids import INSTALLATION, TenantId
from services.common.objects import open_store
from services.common.testing import eventually
from services.common.testing.broker import running_broker

ACME = TenantId.new()


async def make_tenant(control: Control, name: str, tenant: TenantId) -> None:
    """A claim and its tenant."""
    await control.put(INSTALLATION, "tenant-name", name, {"tenant": tenant}, expected=0, actor="t")
    await control.put(tenant, "tenant", "self", {"name": name}, expected=0, actor="t")


async def test_reader_follows_the_writer_through_a_killed_broker(tmp_path: Path) -> None:
    """What was written while the broker was away is known to the other service after it is back."""
    url = f"file://{tmp_path}/objects"
    (tmp_path / "nats").mkdir()
    async with running_broker(tmp_path / "nats") as broker:
        admin = Control(open_store(url), await broker.connect("admin"), node="admin")
        ingress = Control(open_store(url), await broker.connect("ingress"), node="ingress")
        async with admin.running(), ingress.running():
            await make_tenant(admin, "acme", ACME)
            await eventually(lambda: ingress.directory.tenant_named("acme"))
            await broker.kill()
            await make_tenant(admin, "umbrella", TenantId.new())
            assert admin.directory.tenant_named("umbrella") is not None
            assert ingress.directory.tenant_named("acme") is not None
            await broker.start()
            await eventually(lambda: ingress.directory.tenant_named("umbrella"), timeout=30)

            async def settled() -> bool:
                nodes = await admin.node_revisions()
                return {(n.service, n.revision) for n in nodes} == {("admin", 4), ("ingress", 4)}

            await eventually(settled, timeout=30)


async def test_new_broker_is_filled_and_a_reader_never_tries_to(tmp_path: Path) -> None:
    """An empty bucket beside a full store: the reader loads in silence, the writer fills it."""
    url = f"file://{tmp_path}/objects"
    (tmp_path / "one").mkdir()
    async with running_broker(tmp_path / "one") as broker:
        admin = Control(open_store(url), await broker.connect("admin"), node="admin")
        async with admin.running():
            await make_tenant(admin, "acme", ACME)
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "two").mkdir()
    async with running_broker(tmp_path / "two") as broker:
        bus = await broker.connect("ingress")
        ingress = Control(open_store(url), bus, node="ingress")
        with capture_logs() as events:
            async with ingress.running():
                assert ingress.directory.tenant_named("acme") is not None
                assert await bus.bucket("control").keys() == []
        assert [e for e in events if e["log_level"] != "info"] == []
        admin = Control(open_store(url), await broker.connect("admin"), node="admin")
        async with admin.running():
            assert len(await bus.bucket("control").keys()) == 2
