"""Next hops on real sockets: aiosmtpd for what is well, a script for what is not, and a DNS zone."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dnslib import RR
from dnslib.server import BaseResolver, DNSLogger, DNSServer

type Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Taken:
    """A mail that a sink took."""

    sender: str
    recipients: list[str]
    content: bytes
    mail_options: list[str]
    tls: bool


@dataclass
class Sink:
    """An aiosmtpd handler; `replies` maps a recipient to what it hears at RCPT, `final` is the answer to the dot."""

    replies: dict[str, str] = field(default_factory=dict)
    mail_reply: str = ""
    final: str = "250 2.0.0 taken"
    taken: list[Taken] = field(default_factory=list)
    rcpt_options: dict[str, list[str]] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.sessions.add(id(session))
        if self.mail_reply:
            return self.mail_reply
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.rcpt_options[address] = options
        reply = self.replies.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.final.startswith("250"):
            self.taken.append(
                Taken(
                    envelope.mail_from,
                    list(envelope.rcpt_tos),
                    envelope.original_content,
                    list(envelope.mail_options),
                    session.ssl is not None,
                )
            )
        return self.final


class _Pipelining(SMTP):
    """aiosmtpd reads line by line, so it keeps up with pipelining; it only does not say so."""

    offered: tuple[str, ...] = ()

    async def ehlo_hook(self) -> None:
        for line in self.offered:
            await self.push(f"250-{line}")


@contextlib.asynccontextmanager
async def sink(
    handler: Sink | None = None, *, offered: tuple[str, ...] = ("PIPELINING",), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Sink]:
    """A next hop that takes mail."""
    handler = handler or Sink()

    def factory() -> SMTP:
        server = _Pipelining(handler, enable_SMTPUTF8="SMTPUTF8" in offered, tls_context=tls, data_size_limit=10**6)
        server.offered = tuple(o for o in offered if o != "SMTPUTF8")
        return server

    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()


@contextlib.asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """A next hop that does exactly what `script` does; yields its `host:port`."""
    tasks: set[asyncio.Task[Any]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def say(writer: asyncio.StreamWriter, *lines: str) -> None:
    """Write reply lines."""
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *offered: str) -> None:
    """Greeting and EHLO."""
    await say(writer, "220 sink")
    await reader.readuntil(b"\r\n")
    lines = ["sink", *offered]
    await say(writer, *(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")


def certificate(folder: Path, name: str = "sink.example") -> ssl.SSLContext:
    """A server context with a certificate that nobody trusts; it lies in `folder`/cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class _Zone(BaseResolver):  # type: ignore[misc]
    def __init__(self, text: str, broken: frozenset[str]) -> None:
        self._records = RR.fromZone(text)
        self._broken = broken

    def resolve(self, request: Any, handler: Any) -> Any:
        reply = request.reply()
        name = str(request.q.qname).lower().rstrip(".")
        if name in self._broken:
            reply.header.rcode = 2
            return reply
        mine = [r for r in self._records if str(r.rname).lower().rstrip(".") == name]
        for record in mine:
            if record.rtype == request.q.qtype:
                reply.add_answer(record)
        if not mine:
            reply.header.rcode = 3
        return reply


@contextlib.contextmanager
def zone(text: str, *, broken: tuple[str, ...] = ()) -> Any:
    """A DNS server with these records, SERVFAIL for `broken` and NXDOMAIN for the rest; yields its `host:port`."""
    server = DNSServer(
        _Zone(text, frozenset(broken)), port=0, address="127.0.0.1", logger=DNSLogger(log="-request,-reply,-error")
    )
    server.start_thread()
    try:
        yield f"127.0.0.1:{server.server.server_address[1]}"
    finally:
        server.server.shutdown()
        server.server.server_close()
