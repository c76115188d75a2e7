"""Mailbox and path syntax of RFC 5321 §4.1.2, with RFC 6531 letters where they are allowed.

Strict on purpose: what is accepted here is later written into commands,
headers and keys, so nothing that two parsers could read differently passes.
Source routes and control characters are refused.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010FFFF]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010FFFF]|\\[\x20-\x7e])*"')
_LABEL = re.compile(r"[A-Za-z0-9\u0080-\U0010FFFF](?:[A-Za-z0-9_\-\u0080-\U0010FFFF]*[A-Za-z0-9\u0080-\U0010FFFF])?")
_LITERAL = re.compile(r"\[(IPv6:)?([0-9A-Fa-f:.]+)\]", re.IGNORECASE)

MAX_LOCAL = 64
MAX_DOMAIN = 255
MAX_PATH = 254
"""Octets of a path without its angle brackets (RFC 5321 §4.5.3.1)."""


class Malformed(ValueError):
    """Not an address by the grammar."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: `local` as written (quotes included), `domain` as written."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local

    @property
    def utf8(self) -> bool:
        """Whether it has letters beyond ASCII, which need SMTPUTF8 (RFC 6531 §3.3)."""
        return not (self.local.isascii() and self.domain.isascii())


def _unprintable(text: str) -> bool:
    # C1 controls, separators and surrogates (invalid UTF-8) are never part of an address; isprintable knows them.
    return any(not c.isprintable() for c in text if not c.isascii())


def _check_domain(domain: str) -> None:
    if domain.startswith("["):
        match = _LITERAL.fullmatch(domain)
        if not match:
            raise Malformed("address literal")
        try:
            (ipaddress.IPv6Address if match[1] else ipaddress.IPv4Address)(match[2])
        except ValueError as error:
            raise Malformed("address literal") from error
        return
    labels = domain.split(".")
    if not all(_LABEL.fullmatch(label) and len(label.encode()) <= 63 for label in labels):
        raise Malformed("domain")


def parse(text: str) -> Address:
    """Read `local@domain`; raises `Malformed`."""
    if _unprintable(text):
        raise Malformed("character")
    quoted = _QUOTED.match(text)
    plain = None if quoted else _DOT_STRING.match(text)
    match = quoted or plain
    if match is None:
        raise Malformed("local part")
    local, rest = match[0], text[match.end() :]
    if not rest.startswith("@"):
        raise Malformed("no domain")
    domain = rest[1:]
    _check_domain(domain)
    if (
        len(local.encode()) > MAX_LOCAL
        or len(domain.encode()) > MAX_DOMAIN
        or len(local.encode()) + 1 + len(domain.encode()) > MAX_PATH
    ):
        raise Malformed("too long")
    return Address(local, domain)


def split_path(text: str) -> tuple[str, str]:
    """Split `<path> parameters` into the path's inside and the rest after it; raises `Malformed`.

    A quoted local part may hold `>`, so the closing bracket is looked for outside quotes.
    """
    if not text.startswith("<"):
        raise Malformed("no angle bracket")
    position, quoted = 1, False
    while position < len(text):
        character = text[position]
        if quoted and character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == ">" and not quoted:
            rest = text[position + 1 :]
            if rest and not rest.startswith(" "):
                raise Malformed("after the path")
            return text[1:position], rest.strip(" ")
        position += 1
    raise Malformed("unclosed path")


def parse_reverse_path(path: str) -> Address | None:
    """Read the inside of MAIL FROM's brackets; None is the null sender. Raises `Malformed`."""
    return parse(path) if path else None


def parse_forward_path(path: str) -> Address:
    """Read the inside of RCPT TO's brackets; a bare `postmaster` has an empty domain (RFC 5321 §4.1.1.3)."""
    if path.lower() == "postmaster":
        return Address("postmaster", "")
    return parse(path)


def valid_helo(text: str) -> bool:
    """Whether HELO's argument can stand in a header: printable, no blanks, at most 255 octets (lenient, §4.1.4)."""
    return 0 < len(text.encode("utf-8", "surrogateescape")) <= MAX_DOMAIN and all(
        c.isprintable() and c not in ' ()<>\\"' for c in text
    )
