"""Run named services in this process: the same composition in production, development and tests."""

from __future__ import annotations

import asyncio
import gc
import importlib
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.common import log, telemetry
from services.common.app import Check, Context, Health
from services.common.bus import Bus
from services.common.components import (
    COMPONENTS,
    ApiConfig,
    LogConfig,
    MetricsConfig,
    NatsConfig,
    StoreConfig,
    TelemetryConfig,
    TlsConfig,
)
from services.common.config import Address, Settings, load
from services.common.errors import Unavailable

_log = log.get(__name__)

# The architecture, one line per service: where it is composed and what its settings are. Imported lazily: a
# service's image carries only that service's dependencies. Listed in the order in which mail needs them; they
# start in this order and drain in reverse, so that what takes mail in stops first.
SERVICES: Mapping[str, tuple[str, str]] = {
    "encryption": ("services.encryption.app", "services.encryption.config:EncryptionConfig"),
    "audit": ("services.audit.app", "services.audit.config:AuditConfig"),
    "admin": ("services.admin.app", "services.admin.config:AdminConfig"),
    "archive": ("services.archive.app", "services.archive.config:ArchiveConfig"),
    "quarantine": ("services.quarantine.app", "services.quarantine.config:QuarantineConfig"),
    "delivery": ("services.delivery.app", "services.delivery.config:DeliveryConfig"),
    "policy": ("services.policy.app", "services.policy.config:PolicyConfig"),
    "ingress": ("services.ingress.app", "services.ingress.config:IngressConfig"),
}


def registry() -> dict[str, type]:
    """Every component's settings class: the shared ones and each service's own."""
    components = dict(COMPONENTS)
    for name, (_, where) in SERVICES.items():
        module, _, kind = where.partition(":")
        components[name] = getattr(importlib.import_module(module), kind)
    return components


def load_settings(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings of this installation; raises `InvalidInput` with every mistake in it."""
    return load(registry(), environment, file)


def store_url(settings: Settings) -> str:
    """Where the object store is."""
    return settings.of(StoreConfig).url or f"file://{settings.data}/objects"


def nats_keys(settings: Settings) -> Path:
    """The folder with each service's nkey seed."""
    return settings.of(NatsConfig).keys or settings.data / "nats" / "keys"


def tls_directory(settings: Settings) -> Path:
    """The folder with the installation's CA and certificates."""
    return settings.of(TlsConfig).directory or settings.data / "tls"


async def ensure_broker(settings: Settings) -> None:
    """Make the broker's streams, consumers and buckets what this version needs; idempotent."""
    from services.common.bus.ensure import ensure

    nats = settings.of(NatsConfig)
    await ensure(nats.url, keys=nats_keys(settings), ca=nats.ca, replicas=nats.replicas)


@dataclass
class Running:
    """What runs in this process."""

    health: Health = field(default_factory=Health)
    addresses: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def running(
    names: Sequence[str], settings: Settings, *, rpc_addresses: Mapping[str, Address] | None = None
) -> AsyncIterator[Running]:
    """Run services while the context lives; leaving it drains them in reverse order.

    `rpc_addresses` gives each its gRPC address where several share a process.
    """
    from services.common.audit_calls import AuditedCalls
    from services.common.audit_entries import AuditTrail
    from services.common.bus.nats import connect_bus
    from services.common.control import Control
    from services.common.objects import open_store
    from services.common.rpc import RpcServer
    from services.common.sealing.factkeys import FactKeys
    from services.common.sealing.keys import PublicKeys
    from services.common.sealing.writers import load_writers
    from services.common.sessions import Sessions

    everything = Running()
    async with AsyncExitStack() as stack:
        for name in names:
            log.speak_as(name)
            objects = open_store(store_url(settings))
            bus = await connect_bus(
                settings.of(NatsConfig).url, name, keys=nats_keys(settings), ca=settings.of(NatsConfig).ca
            )
            stack.push_async_callback(bus.drain)
            await stack.enter_async_context(telemetry.watching_lag(bus, name))
            control = Control(objects, bus, node=name)
            await stack.enter_async_context(control.running())
            rpc = RpcServer(name, control, tls_directory(settings))
            fact_keys = FactKeys(bus.bucket("factkeys"), PublicKeys(objects, load_writers(settings)))
            trail = await stack.enter_async_context(AuditTrail(bus, fact_keys).running())
            calls = AuditedCalls(trail, name)
            rpc.audit(calls)
            rpc.believe(Sessions(load_writers(settings)))
            context = Context(name, settings, objects, bus, control, rpc, calls=calls)
            context.health.add("store", objects.check)
            context.health.add("nats", _connected(bus))
            context.health.add("directory", control.check)
            module, _ = SERVICES[name]
            app = importlib.import_module(module)
            await stack.enter_async_context(app.build(context))
            listen = (rpc_addresses or {}).get(name, settings.of(ApiConfig).listen)
            bound = await rpc.start(str(listen))
            stack.push_async_callback(rpc.stop)
            everything.addresses |= {**context.addresses, f"rpc.{name}": str(bound)}
            control.addresses = {**context.addresses, "rpc": str(bound)}
            await control.announce()
            for check, ask in context.health.checks().items():
                everything.health.add(f"{name}.{check}", ask)
            telemetry.UP.labels(name).set(1)
            _log.info("service.started", component=name)
            stack.callback(context.stopping.set)
        log.speak_as("+".join(names))
        yield everything
        _log.info("service.draining")


def _connected(bus: Bus) -> Check:
    async def check() -> None:
        if not bus.connected:
            raise Unavailable("the broker does not answer")

    return check


async def serve(names: Sequence[str], settings: Settings) -> None:
    """Run services until SIGTERM or SIGINT, with health and metrics beside them."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    log_config, telemetry_config = settings.of(LogConfig), settings.of(TelemetryConfig)
    log.configure("+".join(names), level=log_config.level, format=log_config.format)
    telemetry.configure(
        "+".join(names), endpoint=telemetry_config.endpoint, tenant_labels=telemetry_config.tenant_labels
    )
    async with AsyncExitStack() as stack:
        listen = settings.of(ApiConfig).listen
        everything = await stack.enter_async_context(
            running(names, settings, rpc_addresses=_behind(listen, names) if len(names) > 1 else None)
        )
        if len(names) > 1:
            await _open_front_door(
                stack, settings, listen, {name: everything.addresses[f"rpc.{name}"] for name in names}
            )
        http, _ = await telemetry.serve_http(settings.of(MetricsConfig).listen, everything.health)
        stack.push_async_callback(http.cleanup)
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        await stop.wait()


def _behind(listen: Address, names: Sequence[str]) -> dict[str, Address]:
    """Where each of several services listens: on the ports after the one they are all reached at."""
    return {name: Address(listen.host, listen.port and listen.port + n) for n, name in enumerate(names, 1)}


async def _open_front_door(
    stack: AsyncExitStack, settings: Settings, listen: Address, backends: Mapping[str, str]
) -> None:
    from services.common.frontdoor import FrontDoor

    door = FrontDoor(tls_directory=tls_directory(settings), backends=backends)
    await door.start(str(listen))
    stack.push_async_callback(door.stop)
