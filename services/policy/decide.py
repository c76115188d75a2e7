"""The verb: a mail and its envelope in, a decision with its reasons out.

Small mails are decided where they are, large ones in threads. An inspection
that takes too long is not waited for: the mail counts as not inspected, and
the tenant's `on_doubt` says what that means.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry
from services.common.ids import TenantId
from services.common.newlines import is_clean, normalise
from services.policy.adapters import wire
from services.policy.core.evaluate import evaluate
from services.policy.core.extract import Limits
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.lattice import join
from services.policy.core.message import Direction, Message, NotInspected
from services.policy.core.mime import headers_only, read
from services.policy.filters import Filters
from services.policy.pool import FairPool
from services.policy.ports import InForce, Policies
from services.policy.shadow import ShadowTally

_log = log.get(__name__)
_INLINE_JUDGEMENTS = 1000
"""Recipients times rules from which a decision leaves the event loop."""


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
    ) -> None:
        self._policies, self._pool, self._bounds = policies, pool, bounds
        self._filters, self._tally = filters or Filters(()), tally

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
        judgements = len(envelope.recipients) * len(in_force.policy.rules)
        if self._filters.wanted(in_force.policy.asks_filters):
            # The engines read the mail while we do.
            asked = asyncio.create_task(self._filters(tenant, wire.question(envelope, raw), timeout=timeout))
            try:
                decision = await self._in_thread(tenant, in_force, envelope, raw, queued, timeout, asked)
            finally:
                asked.cancel()
        elif len(raw) <= self._bounds.inline_bytes and judgements <= _INLINE_JUDGEMENTS:
            decision = self._consider(tenant, in_force, envelope, self._inspect(raw), queued)
        else:
            decision = await self._in_thread(tenant, in_force, envelope, raw, queued, timeout)
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

    async def _in_thread(
        self,
        tenant: TenantId,
        in_force: InForce,
        envelope: mail_pb2.Envelope,
        raw: bytes,
        queued: bool,
        timeout: float,
        asked: asyncio.Task[FilterVerdict] | None = None,
    ) -> mail_pb2.Decision:
        def work() -> mail_pb2.Decision:
            return self._consider(tenant, in_force, envelope, self._inspect(raw), queued)

        said = UNKNOWN
        try:
            async with asyncio.timeout(timeout):
                if asked is None:
                    return await self._pool.run(tenant, work)
                read_mail = await self._pool.run(tenant, lambda: self._inspect(raw))
        except TimeoutError:
            _log.warning("policy.inspection_timeout", tenant=tenant, mail_id=envelope.mail_id, size=len(raw))
            read_mail = headers_only(raw, NotInspected("", "timeout"))
        if asked is not None:
            # It bounds its own time, by the same time-out from the same moment.
            said = await asked
        return self._consider(tenant, in_force, envelope, read_mail, queued, said)

    def _inspect(self, raw: bytes) -> Message:
        began = time.thread_time()
        # What leaves is what counts: where a tenant takes bare newlines and NUL, nobody reads the mail with them.
        message = read(raw if is_clean(raw) else normalise(raw), self._bounds.limits)
        telemetry.STAGE_CPU.labels("policy", "inspect").inc(time.thread_time() - began)
        return message

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

        matches = evaluate(in_force.policy, message, transaction, group, filters=said)
        verdict = join(in_force.policy, matches, message, transaction, queued=queued, direction_of=direction_of)
        decision = wire.decision(envelope, verdict, matches, message, revision=in_force.revision, now=datetime.now(UTC))
        telemetry.STAGE_CPU.labels("policy", "evaluate").inc(time.thread_time() - began)
        return decision
