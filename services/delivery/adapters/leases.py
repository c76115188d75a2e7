"""Leases on mails, in a bucket of the broker: keys that only one process can create, each with its end.

A mail may come to two processes at once: as a retry and by an operator's word,
as a fact that was delivered again, or published again by the sweeper.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from services.common import log
from services.common.bus import Bucket, Later
from services.common.errors import AlreadyExists, Conflict, Error
from services.common.ids import MailId, TenantId

BUCKET = "working"
_log = log.get(__name__)
_LIFE = timedelta(seconds=20)
"""How long the mails of a killed process wait for another: as long as the messages that it did not ack."""


class BucketLeases:
    """The leases of one installation, as this process takes them.

    A lease ends after `life`, and is renewed three times in that. Work on fresh mail is leased after a third of it,
    which has to be before its message is delivered again (`ack_wait`).
    """

    def __init__(self, bucket: Bucket, *, now: Callable[[], datetime], life: timedelta = _LIFE) -> None:
        self._bucket, self._now, self._life = bucket, now, life
        self._holder = os.urandom(8).hex()

    @asynccontextmanager
    async def hold(self, tenant: TenantId, mail_id: MailId, *, fresh: bool) -> AsyncIterator[None]:
        """Work on a mail alone while the context lives; raises `Later` when somebody else has it, `Unavailable`."""
        lease = _Lease(self._bucket, f"{tenant}.{mail_id}", self._holder, self._life, self._now)
        if not fresh:
            await lease.take()
        timer = asyncio.get_running_loop().call_later(self._life.total_seconds() / 3, lease.keep)
        try:
            yield
        finally:
            timer.cancel()
            await lease.leave()


class _Lease:
    def __init__(self, bucket: Bucket, key: str, holder: str, life: timedelta, now: Callable[[], datetime]) -> None:
        self._bucket, self._key, self._holder, self._life, self._now = bucket, key, holder, life, now
        self._revision = 0
        self._keeping: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Have the lease, or take one over whose time is up; raises `Later`, `Unavailable`."""
        try:
            self._revision = await self._bucket.create(self._key, self._value())
            return
        except AlreadyExists:
            entry = await self._bucket.get(self._key)
        if entry is not None and entry.value is not None and _end(entry.value) <= self._now().timestamp():
            try:
                self._revision = await self._bucket.update(self._key, self._value(), revision=entry.revision)
                return
            except Conflict:
                pass
        raise Later(random.uniform(1.0, 3.0))  # noqa: S311

    def keep(self) -> None:
        """Take the lease if it is not had yet, and renew it from now on."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            try:
                if self._revision:
                    self._revision = await self._bucket.update(self._key, self._value(), revision=self._revision)
                else:
                    await self.take()
            except (Conflict, Later):
                # What is being sent cannot be called back.
                _log.warning("delivery.lease_lost")
                self._revision = 0
                return
            except Error as error:
                _log.info("delivery.lease_waits", code=error.code)
            await asyncio.sleep(self._life.total_seconds() / 3)

    async def leave(self) -> None:
        """Give it back; where the broker is away, it ends by itself."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._revision:
            try:
                await self._bucket.delete(self._key)
            except Error as error:
                _log.info("delivery.lease_waits", code=error.code)

    def _value(self) -> bytes:
        return f"{(self._now() + self._life).timestamp():.3f} {self._holder}".encode()


def _end(value: bytes) -> float:
    try:
        return float(value.split(b" ")[0])
    except ValueError:
        return 0.0
