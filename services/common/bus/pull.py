"""Takes a durable consumer's messages: one fetch at a time, never more than there are free handlers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from nats.aio.msg import Msg

from services.common import log
from services.common.bus import Handler, Later, Message
from services.common.bus.connection import Connection, forged, plain_headers, where
from services.common.bus.consuming import Ack, Again, Dead, Failures, dead_letter
from services.common.bus.streams import Consumer
from services.common.errors import Corrupt, Error, Unavailable

_log = log.get(__name__)
_SECOND = 1_000_000_000
_EXPIRES, _HEARTBEAT = 30.0, 5.0
_PAUSE = 0.5
_DRAIN = 25.0
"""Seconds a handler gets to finish when its consumer is drained; then the broker delivers to another."""

type Publish = Callable[[str, bytes, str, dict[str, str]], Awaitable[None]]


class Puller:
    """One member of a consumer; `start`, then `drain`."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        consumer: Consumer,
        handler: Handler,
        concurrency: int,
        publish: Publish,
    ) -> None:
        self._connection, self._name, self._consumer = connection, name, consumer
        self._handler, self._concurrency, self._publish = handler, concurrency, publish
        self._failures = Failures(consumer)
        self._running: set[asyncio.Task[None]] = set()
        self._open: dict[int, str] = {}
        """Where to answer for each message that is being handled, by its sequence in the stream."""
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = False
        self._fetch_ended = asyncio.Event()
        self._expected, self._number, self._seen, self._pause = 0, 0, 0.0, False
        self._inbox = connection.new_inbox()
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{name}"

    async def start(self) -> None:
        """Begin to take messages."""
        self._subscription = await self._connection.subscribe(f"{self._inbox}.*", self._arrived)
        # After a reconnect the server knows nothing of the fetch that was under way.
        self._forget = self._connection.on_reconnect(self._fetch_ended.set)
        self._loop = asyncio.create_task(self._run(), name=f"pull {self._name}")
        self._heart = asyncio.create_task(self._keep_alive(), name=f"keep alive {self._name}")

    async def drain(self) -> None:
        """Take no more, let running handlers finish, send their acks."""
        self._stopping = True
        self._forget()
        self._loop.cancel()
        try:
            await self._subscription.unsubscribe()
        except Exception as error:  # a closed connection has no subscriptions any more
            _log.debug("bus.unsubscribe_failed", error=type(error).__name__)
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=_DRAIN)
            for task in late:
                task.cancel()
            if late:
                _log.warning("bus.handlers_cancelled", consumer=self._name, number=len(late))
                await asyncio.wait(late)
        self._heart.cancel()
        await asyncio.gather(self._loop, self._heart, return_exceptions=True)
        await self._connection.flush()

    async def _run(self) -> None:
        while True:
            try:
                await self._room.wait()
                await self._fetch(self._concurrency - len(self._running))
                if self._pause:
                    await asyncio.sleep(_PAUSE)
            except Unavailable:
                await asyncio.sleep(_PAUSE)
            except Exception as error:
                _log.error("bus.fetch_failed", consumer=self._name, error=type(error).__name__, where=where(error))
                await asyncio.sleep(_PAUSE)

    async def _fetch(self, batch: int) -> None:
        self._fetch_ended.clear()
        self._pause, self._expected, self._seen = False, batch, time.monotonic()
        self._number += 1
        ask = {"batch": batch, "expires": int(_EXPIRES * _SECOND), "idle_heartbeat": int(_HEARTBEAT * _SECOND)}
        await self._connection.send(self._next, json.dumps(ask).encode(), reply=f"{self._inbox}.{self._number}")
        while not self._fetch_ended.is_set():
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await self._fetch_ended.wait()
            except TimeoutError:
                # Two heartbeats missed: the fetch is lost, whatever became of it.
                if time.monotonic() - self._seen > 2.5 * _HEARTBEAT:
                    return

    async def _arrived(self, message: Msg) -> None:
        self._seen = time.monotonic()
        if not message.reply.startswith("$JS.ACK."):
            self._status(message)
            return
        self._expected -= 1
        if self._expected <= 0:
            self._fetch_ended.set()
        sequence = message.metadata.sequence.stream
        if sequence in self._open:
            # Delivered again while it is being handled here: signs of life could not be sent for too long, as when
            # the broker was away. The newest delivery is the one to answer.
            self._open[sequence] = message.reply
            return
        if self._stopping:
            await self._answer(message.reply, b"-NAK")
            return
        self._open[sequence] = message.reply
        task = asyncio.create_task(self._handle(message, sequence))
        self._running.add(task)
        if len(self._running) >= self._concurrency:
            self._room.clear()
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()):
            _log.error("bus.handling_failed", consumer=self._name, error=type(error).__name__, where=where(error))

    def _status(self, message: Msg) -> None:
        headers = plain_headers(message)
        status = headers.get("Status")
        if status == "100" or message.subject != f"{self._inbox}.{self._number}":
            return
        # 404 and 408 are the ends of a fetch; 409 and 503 mean a consumer or a server that is away.
        if status not in ("404", "408"):
            self._pause = True
            _log.debug("bus.fetch_refused", consumer=self._name, status=status)
        self._fetch_ended.set()

    async def _handle(self, message: Msg, sequence: int) -> None:
        try:
            word = await self._judge(message, sequence)
        finally:
            reply = self._open.pop(sequence)
        await self._answer(reply, word)

    async def _judge(self, message: Msg, sequence: int) -> bytes:
        meta = message.metadata
        received = Message(message.subject, message.data, plain_headers(message), meta.num_delivered or 1, sequence)
        problem: Exception | None = None
        try:
            if forged(message):
                _log.error("bus.forged", consumer=self._name, stream_subject=message.subject)
                raise Corrupt("written in somebody's name")
            await self._handler(received)
        except Exception as error:
            problem = error
            if not isinstance(error, Error | Later):
                _log.error("bus.handler_failed", consumer=self._name, error=type(error).__name__, where=where(error))
        fate = self._failures.judge(received.sequence, problem)
        if isinstance(fate, Dead):
            fate = await self._bury(received, fate.reason, int(meta.timestamp.timestamp() * 1000))
        if isinstance(fate, Again):
            return b'-NAK {"delay": %d}' % int(fate.seconds * _SECOND)
        return b"+ACK" if isinstance(fate, Ack) else b"+TERM"

    async def _bury(self, message: Message, reason: str, stamp: int) -> Dead | Again:
        subject, headers = dead_letter(self._name, message, reason)
        try:
            await self._publish(subject, message.data, f"{self._name}:{message.sequence}:{stamp}", headers)
        except Error as error:
            _log.error("bus.dead_letter_failed", consumer=self._name, code=error.code)
            return Again(self._consumer.backoff[-1])
        _log.error("bus.dead_letter", consumer=self._name, stream_subject=message.subject, reason=reason)
        return Dead(reason)

    async def _answer(self, reply: str, word: bytes) -> None:
        try:
            await self._connection.send(reply, word)
        except Unavailable:
            # Unanswered, the message comes again after ack_wait; handlers are idempotent.
            _log.debug("bus.ack_failed", consumer=self._name)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._consumer.ack_wait / 3)
            for reply in list(self._open.values()):
                await self._answer(reply, b"+WPI")
