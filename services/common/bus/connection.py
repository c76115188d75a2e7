"""One service's connection to the broker: requests, subscriptions, and what happens when it breaks.

nats-py gives up after 60 attempts, buffers while disconnected (and delivers
what its caller believes timed out), and says permission errors to nobody who
waits; here none of that is so: it reconnects for ever, fails at once while
disconnected, and a wait ends with the connection or the denial it waits for.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.common import log
from services.common.bus.streams import inbox_prefix
from services.common.errors import (
    Busy,
    DeadlineExceeded,
    Denied,
    Error,
    InvalidInput,
    NoResponders,
    TooLarge,
    Unavailable,
)

_log = log.get(__name__)
_DENIED = re.compile(r'permissions violation for (publish|subscription) (?:to|on) "([^"]+)"', re.IGNORECASE)
_NO_RESPONDERS = "503"
_MAX_WAITING = 100_000
_PING_SECONDS = 60.0
"""How long a PING is waited for behind the scenes: longer than nats-py keeps a connection that answers none."""


def plain_headers(message: Msg) -> dict[str, str]:
    """The headers of a message, one value each: the last, for that is where the server puts its own."""
    return {
        str(getattr(key, "value", key)): value[-1] if isinstance(value, list) else str(value)
        for key, value in (message.headers or {}).items()
    }


def forged(message: Msg, *, answers: int = 0) -> bool:
    """Whether the broker was made to write this message in somebody's name.

    Who asks for a stored message names the subject of the answer, and the server checks no permission there; but it
    marks each answer with a `Nats-Stream` header. `answers` is how many such marks are right: 1 on what we asked for.
    """
    marks: object = (message.headers or {}).get("Nats-Stream") or []
    return (len(marks) if isinstance(marks, list) else 1) > answers


class Connection:
    """A connection that comes back by itself; made by `open`."""

    def __init__(self, client: Client, service: str) -> None:
        self.service = service
        self._client = client
        self._waiting: dict[str, tuple[str, Callable[[Msg | Error], None]]] = {}
        self._tokens = itertools.count(1)
        self._inboxes = itertools.count(1)
        self._on_reconnect: list[Callable[[], None]] = []
        self._replies = ""
        self._refused: set[str] = set()
        self._ping: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, url: str, service: str, *, keys: Path | None, ca: Path | None = None, within: float = 10.0
    ) -> Connection:
        """Connect as `service` with `<keys>/<service>.nk`; raises `Unavailable` when nothing answers in time."""
        client = Client()
        self = cls(client, service)
        servers = [part.strip() for part in url.split(",") if part.strip()]
        tls = ssl.create_default_context(cafile=ca) if any(s.startswith("tls://") for s in servers) else None
        seed = keys / f"{service}.nk" if keys else None
        if seed is not None and not seed.exists():
            raise Unavailable(f"there is no broker key for {service}")
        try:
            async with asyncio.timeout(within):
                await client.connect(
                    servers,
                    name=service,
                    nkeys_seed=None if seed is None else str(seed),
                    inbox_prefix=inbox_prefix(service),
                    tls=tls,
                    pending_size=-1,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,  # type: ignore[arg-type]  # it is slept, fractions work
                    connect_timeout=2,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    error_cb=self._failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                )
                self._replies = self.new_inbox()
                await client.subscribe(f"{self._replies}.*", cb=self._reply)
        except (TimeoutError, nats.errors.Error, OSError) as error:
            await client.close()
            raise Unavailable("the broker does not answer", error=type(error).__name__) from error
        return self

    @property
    def connected(self) -> bool:
        """Whether the broker can be asked now."""
        return bool(self._client.is_connected)

    @property
    def closed(self) -> bool:
        """Whether it will never come back."""
        return bool(self._client.is_closed)

    def new_inbox(self) -> str:
        """A subject of this connection alone."""
        return str(self._client.new_inbox())

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after each reconnect; returns how to stop that."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    async def send(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send once, to whoever listens; raises `Unavailable` when disconnected."""
        try:
            # A copy: the library adds to the dict it is given.
            await self._client.publish(subject, data, reply=reply, headers=dict(headers) if headers else None)
        except nats.errors.MaxPayloadError as error:
            raise TooLarge("larger than the broker takes") from error
        except nats.errors.BadSubjectError as error:
            raise InvalidInput("not a subject", field="subject") from error
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("not connected to the broker") from error

    async def subscribe(
        self, subject: str, callback: Callable[[Msg], Awaitable[None]], *, queue: str = ""
    ) -> Subscription:
        """Call `callback` for each message, in order; survives reconnects."""
        try:
            return await self._client.subscribe(subject, queue=queue, cb=callback, pending_bytes_limit=512 << 20)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("not connected to the broker") from error

    def may_listen(self, subject: str) -> bool:
        """Whether the broker has not refused a subscription to `subject`, as far as it has answered (`flush`)."""
        return subject.lower() not in self._refused

    async def request(
        self, subject: str, data: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Msg:
        """Ask and wait for one answer.

        Raises `NoResponders` at once, `DeadlineExceeded` when time or the connection ended first (it may have
        arrived), `Denied` when this service may not, `Unavailable` when disconnected.
        """
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        def resolve(answer: Msg | Error) -> None:
            if future.done():
                return
            if isinstance(answer, Error):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        token = self._register(subject, resolve)
        try:
            async with asyncio.timeout(timeout):
                await self.send(subject, data, reply=f"{self._replies}.{token}", headers=headers)
                message = await future
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {timeout:g} s") from None
        finally:
            self._waiting.pop(token, None)
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            raise NoResponders("nobody serves this")
        return message

    async def request_many(
        self, subject: str, data: bytes, *, timeout: float, last: Callable[[Mapping[str, str]], bool]
    ) -> list[Msg]:
        """Ask and collect answers up to the one whose headers are `last`; raises as `request` does."""
        queue: asyncio.Queue[Msg | Error] = asyncio.Queue()
        token = self._register(subject, queue.put_nowait)
        answers: list[Msg] = []
        try:
            async with asyncio.timeout(timeout):
                await self.send(subject, data, reply=f"{self._replies}.{token}")
                while True:
                    answer = await queue.get()
                    if isinstance(answer, Error):
                        raise answer
                    headers = plain_headers(answer)
                    if headers.get("Status") == _NO_RESPONDERS:
                        raise NoResponders("nobody serves this")
                    answers.append(answer)
                    if last(headers):
                        return answers
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {timeout:g} s") from None
        finally:
            self._waiting.pop(token, None)

    async def flush(self, *, timeout: float = 2.0) -> None:
        """Wait until what was sent has reached the broker, if it is connected."""
        # Twice: nats-py's PING overtakes what is still buffered, and only sends that on its way.
        for _ in range(2 if self.connected else 0):
            if not await self._pinged(asyncio.create_task(self._client.flush(_PING_SECONDS)), timeout):  # type: ignore[arg-type]
                return

    async def answers(self, *, within: float = 1.0) -> bool:
        """Whether the broker says anything now; who asks at the same time shares one PING."""
        if not self.connected:
            return False
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._client.flush(_PING_SECONDS))  # type: ignore[arg-type]
        return await self._pinged(self._ping, within)

    async def _pinged(self, ping: asyncio.Task[None], timeout: float) -> bool:
        # Not cancelled when it is late: nats-py would stop reading for good when the PONG came after all.
        done, _ = await asyncio.wait({ping}, timeout=timeout)
        if done and (error := ping.exception()) is None:
            return True
        ping.add_done_callback(lambda late: late.cancelled() or late.exception())
        _log.debug("bus.no_pong", service=self.service, error=type(error).__name__ if done else "late")
        return False

    async def close(self) -> None:
        """Flush and close for good."""
        await self.flush()
        if not self.connected:
            # nats-py 2.16 would write what is left to the dead transport and fail before it ends its tasks.
            self._client._pending, self._client._pending_data_size = [], 0
        try:
            await self._client.close()
        except Exception as error:  # closing a broken connection fails in many ways, and none matters
            _log.debug("bus.close_failed", error=type(error).__name__)

    def _register(self, subject: str, sink: Callable[[Msg | Error], None]) -> str:
        if not self.connected:
            raise Unavailable("not connected to the broker")
        if len(self._waiting) >= _MAX_WAITING:
            raise Busy("too many questions in flight")
        token = format(next(self._tokens), "x")
        self._waiting[token] = (subject, sink)
        return token

    async def _reply(self, message: Msg) -> None:
        if waiting := self._waiting.get(message.subject.rpartition(".")[2]):
            waiting[1](message)

    async def _failed(self, error: Exception) -> None:
        if found := _DENIED.search(str(error)):
            verb, subject = found[1].lower(), found[2]
            _log.error("bus.denied", service=self.service, verb=verb, stream_subject=subject)
            if verb == "subscription":
                self._refused.add(subject.lower())
            for wanted, sink in list(self._waiting.values()):
                # nats-py gives the server's words in lower case.
                if verb == "publish" and wanted.lower() == subject.lower():
                    sink(Denied("this service may not use this subject", subject=subject))
            return
        _log.debug("bus.connection_error", service=self.service, error=type(error).__name__)

    async def _disconnected(self) -> None:
        if not self.closed:
            _log.warning("bus.disconnected", service=self.service)
        for _, sink in list(self._waiting.values()):
            sink(DeadlineExceeded("the connection to the broker broke"))

    async def _reconnected(self) -> None:
        _log.info("bus.reconnected", service=self.service)
        self._ping = None  # its PONG would have come on the old connection
        for callback in list(self._on_reconnect):
            callback()


def where(error: BaseException) -> str:
    """File and line an exception came from: its text may hold what logs must not."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
