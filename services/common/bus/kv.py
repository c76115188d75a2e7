"""Buckets: a stream with the newest message per key, read directly and watched without a consumer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from nats.aio.msg import Msg

from services.common import log
from services.common.bus import Entry
from services.common.bus.connection import Connection, forged, plain_headers
from services.common.bus.publishing import check_ack
from services.common.errors import AlreadyExists, Conflict, Denied, InvalidInput, Unavailable

_log = log.get(__name__)
_OPERATION, _EXPECTED = "KV-Operation", "Nats-Expected-Last-Subject-Sequence"
_REREAD = 60.0
_TOMBSTONE = "1h"
"""How long a deletion is told apart from a key that never was: watchers read all again much sooner."""
_TIMEOUT = 5.0
_BATCH = 512


class NatsBucket:
    """A bucket of the broker."""

    def __init__(self, connection: Connection, name: str, *, writable: bool = True) -> None:
        self._connection, self._name, self._writable = connection, name, writable
        self._prefix = f"$KV.{name}."

    async def get(self, key: str) -> Entry | None:
        """The newest value, or None."""
        entry = await self._last(key)
        return None if entry is None or entry.value is None else entry

    async def put(self, key: str, value: bytes) -> int:
        """Set; returns the revision."""
        return await self._set(key, value, {})

    async def create(self, key: str, value: bytes) -> int:
        """Set if absent, else `AlreadyExists`."""
        try:
            return await self._set(key, value, {_EXPECTED: "0"})
        except Conflict:
            last = await self._last(key)
            if last is None or last.value is not None:
                raise AlreadyExists("the key is there") from None
        try:
            return await self._set(key, value, {_EXPECTED: str(last.revision)})
        except Conflict:
            raise AlreadyExists("the key is there") from None

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Set if still at `revision`, else `Conflict`."""
        return await self._set(key, value, {_EXPECTED: str(revision)})

    async def delete(self, key: str) -> None:
        """Remove; what is not there is no error."""
        await self._set(key, b"", {_OPERATION: "DEL", "Nats-TTL": _TOMBSTONE})

    async def keys(self) -> list[str]:
        """All keys; empty when there are none."""
        return [entry.key for entry in await self._walk() if entry.value is not None]

    async def watch(self) -> AsyncIterator[Entry | None]:
        """Every present entry, then None once, then each change for ever, across reconnects.

        Changes come from the broker's repetition of what it stored. What may have been missed is read again after
        each reconnect and every minute; a bucket that was made anew starts over.
        """
        news: asyncio.Queue[Entry | None] = asyncio.Queue()

        async def arrived(message: Msg) -> None:
            headers = plain_headers(message)
            subject = f"{self._prefix}{message.subject.split('.', 2)[2]}"
            news.put_nowait(self._entry(subject, message, headers))

        subscription = await self._connection.subscribe(f"kv.{self._name}.>", arrived)
        forget = self._connection.on_reconnect(lambda: news.put_nowait(None))
        view = _View()
        try:
            first = True
            while True:
                for change in await self._read(view):
                    yield change
                if first:
                    first = False
                    yield None
                deadline = asyncio.get_running_loop().time() + _REREAD
                while (entry := await _next(news, deadline)) is not None:
                    fresh = view.heard(entry)
                    if fresh is None:
                        break
                    if fresh:
                        yield entry
        finally:
            forget()
            with suppress(Exception):  # a closed connection has no subscriptions any more
                await subscription.unsubscribe()

    async def _read(self, view: _View) -> list[Entry]:
        while True:
            try:
                created = await self._created()
                return view.seen(created, await self._walk())
            except Unavailable as error:
                _log.debug("bus.watch_waits", bucket=self._name, code=error.code)
                await asyncio.sleep(0.5)

    async def _created(self) -> str:
        answer = await self._connection.request(f"$JS.API.STREAM.INFO.KV_{self._name}", b"", timeout=_TIMEOUT)
        info = json.loads(answer.data)
        if "error" in info:
            raise Unavailable("the bucket is not there", err_code=info["error"].get("err_code"))
        return str(info["created"])

    async def _set(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        subject = self._subject(key)
        if not self._writable:
            # The broker would refuse it too, and log it as an attempt.
            raise Denied("this service may not write this bucket")
        answer = await self._connection.request(subject, value, timeout=_TIMEOUT, headers=headers)
        return check_ack(answer.data).sequence

    async def _last(self, key: str) -> Entry | None:
        subject = f"$JS.API.DIRECT.GET.KV_{self._name}.{self._subject(key)}"
        answer = await self._connection.request(subject, b"", timeout=_TIMEOUT)
        headers = plain_headers(answer)
        if headers.get("Status") == "404":
            return None
        return self._entry(headers.get("Nats-Subject", ""), answer, headers)

    async def _walk(self) -> list[Entry]:
        found = await read_directly(self._connection, f"KV_{self._name}", f"{self._prefix}>", limit=1 << 30)
        return [self._entry(h.get("Nats-Subject", ""), message, h) for h, message in found]

    def _subject(self, key: str) -> str:
        if not key or "" in key.split(".") or any(c.isspace() or c in "*>" for c in key):
            raise InvalidInput("a key has no spaces, wildcards or empty parts", field="key")
        return f"{self._prefix}{key}"

    def _entry(self, subject: str, message: Msg, headers: Mapping[str, str]) -> Entry:
        gone = (
            forged(message, answers=1) or headers.get(_OPERATION) in ("DEL", "PURGE") or "Nats-Marker-Reason" in headers
        )
        return Entry(subject.removeprefix(self._prefix), None if gone else message.data, int(headers["Nats-Sequence"]))


async def _next(news: asyncio.Queue[Entry | None], deadline: float) -> Entry | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await news.get()
    except TimeoutError:
        return None


class _View:
    """What a watcher has been told: each key's revision, and which of them are deletions."""

    def __init__(self) -> None:
        self._created = ""
        self._known: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._missing: set[str] = set()

    def heard(self, entry: Entry) -> bool | None:
        """Whether an entry is news; None when revisions ran backwards, so all must be read again."""
        known = self._known.get(entry.key, 0)
        if entry.revision < known:
            return None
        if entry.revision == known:
            return False
        self._known[entry.key] = entry.revision
        if entry.value is None:
            self._deleted.add(entry.key)
        else:
            self._deleted.discard(entry.key)
        return True

    def seen(self, created: str, entries: list[Entry]) -> list[Entry]:
        """What of a full reading is news. A key is gone when two readings lack it: a replica may lag behind."""
        anew = created != self._created
        self._created = created
        absent = self._known.keys() - {entry.key for entry in entries}
        gone = absent if anew else absent & self._missing
        self._missing = set(absent - gone)
        changes = [Entry(key, None, self._known[key]) for key in sorted(gone - self._deleted)]
        for key in gone:
            del self._known[key]
        self._deleted -= gone
        present = self._known.keys() - self._deleted
        if anew:
            self._known.clear()
            self._deleted.clear()
        for entry in entries:
            # What was deleted before anybody told us of it is no news.
            if self.heard(entry) and (entry.value is not None or entry.key in present):
                changes.append(entry)
        return changes


async def read_directly(
    connection: Connection, stream: str, subject: str, *, limit: int
) -> list[tuple[dict[str, str], Msg]]:
    """Messages of a stream on a subject pattern, oldest first, without a consumer: headers and message of each."""
    found: list[tuple[dict[str, str], Msg]] = []
    start = 1
    while len(found) < limit:
        ask = {"seq": start, "next_by_subj": subject, "batch": min(_BATCH, limit - len(found))}
        answers = await connection.request_many(
            f"$JS.API.DIRECT.GET.{stream}", json.dumps(ask).encode(), timeout=_TIMEOUT, last=_is_status
        )
        *messages, end = answers
        for message in messages:
            headers = plain_headers(message)
            found.append((headers, message))
            start = int(headers["Nats-Sequence"]) + 1
        closing = plain_headers(end)
        if closing.get("Status") not in ("204", "404"):
            raise Unavailable("the stream cannot be read", status=closing.get("Status"))
        if closing.get("Status") == "404" or int(closing.get("Nats-Num-Pending", "0")) == 0:
            return found
    return found


def _is_status(headers: Mapping[str, str]) -> bool:
    return "Status" in headers and "Nats-Sequence" not in headers
