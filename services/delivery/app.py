"""Wires delivery: what comes by the bus goes out by SMTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from letterlock.delivery.v1 import delivery_pb2_grpc

from services.common.app import Context
from services.common.components import DnsConfig, TlsConfig
from services.common.facts import Facts, MailReader
from services.common.notices import Templates
from services.common.sealing import keys, writers
from services.common.sealing.factkeys import FactKeys
from services.common.secretmail import SecretNotices
from services.common.systemmail import SystemMail, utc_now
from services.delivery.adapters.dns import Resolver
from services.delivery.adapters.fates import RecordedFates
from services.delivery.adapters.leases import BUCKET, BucketLeases
from services.delivery.adapters.queue import BrokerQueue
from services.delivery.adapters.rpc import QueueService
from services.delivery.adapters.smtp import SmtpTransport
from services.delivery.changes import Changes
from services.delivery.config import DeliveryConfig
from services.delivery.core.destinations import Destinations
from services.delivery.core.schedule import Schedule
from services.delivery.deliver import Deliver
from services.delivery.fate_report import Reporter
from services.delivery.notices import Notices
from services.delivery.passes import Passes
from services.delivery.sealed import Sealed

_CONSUMERS = ("delivery-decided", "delivery-released", "delivery-sealed", "delivery-retry")


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Deliver while the context lives; leaving it finishes the attempts that run."""
    config = ctx.settings.of(DeliveryConfig)
    trusted = writers.load_writers(ctx.settings)
    public = keys.PublicKeys(ctx.objects, trusted)
    identities = keys.connect(ctx)
    ctx.health.add("keys", identities.check)
    reader = MailReader(ctx.objects, identities, trusted)
    fact_keys = FactKeys(ctx.bus.bucket("factkeys"), public, identities)
    facts = Facts(ctx.bus, fact_keys, reader)

    destinations = Destinations(
        most=config.connections_per_destination, first=min(5.0, config.retry_after[0].total_seconds())
    )
    own_ca = (ctx.settings.of(TlsConfig).directory or ctx.settings.data / "tls") / "ca.pem"
    transport = SmtpTransport(config, Resolver(ctx.settings.of(DnsConfig)), destinations, own_ca=own_ca)
    queue = BrokerQueue(ctx.bus)
    signer = writers.load_signer(ctx.settings, "delivery")

    system = SystemMail(ctx.objects, public, signer, facts, reader, lambda: ctx.control.directory, now=utc_now)
    reporter = Reporter(
        facts,
        system,
        Templates(ctx.objects),
        lambda: ctx.control.directory,
        hostname=config.hostname,
        whole_bytes=config.dsn_full_bytes,
        now=utc_now,
    )
    passes = Passes(
        transport=transport,
        queue=queue,
        reporter=reporter,
        schedule=Schedule(config.retry_after, config.give_up_after, config.delay_notice_after),
        directory=lambda: ctx.control.directory,
        changes=Changes(ctx.objects, public, signer, identities, trusted),
        hostname=config.hostname,
        most_recipients=config.recipients_per_transaction,
        now=utc_now,
    )
    deliver = Deliver(
        facts=facts,
        sealed_facts=Facts(ctx.bus, fact_keys),
        reader=reader,
        sealed=Sealed(ctx.objects, identities, trusted, SecretNotices(ctx.objects, identities, trusted)),
        fates=RecordedFates(ctx.bus, facts),
        queue=queue,
        passes=passes,
        reporter=reporter,
        notices=Notices(system, lambda: ctx.control.directory, hostname=config.hostname),
        leases=BucketLeases(ctx.bus.bucket(BUCKET), now=utc_now),
        fresh_for=config.fresh_for,
        now=utc_now,
    )
    ctx.rpc.add(delivery_pb2_grpc.add_QueueServiceServicer_to_server, QueueService(queue, destinations))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(transport.close)
        for consumer in _CONSUMERS:
            handler = deliver.retry if consumer == "delivery-retry" else deliver.fact
            await stack.enter_async_context(ctx.bus.consume(consumer, handler, concurrency=config.concurrency))
        try:
            yield
        finally:
            transport.stop()
