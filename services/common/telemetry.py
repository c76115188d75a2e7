"""What a service says of itself: RED metrics per stage, counters per tenant, spans along a mail.

Labels are bounded: services, stages and codes are ours, and tenants beyond
`telemetry.tenant_labels` count as `other`. Spans are off unless an endpoint is
configured; the trace context travels as W3C headers of the facts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import aiohttp
from aiohttp import web
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

from services.common.app import Health
from services.common.config import Address
from services.common.errors import Error

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

_tracer = trace.get_tracer("letterlock")
_tenants: set[str] = set()
_limit = 200


def configure(service: str, *, endpoint: str, tenant_labels: int) -> None:
    """Switch on spans to an OTLP/HTTP endpoint when one is given; bound the tenant labels."""
    global _limit
    _limit = tenant_labels
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"letterlock-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


def tenant_label(tenant: str) -> str:
    """The tenant id, or `other` once too many have been seen."""
    if tenant in _tenants:
        return tenant
    if len(_tenants) < _limit:
        _tenants.add(tenant)
        return tenant
    return "other"


@contextmanager
def stage(service: str, name: str, *, headers: Mapping[str, str] | None = None) -> Iterator[None]:
    """Time a stage, count its failures by code, and make it a span under the context in `headers`."""
    token = otel_context.attach(propagate.extract(dict(headers))) if headers else None
    began = time.perf_counter()
    try:
        with _tracer.start_as_current_span(f"{service}.{name}", record_exception=False):
            yield
    except Exception as error:
        code = error.code if isinstance(error, Error) else type(error).__name__
        STAGE_ERRORS.labels(service, name, code).inc()
        raise
    finally:
        STAGE_SECONDS.labels(service, name).observe(time.perf_counter() - began)
        if token is not None:
            otel_context.detach(token)


def count(service: str, event: str, tenant: str) -> None:
    """Count an event of a tenant."""
    EVENTS.labels(service, event, tenant_label(tenant)).inc()


def inject() -> dict[str, str]:
    """The current trace context as headers for a fact; empty when spans are off."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


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
    await site.start()
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
