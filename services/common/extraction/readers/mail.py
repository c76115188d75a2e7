"""A mail as an attachment (RFC 5322, RFC 2045): its headers as text, its parts as members."""

from __future__ import annotations

import email
import email.header
import email.message
import email.policy
import re

from services.common.extraction.walk import Reading

_MAX_HEADER = 20_000
_MAX_PARTS = 1000
_MAX_BOUNDARIES = 2000


def read_mail(content: bytes, reading: Reading) -> None:
    """All of it, attached mails within it as members of their own."""
    reading.text("")
    if len(re.findall(rb"(?im)^content-type:\s*multipart/", content)) > _MAX_BOUNDARIES:
        reading.trouble("too_large")
    mail = email.message_from_bytes(content, policy=email.policy.compat32)
    _part(mail, reading, [0], top=True)


def _part(part: email.message.Message, reading: Reading, count: list[int], *, top: bool) -> None:
    count[0] += 1
    if count[0] > _MAX_PARTS:
        reading.trouble("too_large")
        return
    if top:
        reading.text("\n".join(f"{name}: {_decoded(str(value))}" for name, value in part.items()))
    if any("Base64" in type(d).__name__ for d in part.defects):
        reading.trouble("broken")
    payload = part.get_payload()
    if isinstance(payload, list):
        if part.preamble:
            reading.text(part.preamble)
        for inner in payload:
            if not isinstance(inner, email.message.Message):
                continue
            if part.get_content_maintype() == "message":
                reading.member(_name(part), inner.as_bytes())
            else:
                _part(inner, reading, count, top=False)
        if part.epilogue:
            reading.text(part.epilogue)
        return
    data = part.get_payload(decode=True)
    if isinstance(data, bytes) and data:
        reading.budget.unpacked(len(data))
        charset = str(part.get_param("charset") or "")
        reading.member(_name(part), data, charset=charset, declared=part.get_content_type())


def _name(part: email.message.Message) -> str:
    return _decoded(part.get_filename() or "")


def _decoded(value: str) -> str:
    value = value[:_MAX_HEADER]
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, UnicodeError, email.errors.HeaderParseError):
        return value
