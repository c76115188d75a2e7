"""Composes policy: answers `policy.decide`, decides what came in undecided, serves PolicyService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from letterlock.encryption.v1 import encryption_pb2_grpc
from letterlock.policy.v1 import dataset_pb2_grpc, detector_pb2_grpc, owndetector_pb2_grpc, policy_pb2_grpc

from services.common import rpc
from services.common.app import Context
from services.common.audit_entries import AuditTrail
from services.common.components import ExtractionConfig
from services.common.errors import Unavailable
from services.common.extraction import sandbox
from services.common.facts import DECIDE, Facts
from services.common.mailreader import MailReader
from services.common.sealing import keys
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.keys import PublicKeys
from services.common.sealing.writers import load_signer, load_writers
from services.policy.adapters.clamav import ClamAv
from services.policy.adapters.detectors import DetectorServicer
from services.policy.adapters.grpc import PolicyServicer
from services.policy.adapters.inspect import InspectionServicer
from services.policy.adapters.own import OwnStore
from services.policy.adapters.own_grpc import DataSetServicer, OwnDetectorServicer
from services.policy.adapters.passwords import NoPasswords, RemotePasswords
from services.policy.adapters.revisions import Revisions
from services.policy.adapters.rspamd import Rspamd
from services.policy.adapters.senders import SenderLists
from services.policy.config import PolicyConfig
from services.policy.core.extract import Limits
from services.policy.decide import Bounds, Decider
from services.policy.filters import Filters
from services.policy.inspection import Opener
from services.policy.intake import Latecomers, Questions
from services.policy.pool import FairPool
from services.policy.ports import Engine, Passwords
from services.policy.shadow import ShadowTally


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Run policy until the context is left; then finish what was begun."""
    config = ctx.settings.of(PolicyConfig)
    writers, signer = load_writers(ctx.settings), load_signer(ctx.settings, "policy")
    identities, public = keys.connect(ctx), PublicKeys(ctx.objects, writers)
    reader = MailReader(ctx.objects, identities, writers)
    fact_keys = FactKeys(ctx.bus.bucket("factkeys"), public, identities)
    facts = Facts(ctx.bus, fact_keys, reader)
    filters = Filters(_engines(config), always=config.filters_always)
    trail = AuditTrail(ctx.bus, fact_keys)
    own = OwnStore(ctx.control, ctx.objects, public, identities)
    revisions = Revisions(ctx.control, cached=config.tenants_cached, filters=filters.answers, own=own, trail=trail)
    tally = ShadowTally(ctx.objects, revisions.coarse_group)
    pool = FairPool(config.workers, waiting=config.waiting, waiting_per_tenant=config.waiting_per_tenant)
    limits = Limits(
        max_bytes=config.max_bytes,
        max_text=config.max_text_bytes,
        max_parts=config.max_parts,
        max_depth=config.max_depth,
    )
    closing: list[Callable[[], Awaitable[None]]] = [filters.close]
    ctx.health.add("keys", identities.check)
    passwords: Passwords = NoPasswords()
    with suppress(Unavailable):  # no address of encryption: an installation without a password book
        channel = rpc.connect_service(ctx.settings, me="policy", peer="encryption")
        closing.append(channel.close)
        passwords = RemotePasswords(encryption_pb2_grpc.PasswordServiceStub(channel))
    counting = asyncio.create_task(tally.run())
    try:
        async with sandbox(ctx.settings.of(ExtractionConfig)) as extract:
            senders = SenderLists(ctx.objects, identities)
            opener = Opener(extract, passwords, pool, limits)
            bounds = Bounds(limits, config.inline_bytes)
            decider = Decider(revisions, pool, bounds, filters=filters, tally=tally, opener=opener, senders=senders)
            questions = Questions(facts, decider, config)
            late = Latecomers(facts, reader, ctx.objects, public, signer, decider, config)
            add = ctx.rpc.add
            add(policy_pb2_grpc.add_PolicyServiceServicer_to_server, PolicyServicer(revisions, decider, tally))
            add(detector_pb2_grpc.add_DetectorServiceServicer_to_server, DetectorServicer(extract, pool, own))
            mine = (own, revisions, pool, extract, trail)
            add(owndetector_pb2_grpc.add_OwnDetectorServiceServicer_to_server, OwnDetectorServicer(*mine))
            add(dataset_pb2_grpc.add_DataSetServiceServicer_to_server, DataSetServicer(*mine))
            add(policy_pb2_grpc.add_InspectionServiceServicer_to_server, InspectionServicer(reader, decider, filters))
            async with (
                trail.running(),
                revisions.following(),
                ctx.bus.serve(DECIDE, questions.answer, concurrency=config.waiting),
                ctx.bus.consume("policy-accepted", late.handle, concurrency=config.concurrency),
            ):
                yield
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
        for close in closing:
            await close()
        pool.close()


def _engines(config: PolicyConfig) -> list[Engine]:
    engines: list[Engine] = []
    if config.rspamd_url:
        engines.append(Rspamd(config.rspamd_url))
    if config.clamav_address is not None:
        engines.append(ClamAv(config.clamav_address))
    return engines
