"""Policy revisions as control documents: kind `policy`, key `self`, one immutable object per revision.

A node compiles a revision when it first needs it and keeps it; what it decides
with is the newest one that control has told it, published whole or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from services.common import log
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.control import Control, Document
from services.common.errors import Conflict, Corrupt, InvalidInput, NotFound, Unavailable
from services.common.ids import TenantId
from services.policy.adapters.cel import compile_expression
from services.policy.adapters.own import Names, OwnStore
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.document import Checked, parse
from services.policy.core.known import Known
from services.policy.core.lint import lint
from services.policy.core.message import Direction
from services.policy.core.own import NOTHING, Own, asked
from services.policy.core.rules import Policy
from services.policy.core.scanning import scanner_of
from services.policy.core.tree import Mistake
from services.policy.ports import InForce

KIND, KEY = "policy", "self"
_log = log.get(__name__)
_NONE = InForce(Policy(), 0)
_AGAIN = 1.0


class Refused(InvalidInput):
    """A document that cannot be a policy; `mistakes` has each with its line."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        found = tuple((f"line {m.line}: {m.path}" if m.path else f"line {m.line}", m.reason) for m in mistakes)
        super().__init__("; ".join(str(m) for m in mistakes), field=found[0][0] if found else "", violations=found)
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class Stored:
    """One revision with its text."""

    number: int
    text: str
    at: datetime
    actor: str
    note: str
    rules: int
    sha256: str


