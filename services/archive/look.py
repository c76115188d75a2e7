"""What is known of a mail now: from memory, the index, and the segments the index does not hold yet.

Questions about one tenant that come together are answered by one look, so
that a crowd of them costs no more than one while the index is being refilled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from services.archive.core import framing
from services.archive.core.fold import MailState, merged
from services.archive.index import IndexFeed
from services.archive.ports import Index
from services.archive.segments import Segments
from services.common import log, tracing
from services.common.errors import Corrupt, DeadlineExceeded, NotFound, Unavailable
from services.common.ids import MailId, TenantId

_log = log.get(__name__)

_PATIENCE = 2.0
"""Seconds until an index that says nothing counts as away: who asks has a deadline, and the segments know it all."""
_REST = 5.0
"""Seconds for which an index that is away is not asked again."""


@dataclass
class _Batch:
    answer: asyncio.Future[dict[MailId, MailState]]
    mail_ids: set[MailId] = field(default_factory=set)


class Look:
    """Answers from everything durable. Raises `Unavailable` when the store does not answer."""

    def __init__(self, index: Index, segments: Segments, feed: IndexFeed) -> None:
        self._index, self._segments, self._feed = index, segments, feed
        self._waiting: dict[TenantId, _Batch] = {}
        self._tasks: dict[TenantId, asyncio.Task[None]] = {}
        self._rests_until = float("-inf")

    async def states(self, tenant: TenantId, mail_ids: Collection[MailId]) -> dict[MailId, MailState]:
        """What has been recorded of these mails; those of which nothing was are absent."""
        batch = self._waiting.get(tenant)
        if batch is None:
            batch = self._waiting[tenant] = _Batch(asyncio.get_running_loop().create_future())
        batch.mail_ids |= set(mail_ids)
        if tenant not in self._tasks:
            self._tasks[tenant] = asyncio.create_task(self._run(tenant))
        found = await asyncio.shield(batch.answer)
        return {mail_id: found[mail_id] for mail_id in mail_ids if mail_id in found}

    async def _run(self, tenant: TenantId) -> None:
        tracing.forget_mail()
        try:
            while (batch := self._waiting.pop(tenant, None)) is not None:
                try:
                    batch.answer.set_result(await self._find(tenant, batch.mail_ids))
                except BaseException as error:
                    batch.answer.set_exception(error)
                    batch.answer.exception()
                    if not isinstance(error, Exception):
                        raise
        finally:
            del self._tasks[tenant]

    async def _find(self, tenant: TenantId, mail_ids: set[MailId]) -> dict[MailId, MailState]:
        if not mail_ids:
            return {}
        # A day of grace: the clocks of who made the id and of who named the segment may differ.
        oldest = framing.before_day(min(m.day for m in mail_ids) - timedelta(days=1))
        standing = self._feed.standing(tenant, mail_ids)
        found = dict(standing.states)
        after, skip = max(standing.after, oldest), standing.skip
        try:
            indexed = await self._indexed(tenant, mail_ids)
            if self._feed.generation != standing.generation:
                raise Unavailable("the index was lost meanwhile")
            for mail_id, state in indexed.items():
                found[mail_id] = state if mail_id not in found else state.merge(found[mail_id])
        except Unavailable as error:
            _log.info("look.without_index", tenant=tenant, code=error.code, mails=len(mail_ids))
            after, skip = oldest, frozenset()
        async for name in self._segments.names(tenant, after=after):
            if name in skip:
                continue
            try:
                told = await self._segments.told(tenant, name)
            except (Corrupt, NotFound) as error:
                _log.error("look.segment_unreadable", tenant=tenant, segment=name, code=error.code)
                continue
            for state in told:
                mail_id = MailId(state.mail_id)
                if mail_id in mail_ids:
                    both = merged([found.get(mail_id), state])
                    if both is not None:
                        found[mail_id] = both
        return found

    async def _indexed(self, tenant: TenantId, mail_ids: set[MailId]) -> dict[MailId, MailState]:
        if time.monotonic() < self._rests_until:
            raise Unavailable("the index was away a moment ago")
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._index.read(tenant, mail_ids)
        except (Unavailable, TimeoutError) as error:
            self._rests_until = time.monotonic() + _REST
            if isinstance(error, Unavailable):
                raise
            raise DeadlineExceeded("the index did not answer in time") from error
