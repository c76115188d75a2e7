"""SMTP word by word, as a test means it: what is said, and each reply as it came."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_WITHIN = 30.0


def trusting(certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client's TLS that believes anybody; with a certificate and key of its own if given."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


class Dialogue:
    """One connection. Replies are text without the last CRLF; lines of one reply are joined by newlines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.greeting = ""

    async def reply(self) -> str:
        """The next reply; `""` when the peer has closed."""
        lines: list[str] = []
        while True:
            line = (await asyncio.wait_for(self._reader.readline(), _WITHIN)).decode()
            lines.append(line.removesuffix("\n").removesuffix("\r"))
            if line[3:4] != "-":
                return "\n".join(lines)

    async def send(self, data: bytes) -> None:
        """Say bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def ask(self, line: str | bytes) -> str:
        """Say a line, return its reply."""
        await self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    async def pipelined(self, lines: Sequence[str]) -> list[str]:
        """Say many lines at once, return a reply for each."""
        await self.send("".join(f"{line}\r\n" for line in lines).encode())
        return [await self.reply() for _ in lines]

    async def starttls(self, context: ssl.SSLContext) -> str:
        """STARTTLS and the EHLO after it; returns EHLO's reply."""
        answer = await self.ask("STARTTLS")
        if not answer.startswith("220"):
            raise AssertionError(answer)
        await self._writer.start_tls(context)
        return await self.ask("EHLO client.test")

    async def login(self, name: str, password: str) -> str:
        """AUTH PLAIN."""
        return await self.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()))

    async def content(self, data: bytes) -> str:
        """DATA with `data` as it is, and the end after it; returns the last reply."""
        answer = await self.ask("DATA")
        if not answer.startswith("354"):
            return answer
        end = b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n"
        await self.send(data + end)
        return await self.reply()

    async def mail(self, sender: str, recipients: Sequence[str], data: bytes, parameters: str = "") -> str:
        """A transaction; returns the first reply that is not good, else the last."""
        commands = [f"MAIL FROM:<{sender}>{parameters and ' ' + parameters}", *(f"RCPT TO:<{r}>" for r in recipients)]
        for command in commands:
            answer = await self.ask(command)
            if not answer.startswith("250"):
                await self.ask("RSET")
                return answer
        return await self.content(data)


@asynccontextmanager
async def dialogue(
    where: tuple[str, int], source: str = "127.0.0.9", *, tls: ssl.SSLContext | None = None, ehlo: bool = True
) -> AsyncIterator[Dialogue]:
    """A connection that was greeted and, by default, said EHLO. `tls`: encrypted from its first byte."""
    reader, writer = await asyncio.open_connection(*where, local_addr=(source, 0), ssl=tls)
    found = Dialogue(reader, writer)
    try:
        found.greeting = await found.reply()
        if ehlo:
            await found.ask("EHLO client.test")
        yield found
    finally:
        writer.close()
