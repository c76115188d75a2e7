"""Composition of the key keeper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from letterlock.keys.v1 import keys_pb2_grpc

from services.common.app import Context
from services.common.directory import Directory
from services.common.ids import INSTALLATION
from services.common.mailreader import MailReader
from services.common.sealing.keys import Identities, today
from services.common.sealing.writers import MASTER, load_signer, load_writers, trust_folder
from services.encryption.adapters.keyring import MasterKeyFile, StoredKeyRing
from services.encryption.adapters.wire import KeyServicer
from services.encryption.config import EncryptionConfig
from services.encryption.held import HeldServicer
from services.encryption.keep import Keeper, keep


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Keep the keys while the context lives; not ready without the master key and today's pipeline key."""
    config = ctx.settings.of(EncryptionConfig)
    master = MasterKeyFile(config.master_key_file or trust_folder(ctx.settings) / MASTER)
    keeper = Keeper(StoredKeyRing(ctx.objects), master, load_signer(ctx.settings, "encryption"))

    async def ready() -> None:
        await keeper.check(today())

    changed = asyncio.Event()
    ctx.health.add("keys", ready)
    ctx.rpc.add(keys_pb2_grpc.add_KeyServiceServicer_to_server, KeyServicer(keeper))
    held = HeldServicer(MailReader(ctx.objects, Identities(keeper), load_writers(ctx.settings)))
    ctx.rpc.add(keys_pb2_grpc.add_HeldServiceServicer_to_server, held)
    forget = ctx.control.on_change(_setter(changed))
    task = asyncio.create_task(
        keep(
            keeper,
            lambda: ctx.control.directory.tenants.keys() - {INSTALLATION},
            changed,
            today=today,
            every=config.check_every.total_seconds(),
        )
    )
    try:
        yield
    finally:
        forget()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _setter(changed: asyncio.Event) -> Callable[[Directory], None]:
    def changed_to(_: Directory) -> None:
        changed.set()

    return changed_to
