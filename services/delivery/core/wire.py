"""What leaves: our trace headers, then the mail byte for byte, or with the smallest edit a rule asks for.

None of CR, LF or NUL outside CRLF ever goes out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from services.common.newlines import is_clean as is_clean
from services.common.newlines import normalise as normalise

_HELO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[A-Fa-f0-9.:IPVv]{2,50}\]")
_SUBJECT = re.compile(rb"(?mi)^subject[ \t]*:[ \t]?")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")


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


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the content at one place, kept beside the mail with its reason (the rule)."""

    kind: str
    rule: str
    offset: int
    inserted: bytes


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


def head_end(content: bytes) -> int:
    """Where the header section of clean content ends: after the CRLF of its last field."""
    if content.startswith(b"\r\n"):
        return 0
    end = content.find(b"\r\n\r\n")
    return len(content) if end < 0 else end + 2


def add_header(content: bytes, name: str, value: str, *, rule: str) -> tuple[bytes, Edit] | None:
    """Put a field before the mail; None for a name that is no field name (RFC 5322 2.2)."""
    if not _FIELD_NAME.fullmatch(name):
        return None
    inserted = f"{name}: ".encode("ascii") + _unstructured(value) + b"\r\n"
    return inserted + content, Edit("header", rule, 0, inserted)


def prefix_subject(content: bytes, prefix: str, *, rule: str) -> tuple[bytes, Edit] | None:
    """Put a text before the subject, or add a subject; None when it is there already.

    Only the prefix is inserted, encoded for itself (RFC 2047), so the rest of the line stays as it was.
    """
    head = content[: head_end(content)]
    match = _SUBJECT.search(head)
    word = _unstructured(prefix.strip()) + b" "
    if match is None:
        inserted = b"Subject: " + word.rstrip() + b"\r\n"
        return inserted + content, Edit("subject_prefix", rule, 0, inserted)
    at = match.end()
    if head[at : at + len(word)] == word:
        return None
    if not match[0].endswith((b" ", b"\t")):
        word = b" " + word
    return content[:at] + word + content[at:], Edit("subject_prefix", rule, at, word)


def _unstructured(text: str) -> bytes:
    """One-line header text; encoded words of at most 75 characters, folded, when it is not plain ASCII."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()
    if text.isascii() and len(text) <= 900 and "=?" not in text:
        return text.encode("ascii")
    words, chunk = [], b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > 42:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return b"\r\n ".join(b"=?utf-8?b?" + base64.b64encode(w) + b"?=" for w in words)


def needs_smtputf8(content: bytes, addresses: Sequence[str], *, declared: bool) -> bool:
    """Whether only SMTPUTF8 can carry it: an address, or a header of a mail that came so, is not ASCII (RFC 6531)."""
    if not all(a.isascii() for a in addresses):
        return True
    return declared and not content[: head_end(content)].isascii()


def xtext(text: str) -> str:
    """Text as an ESMTP parameter value (RFC 3461 4)."""
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)
