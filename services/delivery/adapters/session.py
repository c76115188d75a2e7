"""One SMTP connection: aiosmtplib connects and negotiates, then we speak the transaction ourselves, pipelined.

aiosmtplib waits for each reply and rewrites the body; a relay must do neither.
It has shaken hands when we take the connection's transport over.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal, cast

import aiosmtplib

from services.delivery.core import wire
from services.delivery.core.replies import Reply, Result, classify, classify_recipient, deferred, failed
from services.delivery.core.routes import Host
from services.delivery.ports import Outgoing, Recipient

_LINE = 4096
_LINES = 200
_ADDRESS = re.compile(r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"|[^\x00-\x20\x7f<>"]+)@[^\x00-\x20\x7f<>"@]+')
"""What may stand between `<` and `>`: a quoted local part may hold spaces and angle brackets (RFC 5321 4.1.2)."""
_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits, seconds: for connection and TLS, for a reply, for the reply to the final dot."""

    connect: float
    command: float
    data: float


class ConnectFailed(Exception):
    """No session: nobody answered, or not with a welcome. `tls`: it failed on the way to TLS; `result` says it."""

    def __init__(self, result: Result, *, tls: bool = False) -> None:
        super().__init__(result.detail)
        self.result, self.tls = result, tls


class Disconnected(Exception):
    """The connection ended or fell silent. `begun`: the mail's content was on its way, so it may have arrived."""

    def __init__(self, why: str, *, begun: bool = False) -> None:
        super().__init__(why)
        self.begun = begun


