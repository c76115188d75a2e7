"""Serves a subject as a member of its queue group, and carries failures back to who asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from nats.aio.msg import Msg

from services.common import log
from services.common.bus import Message, Responder
from services.common.bus.connection import Connection, forged, plain_headers, where
from services.common.errors import BY_CODE, Busy, Denied, Error, InvalidInput

_log = log.get(__name__)
ERROR_HEADER = "Letterlock-Error"
_DRAIN = 25.0
_WAITING = 4
"""Questions that may wait, as a multiple of `concurrency`; beyond it the answer is `Busy`."""


def error_answer(error: Exception) -> tuple[bytes, dict[str, str]]:
    """The answer that says a responder failed: its code, and what may be public."""
    known = error if isinstance(error, Error) else Error()
    return known.public.encode(), {ERROR_HEADER: known.code}


def raise_answer(data: bytes, headers: Mapping[str, str]) -> None:
    """Raise the failure that an answer carries, if it does."""
    if code := headers.get(ERROR_HEADER):
        kind, text = BY_CODE.get(code, Error), data.decode(errors="replace")
        raise kind(text) if issubclass(kind, InvalidInput) else kind(text, public=text)


class Server:
    """One member of a subject's queue group; `start`, then `drain`."""

    def __init__(self, connection: Connection, subject: str, responder: Responder, concurrency: int) -> None:
        self._connection, self._subject, self._responder = connection, subject, responder
        self._slots = asyncio.Semaphore(concurrency)
        self._most = concurrency * (1 + _WAITING)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to answer; raises `Denied` when this service may not serve the subject."""
        self._subscription = await self._connection.subscribe(self._subject, self._arrived, queue=self._subject)
        # Whoever sees this service ready may ask: the broker has the subscription by then, or has refused it.
        await self._connection.flush()
        if not self._connection.may_listen(self._subject):
            raise Denied("this service may not serve this subject", subject=self._subject)

    async def drain(self) -> None:
        """Leave the group, then answer what was taken."""
        try:
            await self._subscription.drain()  # type: ignore[no-untyped-call]
        except Exception as error:  # a closed connection has no subscriptions any more
            _log.debug("bus.unsubscribe_failed", error=type(error).__name__)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_DRAIN)
            for task in late:
                task.cancel()
        await self._connection.flush()

    async def _arrived(self, message: Msg) -> None:
        if forged(message):
            _log.error("bus.forged", stream_subject=self._subject)
            return
        if len(self._tasks) >= self._most:
            await self._reply(message, *error_answer(Busy("too many questions wait")))
            return
        task = asyncio.create_task(self._answer(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Msg) -> None:
        headers: dict[str, str] = {}
        async with self._slots:
            try:
                data = await self._responder(Message(message.subject, message.data, plain_headers(message)))
            except Exception as error:
                if not isinstance(error, Error):
                    _log.error(
                        "bus.responder_failed",
                        stream_subject=self._subject,
                        error=type(error).__name__,
                        where=where(error),
                    )
                data, headers = error_answer(error)
        await self._reply(message, data, headers)

    async def _reply(self, message: Msg, data: bytes, headers: dict[str, str]) -> None:
        if not message.reply:
            return
        try:
            await self._connection.send(message.reply, data, headers=headers)
        except Error as error:
            # Who asked has a deadline of its own.
            _log.warning("bus.answer_failed", stream_subject=self._subject, code=error.code)
