"""The key keeper over mTLS: who gets which key, readiness, and the end of a day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from letterlock.keys.v1 import keys_pb2, keys_pb2_grpc

from services.common import auth, rpc, tls
from services.common.app import Context
from services.common.components import ApiConfig, TlsConfig, TrustConfig
from services.common.config import Settings
from services.common.directory import ApiKey, Directory, Tenant
from services.common.errors import Denied, Error, NotFound, Rejected
from services.common.ids import INSTALLATION, TenantId
from services.common.objects import open_store
from services.common.sealing import age
from services.common.sealing.keeper import RemoteKeeper
from services.common.sealing.keys import Identities, PublicKeys, today
from services.common.sealing.writers import MASTER, ensure_dev, load_writers
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBus
from services.encryption import app
from services.encryption.config import EncryptionConfig

ACME, LATER = TenantId.new(), TenantId.new()
OPS, ADMIN = "op-0123456789abcdef", "admin-0123456789abcdef"
SERVICES = ("ingress", "policy", "quarantine", "delivery", "archive", "admin")


def directory(*tenants: TenantId) -> Directory:
    """A view with these tenants and an operator."""
    operator = ApiKey(auth.token_digest(OPS), INSTALLATION, "ops", operator=True)
    return Directory(len(tenants), {t: Tenant(t, t.lower()) for t in tenants}, api_keys={operator.digest: operator})


class Control:
    """A directory that a test changes."""

    def __init__(self) -> None:
        self.directory = directory(ACME)
        self.callbacks: list[Any] = []

    def on_change(self, callback: Any) -> Any:
        """See `Control`."""
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A running keeper on a real store and a keeper client for each service."""
    ensure_dev(tmp_path / "trust", [*SERVICES, "encryption"])
    settings = Settings(
        {
            "trust": TrustConfig(),
            "tls": TlsConfig(),
            "api": ApiConfig(services=("audit=127.0.0.1:1",)),
            "encryption": EncryptionConfig(),
        },
        tmp_path,
    )
    control, objects = Control(), open_store(f"file://{tmp_path}/objects")
    typed: Any = control
    bus = InMemoryBus("encryption")
    server = rpc.RpcServer("encryption", typed, tmp_path / "tls")
    ctx = Context("encryption", settings, objects, bus, typed, server)
    async with app.build(ctx):
        address = await server.start("127.0.0.1:0")
        identities = {name: tls.ensure(tmp_path / "tls", name) for name in SERVICES}
        keepers = {
            name: RemoteKeeper(rpc.connect(str(address), identities[name], peer="encryption")) for name in SERVICES
        }
        operator = rpc.connect(str(address), identities["admin"], peer="encryption")
        public = PublicKeys(objects, load_writers(settings))
        yield SimpleNamespace(
            keepers=keepers, public=public, control=control, ctx=ctx, operator=operator, trust=tmp_path / "trust"
        )
        for keeper in keepers.values():
            await keeper.close()
        await operator.close()
        await server.stop(0)


async def test_each_service_gets_what_it_may_and_nothing_else(place: SimpleNamespace) -> None:
    """Pipeline: policy, delivery, archive. Trace: quarantine too. Nobody else, ingress least of all."""
    pipeline, trace = await place.public.pipeline(), await place.public.trace(ACME)
    for name, keeper in place.keepers.items():
        for call, recipient, may in (
            (keeper.pipeline(today()), pipeline, name in ("policy", "delivery", "archive")),
            (keeper.trace(ACME), trace, name in ("policy", "delivery", "archive", "quarantine")),
        ):
            if may:
                assert age.decrypt(age.encrypt(b"x", [recipient]), await call) == b"x"
            else:
                with pytest.raises(Denied):
                    await call


async def test_new_tenant_has_keys_at_once(place: SimpleNamespace) -> None:
    """The directory says so, the keeper makes them, a sealer that was too early waits for them."""
    place.control.directory = directory(ACME, LATER)
    for callback in place.control.callbacks:
        callback(place.control.directory)
    assert await place.public.archive(LATER) != await place.public.archive(ACME)
    assert await Identities(place.keepers["quarantine"]).trace(LATER)


async def test_only_the_archive_ends_a_day(place: SimpleNamespace) -> None:
    """And never one that is young."""
    old = today() - timedelta(days=5)
    with pytest.raises(Denied):
        await place.keepers["delivery"].complete(old)
    await place.keepers["archive"].complete(old)
    with pytest.raises(Rejected):
        await place.keepers["archive"].complete(today())
    with pytest.raises(NotFound):
        await place.keepers["archive"].pipeline(old)


async def test_operator_rotates_and_readers_open_old_and_new(place: SimpleNamespace) -> None:
    """The operator names the tenant; a service may not."""
    old = await place.public.trace(ACME)
    stub = keys_pb2_grpc.KeyServiceStub(place.operator)
    request = keys_pb2.RotateTenantKeyRequest(tenant=ACME, key=keys_pb2.TENANT_KEY_TRACE)
    answer = await stub.RotateTenantKey(request, metadata=(("authorization", f"Bearer {OPS}"),), timeout=5)
    assert answer.version == 2
    identities = await place.keepers["policy"].trace(ACME)
    for recipient in (old, answer.recipient):
        assert age.decrypt(age.encrypt(b"x", [recipient]), identities) == b"x"
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.RotateTenantKey(request, timeout=5)


async def test_ready_with_keys_and_not_without_master_key(place: SimpleNamespace) -> None:
    """A keeper that starts without its master key says so and takes it when it comes."""
    ready = next(ask for name, ask in place.ctx.health._checks.items() if name == "keys")

    async def well() -> bool:
        await ready()
        return True

    await eventually(well)
    aside = place.trust / "aside"
    (place.trust / MASTER).rename(aside)
    ctx = place.ctx
    unstarted = rpc.RpcServer("encryption", ctx.control, place.trust)
    second = Context("encryption", ctx.settings, ctx.objects, ctx.bus, ctx.control, unstarted)
    async with app.build(second):
        again = second.health._checks["keys"]
        with pytest.raises(Error):
            await again()
        aside.rename(place.trust / MASTER)
        await again()
