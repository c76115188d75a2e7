"""The bus in memory: the same streams, limits, consumers and buckets, for tests without a broker.

Passes the conformance suite of the port. `InMemoryBroker` is what several
services' buses share; it can be away (`up = False`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.common.bus import Bucket, Handler, Message, Responder
from services.common.bus.answering import error_answer, raise_answer
from services.common.bus.consuming import Ack, Again, Dead, Failures, dead_letter
from services.common.bus.streams import (
    BUCKETS,
    CONSUMERS,
    DUPLICATE_WINDOW,
    STREAMS,
    USERS,
    Consumer,
    Stream,
    matches,
    schedule_subject,
    stream_of,
)
from services.common.errors import Busy, DeadlineExceeded, Denied, Error, InvalidInput, NoResponders, Unavailable
from services.common.testing.buckets import InMemoryBucket

_DRAIN = 25.0


@dataclass
class _Queue:
    """A consumer's side: what it is to get, what it has, what it has done."""

    spec: Consumer
    ready: deque[int] = field(default_factory=deque)
    open: set[int] = field(default_factory=set)
    deliveries: Counter[int] = field(default_factory=Counter)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self, sequence: int) -> None:
        self.open.add(sequence)
        self.ready.append(sequence)
        self.news.set()


@dataclass
class _Stream:
    spec: Stream
    kept: dict[int, Message] = field(default_factory=dict)
    last: int = 0


@dataclass
class _Member:
    responder: Responder
    slots: asyncio.Semaphore
    most: int
    taken: set[asyncio.Task[tuple[bytes, dict[str, str]]]] = field(default_factory=set)


class InMemoryBroker:
    """What the buses of several services share. `sent` holds every message ever stored, for assertions."""

    def __init__(
        self, *, consumers: Mapping[str, Consumer] = CONSUMERS, streams: Mapping[str, Stream] = STREAMS
    ) -> None:
        self.up = True
        self.sent: list[Message] = []
        self.specs = streams
        self.streams = {name: _Stream(spec) for name, spec in streams.items()}
        self.queues = {name: _Queue(spec) for name, spec in consumers.items()}
        self.members: dict[str, list[_Member]] = {}
        self.buckets = {name: InMemoryBucket() for name in BUCKETS}
        self.schedules: dict[str, asyncio.TimerHandle] = {}
        self._seen: dict[tuple[str, str], float] = {}
        self._turn = itertools.count()

    def kept(self, pattern: str) -> list[Message]:
        """Messages that a stream still keeps on subjects that match, oldest first."""
        return [m for s in self.streams.values() for m in s.kept.values() if matches(pattern, m.subject)]

    def store(self, subject: str, data: bytes, headers: Mapping[str, str], msg_id: str = "") -> None:
        """Keep a message and give it to its consumers; raises `Busy` when its subject or stream is full."""
        name = stream_of(subject, self.specs)
        stream, now = self.streams[name], asyncio.get_running_loop().time()
        if msg_id and now - self._seen.get((name, msg_id), -DUPLICATE_WINDOW) < DUPLICATE_WINDOW:
            return
        spec = stream.spec
        if spec.max_per_subject and sum(m.subject == subject for m in stream.kept.values()) >= spec.max_per_subject:
            raise Busy("the stream is full")
        if spec.max_bytes and sum(len(m.data) for m in stream.kept.values()) + len(data) > spec.max_bytes:
            raise Busy("the stream is full")
        if msg_id:
            self._seen[name, msg_id] = now
            headers = {**headers, "Nats-Msg-Id": msg_id}
        stream.last += 1
        message = Message(subject, data, dict(headers), sequence=stream.last)
        self.sent.append(message)
        takers = [q for q in self.queues.values() if q.spec.stream == name and matches(q.spec.subject, subject)]
        if takers or spec.retention != "interest":
            stream.kept[message.sequence] = message
        for queue in takers:
            queue.give(message.sequence)

    def settle(self, queue: _Queue, sequence: int) -> None:
        """A consumer is done with a message; it is forgotten when the stream's retention says so."""
        queue.open.discard(sequence)
        queue.deliveries.pop(sequence, None)
        spec = self.streams[queue.spec.stream].spec
        others = (q for q in self.queues.values() if q.spec.stream == queue.spec.stream)
        if spec.retention != "limits" and not any(sequence in q.open for q in others):
            self.streams[queue.spec.stream].kept.pop(sequence, None)

    def member(self, subject: str) -> _Member:
        """The next member of a queue group; raises `NoResponders`."""
        if not (members := self.members.get(subject)):
            raise NoResponders("nobody serves this")
        return members[next(self._turn) % len(members)]