class Revisions:
    """The tenants' policies over `control`; serves as the port `Policies`."""

    def __init__(
        self,
        control: Control,
        *,
        cached: int,
        filters: frozenset[str] = frozenset(),
        own: OwnStore | None = None,
        trail: AuditTrail | None = None,
    ) -> None:
        self._control, self._cached, self._filters, self._own, self._trail = control, cached, filters, own, trail
        self._compiled: OrderedDict[TenantId, InForce] = OrderedDict()
        self._group_names: tuple[int, dict[TenantId, dict[str, str]]] = (-1, {})
        self._changed = asyncio.Event()
        self._wanted: set[TenantId] = set()
        self._follower: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Compile new revisions in a thread as they become known, while the context lives.

        A large document takes longer than the event loop may wait; the old revision decides until the new is ready.
        """
        end = self._control.on_change(lambda _: self._changed.set())
        self._changed.set()
        self._follower = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            end()
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower

    def current(self, tenant: TenantId) -> InForce:
        """The policy in force on this node; raises `Unavailable` when it has one that this version cannot read."""
        known = self._control.directory.tenant(tenant)
        if known is None or known.policy is None or known.policy_revision == 0:
            return _NONE
        compiled = self._compiled.get(tenant)
        behind = compiled is None or compiled.revision < known.policy_revision
        followed = self._follower is not None and not self._follower.done()
        if compiled is None or (behind and not followed):
            policy = _usable(str(known.policy.get("document", "")))
            if policy is None:
                _log.error("policy.unusable", tenant=tenant, revision=known.policy_revision)
                raise Unavailable("the policy in force cannot be used by this version", tenant=tenant)
            if self._version(tenant, policy):
                # What it asks for is in the store; the follower fetches it.
                self._wanted.add(tenant)
                self._changed.set()
                raise Unavailable("the tenant's own detectors are being loaded", tenant=tenant)
            compiled = self._put_in_force(tenant, policy, known.policy_revision)
        self._compiled.move_to_end(tenant)
        while len(self._compiled) > self._cached:
            self._compiled.popitem(last=False)
        return compiled

    def _put_in_force(self, tenant: TenantId, policy: Policy, revision: int, own: Own = NOTHING) -> InForce:
        compiled = self._compiled.get(tenant)
        newer = compiled is not None and compiled.revision == revision and compiled.own.version != own.version
        if compiled is None or compiled.revision < revision or newer:
            compiled = self._compiled[tenant] = InForce(policy, revision, own)
            _log.info("policy.compiled", tenant=tenant, revision=revision, rules=len(policy.rules))
        return compiled

    def _version(self, tenant: TenantId, policy: Policy) -> tuple[tuple[str, str, int], ...]:
        return self._own.version(tenant, asked(policy)) if self._own is not None else ()

    async def with_own(self, tenant: TenantId, policy: Policy, revision: int) -> InForce:
        """A policy with what it asks for of the tenant's own, its scanner made; raises `Unavailable`, `Corrupt`."""
        own = await self._own.load(tenant, asked(policy)) if self._own is not None else NOTHING
        await asyncio.to_thread(scanner_of, policy, own)
        return InForce(policy, revision, own)

    async def _follow(self) -> None:
        preparing: dict[TenantId, asyncio.Task[bool]] = {}
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for tenant in list(self._control.directory.tenants):
                    # Each by itself: a tenant whose patterns take long to compile keeps no other waiting.
                    if tenant not in preparing:
                        task = preparing[tenant] = asyncio.create_task(self._keep_ready(tenant))
                        task.add_done_callback(lambda done, t=tenant: self._prepared(preparing, t, done))  # type: ignore[misc]
                await asyncio.sleep(0)
        finally:
            for task in preparing.values():
                task.cancel()

    def _prepared(
        self, preparing: dict[TenantId, asyncio.Task[bool]], tenant: TenantId, done: asyncio.Task[bool]
    ) -> None:
        del preparing[tenant]
        if not done.cancelled() and done.result():
            self._changed.set()  # it may have changed again meanwhile

    async def _keep_ready(self, tenant: TenantId) -> bool:
        try:
            return await self._prepare(tenant)
        except (Unavailable, NotFound) as error:
            # What is in force stays so; a mail for which nothing is, waits in its sender's queue.
            _log.warning("policy.own_waits", tenant=tenant, code=error.code)
            asyncio.get_running_loop().call_later(_AGAIN, self._changed.set)
        except Exception as error:
            # The next change, or the next mail, tries again; one tenant's document never stops the others'.
            _log.error("policy.not_compiled", tenant=tenant, error=type(error).__name__)
            self._compiled.pop(tenant, None)
        return False

    async def _prepare(self, tenant: TenantId) -> bool:
        known = self._control.directory.tenant(tenant)
        if known is None or known.policy is None or known.policy_revision == 0:
            return False
        compiled = self._compiled.get(tenant)
        if compiled is None and len(self._compiled) >= self._cached and tenant not in self._wanted:
            return False
        policy: Policy | None
        if compiled is not None and compiled.revision >= known.policy_revision:
            policy = compiled.policy
            if compiled.own.version == self._version(tenant, policy):
                return False
        else:
            policy = await asyncio.to_thread(_usable, str(known.policy.get("document", "")))
        if policy is None:
            # `current` says what is wrong with it, each time it is asked.
            self._compiled.pop(tenant, None)
            return False
        ready = await self.with_own(tenant, policy, known.policy_revision)
        self._put_in_force(tenant, policy, known.policy_revision, ready.own)
        self._wanted.discard(tenant)
        return True

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """The lower-case addresses in a group of the tenant; empty when there is no such group."""
        return frozenset(a.lower() for a in self._control.directory.group(tenant, name))

    def coarse_group(self, tenant: TenantId, sender: str) -> str:
        """The first group of the tenant that a sender is in, else the sender's domain, else `<>`."""
        directory = self._control.directory
        if self._group_names[0] != directory.revision:
            self._group_names = directory.revision, {}
        names = self._group_names[1].get(tenant)
        if names is None:
            names = self._group_names[1][tenant] = {
                member.lower(): name
                for (owner, name), group in sorted(directory.groups.items(), reverse=True)
                if owner == tenant
                for member in group.members
            }
        return names.get(sender.lower()) or sender.lower().rpartition("@")[2] or "<>"

    def direction_of(self, tenant: TenantId, address: str, *, from_stranger: bool) -> Direction:
        """Inbound or internal for the tenant's own domains, else outbound."""
        domain = self._control.directory.domain_of(address)
        if domain is None or domain.tenant != tenant:
            return "outbound"
        return "inbound" if from_stranger else "internal"

    async def check(self, tenant: TenantId, text: str, groups: Iterable[str] = ()) -> Checked:
        """What is wrong with a document for this tenant: its groups are read from the store, `groups` will come."""
        checked = await self._parsed(tenant, text, groups)
        return replace(checked, warnings=await _doubts(checked))

    async def _parsed(self, tenant: TenantId, text: str, groups: Iterable[str] = ()) -> Checked:
        present = {d.key for d in await self._control.store.list(tenant, "group") if d.value is not None}
        own = await self._own.names(tenant) if self._own is not None else Names(frozenset(), {}, frozenset())
        known = Known(
            frozenset({*present, *groups}),
            self._filters,
            detectors=frozenset({*DETECTORS, *own.detectors}),
            rows=own.rows,
            prints=own.prints,
            compile=compile_expression,
        )
        return await asyncio.to_thread(parse, text, known)

    async def get(self, tenant: TenantId, number: int = 0) -> Stored:
        """A revision, by default the newest; raises `NotFound`."""
        document = await self._control.get(tenant, KIND, KEY, number)
        if document is None or document.value is None:
            raise NotFound("no such policy revision", public="no such policy revision")
        return _stored(document, document.value)

    async def policy(self, tenant: TenantId, number: int) -> Policy:
        """A revision compiled; 0 is the empty policy. Raises `NotFound`, or `Unavailable` when it cannot be read."""
        if number == 0:
            return Policy()
        stored = await self.get(tenant, number)
        policy = await asyncio.to_thread(_usable, stored.text)
        if policy is None:
            raise Unavailable("that revision cannot be used by this version", tenant=tenant)
        return policy

    async def apply(
        self, tenant: TenantId, text: str, *, expected: int | None, note: str, actor: str
    ) -> tuple[Stored, bool, tuple[Mistake, ...]]:
        """The newest revision, whether it is new, and what is doubtful in it; raises `Refused` or `Conflict`."""
        checked = await self._parsed(tenant, text)
        if checked.policy is None:
            raise Refused(checked.mistakes)
        try:
            newest: Stored | None = await self.get(tenant)
        except NotFound:
            newest = None
        if expected is not None and expected != (newest.number if newest else 0):
            raise Conflict("another revision is the newest", public="another revision is the newest: read it again")
        if newest is not None and newest.text == text:
            return newest, False, await _doubts(checked)
        value = {
            "document": text,
            "note": note[:1000],
            "rules": len(checked.policy.rules),
            "sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        }
        number = await self._control.put(
            tenant, KIND, KEY, value, expected=newest.number if newest else None, actor=actor
        )
        if self._trail is not None:
            detail = {"revision": number, "note": note[:200]}
            self._trail.record(AuditEntry(tenant, "policy.applied", actor, detail))
        try:
            ready = await self.with_own(tenant, checked.policy, number)
            self._put_in_force(tenant, checked.policy, number, ready.own)
        except (Unavailable, NotFound):
            self._changed.set()  # it is durable: the follower puts it in force
        _log.info("policy.applied", tenant=tenant, revision=number, rules=value["rules"])
        # In force first: comparing hundreds of rules with each other may take a second.
        return await self.get(tenant, number), True, await _doubts(checked)

    async def history(self, tenant: TenantId) -> list[Stored]:
        """Every revision, newest first."""
        documents = await self._control.history(tenant, KIND, KEY)
        return [_stored(d, d.value) for d in reversed(documents) if d.value is not None]

    async def rollback(self, tenant: TenantId, number: int, *, note: str, actor: str) -> Stored:
        """A new revision with the text of an old one; raises `NotFound`, or `Refused` when it is no longer good."""
        old = await self.get(tenant, number)
        words = f"rollback to {number}" + (f": {note}" if note else "")
        return (await self.apply(tenant, old.text, expected=None, note=words, actor=actor))[0]


def _usable(text: str) -> Policy | None:
    """A revision in force, compiled.

    Groups and filters were checked when it was applied; a group deleted since is empty, a filter taken away since is
    unknown, and the rest still holds.
    """
    return parse(text, Known(detectors=None, compile=compile_expression)).policy


async def _doubts(checked: Checked) -> tuple[Mistake, ...]:
    return () if checked.policy is None else await asyncio.to_thread(lint, checked.policy)


def _stored(document: Document, value: Mapping[str, Any]) -> Stored:
    try:
        return Stored(
            number=document.revision,
            text=str(value["document"]),
            at=document.at,
            actor=document.actor,
            note=str(value.get("note", "")),
            rules=int(value.get("rules", 0)),
            sha256=str(value.get("sha256", "")),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Corrupt("a policy revision cannot be read") from error
