"""Open archived mail, and blind what is asked of it, against receipts alone: the log has it before anybody sees it.

Each reveal takes the same steps, and the order matters: the receipt is in the tenant's log; the log is the one that
was seen before; the entry says exactly this, a moment ago; the grant, read from the store and checked here, allows it
to this person; the receipt is used up, durably. Only then is a key touched. What fails has a name, and an entry.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from services.common import log
from services.common.audit_client import AuditLog, Receipt
from services.common.audit_entries import AuditEntry
from services.common.errors import Denied, Error, NotFound
from services.common.grants import Grant
from services.common.ids import MailId, TenantId
from services.common.search import blind, terms
from services.common.tlog.receipt import Checked
from services.encryption.adapters.grants import Grants
from services.encryption.adapters.pins import Pins, Used
from services.encryption.core import asked, reach, receipts
from services.encryption.core.asked import Blinded
from services.encryption.core.pace import Pace
from services.encryption.core.receipts import Wanted, refuse
from services.encryption.ports import Delivered, Mail, Roots, StoredMail

_log = log.get(__name__)
_CAPABILITIES = {"archive.opened": ("open",), "archive.exported": ("export",)}


@dataclass(frozen=True, slots=True)
class Found:
    """Where a mail stands in a result: the result's receipt, and the way from its document to the root."""

    result: Receipt
    index: int
    size: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Allowed:
    entry: Checked
    grant: Grant


