"""MAIL, RCPT, DATA and BDAT of a session: one transaction at a time, its content streamed to the receiver."""

from __future__ import annotations

import re
from typing import Literal

from services.common.directory import Connector, Person, Tenant
from services.common.ids import TenantId
from services.ingress.adapters.connection import Connection
from services.ingress.adapters.desk import Desk, Kind
from services.ingress.adapters.wire import CHUNK, Closed
from services.ingress.core import parameters, reply, routing
from services.ingress.core.content import DataDecoder
from services.ingress.core.limits import too_slow
from services.ingress.core.parameters import MailCommand
from services.ingress.core.reply import Refusal, Reply
from services.ingress.receive import Incoming, PeerFacts, Recipient, Transaction

_BDAT = re.compile(r"(\d{1,18})(?: +(LAST))?", re.IGNORECASE | re.ASCII)
AUTH_FIRST = Reply(530, "5.7.0", "authentication required")
TLS_FIRST = Reply(530, "5.7.0", "must issue STARTTLS first")


class Transactions(Connection):
    """The part of a session that takes mail."""

    def __init__(self, desk: Desk, kind: Kind, sessions: set[Connection], *, source: str | None = None) -> None:
        super().__init__(desk, kind, sessions, source=source)
        self._forget_transaction()

    _mail: MailCommand | None
    _recipients: list[Recipient]
    _tenant: TenantId | None
    _incoming: Incoming | None
    _began: float
    _content_bytes: int
    _content_seconds: float

    async def smtp_MAIL(self, argument: str) -> None:
        """RFC 5321 §4.1.1.2."""
        self._junk += 1
        if self._kind != "relay":
            if not self._tls:
                raise Refusal(TLS_FIRST)
            if not self._authenticated:
                raise Refusal(AUTH_FIRST)
        if not self._helo or self._mail is not None:
            raise Refusal(reply.SEQUENCE)
        mail = parameters.parse_mail(argument, esmtp=self._esmtp, max_bytes=self._desk.limits.max_bytes)
        refusal = routing.check_sender(self._desk.directory(), self._who, mail.sender)
        if refusal is not None:
            raise Refusal(refusal)
        self._forget_transaction()
        self._mail, self._began = mail, self.loop.time()
        self.say(Reply(250, "2.1.0", "ok"))

    async def smtp_RCPT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.3."""
        if self._mail is None or self._incoming is not None:
            raise Refusal(reply.SEQUENCE)
        command = parameters.parse_rcpt(argument, esmtp=self._esmtp, smtputf8=self._mail.smtputf8)
        directory = self._desk.directory()
        routed = routing.route(directory, self._who, self._tenant, command.address, postmaster=self._desk.postmaster)
        if isinstance(routed, Reply):
            raise Refusal(routed)
        tenant = directory.tenant(routed.tenant)
        limit = tenant.limits.get("recipients", 0) if tenant else 0
        if len(self._recipients) >= (limit or self._desk.limits.max_recipients):
            raise Refusal(reply.TOO_MANY_RECIPIENTS)
        if not self._enter_tenant(routed.tenant):
            raise Refusal(Reply(451, "4.7.0", reply.TOO_MANY.text))
        self._tenant = routed.tenant
        self._recipients.append(Recipient(routed.address, routed.direction, command.notify, command.orcpt))
        self.say(Reply(250, "2.1.5", "ok"))

    async def smtp_DATA(self, argument: str) -> None:
        """RFC 5321 §4.1.1.4. Content that will be refused is read to its end all the same."""
        if argument:
            raise Refusal(reply.ARGUMENTS)
        if self._incoming is not None:
            raise Refusal(reply.SEQUENCE)
        incoming = self._begin_content()
        self.say(Reply(354, "", "end data with <CRLF>.<CRLF>"))
        decoder = DataDecoder()
        self._reading_content = True
        while not decoder.done:
            chunk = await self._content(CHUNK)
            data = decoder.feed(chunk)
            if data:
                await incoming.write(data)
        self._input.unread(decoder.rest)
        self._reading_content = False
        await self._finish_content(incoming)

    async def smtp_BDAT(self, argument: str) -> None:
        """RFC 3030 §2. The chunk is read whatever is wrong, or what follows would be taken for commands."""
        match = _BDAT.fullmatch(argument)
        if match is None:
            self._end(Reply(501, "5.5.4", "malformed BDAT, closing"))  # where the chunk ends is not known
            return
        size, last = int(match[1]), bool(match[2])
        if size > 2 * self._desk.limits.max_bytes:
            self._end(reply.TOO_LARGE)  # not worth reading to its end
            return
        incoming, refusal = self._incoming, None
        self._reading_content = True
        if incoming is None:
            try:
                incoming = self._begin_content()
            except Refusal as error:
                refusal = error
        left = size
        while left:
            chunk = await self._content(min(left, CHUNK))
            left -= len(chunk)
            if incoming is not None:
                await incoming.write(chunk)
        self._reading_content = False
        if refusal is not None or incoming is None:
            raise refusal or Refusal(reply.SEQUENCE)
        if last:
            await self._finish_content(incoming)
        elif incoming.refusal is not None:
            # The chunks that follow find no transaction (RFC 3030 §2: the sender must start again).
            answer = incoming.refusal
            await self._abandon_transaction()
            self.say(answer)
        else:
            self.say(Reply(250, "2.0.0", f"{size} octets received"))

    # The transaction's state.

    def _begin_content(self) -> Incoming:
        tenant = self._desk.directory().tenant(self._tenant) if self._tenant is not None else None
        if self._mail is None or not self._recipients:
            raise Refusal(reply.SEQUENCE)
        if tenant is None:
            raise Refusal(routing.SUSPENDED)  # it left the directory since RCPT
        self._content_bytes, self._content_seconds = 0, 0.0
        self._incoming = self._desk.receiver.begin(self._transaction(tenant, self._mail))
        return self._incoming

    def _transaction(self, tenant: Tenant, mail: MailCommand) -> Transaction:
        who = self._who
        peer = PeerFacts(
            self._peer_address,
            self._helo,
            self._tls,
            account=who.address if isinstance(who, Person) else "",
            connector=who.name if isinstance(who, Connector) else "",
        )
        origin: Literal["relay", "submission"] = "relay" if self._kind == "relay" else "submission"
        return Transaction(tenant, mail, tuple(self._recipients), peer, origin)

    async def _content(self, most: int) -> bytes:
        """Some content. Only the time spent waiting for the peer counts as its slowness."""
        began = self.loop.time()
        data = await self._input.chunk(most)
        self._content_bytes += len(data)
        self._content_seconds += self.loop.time() - began
        if too_slow(self._desk.limits, self._content_bytes, self._content_seconds):
            self._end(reply.SLOW)
            raise Closed
        if self._transaction_over(self.loop.time()):
            self._end(reply.IDLE)
            raise Closed
        return data

    async def _finish_content(self, incoming: Incoming) -> None:
        self._forget_transaction()
        answer = await incoming.finish()
        if answer.positive:
            self._junk = 0
        self.say(answer)

    def _transaction_over(self, now: float) -> bool:
        return self._mail is not None and now - self._began >= self._desk.limits.transaction

    def _forget_transaction(self) -> None:
        self._mail, self._recipients, self._tenant, self._incoming = None, [], None, None
        self._began, self._content_bytes, self._content_seconds = 0.0, 0, 0.0
        self._reading_content = False

    async def _abandon_transaction(self) -> None:
        """Forget the transaction and what came of its content."""
        incoming = self._incoming
        self._forget_transaction()
        if incoming is not None:
            await incoming.abort()
