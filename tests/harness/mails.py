"""Real mails of many shapes, made by code so that their bytes are known."""

from __future__ import annotations

import base64
import random
from email.header import Header

CRLF = "\r\n"


def _headers(sender: str, to: str, subject: str, *more: str) -> str:
    return CRLF.join(
        [f"From: <{sender}>", f"To: {to}", f"Subject: {subject}", "Date: Tue, 24 Nov 2026 09:00:00 +0800",
         f"Message-ID: <{random.getrandbits(64):x}@test.example>", "MIME-Version: 1.0", *more]
    ) + CRLF + CRLF  # fmt: skip


def plain(sender: str, to: str, subject: str, text: str) -> bytes:
    """A text mail in UTF-8."""
    shown = Header(subject, "utf-8").encode() if not subject.isascii() else subject
    head = _headers(sender, to, shown, "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
    return (head + text.replace("\n", CRLF) + CRLF).encode()


def html(sender: str, to: str, subject: str, body: str) -> bytes:
    """An HTML mail with a plain alternative."""
    head = _headers(sender, to, subject, 'Content-Type: multipart/alternative; boundary="alt"')
    parts = ("text/plain", body), ("text/html", f"<html><body><p>{body}</p></body></html>")
    text = "".join(f"--alt{CRLF}Content-Type: {kind}; charset=utf-8{CRLF}{CRLF}{part}{CRLF}" for kind, part in parts)
    return (head + text + f"--alt--{CRLF}").encode()


def big5(sender: str, to: str, subject: str, text: str) -> bytes:
    """A text mail in Big5, subject and body."""
    head = _headers(
        sender, to, Header(subject, "big5").encode(), "Content-Type: text/plain; charset=big5", "Content-Transfer-Encoding: base64",
    )  # fmt: skip
    return head.encode("ascii") + base64.encodebytes(text.encode("big5")).replace(b"\n", b"\r\n")


def with_attachment(sender: str, to: str, subject: str, text: str, name: str, content: bytes) -> bytes:
    """A mail with one attachment."""
    head = _headers(sender, to, Header(subject, "utf-8").encode(), 'Content-Type: multipart/mixed; boundary="mix"')
    body = (
        f"--mix{CRLF}Content-Type: text/plain; charset=utf-8{CRLF}{CRLF}{text}{CRLF}--mix{CRLF}"
        f'Content-Type: application/octet-stream; name="{name}"{CRLF}Content-Transfer-Encoding: base64{CRLF}'
        f'Content-Disposition: attachment; filename="{name}"{CRLF}{CRLF}'
    )
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n").decode()
    return (head + body + encoded + f"--mix--{CRLF}").encode()


def sized(sender: str, to: str, nonce: str, size: int) -> bytes:
    """A text mail of about `size` bytes with a nonce in its body; reproducible from the nonce."""
    source = random.Random(nonce)
    words = ["mail", "report", "quarter", "budget", "信件", "會議", "schedule", "invoice", "review", "design"]
    lines = [nonce]
    length = len(nonce)
    while length < size:
        line = " ".join(source.choice(words) for _ in range(10))
        lines.append(line)
        length += len(line.encode()) + 2
    return plain(sender, to, f"mail {nonce}", "\n".join(lines))
