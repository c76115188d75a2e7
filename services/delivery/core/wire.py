"""What leaves: our trace headers, then the mail byte for byte, or as rules changed it.

None of CR, LF or NUL outside CRLF ever goes out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from services.common.mailedit.headers import head_end as head_end
from services.common.newlines import is_clean as is_clean
from services.common.newlines import normalise as normalise

_HELO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[A-Fa-f0-9.:IPVv]{2,50}\]")


@dataclass(frozen=True, slots=True)
class Received:
    """How a mail came in: what our `Received` line says. `peer` is empty for mail of our own."""

    mail_id: str
    at: datetime
    helo: str = ""
    peer: str = ""
    tls: bool = False
    authenticated: bool = False
    smtputf8: bool = False


def trace_headers(received: Received, *, hostname: str, recipient: str | None) -> bytes:
    """Our header lines, to be put before the mail (RFC 5321 4.4).

    `recipient` is named only when the transaction has this one: a list would show a blind copy to the others.
    """
    when = format_datetime(received.at.astimezone(UTC).replace(microsecond=0))
    if received.peer:
        helo = received.helo if _HELO.fullmatch(received.helo) else "unknown"
        peer = f"[IPv6:{received.peer}]" if ":" in received.peer else f"[{received.peer}]"
        lines = [f"Received: from {helo} ({peer})", f"\tby {hostname} (Letterlock) with {_with(received)}"]
    else:
        lines = [f"Received: by {hostname} (Letterlock)"]
    lines.append(f"\tid {received.mail_id}")
    if recipient is not None and recipient.isascii() and recipient.isprintable() and len(recipient) <= 320:
        lines.append(f"\tfor <{recipient}>")
    lines[-1] += ";"
    lines += [f"\t{when}", f"X-Letterlock-Mail-Id: {received.mail_id}"]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _with(received: Received) -> str:
    """The protocol keyword of RFC 3848 and RFC 6531 4.3."""
    base = "UTF8SMTP" if received.smtputf8 else "ESMTP"
    return base + ("S" if received.tls else "") + ("A" if received.authenticated else "")


def dot_stuff(content: bytes) -> bytes:
    """Clean content as DATA sends it, without the final dot: leading dots doubled, CRLF at the end (RFC 5321 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed if stuffed.endswith(b"\r\n") or not stuffed else stuffed + b"\r\n"


def needs_smtputf8(content: bytes, addresses: Sequence[str], *, declared: bool) -> bool:
    """Whether only SMTPUTF8 can carry it: an address, or a header of a mail that came so, is not ASCII (RFC 6531)."""
    if not all(a.isascii() for a in addresses):
        return True
    return declared and not content[: head_end(content)].isascii()


def xtext(text: str) -> str:
    """Text as an ESMTP parameter value (RFC 3461 4)."""
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)
