"""Keep the keys: made before they are needed, private half first; handed out; rotated; destroyed.

Every step may be the last one before a crash, and two keepers may do the same
step at once. Both are safe because each half is one create-only object: the
first private half wins, and a public half is always derived from what the
store holds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import date

from services.common import log, telemetry
from services.common.errors import Conflict, Error, NotFound, Rejected, Unavailable
from services.common.ids import TenantId
from services.common.sealing import age
from services.common.sealing.keys import TenantKind, pipeline_name, statement
from services.common.sealing.writers import Signer
from services.encryption.core import plan, wrapping
from services.encryption.ports import KeyRing, MasterKey

_log = log.get(__name__)
_FEW = 16
"""Up to so many new tenants are looked up one by one; a start with more lists all names once."""
_KINDS: tuple[TenantKind, ...] = ("archive", "trace")


class Keeper:
    """The keys of the installation. Raises `Unavailable` without store or master key."""

    def __init__(self, ring: KeyRing, master: MasterKey, signer: Signer) -> None:
        self._ring, self._master, self._signer = ring, master, signer
        self._sure: set[TenantId] = set()
        self._days: set[date] = set()

    async def ensure_days(self, today: date) -> None:
        """There is a pipeline key for today and tomorrow; raises `Unavailable`, also when today's is lost."""
        if self._days.issuperset(plan.days(today)):
            return
        wanted = [pipeline_name(d) for d in plan.days(today)]
        private, public = await self._ring.private_names("pipeline/"), await self._ring.public_names("pipeline/")
        await self._take(plan.steps(wanted, private, public))
        self._days = set(plan.days(today))

    async def ensure_tenants(self, tenants: Collection[TenantId]) -> None:
        """Each tenant has an archive and a trace key; those made sure of before cost nothing."""
        new = sorted(set(tenants) - self._sure)
        whole = await self._names(*(f"{kind}/" for kind in _KINDS)) if len(new) > _FEW else None
        for tenant in new:
            prefixes = [f"{kind}/{tenant}/" for kind in _KINDS]
            private, public = whole or await self._names(*prefixes)
            for prefix in prefixes:
                mine = [{n for n in names if n.startswith(prefix)} for names in (private, public)]
                await self._take(plan.tenant_steps(prefix, *mine))
            self._sure.add(tenant)

    async def rotate(self, tenant: TenantId, kind: TenantKind) -> tuple[int, str]:
        """Make the next version; returns its number and recipient. Raises `Conflict` when another keeper just did."""
        prefix = f"{kind}/{tenant}/"
        names = await self._ring.private_names(prefix) | await self._ring.public_names(prefix)
        if not names:
            raise NotFound("this tenant has no key yet")
        name = plan.next_version(prefix, names)
        if not await self._make(name):
            raise Conflict("another rotation came first")
        recipient = await self._publish(name)
        _log.info("key.rotated", tenant=tenant, kind=kind, version=plan.version(name))
        return plan.version(name), recipient

    async def pipeline(self, day: date) -> Sequence[str]:
        """The identities of a day; raises `NotFound` when there is none (any more)."""
        return [await self._identity(pipeline_name(day))]

    async def trace(self, tenant: TenantId) -> Sequence[str]:
        """Every version of a tenant's trace identity, newest first; raises `NotFound` before there is one."""
        names = sorted(await self._ring.private_names(f"trace/{tenant}/"), reverse=True)
        if not names:
            raise NotFound("this tenant has no key yet")
        return [await self._identity(name) for name in names]

    async def archive(self, tenant: TenantId) -> Sequence[str]:
        """As `trace`, of the archive key: for custody alone, and never handed out."""
        names = sorted(await self._ring.private_names(f"archive/{tenant}/"), reverse=True)
        if not names:
            raise NotFound("this tenant has no key (any more)")
        return [await self._identity(name) for name in names]

    async def index_root(self, tenant: TenantId) -> bytes:
        """The 32 bytes from which the keys of a tenant's index follow, made when first needed; rotations keep it."""
        name = f"index/{tenant}/{1:08d}"
        try:
            return bytes.fromhex(await self._identity(name))
        except NotFound:
            wrapped = wrapping.wrap(self._master.get(), name, os.urandom(32).hex(), nonce=os.urandom(12))
            if await self._ring.add_private(name, wrapped):
                _log.info("key.made", key_name=name)
            return bytes.fromhex(await self._identity(name))

    async def complete(self, day: date, *, today: date) -> None:
        """Destroy the pipeline key of a day; raises `Rejected` while the day is too young."""
        if not plan.may_destroy(day, today):
            raise Rejected("this day is too young", public="the day ended less than a day ago")
        name = pipeline_name(day)
        await self._ring.destroy(name)
        _log.info("key.destroyed", key_name=name)

    async def check(self, today: date) -> None:
        """Return when today's key can be handed out; raises what is wrong (readiness)."""
        self._master.get()
        try:
            await self.pipeline(today)
        except NotFound as error:
            raise Unavailable("today's pipeline key is not there") from error

    async def _names(self, *prefixes: str) -> tuple[set[str], set[str]]:
        private = [await self._ring.private_names(p) for p in prefixes]
        public = [await self._ring.public_names(p) for p in prefixes]
        return set().union(*private), set().union(*public)

    async def _take(self, steps: Sequence[plan.Step]) -> None:
        for step in steps:
            if isinstance(step, plan.Make):
                await self._make(step.name)
            await self._publish(step.name)
            _log.info("key.made", key_name=step.name)

    async def _make(self, name: str) -> bool:
        with telemetry.stage("encryption", "make", span=False):
            identity, _ = await asyncio.to_thread(age.generate)
            wrapped = wrapping.wrap(self._master.get(), name, identity, nonce=os.urandom(12))
            return await self._ring.add_private(name, wrapped)

    async def _publish(self, name: str) -> str:
        recipient = age.recipient_of(await self._identity(name))
        await self._ring.publish(name, statement(name, recipient, self._signer))
        return recipient

    async def _identity(self, name: str) -> str:
        # Not remembered: what another keeper destroyed is gone here too.
        with telemetry.stage("encryption", "open", span=False):
            return wrapping.unwrap(self._master.get(), name, await self._ring.private(name))


async def keep(
    keeper: Keeper,
    tenants: Callable[[], Collection[TenantId]],
    changed: asyncio.Event,
    *,
    today: Callable[[], date],
    every: float,
    again: float = 1.0,
) -> None:
    """Make sure of all keys now, when the tenants `changed`, and after `every` seconds; until cancelled.

    What fails is tried `again` after that many seconds.
    """
    while True:
        changed.clear()
        pause = every
        try:
            await keeper.ensure_days(today())
            await keeper.ensure_tenants(tenants())
        except Error as error:
            _log.warning("key.not_ensured", error=error.code)
            pause = again
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), pause)
