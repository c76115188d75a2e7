"""A receiving mail system in this process: keeps every mail byte for byte, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    at: float = field(default_factory=time.monotonic)
    """When it arrived, `time.monotonic()`."""

    @property
    def mail_id(self) -> str:
        """The id in our trace header, or empty."""
        match = re.search(rb"\bid ([0-9A-HJKMNP-TV-Z]{26})\b", self.content[:4096])
        return match[1].decode() if match else ""

    @property
    def original(self) -> bytes:
        """What stands after the trace headers that Letterlock prepended."""
        rest = self.content
        while match := _TRACE.match(rest):
            rest = rest[match.end() :]
        return rest


_TRACE = re.compile(
    rb"(?:Received|X-Letterlock-[A-Za-z-]+|Authentication-Results):[^\n]*\r\n(?:[ \t][^\n]*\r\n)*", re.I
)


@dataclass
class Sink:
    """A next hop. `refuse` maps an address to the reply its RCPT gets; `listener`: who has connected there is served."""

    host: str = "127.0.0.1"
    port: int = 0
    mails: list[Received] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    listener: socket.socket | None = None
    _server: asyncio.Server | None = None

    async def start(self) -> Sink:
        """Listen; a port of 0 is replaced by the one taken."""
        loop = asyncio.get_running_loop()
        sink = self

        class Handler:
            async def handle_RCPT(
                self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
            ) -> str:
                reply = sink.refuse.get(address.lower())
                if reply:
                    return reply
                envelope.rcpt_tos.append(address)
                return "250 2.1.5 OK"

            async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
                sender = "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)
                content = envelope.original_content or b""
                sink.mails.append(Received(sender, tuple(envelope.rcpt_tos), bytes(content)))
                return "250 2.0.0 OK"

        class Protocol(SMTP):
            line_length_limit = 2**20

        def factory() -> SMTP:
            return Protocol(Handler(), hostname="sink.test", data_size_limit=2**27, enable_SMTPUTF8=True, loop=loop)

        if self.listener is not None:
            self._server = await loop.create_server(factory, sock=self.listener)
        else:
            self._server = await loop.create_server(factory, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server.close_clients()
            self._server = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def copies(self) -> Counter[tuple[str, str]]:
        """How often each (mail id, recipient) arrived."""
        return Counter((m.mail_id, r) for m in self.mails for r in m.recipients)
