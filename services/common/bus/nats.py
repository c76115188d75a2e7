"""The bus on NATS JetStream: the adapter of the port in `__init__.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from services.common import log
from services.common.bus import Bucket, Handler, Message, Responder
from services.common.bus.answering import Server, raise_answer
from services.common.bus.connection import Connection, forged, plain_headers
from services.common.bus.kv import NatsBucket, read_directly
from services.common.bus.publishing import check_ack
from services.common.bus.pull import Puller
from services.common.bus.streams import BUCKETS, CONSUMERS, USERS, Consumer, schedule_subject, stream_of
from services.common.errors import Busy, DeadlineExceeded, Denied, InvalidInput, NoResponders, Unavailable

_log = log.get(__name__)
_WINDOW = 512
"""Publishes that may wait for their ack at once, per connection."""
_PENDING = 1000
_FORGET_TTL = "1s"
_DIRECT = frozenset(
    {"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence"}
)


async def connect_bus(
    url: str,
    service: str,
    *,
    keys: Path | None,
    ca: Path | None = None,
    within: float = 10.0,
    consumers: Mapping[str, Consumer] = CONSUMERS,
) -> NatsBus:
    """Connect as `service` with `<keys>/<service>.nk`; `ca` for tls:// addresses; several addresses with commas.

    Once connected it reconnects for ever. Raises `Unavailable` when nothing answers within `within` seconds.
    """
    return NatsBus(await Connection.open(url, service, keys=keys, ca=ca, within=within), consumers)


class NatsBus:
    """One service's bus; made by `connect_bus`."""

    def __init__(self, connection: Connection, consumers: Mapping[str, Consumer]) -> None:
        self._connection, self._consumers = connection, consumers
        self._window = asyncio.Semaphore(_WINDOW)
        self._active: set[Puller | Server] = set()

    @property
    def connected(self) -> bool:
        """Whether the broker answers now (readiness)."""
        return self._connection.connected

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Store in the stream of `subject` and wait for its ack; a duplicate `msg_id` is success. Bounded window."""
        await self._store(subject, data, {**(headers or {}), "Nats-Msg-Id": msg_id}, timeout)

    async def schedule(
        self,
        subject: str,
        data: bytes,
        *,
        at: datetime,
        key: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Publish on `subject` at `at`, kept in the broker; the same `key` replaces an earlier schedule."""
        if at.tzinfo is None:
            raise InvalidInput("a time without a zone", field="at")
        when = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        own = {"Nats-Schedule": f"@at {when}", "Nats-Schedule-Target": subject, "Nats-Rollup": "sub"}
        await self._store(schedule_subject(subject, key), data, {**(headers or {}), **own}, 5.0)

    async def unschedule(self, subject: str, *, key: str) -> None:
        """Forget a schedule; what is not there is no error."""
        # Rolled up by a message that is no schedule and soon expires: purging would need rights over all of it.
        await self._store(schedule_subject(subject, key), b"", {"Nats-Rollup": "sub", "Nats-TTL": _FORGET_TTL}, 5.0)

    @asynccontextmanager
    async def consume(self, consumer: str, handler: Handler, *, concurrency: int = 16) -> AsyncIterator[None]:
        """Run `handler` for each message of a consumer while the context lives; leaving it drains."""
        if self._spec(consumer).service != self._connection.service:
            raise Denied("another service's consumer", consumer=consumer)
        puller = Puller(
            self._connection, consumer, self._spec(consumer), handler, concurrency, self._publish_dead_letter
        )
        async with self._running(puller):
            yield

    async def request(
        self, subject: str, data: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Ask the queue group that serves `subject`; `NoResponders` at once when there is none.

        `DeadlineExceeded` says that whoever serves it was late, `Unavailable` that the broker itself does not answer.
        """
        try:
            answer = await self._connection.request(subject, data, timeout=timeout, headers=headers)
        except DeadlineExceeded:
            if await self._connection.answers():
                raise
            raise Unavailable("the broker does not answer") from None
        if answer.headers:
            raise_answer(answer.data, plain_headers(answer))
        return bytes(answer.data)

    @asynccontextmanager
    async def serve(self, subject: str, responder: Responder, *, concurrency: int = 64) -> AsyncIterator[None]:
        """Answer requests on `subject` as a member of its queue group while the context lives."""
        async with self._running(Server(self._connection, subject, responder, concurrency)):
            yield

    async def pending(self, subject: str) -> list[Message]:
        """Messages of a stream still kept on exactly this subject, oldest first (at most 1,000)."""
        found = await read_directly(self._connection, stream_of(subject), subject, limit=_PENDING)
        return [
            Message(
                subject,
                message.data,
                {name: value for name, value in headers.items() if name not in _DIRECT},
                sequence=int(headers["Nats-Sequence"]),
            )
            for headers, message in found
            if not forged(message, answers=1)
        ]

    def bucket(self, name: str) -> Bucket:
        """A bucket named in `bus/streams.py`."""
        if name not in BUCKETS:
            raise InvalidInput("no such bucket", field="name")
        user = USERS.get(self._connection.service)
        return NatsBucket(self._connection, name, writable=user is None or f"$KV.{name}.>" in user.publish)

    async def lag(self, consumer: str) -> int:
        """Messages a consumer has not acked: pending and in flight."""
        subject = f"$JS.API.CONSUMER.INFO.{self._spec(consumer).stream}.{consumer}"
        answer = json.loads((await self._connection.request(subject, b"", timeout=5.0)).data)
        if problem := answer.get("error"):
            raise Unavailable("the consumer is not there", err_code=problem.get("err_code"))
        return int(answer["num_pending"]) + int(answer["num_ack_pending"])

    async def drain(self) -> None:
        """Finish what runs, then close."""
        parts, self._active = self._active, set()
        await asyncio.gather(*(part.drain() for part in parts))
        await self._connection.close()

    @asynccontextmanager
    async def _running(self, part: Puller | Server) -> AsyncIterator[None]:
        await part.start()
        self._active.add(part)
        try:
            yield
        finally:
            if part in self._active:
                self._active.discard(part)
                await part.drain()

    async def _publish_dead_letter(self, subject: str, data: bytes, msg_id: str, headers: dict[str, str]) -> None:
        await self.publish(subject, data, msg_id=msg_id, headers=headers)

    async def _store(self, subject: str, data: bytes, headers: dict[str, str], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        if self._window.locked():
            try:
                async with asyncio.timeout_at(deadline):
                    await self._window.acquire()
            except TimeoutError:
                raise Busy("too many messages wait for their ack") from None
        else:
            await self._window.acquire()
        try:
            left = deadline - loop.time()
            if left <= 0:
                raise DeadlineExceeded("no time left")
            answer = await self._connection.request(subject, data, timeout=left, headers=headers)
        except NoResponders:
            raise Unavailable("no stream takes this now") from None
        finally:
            self._window.release()
        stored = check_ack(answer.data)
        if stored.duplicate:
            _log.debug("bus.duplicate", stream=stored.stream)

    def _spec(self, consumer: str) -> Consumer:
        if consumer not in self._consumers:
            raise InvalidInput("no such consumer", field="consumer")
        return self._consumers[consumer]
