"""Hash the store again and compare it with the ingest log; no key is needed, and nothing is read but sealed bytes.

Leaves and the store's listing are both in the order of mail ids, so a day is one walk along both and memory does not
grow with the archive. A mail of a day that is not sealed yet is counted, not judged.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from services.archive.ingest import IngestLog, hash_of
from services.archive.stored import StoredMails
from services.common.errors import Corrupt, NotFound
from services.common.ids import MailId, TenantId
from services.common.ingestlog import Leaf
from services.common.objects import ObjectStore
from services.common.sealing import mailobject
from services.common.tlog import merkle

type Kind = Literal["missing", "changed", "added", "unsigned", "log_changed"]

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` names the mail, or the tree whose own signature or leaves are wrong."""

    kind: Kind
    what: str
    tree: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What was found about one day: give `tree` as `after` to go on behind it. `unsealed`: mails not judged."""

    tree: str
    checked: int = 0
    unsealed: int = 0
    differences: tuple[Difference, ...] = ()


@dataclass
class _Day:
    name: str
    checked: int = 0
    differences: list[Difference] = field(default_factory=list)

    def tell(self, kind: Kind, what: str, detail: str) -> None:
        self.differences.append(Difference(kind, what, self.name, detail))


class Verifier:
    """Verifies one tenant's archive. Raises `Unavailable`."""

    def __init__(self, objects: ObjectStore, log: IngestLog) -> None:
        self._objects, self._log = objects, log
        self._mails = StoredMails(objects)

    async def run(self, tenant: TenantId, *, after: str = "") -> AsyncGenerator[Progress]:
        """A report after each day that has mail or a tree, oldest first."""
        days = {day.isoformat() for day in await self._mails.days(tenant)}
        days |= {name for name in await self._log.names(tenant) if "." not in name}  # provisional trees are no days
        for name in sorted(day for day in days if day > after):
            yield await self._day(tenant, name)

    async def _day(self, tenant: TenantId, name: str) -> Progress:
        try:
            root = await self._log.root(tenant, name)
        except NotFound:
            count = 0
            async for _ in self._mails.mails(tenant, date.fromisoformat(name)):
                count += 1
            return Progress(name, unsealed=count)
        except Corrupt as error:
            return Progress(name, differences=(Difference("unsigned", name, name, str(error)),))
        day, tree = _Day(name), merkle.Growing()
        try:
            await self._walk(tenant, day, tree)
        except Corrupt as error:
            day.tell("log_changed", name, str(error))
        else:
            if (tree.size, tree.root()) != (root.size, root.root):
                day.tell("log_changed", name, "its leaves are not those that were signed")
        return Progress(name, day.checked, 0, tuple(day.differences))

    async def _walk(self, tenant: TenantId, day: _Day, tree: merkle.Growing) -> None:
        stored = self._mails.mails(tenant, date.fromisoformat(day.name))
        current = await anext(stored, None)
        page: list[Leaf] = []
        async for leaf in self._log.leaves(tenant, day.name):
            tree.append(leaf.hash)
            while current is not None and current[0] < leaf.mail_id:
                day.tell("added", current[0], "the day was sealed without it")
                current = await anext(stored, None)
            if current is not None and current[0] == leaf.mail_id:
                current = await anext(stored, None)
            page.append(leaf)
            if len(page) >= _AT_ONCE:
                await self._compare(tenant, day, page)
                page = []
        await self._compare(tenant, day, page)
        while current is not None:
            day.tell("added", current[0], "the day was sealed without it")
            current = await anext(stored, None)

    async def _compare(self, tenant: TenantId, day: _Day, leaves: list[Leaf]) -> None:
        answers = await asyncio.gather(*(self._one(tenant, leaf) for leaf in leaves))
        for leaf, found in zip(leaves, answers, strict=True):
            day.checked += 1
            if found is not None:
                day.tell(found[0], leaf.mail_id, found[1])

    async def _one(self, tenant: TenantId, leaf: Leaf) -> tuple[Kind, str] | None:
        mail_id = MailId(leaf.mail_id)
        try:
            data = await self._objects.get(mailobject.mail_key(tenant, mail_id))
        except NotFound:
            return "missing", "the mail object is not there"
        if hashlib.sha256(data).hexdigest() != leaf.object:
            return "changed", "the mail object has other bytes"
        if leaf.blob:
            try:
                blob = await hash_of(self._objects, mailobject.blob_key(tenant, mail_id))
            except NotFound:
                return "missing", "its body is not there"
            if blob != leaf.blob:
                return "changed", "its body has other bytes"
        return None
