"""The verb: a mail and its envelope in, a decision with its reasons out.

Small texts are decided where they are, large mails in threads, and files are
read in the sandbox. An inspection that takes too long is not waited for: what
it did not reach counts as not inspected, and the tenant's `on_doubt` says what
that means.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry
from services.common.ids import TenantId
from services.common.newlines import is_clean, normalise
from services.policy.adapters import wire
from services.policy.adapters.senders import SenderLists, apply
from services.policy.core.evaluate import evaluate
from services.policy.core.extract import Inspection, Limits, extracted
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.lattice import join
from services.policy.core.message import Direction, Message, NotInspected
from services.policy.core.mime import Laborious, headers_only, inspect
from services.policy.core.scanning import is_ready, weight
from services.policy.filters import Filters
from services.policy.inspection import Opener
from services.policy.pool import FairPool
from services.policy.ports import InForce, Policies
from services.policy.shadow import ShadowTally

_log = log.get(__name__)
_INLINE_JUDGEMENTS = 1000
"""Recipients times rules from which a decision leaves the event loop."""
_INLINE_READ = 4 << 20
"""Bytes that a tenant's patterns may read before the decision leaves the event loop: a few milliseconds."""
_LEAST = 0.2
"""Seconds that judging gets even when reading took all the time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is read of a mail, and up to which size in bytes it is decided on the event loop."""

    limits: Limits
    inline_bytes: int


class Decider:
    """Decides about mails of every tenant."""

    def __init__(
        self,
        policies: Policies,
        pool: FairPool,
        bounds: Bounds,
        *,
        filters: Filters | None = None,
        tally: ShadowTally | None = None,
        opener: Opener | None = None,
        senders: SenderLists | None = None,
    ) -> None:
        self._policies, self._pool, self._bounds = policies, pool, bounds
        self._filters, self._tally, self._opener = filters or Filters(()), tally, opener
        self._senders = senders

    async def __call__(
        self,
        envelope: mail_pb2.Envelope,
        raw: bytes,
        *,
        queued: bool,
        timeout: float,
        draft: InForce | None = None,
    ) -> mail_pb2.Decision:
        """The decision about one mail, under the tenant's policy or `draft`.

        `queued` says that the mail is already accepted. `timeout` in seconds bounds the inspection only.
        Raises `Busy`, or `Unavailable` when the policy in force cannot be used here.
        """
        tenant = TenantId.parse(envelope.tenant)
        in_force = draft or self._policies.current(tenant)
        began = time.perf_counter()
        asked: asyncio.Task[FilterVerdict] | None = None
        if self._filters.wanted(in_force.policy.asks_filters):
            # The engines read the mail while we do. They bound their own time.
            asked = asyncio.create_task(self._filters(tenant, wire.question(envelope, raw), timeout=timeout))
        try:
            deadline = time.monotonic() + timeout
            message, small = await self._read(tenant, envelope, raw, deadline)
            said = await asked if asked is not None else UNKNOWN
        finally:
            if asked is not None:
                asked.cancel()
        judgements = len(envelope.recipients) * len(in_force.policy.rules)
        small = small and judgements <= _INLINE_JUDGEMENTS and is_ready(in_force.policy, in_force.own)
        if small and weight(in_force.policy, in_force.own) * len(raw) <= _INLINE_READ:
            decision = self._consider(tenant, in_force, envelope, message, queued, said)
        else:
            decision = await self._in_thread(tenant, in_force, envelope, raw, message, queued, said, deadline)
        if self._senders is not None and draft is None:
            apply(decision, await self._senders.verdict(tenant, envelope.sender), said)
        if self._tally is not None and draft is None and envelope.origin != "trace":
            self._tally.count(tenant, in_force.policy, envelope, decision)
        _log.info(
            "policy.decided",
            tenant=tenant,
            mail_id=envelope.mail_id,
            revision=in_force.revision,
            origin=decision.origin,
            legs=len(decision.legs),
            size=len(raw),
            inspected=decision.coverage.complete,
            took_ms=round((time.perf_counter() - began) * 1000, 2),
        )
        return decision

    async def _read(
        self, tenant: TenantId, envelope: mail_pb2.Envelope, raw: bytes, deadline: float
    ) -> tuple[Message, bool]:
        """The mail as read, and whether it is small enough to be judged on the loop."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                found, small = None, len(raw) <= self._bounds.inline_bytes
                if small:
                    with suppress(Laborious):
                        found = self._inspect(raw, quick=True)
                if found is None:
                    found, small = await self._pool.run(tenant, lambda: self._inspect(raw)), False
        except TimeoutError:
            _log.warning("policy.inspection_timeout", tenant=tenant, mail_id=envelope.mail_id, size=len(raw))
            return headers_only(raw, NotInspected("", "timeout")), True
        if not found.files:
            return found.message, small
        if self._opener is None:
            return extracted(found, None, self._bounds.limits, failed="unsupported"), small
        recipients = [r.address for r in envelope.recipients]
        return await self._opener(
            tenant, found, sender=envelope.sender, recipients=recipients, deadline=deadline
        ), False

    async def _in_thread(
        self,
        tenant: TenantId,
        in_force: InForce,
        envelope: mail_pb2.Envelope,
        raw: bytes,
        message: Message,
        queued: bool,
        said: FilterVerdict,
        deadline: float,
    ) -> mail_pb2.Decision:
        def work() -> mail_pb2.Decision:
            return self._consider(tenant, in_force, envelope, message, queued, said)

        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), _LEAST)):
                return await self._pool.run(tenant, work)
        except TimeoutError:
            _log.warning("policy.inspection_timeout", tenant=tenant, mail_id=envelope.mail_id, size=len(raw))
            late = headers_only(raw, NotInspected("", "timeout"))
            return self._consider(tenant, in_force, envelope, late, queued, said)

    def _inspect(self, raw: bytes, *, quick: bool = False) -> Inspection:
        began = time.thread_time()
        # What leaves is what counts: where a tenant takes bare newlines and NUL, nobody reads the mail with them.
        found = inspect(raw if is_clean(raw) else normalise(raw), self._bounds.limits, quick=quick)
        telemetry.STAGE_CPU.labels("policy", "inspect").inc(time.thread_time() - began)
        return found

    def _consider(
        self,
        tenant: TenantId,
        in_force: InForce,
        envelope: mail_pb2.Envelope,
        message: Message,
        queued: bool,
        said: FilterVerdict = UNKNOWN,
    ) -> mail_pb2.Decision:
        began = time.thread_time()
        transaction = wire.transaction(envelope)
        from_stranger = any(r.direction == "inbound" for r in transaction.recipients)

        def direction_of(address: str) -> Direction:
            return self._policies.direction_of(tenant, address, from_stranger=from_stranger)

        def group(name: str) -> frozenset[str]:
            return self._policies.group(tenant, name)

        matches = evaluate(in_force.policy, message, transaction, group, filters=said, own=in_force.own)
        verdict = join(in_force.policy, matches, message, transaction, queued=queued, direction_of=direction_of)
        decision = wire.decision(envelope, verdict, matches, message, revision=in_force.revision, now=datetime.now(UTC))
        telemetry.STAGE_CPU.labels("policy", "evaluate").inc(time.thread_time() - began)
        return decision
