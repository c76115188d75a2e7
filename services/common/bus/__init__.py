"""The bus: facts on their way, the hot question, and watched caches. A port over NATS.

What is published is a copy of what the object store already holds or a
result that can be made again; so the bus may lose it, and the sweeper finds it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery to a consumer; `deliveries` counts from 1."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    deliveries: int = 1
    sequence: int = 0


class Later(Exception):
    """Raised by a handler: deliver again after `seconds`; it is no failure and is not counted."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a bucket; `value` is None when it was deleted."""

    key: str
    value: bytes | None
    revision: int


class Bucket(Protocol):
    """A key-value bucket: a cache that may be empty at any time."""

    async def get(self, key: str) -> Entry | None:
        """The newest value, or None."""

    async def put(self, key: str, value: bytes) -> int:
        """Set; returns the revision."""

    async def create(self, key: str, value: bytes) -> int:
        """Set if absent, else `AlreadyExists`."""

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Set if still at `revision`, else `Conflict`."""

    async def delete(self, key: str) -> None:
        """Remove."""

    async def keys(self) -> list[str]:
        """All keys; empty when there are none."""

    def watch(self) -> AsyncIterator[Entry | None]:
        """Every present entry, then None once, then each change for ever, across reconnects."""


Handler = Callable[[Message], Awaitable[None]]
Responder = Callable[[Message], Awaitable[bytes]]


class Bus(Protocol):
    """One service's connection. Raises `Unavailable`, `DeadlineExceeded`, `Busy` (stream full), `NoResponders`."""

    @property
    def connected(self) -> bool:
        """Whether the broker answers now (readiness)."""

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

    async def unschedule(self, subject: str, *, key: str) -> None:
        """Forget a schedule; what is not there is no error."""

    def consume(self, consumer: str, handler: Handler, *, concurrency: int = 16) -> AbstractAsyncContextManager[None]:
        """Run `handler` for each message of a consumer named in `bus/streams.py` while the context lives.

        Return acks. `Later` and failures with `retry` deliver again (back-off; after the consumer's
        `max_deliver` the message goes to the dead-letter stream with its reason and is terminated, as one
        without `retry` is at once). Long handlers are kept alive with in-progress signs. Leaving the context
        drains: no new fetches, running handlers finish.
        """

    async def request(
        self,
        subject: str,
        data: bytes,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Ask the queue group that serves `subject`; `NoResponders` at once when there is none.

        `DeadlineExceeded` says that whoever serves it was late, `Unavailable` that the broker itself does not answer.
        """

    def serve(self, subject: str, responder: Responder, *, concurrency: int = 64) -> AbstractAsyncContextManager[None]:
        """Answer requests on `subject` as a member of its queue group; beyond `concurrency` * 4 waiting: `Busy`."""

    async def pending(self, subject: str) -> list[Message]:
        """Messages of a stream still kept on exactly this subject, oldest first (at most 1,000)."""

    def bucket(self, name: str) -> Bucket:
        """A bucket named in `bus/streams.py`."""

    async def lag(self, consumer: str) -> int:
        """Messages a consumer has not acked: pending and in flight."""

    async def drain(self) -> None:
        """Finish what runs, then close."""
