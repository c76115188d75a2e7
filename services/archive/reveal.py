"""Search, open and export inside a grant: everything is in the audit log before it is answered.

There is no key here. The words of a question are blinded, summaries and mails are opened by `encryption`, each
against the receipt of the entry that says so; without a log there is no receipt, and no answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from services.archive.core.asking import question
from services.archive.core.commitment import Commitment
from services.archive.core.rates import Rates
from services.archive.granted import Granted, is_id
from services.archive.manifest import Manifest
from services.archive.ports import ContentIndex, Custody, Hit, Opened, Proof
from services.archive.results import Result, Results
from services.common import log
from services.common.audit_client import AuditLog, Receipt
from services.common.audit_entries import AuditEntry
from services.common.errors import Denied, InvalidInput, NotFound
from services.common.grants import Capability, Grant
from services.common.ids import MailId, TenantId
from services.common.search import terms
from services.common.search.blind import month_of

_log = log.get(__name__)
_AT_ONCE = 4
"""Months that are asked together."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what the grant reaches was looked into. `unsearchable`: how many by reason and day."""

    in_scope: int
    indexed: int
    unsearchable: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: hits newest first, each with its summary; no summaries where the grant allows counts only."""

    hits: Sequence[Hit]
    summaries: Sequence[Mapping[str, Any]]
    commitment: str
    completeness: Completeness
    days: Mapping[str, int] = field(default_factory=dict)
    directions: Mapping[str, int] = field(default_factory=dict)


class Reveal:
    """What an auditor may do. All raise `Unavailable` (fail closed), `Denied`, `NotFound`, `Busy` (too often)."""

    def __init__(
        self,
        granted: Granted,
        audit: AuditLog,
        custody: Custody,
        index: ContentIndex,
        manifest: Manifest,
        results: Results,
        *,
        most_results: int,
        looks: int,
        exports: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._granted, self._audit, self._custody = granted, audit, custody
        self._index, self._manifest, self._results = index, manifest, results
        self._most_results, self._clock = most_results, clock
        self._looks, self._exports = Rates(looks, clock), Rates(exports, clock)

    async def search(self, tenant: TenantId, actor: str, grant_id: str) -> Found:
        """The grant's own question. Raises `InvalidInput` when more is found than one answer holds."""
        grant, capability = await self._check(
            tenant, actor, grant_id, "archive.searched", ("search", "headers", "counts")
        )
        self._looks.spend(f"grant:{grant.id}", f"person:{tenant}:{actor}")
        request = grant.request
        node = terms.effective(request.query, request.scope)
        stored = await self._manifest.days(tenant)
        first, last = terms.reach(node, min(stored, default=self._today()), max([self._today(), *stored]))
        months = sorted({month_of(day) for day in stored if first <= day <= last})
        intent = await self._append(tenant, actor, grant, "archive.searched", {"phase": "intent"}, query=request.query)
        blinded = await self._custody.blind(tenant, intent, grant.id, months) if months else {}
        hits = await self._hits(tenant, {m: question(tenant, node, blinded[m]) for m in reversed(months)})
        complete = await self._completeness(tenant, first, last)
        ids = [hit.id for hit in hits]
        tree = await asyncio.to_thread(Commitment, ids)
        facts: dict[str, str | int] = {
            "phase": "result",
            "count": len(hits),
            "root": tree.root,
            "in_scope": complete.in_scope,
            "indexed": complete.indexed,
        }
        receipt = await self._append(tenant, actor, grant, "archive.searched", facts)
        counted = Counter(datetime.fromtimestamp(h.received / 1000, UTC).date().isoformat() for h in hits)
        found = Found(hits, (), tree.root, complete, counted, Counter(h.direction for h in hits))
        if capability == "counts":
            return found
        summaries = await self._summaries(tenant, receipt, grant, hits)
        mails = tuple(str(s.get("mail_id", "")) for s in summaries)
        await self._results.keep(tenant, grant.id, Result(receipt, tuple(ids), mails))
        return Found(hits, summaries, tree.root, complete, counted, found.directions)

    async def open(
        self, tenant: TenantId, actor: str, grant_id: str, mail_id: MailId
    ) -> AsyncGenerator[bytes | Opened]:
        """A mail that a search under the grant found: its bytes in parts, then what is told at its end."""
        grant, _ = await self._check(tenant, actor, grant_id, "archive.opened", ("open",), mail_id)
        try:
            result, place = await self._results.of(tenant, grant.id, mail_id)
        except NotFound as error:
            await self._denied(tenant, actor, grant.id, "archive.opened", error.public, mail_id)
            raise
        self._looks.spend(f"grant:{grant.id}", f"person:{tenant}:{actor}")
        async with aclosing(self._opened(tenant, actor, grant, "archive.opened", result, place)) as parts:
            async for part in parts:
                yield part

    async def export(
        self, tenant: TenantId, actor: str, grant_id: str, skip: frozenset[str]
    ) -> AsyncGenerator[tuple[MailId, int, bytes | Opened]]:
        """Every mail of the last search but those in `skip`: its id, how many the export has, a part of it."""
        grant, _ = await self._check(tenant, actor, grant_id, "archive.exported", ("export",))
        result = await self._results.newest(tenant, grant.id)
        for place, mail in enumerate(result.mails):
            if not mail or mail in skip:
                continue
            # Each for itself: an export may outlast its grant.
            await self._check(tenant, actor, grant_id, "archive.exported", ("export",), MailId(mail))
            self._exports.spend(f"grant:{grant.id}", f"person:{tenant}:{actor}")
            async with aclosing(self._opened(tenant, actor, grant, "archive.exported", result, place)) as parts:
                async for part in parts:
                    yield MailId(mail), len(result.mails), part

    async def _opened(
        self, tenant: TenantId, actor: str, grant: Grant, action: str, result: Result, place: int
    ) -> AsyncGenerator[bytes | Opened]:
        mail_id = MailId(result.mails[place])
        tree = await asyncio.to_thread(Commitment, result.documents)
        facts: dict[str, str | int] = {"result_index": result.receipt.index, "root": tree.root}
        receipt = await self._append(tenant, actor, grant, action, facts, mail_id=mail_id)
        proof = Proof(result.receipt, result.documents[place], place, tree.size, tree.path(place))
        async with aclosing(self._custody.open(tenant, receipt, grant.id, mail_id, proof)) as parts:
            async for part in parts:
                yield part

    async def _check(
        self,
        tenant: TenantId,
        actor: str,
        grant_id: str,
        action: str,
        capabilities: Sequence[Capability],
        mail_id: MailId | None = None,
    ) -> tuple[Grant, Capability]:
        """The grant, and the first of the capabilities that it has; what is refused is in the log."""
        try:
            return await self._granted.check(tenant, actor, grant_id, capabilities)
        except (Denied, NotFound) as error:
            await self._denied(tenant, actor, grant_id, action, error.public, mail_id)
            raise

    async def _hits(self, tenant: TenantId, queries: Mapping[str, Mapping[str, Any]]) -> list[Hit]:
        gate, total = asyncio.Semaphore(_AT_ONCE), 0

        async def ask(month: str, query: Mapping[str, Any]) -> list[Hit]:
            nonlocal total
            found: list[Hit] = []
            async with gate, aclosing(self._index.search(month, query, tenant=tenant)) as pages:
                async for page in pages:
                    found += page
                    total += len(page)
                    if total > self._most_results:
                        said = f"more than {self._most_results} mails are found: ask for fewer, by dates for example"
                        raise InvalidInput(said, field="query")
            return found

        answers = await asyncio.gather(*(ask(month, query) for month, query in queries.items()))
        return [hit for answer in answers for hit in answer]

    async def _completeness(self, tenant: TenantId, first: date, last: date) -> Completeness:
        stored, (indexed, reasons) = await asyncio.gather(
            self._manifest.counts(tenant, first, last), self._index.counts(tenant, first, last)
        )
        total = sum(stored.values())
        unsearchable = dict(reasons)
        if indexed < total:
            unsearchable["not_indexed", ""] = total - indexed
        return Completeness(total, min(indexed, total), unsearchable)

    async def _summaries(
        self, tenant: TenantId, receipt: Receipt, grant: Grant, hits: Sequence[Hit]
    ) -> Sequence[Mapping[str, Any]]:
        if not hits:
            return ()
        ids, sealed = [h.id for h in hits], [h.summary for h in hits]
        summaries = await self._custody.open_summaries(tenant, receipt, grant.id, ids, sealed)
        if bad := sum(not s for s in summaries):
            _log.error("search.summaries_changed", tenant=tenant, mails=bad)
        return summaries

    async def _append(
        self,
        tenant: TenantId,
        actor: str,
        grant: Grant,
        action: str,
        facts: Mapping[str, str | int],
        *,
        mail_id: MailId | None = None,
        query: str = "",
    ) -> Receipt:
        request = grant.request
        told = {**facts, "request_id": request.id, "request_hash": request.hash()}
        detail = {**told, "case_id": request.case_id, "grant_id": grant.id, **({"query": query} if query else {})}
        return await self._audit.append(
            AuditEntry(
                tenant, action, actor, detail, mail_ids=(mail_id,) if mail_id else (), case_id=request.case_id,
                grant_id=grant.id, facts=told,
            )
        )  # fmt: skip

    async def _denied(
        self, tenant: TenantId, actor: str, grant_id: str, action: str, reason: str, mail_id: MailId | None
    ) -> None:
        named = grant_id if is_id(grant_id) else ""
        entry = AuditEntry(
            tenant, action, actor, {"reason": reason, "grant_id": grant_id[:128]}, outcome="denied",
            mail_ids=(mail_id,) if mail_id else (), grant_id=named,
        )  # fmt: skip
        await self._audit.append(entry)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()
