"""Apply a world file: read it, say everything that is wrong, or do what it says and answer with the changes."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass

from services.admin.core import plan as planning
from services.admin.core import world as files
from services.admin.core.plan import Means, Plan
from services.admin.core.state import Known, Place
from services.admin.ports import Policies
from services.common import auth, log
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.control import Control
from services.common.errors import AlreadyExists, Conflict, NotFound, Unavailable
from services.common.grpc_status import invalid
from services.common.ids import INSTALLATION, TenantId

_log = log.get(__name__)
_MEANS = Means(TenantId.new, auth.hash_password, auth.password_matches)
_TRIES = 3
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Applied:
    """What a world file changes or has changed, a line each, and what is unwise in it."""

    changes: tuple[str, ...]
    warnings: tuple[str, ...]


class ApplyWorld:
    """The verb. `lock` is shared with whoever else writes the directory in this process."""

    def __init__(self, control: Control, policies: Policies, trail: AuditTrail, lock: asyncio.Lock) -> None:
        self._control, self._policies, self._trail, self._lock = control, policies, trail, lock

    async def __call__(self, document: str, *, dry_run: bool, actor: str) -> Applied:
        """Apply `document` in the name of `actor`, or with `dry_run` only say what that would change.

        Raises `InvalidInput` with every mistake, `Unavailable` when policy cannot be asked, `Conflict` when others
        keep changing the same. What was written before a failure stays, and applying again goes on from there.
        """
        world, mistakes = await asyncio.to_thread(files.parse, document)
        if mistakes.found:
            raise invalid(mistakes.found)
        async with self._lock:
            for attempt in range(_TRIES):
                await self._control.reread()
                plan = await asyncio.to_thread(
                    planning.plan, world, state_of(self._control), _MEANS, giver=actor, file=_hash(document)
                )
                if plan.mistakes:
                    raise invalid(plan.mistakes)
                policies = await self._check_policies(world, plan)
                lines = (*plan.lines, *(line for *_, line in policies))
                if dry_run:
                    break
                try:
                    await self._write(plan, actor)
                except (Conflict, AlreadyExists):
                    if attempt == _TRIES - 1:
                        raise
                    continue
                for tenant, text, _ in policies:
                    await self._policies.apply(tenant, text, f"world file by {actor}")
                if policies:
                    await self._control.reread()  # policy wrote those: count them too before looking who has them
                if lines:
                    await self._settle()
                _log.info("world.applied", changes=len(lines), tenants=len(world.tenants))
                break
        return Applied(lines, world.warnings)

    async def _settle(self) -> None:
        """Wait until every node runs what is applied, so that who sends mail next is known everywhere; 2 s at most."""
        until = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < until:
            try:
                nodes = await self._control.node_revisions()
            except Unavailable:
                return
            if all(node.revision >= self._control.revision for node in nodes):
                return
            await asyncio.sleep(0.02)
        _log.info("world.not_settled", revision=self._control.revision)

    async def _check_policies(self, world: files.World, plan: Plan) -> list[tuple[TenantId, str, str]]:
        paths = {t.name: t.path for t in world.tenants}
        changed: list[tuple[TenantId, str, str]] = []
        mistakes: list[tuple[str, str]] = []
        for tenant, name, text in plan.policies:
            try:
                current = await self._policies.current(tenant)
            except NotFound:
                current = None
            if current == text:
                continue
            coming = [c.place[2] for c in plan.changes if c.place[:2] == (tenant, "group") and c.value is not None]
            found = await self._policies.check(tenant, text, coming)
            mistakes += [(f"{paths[name]}.policy.{where}".rstrip("."), what) for where, what in found]
            changed.append((tenant, text, f"{'+' if current is None else '~'} policy of {name}"))
        if mistakes:
            raise invalid(mistakes)
        return changed

    async def _write(self, plan: Plan, actor: str) -> None:
        for change in plan.changes:
            tenant, kind, key = change.place
            revision = await self._control.put(tenant, kind, key, change.value, expected=change.expected, actor=actor)
            if tenant != INSTALLATION:
                detail = {"kind": kind, "key": key, "revision": revision, "deleted": change.value is None}
                self._trail.record(AuditEntry(tenant, "directory.changed", actor, detail))


def _hash(document: str) -> str:
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()


def state_of(control: Control) -> dict[Place, Known]:
    """The documents as planning and checking want them."""
    return {(d.tenant, d.kind, d.key): Known(d.value, d.revision) for d in control.documents()}