class Custody:
    """Reveals. All raise `Denied` with the reason, `Busy` (too often), `Unavailable`, and then have opened nothing."""

    def __init__(
        self,
        grants: Grants,
        audit: AuditLog,
        audit_key: Callable[[], bytes],
        pins: Pins,
        used: Used,
        roots: Roots,
        mails: StoredMail,
        *,
        looks: int,
        exports: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._grants, self._audit, self._audit_key = grants, audit, audit_key
        self._pins, self._used, self._roots, self._mails = pins, used, roots, mails
        self._looks, self._exports, self._clock = Pace(looks, clock), Pace(exports, clock), clock

    async def blind(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, months: Sequence[str]
    ) -> dict[str, Blinded]:
        """The tokens of the grant's own question by month, for the receipt of a search's INTENT.

        Raises also `InvalidInput` for a question that cannot be asked, or too many months.
        """
        async with self._watched(tenant, "Blind", receipt, grant_id):
            wanted = Wanted("archive", "archive.searched", "intent")
            allowed = await self._allowed(tenant, receipt, grant_id, wanted, ("search", "headers", "counts"))
            request = allowed.grant.request
            node = await asyncio.to_thread(terms.effective, request.query, request.scope)
            asked.check_months(node, months, self._now().date())
            await self._use(tenant, allowed, "search")
            root = await self._roots.index_root(tenant)
            return await asyncio.to_thread(asked.blinded, node, root, tenant, months)

    async def summaries(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, documents: Sequence[tuple[str, str]]
    ) -> list[bytes]:
        """The summaries of (document id, sealed summary) in order, for the receipt of a search's RESULT.

        Empty where a summary is not what was sealed for its document, or the scope excludes its people.
        """
        async with self._watched(tenant, "OpenSummaries", receipt, grant_id):
            wanted = Wanted("archive", "archive.searched", "result")
            allowed = await self._allowed(tenant, receipt, grant_id, wanted, ("search", "headers"))
            await asyncio.to_thread(receipts.commits, allowed.entry, [document for document, _ in documents])
            request = allowed.grant.request
            node = await asyncio.to_thread(terms.effective, request.query, request.scope)
            await self._use(tenant, allowed, "summaries")
            root = await self._roots.index_root(tenant)
            months = asked.newest_months(node, self._now().date())
            return await asyncio.to_thread(asked.opened, documents, root, tenant, months, request.scope)

    @asynccontextmanager
    async def mail(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, mail_id: MailId, found: Found, action: str
    ) -> AsyncIterator[Mail]:
        """An archived mail, for the receipt of the entry (`archive.opened`, `archive.exported`) that names it alone.

        Raises also `NotFound`: it is not there (any more), is ours, or is out of the grant's scope.
        """
        async with self._watched(tenant, "Open", receipt, grant_id, mail_id):
            if action not in _CAPABILITIES:
                raise refuse("another_action", "nothing is opened for such an entry")
            wanted = Wanted("archive", action, mail_ids=(mail_id,))
            allowed = await self._allowed(tenant, receipt, grant_id, wanted, _CAPABILITIES[action])
            await self._in_result(tenant, allowed, mail_id, found)
            await self._use(tenant, allowed, f"{action}.{mail_id}")
            mail = await self._mails.read(tenant, mail_id)
            people = [mail.envelope.sender, *(r.address for r in mail.envelope.recipients)]
            headers = await asyncio.to_thread(reach.addresses, mail.raw)
            if not await asyncio.to_thread(
                reach.reaches, allowed.grant.request.scope, [*people, *headers], mail.received
            ):
                raise NotFound("out of scope", public="no such mail", reason="out_of_scope")
        yield mail

    async def delivered(self, tenant: TenantId, mail_id: MailId) -> AsyncIterator[Delivered]:
        """What a mail's legs were delivered as, where that differs: for the receipt that opened the mail."""
        async for one in self._mails.delivered(tenant, mail_id):
            yield one

    async def held(self, tenant: TenantId, receipt: Receipt, mail_id: MailId) -> None:
        """Return when the receipt of a `hold.viewed` entry allows to open this held mail, and is used up.

        That the person may see the hold is quarantine's to know; that they are the tenant's is checked here too.
        """
        async with self._watched(tenant, "OpenHeld", receipt, "", mail_id):
            entry = await self._entry(tenant, receipt, Wanted("quarantine", "hold.viewed", mail_ids=(mail_id,)))
            if not self._grants.is_person(tenant, entry.opening.actor):
                raise refuse("another_person", "this entry is of nobody of the tenant")
            self._looks.spend(f"person:{tenant}:{entry.opening.actor}")
            await self._used.use(tenant, entry.index, {"action": "hold.viewed", "mail_id": mail_id})

    async def _entry(self, tenant: TenantId, receipt: Receipt, wanted: Wanted, *, fresh: bool = True) -> Checked:
        found = receipts.prove(receipt, tenant, self._audit_key())
        receipts.fits(found, wanted)
        if fresh:
            receipts.is_fresh(found, self._now())
        await self._pins.believe(tenant, found.checkpoint, receipt.checkpoint)
        return found

    async def _allowed(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, wanted: Wanted, capabilities: Sequence[str]
    ) -> _Allowed:
        entry = await self._entry(tenant, receipt, wanted)
        grant = await self._grants.get(tenant, grant_id)
        receipts.names(entry, grant)
        for moment in (receipts.time_of(entry), self._now()):
            await self._grants.check(tenant, grant, entry.opening.actor, capabilities, moment)
        return _Allowed(entry, grant)

    async def _in_result(self, tenant: TenantId, allowed: _Allowed, mail_id: MailId, found: Found) -> None:
        wanted = Wanted("archive", "archive.searched", "result")
        result = await self._entry(tenant, found.result, wanted, fresh=False)
        receipts.names(result, allowed.grant)
        facts = allowed.entry.leaf.facts
        if result.index >= allowed.entry.index or facts.get("result_index") != result.index:
            raise refuse("another_result", "this entry is of another result")
        month = blind.month_key(await self._roots.index_root(tenant), tenant, blind.month_of(mail_id.day))
        receipts.holds(result, blind.document_id(month, mail_id), found.index, found.size, found.path)

    async def _use(self, tenant: TenantId, allowed: _Allowed, what: str) -> None:
        grant, actor = allowed.grant, allowed.entry.opening.actor
        pace = self._exports if what.startswith("archive.exported") else self._looks
        pace.spend(f"grant:{tenant}:{grant.id}", f"person:{tenant}:{actor}")
        await self._used.use(tenant, allowed.entry.index, {"grant_id": grant.id, "what": what})
        if grant.request.one_time:
            await self._used.once(tenant, grant.id, what)

    @asynccontextmanager
    async def _watched(
        self, tenant: TenantId, method: str, receipt: Receipt, grant_id: str, mail_id: str = ""
    ) -> AsyncIterator[None]:
        try:
            yield
        except (Denied, NotFound) as error:
            reason = str(error.fields.get("reason", error.code))
            _log.warning("custody.refused", tenant=tenant, method=method, reason=reason, index=receipt.index)
            entry = AuditEntry(
                tenant,
                "rpc.refused",
                "service:archive" if method != "OpenHeld" else "service:quarantine",
                {"service": "encryption", "method": method, "reason": reason, "grant_id": grant_id[:64]},
                outcome="denied",
                mail_ids=(mail_id,) if mail_id else (),
            )
            with suppress(Error):  # nothing was opened: the refusal stands without its entry too
                await self._audit.append(entry)
            raise

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
