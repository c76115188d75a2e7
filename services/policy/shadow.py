"""Counts what rules in shadow, and canaries for the senders they did not choose, would have done.

Each process keeps one object a tenant and day, `<tid>/shadow/<day>/<process>`, and replaces it each minute with what it
has counted since it began: a repeated write counts nothing twice. A process that dies takes at most the last minute
with it. A mail whose question is asked again (the asker gave up, and the queue decides) counts twice. Counts only:
no address is kept, and senders are a group's name or a domain.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import orjson
from letterlock.mail.v1 import mail_pb2

from services.common import log
from services.common.errors import Error
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.policy.adapters.wire import DIRECTIONS
from services.policy.core.counts import ASKED, Counts, Row
from services.policy.core.rules import DISPOSITIONS, Policy, Rule

_log = log.get(__name__)
_FLUSH_SECONDS = 60.0
_MAX_ROWS = 5000
"""Different rows of one tenant, day and process; beyond, senders count as `other`."""
_MAX_READ = 4000
"""Objects one report reads."""


class ShadowTally:
    """Counts in memory, keeps in the object store. Use it from one event loop, and `run` it beside."""

    def __init__(
        self,
        objects: ObjectStore,
        group_of: Callable[[TenantId, str], str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects, self._group_of, self._now = objects, group_of, now
        self._process = str(MailId.new())
        self._counts: dict[tuple[TenantId, str], Counter[Row]] = {}
        self._changed: set[tuple[TenantId, str]] = set()

    def count(self, tenant: TenantId, policy: Policy, envelope: mail_pb2.Envelope, decision: mail_pb2.Decision) -> None:
        """Count one decided mail."""
        shadows = [w for w in decision.why if w.mode == "shadow"]
        if not shadows:
            return
        rules = {r.id: r for r in policy.rules}
        place = tenant, self._now().date().isoformat()
        rows = self._counts.setdefault(place, Counter())
        for why in shadows:
            rule = rules.get(why.rule)
            if rule is None:
                continue
            directions = [DIRECTIONS.get(r.direction, "outbound") for r in envelope.recipients]
            concerned = [d for d in directions if d in rule.directions]
            direction = concerned[0] if concerned else ""
            rows[Row(rule.id, rule.mode, direction, "", ASKED)] += 1
            if why.matched or why.error:
                group = self._group_of(tenant, envelope.sender)
                row = Row(rule.id, rule.mode, direction, group, "error" if why.error else _would(rule))
                if row not in rows and len(rows) >= _MAX_ROWS:
                    row = Row(rule.id, rule.mode, direction, "other", row.outcome)
                rows[row] += 1
        self._changed.add(place)

    async def run(self) -> None:
        """Keep the counts each minute until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed; what cannot be written now is written next time."""
        today = self._now().date().isoformat()
        for place in list(self._changed):
            tenant, day = place
            self._changed.discard(place)
            rows = [[r.rule, r.mode, r.direction, r.group, r.outcome, n] for r, n in self._counts[place].items()]
            try:
                await self._objects.put(f"{tenant}/shadow/{day}/{self._process}", orjson.dumps(rows))
            except Error as error:
                self._changed.add(place)
                _log.warning("policy.shadow_not_kept", tenant=tenant, code=error.code)
        for place in [p for p in self._counts if p[1] < today and p not in self._changed]:
            del self._counts[place]

    async def report(self, tenant: TenantId, *, days: int) -> Counts:
        """What was counted for this tenant, by every process, today and the days before it."""
        await self.flush()
        today = self._now().date()
        wanted = [(today - timedelta(days=n)).isoformat() for n in range(days)]
        present = set(await self._objects.list_folders(f"{tenant}/shadow/"))
        counts: Counts = Counter()
        read = 0
        for day in (d for d in wanted if d in {p.strip("/") for p in present}):
            async for meta in self._objects.list(f"{tenant}/shadow/{day}/"):
                if read >= _MAX_READ:
                    break
                read += 1
                for row, mails in _rows(await self._objects.get(meta.key)):
                    counts[day, row] += mails
        return counts


def _would(rule: Rule) -> str:
    """The strongest thing it would have done; a rule without a disposition is named by its first transform."""
    dispositions = [o.disposition for o in rule.dispositions]
    strongest = max(dispositions, key=DISPOSITIONS.index, default="deliver")
    if strongest != "deliver":
        return strongest
    accompanied = [t.kind for t in rule.transforms] + ["bcc"] * bool(rule.bcc) + ["redirect"] * bool(rule.redirect)
    return accompanied[0] if accompanied else "deliver"


def _rows(data: bytes) -> Sequence[tuple[Row, int]]:
    try:
        return [(Row(*map(str, fields)), int(mails)) for *fields, mails in orjson.loads(data)]
    except (ValueError, TypeError):
        _log.warning("policy.shadow_unreadable", size=len(data))
        return []
