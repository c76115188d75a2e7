"""What a service says of itself: RED metrics per stage, counters per tenant, spans along a mail.

Labels are bounded: services, stages and codes are ours, and tenants beyond
`telemetry.tenant_labels` count as `other`. Spans are off unless an endpoint is
configured (`tracing.py`); the trace context travels as W3C headers of the facts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache

import aiohttp
from aiohttp import web
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

from services.common import tracing
from services.common.app import Health
from services.common.bus import Bus, Later
from services.common.bus.streams import CONSUMERS
from services.common.config import Address
from services.common.errors import Error, Unavailable

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
STAGE_SECONDS = Histogram("letterlock_stage_seconds", "Wall time of a stage", ["service", "stage"], buckets=_BUCKETS)
STAGE_CPU = Counter("letterlock_stage_cpu_seconds", "CPU time of a stage's own thread", ["service", "stage"])
STAGE_ERRORS = Counter("letterlock_stage_errors", "Failures of a stage by code", ["service", "stage", "code"])
EVENTS = Counter("letterlock_events", "What happened, per tenant", ["service", "event", "tenant"])
RPC_SECONDS = Histogram(
    "letterlock_rpc_seconds", "Wall time of an RPC", ["service", "method", "code"], buckets=_BUCKETS
)
QUEUE_LAG = Gauge("letterlock_queue_lag", "Messages a consumer has not acked", ["consumer"])
UP = Gauge("letterlock_up", "1 while the service runs", ["service"])

_LAG_EVERY = 5.0
"""Seconds between two looks at what waits."""

_tenants: set[str] = set()
_limit = 200


def configure(service: str, *, endpoint: str, tenant_labels: int) -> None:
    """Switch on spans to an OTLP/HTTP endpoint when one is given; bound the tenant labels."""
    global _limit
    _limit = tenant_labels
    tracing.configure(service, endpoint=endpoint)


def tenant_label(tenant: str) -> str:
    """The tenant id, or `other` once too many have been seen."""
    if tenant in _tenants:
        return tenant
    if len(_tenants) < _limit:
        _tenants.add(tenant)
        return tenant
    return "other"


# Looking a child up by its labels costs more than using it.
@cache
def _seconds(service: str, name: str) -> Histogram:
    return STAGE_SECONDS.labels(service, name)


@cache
def _event(service: str, event: str, label: str) -> Counter:
    return EVENTS.labels(service, event, label)


class Stage:
    """See `stage`."""

    __slots__ = ("_began", "_headers", "_name", "_service", "_span", "_spanned")

    def __init__(self, service: str, name: str, headers: Mapping[str, str] | None, spanned: bool) -> None:
        self._service, self._name, self._headers, self._spanned = service, name, headers, spanned
        self._span: tracing.Span | None = None

    def __enter__(self) -> None:
        if self._spanned and tracing.on():
            self._span = tracing.Span(f"{self._service}.{self._name}", self._headers)
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        _seconds(self._service, self._name).observe(time.perf_counter() - self._began)
        code = ""
        if isinstance(error, Exception) and not isinstance(error, Later):
            code = error.code if isinstance(error, Error) else type(error).__name__
            STAGE_ERRORS.labels(self._service, self._name, code).inc()
        if self._span is not None:
            self._span.end(code)


def stage(service: str, name: str, *, headers: Mapping[str, str] | None = None, span: bool = True) -> Stage:
    """A context that times a stage and counts its failures by code.

    It is a span under the context in a fact's `headers`, or under the current one. Work for many mails at once is
    none (`span=False`). `Later` is no failure.
    """
    return Stage(service, name, headers, span)


def count(service: str, event: str, tenant: str, number: int = 1) -> None:
    """Count an event of a tenant."""
    _event(service, event, tenant_label(tenant)).inc(number)


@asynccontextmanager
async def watching_lag(bus: Bus, service: str) -> AsyncIterator[None]:
    """Keep the gauge of what waits for each of a service's consumers while the context lives."""
    consumers = [name for name, consumer in CONSUMERS.items() if consumer.service == service]

    async def watch() -> None:
        while True:
            for consumer in consumers:
                try:
                    QUEUE_LAG.labels(consumer).set(await bus.lag(consumer))
                except Error:
                    continue  # the broker is away: readiness says so
            await asyncio.sleep(_LAG_EVERY)

    if not consumers:
        yield
        return
    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def serve_http(
    listen: Address, health: Health, *, others: Sequence[Address] = ()
) -> tuple[web.AppRunner, Address]:
    """Serve `/healthz`, `/readyz` and `/metrics`; returns the runner to clean up and the bound address.

    `others` are the same endpoints of other processes, whose metrics are shown too.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        failures = await health.failures()
        return web.json_response(
            {"status": "not ready" if failures else "ready", "failures": failures}, status=503 if failures else 200
        )

    async def metrics(_: web.Request) -> web.Response:
        pages = [generate_latest(REGISTRY), *await asyncio.gather(*(_page(a) for a in others))]
        return web.Response(body=_merge(pages), headers={"Content-Type": "text/plain; version=0.0.4"})

    application = web.Application(client_max_size=1024)
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, listen.host, listen.port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise Unavailable(f"cannot listen at {listen}") from error
    host, port = runner.addresses[0][:2]
    return runner, Address(host, port)


async def _page(address: Address) -> bytes:
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{address}/metrics") as answer,
        ):
            return await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return b""  # a process that does not answer is seen in /readyz; the others' metrics still count


def _merge(pages: Sequence[bytes]) -> bytes:
    """One exposition page of several: series of ours carry their service; each process's own only come first."""
    if len(pages) == 1:
        return pages[0]
    families: dict[bytes, list[bytes]] = {}
    for page in pages:
        family = b""
        for line in page.splitlines():
            if line.startswith((b"# HELP ", b"# TYPE ")):
                family = line.split(b" ", 3)[2]
                lines = families.setdefault(family, [])
                if line not in lines:
                    lines.append(line)
            elif family.startswith(b"letterlock_") or page is pages[0]:
                families[family].append(line)
    return b"\n".join(line for lines in families.values() for line in lines) + b"\n"
