"""Composition of the key keeper and the sealer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime

from letterlock.encryption.v1 import encryption_pb2_grpc
from letterlock.keys.v1 import keys_pb2_grpc

from services.common import log, secretmail, telemetry
from services.common.app import Context
from services.common.audit_client import RemoteAuditLog
from services.common.bus import Bus
from services.common.directory import Directory
from services.common.errors import Error
from services.common.facts import Facts, MailReader
from services.common.ids import INSTALLATION, TenantId
from services.common.notices import Templates
from services.common.sealing import writers
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.keys import Identities, PublicKeys, today
from services.encryption.adapters.book import StoredBook
from services.encryption.adapters.contents import SecretNotices, StoredContents
from services.encryption.adapters.keyring import MasterKeyFile, StoredKeyRing
from services.encryption.adapters.packer import ThreadedPacker
from services.encryption.adapters.passwords import PasswordServicer
from services.encryption.adapters.wire import KeyServicer
from services.encryption.config import EncryptionConfig
from services.encryption.held import HeldServicer
from services.encryption.keep import Keeper, keep
from services.encryption.seal import Seal

_CONSUMERS = ("encryption-decided", "encryption-released")
_LAG_SECONDS = 5.0
_DAY_SECONDS = 86400.0
_log = log.get(__name__)


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Keep the keys and seal while the context lives; not ready without master key and today's pipeline key."""
    config = ctx.settings.of(EncryptionConfig)
    master = MasterKeyFile(config.master_key_file or writers.trust_folder(ctx.settings) / writers.MASTER)
    signer = writers.load_signer(ctx.settings, "encryption")
    keeper = Keeper(StoredKeyRing(ctx.objects), master, signer)

    async def ready() -> None:
        await keeper.check(today())

    changed = asyncio.Event()
    ctx.health.add("keys", ready)
    ctx.rpc.add(keys_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(keeper))
    forget = ctx.control.on_change(_setter(changed))
    keeping = asyncio.create_task(
        keep(
            keeper,
            lambda: ctx.control.directory.tenants.keys() | {INSTALLATION},  # its log has values to seal too
            changed,
            today=today,
            every=config.check_every.total_seconds(),
        )
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_ended, keeping)
        stack.callback(forget)
        await _sealing(ctx, config, keeper, master, signer, stack)
        yield


async def _sealing(
    ctx: Context,
    config: EncryptionConfig,
    keeper: Keeper,
    master: MasterKeyFile,
    signer: writers.Signer,
    stack: AsyncExitStack,
) -> None:
    trusted = writers.load_writers(ctx.settings)
    public = PublicKeys(ctx.objects, trusted)
    identities = Identities(keeper)
    reader = MailReader(ctx.objects, identities, trusted)
    facts = Facts(ctx.bus, FactKeys(ctx.bus.bucket("factkeys"), public, identities), reader)
    ctx.rpc.add(keys_pb2_grpc.add_HeldServiceServicer_to_server, HeldServicer(reader))

    def language(tenant: TenantId) -> str:
        found = ctx.control.directory.tenant(tenant)
        return (found.language if found is not None else "") or config.language

    book = StoredBook(ctx.objects, master)
    templates = Templates(ctx.objects)
    secret = secretmail.SecretMail(ctx.objects, public, signer, facts, lambda: ctx.control.directory)
    packer = ThreadedPacker(
        templates,
        threads=config.threads,
        google_domains=config.google_domains,
        language=language,
        largest=config.max_bytes,
    )
    stack.callback(packer.close)
    seal = Seal(
        facts=facts,
        book=book,
        contents=StoredContents(ctx.objects, public, signer),
        packer=packer,
        notices=SecretNotices(secret, templates, hostname=config.hostname, language=language),
        directory=lambda: ctx.control.directory,
        now=_now,
    )
    audit = RemoteAuditLog.of(ctx)
    stack.push_async_callback(audit.close)
    ctx.rpc.add(encryption_pb2_grpc.add_PasswordServiceServicer_to_server, PasswordServicer(book, audit, now=_now))
    opens = secretmail.SecretNotices(ctx.objects, identities, trusted)
    stack.push_async_callback(_ended, asyncio.create_task(_resume(ctx, config, secret, opens)))
    stack.push_async_callback(_ended, asyncio.create_task(_expire(ctx, config, book)))
    stack.push_async_callback(_ended, asyncio.create_task(_watch_lag(ctx.bus)))
    for consumer in _CONSUMERS:
        await stack.enter_async_context(ctx.bus.consume(consumer, seal.fact, concurrency=config.concurrency))


async def _resume(
    ctx: Context, config: EncryptionConfig, secret: secretmail.SecretMail, opens: secretmail.SecretNotices
) -> None:
    while True:
        await asyncio.sleep(config.resume_every.total_seconds())
        for tenant in ctx.control.directory.tenants.keys() - {INSTALLATION}:
            try:
                number = await secret.resume(tenant, opens, before=_now() - config.resume_after)
            except Error as error:
                _log.warning("secret_mail.resume_failed", tenant=tenant, code=error.code)
                continue
            if number:
                _log.info("secret_mail.resumed", tenant=tenant, number=number)


async def _expire(ctx: Context, config: EncryptionConfig, book: StoredBook) -> None:
    while True:
        await asyncio.sleep(_DAY_SECONDS / 24)
        for tenant in ctx.control.directory.tenants.keys() - {INSTALLATION}:
            try:
                number = await book.expire(tenant, before=_now() - config.passwords_kept)
            except Error as error:
                _log.warning("password.expiry_failed", tenant=tenant, code=error.code)
                continue
            if number:
                _log.info("password.expired", tenant=tenant, number=number)
        await asyncio.sleep(_DAY_SECONDS)


async def _watch_lag(bus: Bus) -> None:
    while True:
        for consumer in _CONSUMERS:
            with suppress(Error):  # the broker is away: the gauge keeps its last value, readiness says the rest
                telemetry.QUEUE_LAG.labels(consumer).set(await bus.lag(consumer))
        await asyncio.sleep(_LAG_SECONDS)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _setter(changed: asyncio.Event) -> Callable[[Directory], None]:
    def changed_to(_: Directory) -> None:
        changed.set()

    return changed_to
