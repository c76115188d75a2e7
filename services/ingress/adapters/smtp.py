"""The commands of an SMTP session but those of a transaction: greeting, STARTTLS, AUTH, small talk."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, ClassVar

from services.common.directory import Connector
from services.ingress.adapters import auth
from services.ingress.adapters.connection import AUTH_LINE
from services.ingress.adapters.desk import HANDSHAKE, peer_key
from services.ingress.adapters.transactions import Transactions
from services.ingress.adapters.wire import Closed, LineTooLong
from services.ingress.core import address, reply
from services.ingress.core.reply import Refusal, Reply


class SmtpSession(Transactions):
    """One connection with every command."""

    COMMANDS: ClassVar[dict[str, str]] = {
        name: f"smtp_{name}"
        for name in (
            "HELO", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT",
            "RSET", "NOOP", "VRFY", "EXPN", "HELP", "QUIT",
        )
    }  # fmt: skip

    # Greeting.

    async def smtp_HELO(self, argument: str) -> None:
        """RFC 5321 §4.1.1.1."""
        await self._greet(argument, esmtp=False)
        self.say(Reply(250, "", self.hostname))

    async def smtp_EHLO(self, argument: str) -> None:
        """RFC 5321 §4.1.1.1, with what is offered here and now."""
        await self._greet(argument, esmtp=True)
        limits = self._desk.limits
        lines = [
            self.hostname,
            f"SIZE {limits.max_bytes}",
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "DSN",
            f"LIMITS RCPTMAX={limits.max_recipients}",
        ]
        if not self._tls:
            lines.append("STARTTLS")
        elif not self._authenticated:
            lines.append("AUTH PLAIN LOGIN")
        for line in lines[:-1]:
            await self.push(f"250-{line}")
        await self.push(f"250 {lines[-1]}")

    async def _greet(self, argument: str, *, esmtp: bool) -> None:
        self._junk += 1
        if not address.valid_helo(argument):
            raise Refusal(reply.ARGUMENTS)
        await self._abandon_transaction()
        self._helo, self._esmtp = argument, esmtp

    # TLS.

    async def smtp_STARTTLS(self, argument: str) -> None:
        """RFC 3207: nothing that was said in the clear is remembered."""
        if argument:
            raise Refusal(reply.ARGUMENTS)
        if self._tls:
            raise Refusal(reply.SEQUENCE)
        if self._mail is not None:
            raise Refusal(reply.SEQUENCE)
        self.transport.pause_reading()
        self._input.clear()
        self.say(Reply(220, "2.0.0", "ready to start TLS"))
        await self._flush()
        self._input.clear()
        try:
            await self._writer.start_tls(self._desk.tls, ssl_handshake_timeout=min(self._desk.limits.idle, HANDSHAKE))
        except (OSError, RuntimeError, EOFError) as error:
            raise Closed from error
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # type: ignore[attr-defined]
        self._helo, self._esmtp, self._authenticated = "", False, False
        self._read_tls()
        self._who = self._by_network()
        if self._who is not None and not self._enter_tenant(self._who.tenant):
            self._end(reply.TOO_MANY)

    def _read_tls(self) -> None:
        channel = self.transport.get_extra_info("ssl_object")
        if channel is None:
            raise Closed
        cipher = channel.cipher()
        self._tls = f"{channel.version()} {cipher[0]}" if cipher else str(channel.version())
        # Only a certificate that the configured CA vouches for gets here.
        self._tls_names = _names(channel.getpeercert() or {})

    def _by_network(self) -> Connector | None:
        if self._kind != "relay":
            return None
        return self._desk.directory().connector_for(self._peer_address, self._tls_names)

    # AUTH.

    async def smtp_AUTH(self, argument: str) -> None:
        """RFC 4954, PLAIN and LOGIN, over TLS only."""
        self._junk += 1
        if not self._tls:
            raise Refusal(Reply(538, "5.7.11", "encryption required for authentication"))
        if not self._esmtp or self._authenticated or self._mail is not None:
            raise Refusal(reply.SEQUENCE)
        mechanism, _, initial = argument.partition(" ")
        match mechanism.upper():
            case "PLAIN":
                login, password = auth.plain(await self._answer(b"", initial))
            case "LOGIN":
                login = auth.text(await self._answer(b"Username:", initial))
                password = auth.text(await self._answer(b"Password:", ""))
            case _:
                raise Refusal(Reply(504, "5.5.4", "unrecognised authentication mechanism"))
        who = await self._desk.authenticator.check(peer_key(self._peer_address), login, password)
        if not self._enter_tenant(who.tenant):
            self._end(reply.TOO_MANY)
            return
        self._who, self._authenticated = who, True
        self.say(Reply(235, "2.7.0", "authentication successful"))

    async def _answer(self, challenge: bytes, initial: str) -> bytes:
        if initial:
            return b"" if initial == "=" else auth.decode(initial.encode())
        await self.push(b"334 " + b64encode(challenge))
        try:
            line = await self._input.line(AUTH_LINE)
        except LineTooLong as error:
            raise Refusal(reply.LINE_TOO_LONG) from error
        return auth.decode(line.rstrip(b"\r\n"))

    # Small talk.

    async def smtp_NOOP(self, argument: str) -> None:
        """RFC 5321 §4.1.1.9."""
        self._junk += 1
        self.say(reply.OK)

    async def smtp_RSET(self, argument: str) -> None:
        """RFC 5321 §4.1.1.5."""
        self._junk += 1
        if argument:
            raise Refusal(reply.ARGUMENTS)
        await self._abandon_transaction()
        self.say(reply.OK)

    async def smtp_VRFY(self, argument: str) -> None:
        """RFC 5321 §3.5.3: who exists here is not told."""
        self._junk += 1
        self.say(Reply(252, "2.5.2", "cannot verify, but will take mail and try"))

    async def smtp_EXPN(self, argument: str) -> None:
        """RFC 5321 §3.5.2: not offered."""
        self._junk += 1
        raise Refusal(Reply(502, "5.5.1", "not offered"))

    async def smtp_HELP(self, argument: str) -> None:
        """RFC 5321 §4.1.1.8."""
        self._junk += 1
        self.say(Reply(214, "2.0.0", "see RFC 5321"))

    async def smtp_QUIT(self, argument: str) -> None:
        """RFC 5321 §4.1.1.10."""
        if argument:
            raise Refusal(reply.ARGUMENTS)
        self._end(Reply(221, "2.0.0", "bye"))


def _names(certificate: Any) -> tuple[str, ...]:
    """The DNS names a verified client certificate is for."""
    alternatives = certificate.get("subjectAltName", ())
    return tuple(value for kind, value in alternatives if kind == "DNS")
