"""A small sending client: one transaction, every reply kept."""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sent:
    """What the server said of one transaction."""

    code: int
    text: str
    refused: dict[str, tuple[int, str]]

    @property
    def mail_id(self) -> str:
        """The id in a `250 2.0.0 <mail id> accepted`, or empty."""
        match = re.search(r"\b([0-9A-HJKMNP-TV-Z]{26}) accepted", self.text)
        return match[1] if match and self.code == 250 else ""


def send(
    host: str, port: int, sender: str, recipients: Sequence[str], content: bytes, *,
    source: str = "127.0.0.9", login: tuple[str, str] | None = None, timeout: float = 30,
) -> Sent:  # fmt: skip
    """Send one mail from a source address; raises `OSError` or `smtplib.SMTPException` when the connection breaks."""
    with smtplib.SMTP(host, port, local_hostname="client.test", timeout=timeout, source_address=(source, 0)) as client:
        if login:
            import ssl

            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            client.login(*login)
        client.ehlo_or_helo_if_needed()
        code, text = client.mail(sender, ["BODY=8BITMIME"])
        refused: dict[str, tuple[int, str]] = {}
        if code == 250:
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                if code >= 300:
                    refused[recipient] = (code, text.decode(errors="replace"))
            if len(refused) < len(recipients):
                code, text = client.data(content)
        return Sent(code, text.decode(errors="replace"), refused)


async def send_async(*arguments: object, **options: object) -> Sent:
    """`send` in a thread."""
    return await asyncio.to_thread(send, *arguments, **options)  # type: ignore[arg-type]
