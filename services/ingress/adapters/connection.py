"""A connection on aiosmtpd's protocol class: its life, its limits of time and number, its command loop.

aiosmtpd gives the frame (stream protocol, one task per connection) and its
defaults are replaced one by one: see README for the list, and
`tests/unit/ingress/test_traps.py`, which holds a test for each.
Replies are collected and leave before the session waits (RFC 2920 §3.2).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from aiosmtpd.smtp import SMTP
from prometheus_client import Gauge

from services.common import log
from services.common.directory import Connector, Person
from services.common.errors import Error
from services.common.ids import TenantId
from services.ingress.adapters.desk import Desk, Kind, peer_key
from services.ingress.adapters.wire import STREAM_LIMIT, Closed, Input, LineTooLong
from services.ingress.core import reply
from services.ingress.core.reply import Refusal, Reply

_log = log.get(__name__)
SESSIONS = Gauge("letterlock_smtp_sessions", "Open SMTP connections", ["listener"])
# aiosmtpd logs every command with its addresses at INFO.
logging.getLogger("mail.log").setLevel(logging.ERROR)

_COMMAND = 4096
"""Octets of a command line: 512 and what SIZE, DSN, AUTH= and long UTF-8 addresses add (RFC 5321 §4.5.3.1)."""
AUTH_LINE = 12288
"""Octets of a line of an AUTH exchange (RFC 4954 §4)."""
_FOREIGN = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "OPTIONS"})
"""A browser that was made to talk to us: not worth a second line."""
_LINGER = 5.0
"""Seconds a closing connection has to take its last reply."""


class Connection(SMTP):
    """One connection. `kind` is the listener it came in by; `source` is given when a balancer named the client.

    Subclasses have the commands: a coroutine method for each name in `COMMANDS`.
    """

    COMMANDS: ClassVar[dict[str, str]] = {}

    def __init__(self, desk: Desk, kind: Kind, sessions: set[Connection], *, source: str | None = None) -> None:
        # Not SMTP.__init__: it inspects every member of two objects per connection and shares command sizes
        # between connections. What its inherited methods need is set here.
        self.loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=STREAM_LIMIT, loop=self.loop)
        asyncio.StreamReaderProtocol.__init__(
            self, reader, client_connected_cb=self._cb_client_connected, loop=self.loop
        )
        self.hostname = desk.hostname
        self.event_handler: Any = None
        self.transport: Any = None
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._desk, self._kind, self._sessions, self._source = desk, kind, sessions, source
        self._output = bytearray()
        self._input = Input(reader, self._before_wait, self._after_wait)
        self._peer_address = source or ""
        self._held: list[object] = []
        self._who: Connector | Person | None = None
        self._authenticated = False
        self._helo, self._esmtp, self._tls = "", False, ""
        self._tls_names: tuple[str, ...] = ()
        self._errors = self._junk = 0
        self._waiting_since: float | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._in_command_wait = self._ending = False
        self._reading_content = False

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio: the session begins."""
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = transport
        if not self._peer_address:
            peername = transport.get_extra_info("peername")
            # A listener on `::` sees IPv4 peers as mapped addresses.
            self._peer_address = str(peername[0]).removeprefix("::ffff:") if peername else ""
        self._sessions.add(self)
        SESSIONS.labels(self._kind).inc()
        self._watch()
        self._handler_coroutine = self.loop.create_task(self._handle_client())

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio. The session's task sees the end of its input; a mail that is being accepted goes on."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None
        self._sessions.discard(self)
        SESSIONS.labels(self._kind).dec()
        for key in self._held:
            self._desk.counts.leave(key)
        self._held.clear()

    def eof_received(self) -> bool | None:
        """See asyncio: what was sent before the half-close is still answered."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    def shut_down(self) -> None:
        """Say 421 now if the peer waits to give a command, else when it next does."""
        if self._in_command_wait:
            self._end(reply.SHUTDOWN)

    @property
    def running(self) -> asyncio.Task[None] | None:
        """The session's task."""
        return self._handler_coroutine

    def _end(self, last: Reply) -> None:
        """Say a last word from outside the session's task and close."""
        if self.transport is None or self._ending:
            return
        self._ending = True
        self.transport.write(bytes(self._output) + last.line.encode() + b"\r\n")
        self._output.clear()
        self._close()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.loop.call_later(_LINGER, self.transport.abort)

    def _watch(self) -> None:
        """Look again when the earliest limit of time could be over."""
        now, limits = self.loop.time(), self._desk.limits
        since = self._waiting_since
        if since is not None and (now - since >= limits.idle or self._transaction_over(now)):
            self._end(reply.IDLE)
            return
        wait = limits.idle - (now - since) if since is not None else limits.idle
        self._watchdog = self.loop.call_later(max(min(wait, limits.transaction), 0.01), self._watch)

    def _enter(self, key: object, limit: int) -> bool:
        if self.transport is None:
            raise Closed  # `connection_lost` has given back what was counted
        if not self._desk.counts.enter(key, limit):
            return False
        self._held.append(key)
        return True

    def _enter_tenant(self, tenant: TenantId) -> bool:
        """Count this connection for a tenant, once."""
        key = ("tenant", tenant)
        record = self._desk.directory().tenant(tenant)
        limit = record.limits.get("connections", 0) if record else 0
        return key in self._held or self._enter(key, limit or self._desk.max_connections_per_tenant)

    # Replies.

    def say(self, answer: Reply) -> None:
        """Queue a reply; counts errors."""
        if answer.permanent:
            self._errors += 1
        self._output += answer.line.encode() + b"\r\n"

    async def push(self, status: str | bytes) -> None:
        """Queue a line as it is (aiosmtpd's inherited methods answer through here)."""
        self._output += (status.encode() if isinstance(status, str) else status) + b"\r\n"

    async def _before_wait(self) -> None:
        self._waiting_since = self.loop.time()
        await self._flush()

    def _after_wait(self) -> None:
        self._waiting_since = None

    async def _flush(self) -> None:
        if self._output and self.transport is not None:
            self.transport.write(bytes(self._output))
            self._output.clear()
            try:
                await self._writer.drain()
            except OSError as error:
                raise Closed from error

    # The command loop.

    async def _handle_client(self) -> None:
        try:
            if await self._welcome():
                while not self._ending:
                    await self._command()
        except (Closed, ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:
            _log.error("smtp.session_failed", code=_code(error), exc_info=True)
            self._end(Reply(421, "4.3.0", "temporary failure, closing"))
        finally:
            await self._abandon_transaction()
            if self.transport is not None and not self._ending:
                self._ending = True
                self.transport.write(bytes(self._output))
                self._close()

    async def _welcome(self) -> bool:
        desk, peer = self._desk, peer_key(self._peer_address)
        if desk.stopping:
            self.say(reply.SHUTDOWN)
            return False
        if self._kind == "submissions":
            self._read_tls()
        self._who = self._by_network()
        if not (
            self._enter("all", desk.max_connections)
            and self._enter(("peer", peer), desk.max_connections_per_peer)
            and (self._who is None or self._enter_tenant(self._who.tenant))
        ):
            _log.warning("smtp.too_many_connections")
            self.say(reply.TOO_MANY)
            return False
        if desk.greeting_delay > 0 and self._who is None and self._kind == "relay":
            await asyncio.sleep(desk.greeting_delay)
            if self._input.waiting or self._reader._buffer:  # type: ignore[attr-defined]
                self.say(Reply(554, "5.5.1", "you spoke before the greeting"))
                return False
        self.say(Reply(220, "", f"{self.hostname} ESMTP Letterlock"))
        return True

    async def _command(self) -> None:
        try:
            line = await self._next_line()
        except LineTooLong:
            self.say(reply.LINE_TOO_LONG)
            self._check_patience()
            return
        verb, _, rest = line[:-2].partition(b" ")
        try:
            if not line.endswith(b"\r\n") or b"\r" in line[:-2] or b"\0" in line:
                raise Refusal(reply.SYNTAX)
            try:
                name, argument = verb.decode("ascii").upper(), rest.decode("utf-8").strip(" ")
            except UnicodeDecodeError as error:
                raise Refusal(reply.SYNTAX) from error
            if name in _FOREIGN:
                self._end(Reply(421, "4.7.0", "this is SMTP"))
                return
            method = self.COMMANDS.get(name)
            if method is None:
                raise Refusal(reply.UNKNOWN_COMMAND)
            await getattr(self, method)(argument)
        except Refusal as refusal:
            self.say(refusal.reply)
        except (Closed, ConnectionError):
            raise
        except Exception as error:
            await self.push(await self.handle_exception(error))
            if self._reading_content:
                raise Closed from error  # where the content ends is no longer known
        self._check_patience()

    async def _next_line(self) -> bytes:
        if self._desk.stopping:
            self._end(reply.SHUTDOWN)
            raise Closed
        self._in_command_wait = True
        try:
            return await self._input.line(_COMMAND if not self._expects_auth() else AUTH_LINE)
        finally:
            self._in_command_wait = False

    def _expects_auth(self) -> bool:
        return bool(self._tls) and not self._authenticated

    def _check_patience(self) -> None:
        if self._errors > self._desk.limits.max_errors:
            self._end(reply.TOO_MANY_ERRORS)
        elif self._junk > self._desk.limits.max_commands:
            self._end(reply.TOO_MANY_COMMANDS)

    async def handle_exception(self, error: Exception) -> str:
        """A failure of ours: temporary to the peer, whatever it was; its code and trace go to the log."""
        _log.error("smtp.command_failed", code=_code(error), exc_info=True)
        return reply.TEMPORARY.line

    # What the commands add.

    def _by_network(self) -> Connector | None:
        return None

    def _read_tls(self) -> None:
        raise NotImplementedError

    def _transaction_over(self, now: float) -> bool:
        return False

    async def _abandon_transaction(self) -> None:
        """Forget what was begun."""


def _code(error: Exception) -> str:
    return error.code if isinstance(error, Error) else type(error).__name__