class Session:
    """A connection that is ready for a transaction. Its owner closes it."""

    def __init__(
        self,
        transport: asyncio.Transport,
        extensions: dict[str, str],
        *,
        remote: str,
        timeouts: Timeouts,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(limit=_LINE, loop=loop)
        protocol = asyncio.StreamReaderProtocol(self._reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._transport = transport
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)
        self._extensions, self._timeouts = extensions, timeouts
        self.remote = remote
        self.mails = 0
        self.broken = False

    @property
    def usable(self) -> bool:
        """Whether the connection still stands, as far as one can know without asking."""
        return not self.broken and not self._transport.is_closing() and not self._reader.at_eof()

    def offers(self, extension: str) -> bool:
        """Whether the host announced an extension in its last EHLO."""
        return extension.lower() in self._extensions

    async def send(self, mail: Outgoing) -> list[Result]:
        """One transaction; a result for each recipient, in order. Raises `Disconnected`."""
        if not wire.is_clean(mail.content):
            unclean = failed("not_sendable", "5.6.0", "the mail cannot be expressed in SMTP", remote=self.remote)
            return [unclean] * len(mail.recipients)
        refusals = [self._refusal(mail, r) for r in mail.recipients]
        kept = [r for r, refusal in zip(mail.recipients, refusals, strict=True) if refusal is None]
        if not kept:
            return [r for r in refusals if r is not None]
        self.mails += 1
        try:
            answers = iter(await self._transaction(replace(mail, recipients=kept)))
        except BaseException:
            self.broken = True
            raise
        return [refusal or next(answers) for refusal in refusals]

    def _refusal(self, mail: Outgoing, recipient: Recipient) -> Result | None:
        """Why this host cannot take the mail for a recipient at all, found before asking it."""
        addresses = [a for a in (mail.sender, recipient.address) if a]
        if not all(_ADDRESS.fullmatch(a) for a in addresses):
            return failed("not_sendable", "5.1.3", "the address cannot be expressed in SMTP", remote=self.remote)
        if not self.offers("smtputf8") and wire.needs_smtputf8(mail.content, addresses, declared=mail.smtputf8):
            return failed(
                "smtputf8_unsupported", "5.6.7", "the next hop does not take non-ASCII addresses", remote=self.remote
            )
        limit = self._extensions.get("size", "").strip()
        if limit.isdigit() and 0 < int(limit) < len(mail.content):
            return failed("too_large", "5.3.4", f"the next hop takes at most {limit} bytes", remote=self.remote)
        return None

    async def _transaction(self, mail: Outgoing) -> list[Result]:
        commands = [self._mail(mail), *(self._rcpt(r) for r in mail.recipients)]
        data: Reply | None
        if self.offers("pipelining"):
            *replies, data = await self._pipelined([*commands, b"DATA\r\n"])
        else:
            replies, data = await self._in_turn(commands)
        results = self._refused(replies, mail)
        accepted = [i for i, r in enumerate(results) if r is None]
        if data is None or not accepted or data.code != 354:
            final = await self._without_content(data, accepted)
        else:
            final = await self._content(mail.content)
        passed_on = self.offers("dsn")
        said = classify(final, remote=self.remote, dsn_passed_on=passed_on) if final is not None else None
        if said is not None and said.fate == "delivered" and not accepted:
            said = None
        if final is not None and final.code == 421:
            self.broken = True
        unclear = deferred("protocol_error", "4.5.0", "the next hop did not follow SMTP", remote=self.remote)
        return [r if r is not None else said or unclear for r in results]

    def _refused(self, replies: Sequence[Reply], mail: Outgoing) -> list[Result | None]:
        """The result of each recipient that MAIL or RCPT decided; None for those that wait for DATA."""
        first, *rest = replies
        if first.code // 100 != 2:
            self.broken = self.broken or first.code == 421
            said = classify(first, remote=self.remote)
            return [said] * len(mail.recipients)
        results: list[Result | None] = []
        accepted = 0
        for reply in rest:
            if reply.code // 100 == 2:
                accepted += 1
                results.append(None)
            else:
                self.broken = self.broken or reply.code == 421
                results.append(classify_recipient(reply, remote=self.remote, accepted_before=accepted))
        return results

    async def _pipelined(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send all at once and read a reply for each (RFC 2920)."""
        self._writer.write(b"".join(commands))
        return [await self._reply() for _ in commands]

    async def _in_turn(self, commands: Sequence[bytes]) -> tuple[list[Reply], Reply | None]:
        """Send one after the other, DATA only when a recipient was taken."""
        replies: list[Reply] = []
        for command in commands:
            if replies and replies[0].code // 100 != 2:
                break
            self._writer.write(command)
            replies.append(await self._reply())
        if not any(r.code // 100 == 2 for r in replies[1:]):
            if replies[0].code // 100 == 2:
                self._writer.write(b"RSET\r\n")
                await self._reply()
            return replies, None
        self._writer.write(b"DATA\r\n")
        return replies, await self._reply()

    async def _without_content(self, data: Reply | None, accepted: Sequence[int]) -> Reply | None:
        """End a transaction that carries nothing; the reply that its accepted recipients get, if any."""
        if data is None or self.broken or data.code == 421:
            return data if accepted else None
        # RFC 2920 3.1: a 354 without recipients is ended by an empty mail, whose refusal we expect.
        self._writer.write(b".\r\n" if data.code == 354 else b"RSET\r\n")
        try:
            await self._reply()
        except Disconnected:
            self.broken = True
        return data if accepted else None

    async def _content(self, content: bytes) -> Reply:
        stuffed = memoryview(wire.dot_stuff(content))
        try:
            for start in range(0, len(stuffed), _BLOCK):
                self._writer.write(stuffed[start : start + _BLOCK])
                async with asyncio.timeout(self._timeouts.command):
                    await self._writer.drain()
            self._writer.write(b".\r\n")
            return await self._reply(self._timeouts.data)
        except (OSError, TimeoutError) as error:
            raise Disconnected(type(error).__name__, begun=True) from error
        except Disconnected as error:
            raise Disconnected(str(error), begun=True) from error

    def _mail(self, mail: Outgoing) -> bytes:
        parameters = []
        if self.offers("size"):
            parameters.append(f"SIZE={len(mail.content)}")
        if self.offers("8bitmime") and not mail.content.isascii():
            parameters.append("BODY=8BITMIME")
        addresses = [mail.sender, *(r.address for r in mail.recipients)]
        if wire.needs_smtputf8(mail.content, addresses, declared=mail.smtputf8):
            parameters.append("SMTPUTF8")
        if self.offers("dsn"):
            if mail.ret:
                parameters.append(f"RET={mail.ret}")
            if mail.envid:
                parameters.append(f"ENVID={mail.envid}")
        return " ".join([f"MAIL FROM:<{mail.sender}>", *_clean(parameters)]).encode("utf-8") + b"\r\n"

    def _rcpt(self, recipient: Recipient) -> bytes:
        parameters = []
        if self.offers("dsn"):
            if recipient.notify:
                parameters.append("NOTIFY=" + ",".join(recipient.notify))
            if recipient.orcpt and (recipient.orcpt.isascii() or self.offers("smtputf8")):
                parameters.append(f"ORCPT={recipient.orcpt}")
        return " ".join([f"RCPT TO:<{recipient.address}>", *_clean(parameters)]).encode("utf-8") + b"\r\n"

    async def _reply(self, timeout: float | None = None) -> Reply:
        """Read one reply. Raises `Disconnected` for silence, the end, and what is no reply."""
        lines: list[str] = []
        try:
            async with asyncio.timeout(timeout or self._timeouts.command):
                while len(lines) < _LINES:
                    line = await self._reader.readuntil(b"\n")
                    code, mark = line[:3], line[3:4]
                    if not code.isdigit() or len(code) != 3 or mark not in (b" ", b"-", b"\r", b"\n"):
                        raise Disconnected("no SMTP reply")
                    lines.append(line[4:].decode("utf-8", "replace").strip())
                    if mark != b"-":
                        return Reply(int(code), "\n".join(lines))
        except TimeoutError as error:
            raise Disconnected("no reply in time") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise Disconnected("connection ended") from error
        raise Disconnected("reply without end")

    async def close(self, *, polite: bool = True) -> None:
        """Say QUIT when nothing is in the way, and close."""
        try:
            if polite and self.usable:
                self._writer.write(b"QUIT\r\n")
                await self._reply(1.0)
        except Disconnected:
            pass
        finally:
            self.broken = True
            self._transport.close()


def _clean(parameters: Sequence[str]) -> list[str]:
    """Parameters without those that could end the command early."""
    return [p for p in parameters if not re.search(r"[\x00-\x20\x7f]", p)]


async def connect(
    host: Host,
    *,
    helo: str,
    tls: Literal["none", "opportunistic", "required"],
    context: ssl.SSLContext | None,
    timeouts: Timeouts,
) -> Session:
    """A session with `host`, by TLS as asked; raises `ConnectFailed`."""
    remote = f"[{host.address}]:{host.port}" if ":" in host.address else f"{host.address}:{host.port}"
    client = aiosmtplib.SMTP(
        hostname=host.address, port=host.port, local_hostname=helo, start_tls=False, timeout=timeouts.command
    )
    try:
        async with _translated(remote, tls=False):
            await client.connect(timeout=timeouts.connect)
            await _hello(client)
        if tls != "none":
            if client.supports_extension("starttls"):
                async with _translated(remote, tls=True):
                    await client.starttls(tls_context=context, server_hostname=host.name, timeout=timeouts.connect)
                    await _hello(client)
            elif tls == "required":
                raise ConnectFailed(
                    deferred(
                        "tls_unavailable", "4.7.10", "the next hop offers no TLS, which is required", remote=remote
                    )
                )
        transport, extensions = client.transport, dict(client.esmtp_extensions)
        if transport is None or transport.is_closing():
            raise ConnectFailed(deferred("connect_failed", "4.4.2", "connection ended", remote=remote))
        return Session(cast(asyncio.Transport, transport), extensions, remote=remote, timeouts=timeouts)
    except BaseException:
        client.close()
        raise


async def _hello(client: aiosmtplib.SMTP) -> None:
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code // 100 != 5:
            raise
        await client.helo()


@asynccontextmanager
async def _translated(remote: str, *, tls: bool) -> AsyncIterator[None]:
    """Turn the library's failures into `ConnectFailed`. A 5xx here is the host's, not the mail's: it is tried again."""
    try:
        yield
    except aiosmtplib.SMTPResponseException as error:
        reply = Reply(error.code, error.message)
        code = "tls_failed" if tls else "connect_refused"
        raise ConnectFailed(deferred(code, "4.3.2", reply.detail, remote=remote), tls=tls) from error
    except (aiosmtplib.SMTPException, ssl.SSLError, OSError, TimeoutError, ValueError) as error:
        code, status = ("tls_failed", "4.7.5") if tls else ("connect_failed", "4.4.1")
        raise ConnectFailed(deferred(code, status, type(error).__name__, remote=remote), tls=tls) from error