class InMemoryBus:
    """One service's bus. With the name of a service it has that service's permissions, else all."""

    def __init__(self, service: str = "", broker: InMemoryBroker | None = None) -> None:
        self.broker = InMemoryBroker() if broker is None else broker
        self._service = service
        self._closed = False
        self._draining: dict[asyncio.Task[None], asyncio.Event] = {}

    @property
    def connected(self) -> bool:
        """Whether the broker answers now."""
        return self.broker.up and not self._closed

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Store in the stream of `subject`; a duplicate `msg_id` is success."""
        self._may_publish(subject)
        self.broker.store(subject, data, headers or {}, msg_id)

    async def schedule(
        self, subject: str, data: bytes, *, at: datetime, key: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish on `subject` at `at`; the same `key` replaces an earlier schedule."""
        if at.tzinfo is None:
            raise InvalidInput("a time without a zone", field="at")
        place = schedule_subject(subject, key)
        self._may_publish(place)
        self._forget(place)

        def fire() -> None:
            self.broker.schedules.pop(place, None)
            self.broker.store(subject, data, headers or {})

        delay = max(0.0, (at - datetime.now(UTC)).total_seconds())
        self.broker.schedules[place] = asyncio.get_running_loop().call_later(delay, fire)

    async def unschedule(self, subject: str, *, key: str) -> None:
        """Forget a schedule; what is not there is no error."""
        place = schedule_subject(subject, key)
        self._may_publish(place)
        self._forget(place)

    @asynccontextmanager
    async def consume(self, consumer: str, handler: Handler, *, concurrency: int = 16) -> AsyncIterator[None]:
        """Run `handler` for each message of a consumer while the context lives; leaving it drains."""
        if consumer not in self.broker.queues:
            raise InvalidInput("no such consumer", field="consumer")
        queue = self.broker.queues[consumer]
        if self._service in USERS and queue.spec.service != self._service:
            raise Denied("another service's consumer")
        stop = asyncio.Event()
        loop = asyncio.create_task(self._take(consumer, queue, handler, concurrency, stop))
        self._draining[loop] = stop
        try:
            yield
        finally:
            stop.set()
            queue.news.set()
            await loop
            self._draining.pop(loop, None)

    async def request(
        self, subject: str, data: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Ask the queue group that serves `subject`; `NoResponders` at once when there is none."""
        self._may_publish(subject)
        member = self.broker.member(subject)
        if len(member.taken) >= member.most:
            raise Busy("too many questions wait")
        task = asyncio.create_task(_answer(member, Message(subject, data, dict(headers or {}))))
        member.taken.add(task)
        task.add_done_callback(member.taken.discard)
        try:
            async with asyncio.timeout(timeout):
                answer, said = await asyncio.shield(task)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {timeout:g} s") from None
        raise_answer(answer, said)
        return answer

    @asynccontextmanager
    async def serve(self, subject: str, responder: Responder, *, concurrency: int = 64) -> AsyncIterator[None]:
        """Answer requests on `subject` as a member of its queue group while the context lives."""
        if self._service in USERS and subject not in USERS[self._service].subscribe:
            raise Denied("this service may not serve this")
        member = _Member(responder, asyncio.Semaphore(concurrency), concurrency * 5)
        self.broker.members.setdefault(subject, []).append(member)
        try:
            yield
        finally:
            self.broker.members[subject].remove(member)
            if member.taken:
                await asyncio.wait(member.taken, timeout=_DRAIN)

    async def pending(self, subject: str) -> list[Message]:
        """Messages of a stream still kept on exactly this subject, oldest first (at most 1,000)."""
        self._reach()
        name = stream_of(subject, self.broker.specs)
        return [m for m in self.broker.streams[name].kept.values() if m.subject == subject][:1000]

    def bucket(self, name: str) -> Bucket:
        """A bucket named in `bus/streams.py`."""
        if name not in self.broker.buckets:
            raise InvalidInput("no such bucket", field="name")
        writable = self._service not in USERS or f"$KV.{name}.>" in USERS[self._service].publish
        return self.broker.buckets[name].view(self._reach, writable=writable)

    async def lag(self, consumer: str) -> int:
        """Messages a consumer has not acked: pending and in flight."""
        self._reach()
        return len(self.broker.queues[consumer].open)

    async def drain(self) -> None:
        """Finish what runs, then close."""
        for loop, stop in list(self._draining.items()):
            stop.set()
            for queue in self.broker.queues.values():
                queue.news.set()
            await asyncio.wait({loop}, timeout=_DRAIN)
        self._closed = True

    def _reach(self) -> None:
        if not self.connected:
            raise Unavailable("not connected to the broker")

    def _may_publish(self, subject: str) -> None:
        self._reach()
        if self._service in USERS and not any(matches(p, subject) for p in USERS[self._service].publish):
            raise Denied("this service may not use this subject", subject=subject)

    def _forget(self, place: str) -> None:
        if earlier := self.broker.schedules.pop(place, None):
            earlier.cancel()

    async def _take(self, name: str, queue: _Queue, handler: Handler, concurrency: int, stop: asyncio.Event) -> None:
        failures, running = Failures(queue.spec), set[asyncio.Task[None]]()
        while not stop.is_set():
            queue.news.clear()
            while queue.ready and len(running) < concurrency and self.connected and not stop.is_set():
                task = asyncio.create_task(self._handle(name, queue, queue.ready.popleft(), handler, failures))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: queue.news.set())
            try:
                async with asyncio.timeout(0.05):  # the broker may have come back, which tells nobody
                    await queue.news.wait()
            except TimeoutError:
                continue
        if running:
            await asyncio.wait(running, timeout=_DRAIN)
        queue.news.set()

    async def _handle(self, name: str, queue: _Queue, sequence: int, handler: Handler, failures: Failures) -> None:
        queue.deliveries[sequence] += 1
        kept = self.broker.streams[queue.spec.stream].kept[sequence]
        message = Message(kept.subject, kept.data, kept.headers, queue.deliveries[sequence], sequence)
        problem: Exception | None = None
        try:
            await handler(message)
        except Exception as error:
            problem = error
        except BaseException:
            queue.give(sequence)
            raise
        fate = failures.judge(sequence, problem)
        if isinstance(fate, Dead):
            subject, headers = dead_letter(name, message, fate.reason)
            try:
                self.broker.store(subject, message.data, headers)
            except Error:
                fate = Again(queue.spec.backoff[-1])
        if isinstance(fate, Again):
            asyncio.get_running_loop().call_later(fate.seconds, queue.give, sequence)
        elif isinstance(fate, Ack | Dead):
            self.broker.settle(queue, sequence)


async def _answer(member: _Member, message: Message) -> tuple[bytes, dict[str, str]]:
    async with member.slots:
        try:
            return await member.responder(message), {}
        except Exception as error:
            return error_answer(error)
