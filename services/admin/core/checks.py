"""What may stand in a directory document: one check per field, for the world file and the API alike.

A check returns the value as it is stored and adds what is wrong to `Mistakes`;
nothing raises, so that all mistakes are reported at once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from services.common.auth import conflicting_roles
from services.common.config import parse_duration
from services.common.directory import ROLES

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LOCAL = re.compile(r"[^\s@\"(),:;<>\[\\\]\x00-\x20\x7f]{1,64}")
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_MOST = 10_000
LIMITS = frozenset({"recipients", "connections", "max_bytes"})
"""Names of the limits a tenant may have."""


class Mistakes:
    """What is wrong, by path."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, path: str, text: str) -> None:
        """Note one."""
        self.found.append((path, text))


type Check = Callable[[Any, str, Mistakes], Any]


def fields(raw: Any, known: Mapping[str, Check], path: str, mistakes: Mistakes) -> dict[str, Any]:
    """The checked fields of a mapping; unknown ones are mistakes, one that is null stays None ("remove it")."""
    if not isinstance(raw, Mapping):
        mistakes.add(path, "expected a mapping")
        return {}
    found: dict[str, Any] = {}
    for key, value in raw.items():
        where = f"{path}.{key}" if path else str(key)
        check = known.get(key) if isinstance(key, str) else None
        if check is None:
            mistakes.add(where, f"unknown; expected one of {', '.join(sorted(known))}")
        else:
            found[key] = None if value is None else check(value, where, mistakes)
    return found


def text(most: int = 200) -> Check:
    """One line of text."""

    def check(value: Any, path: str, mistakes: Mistakes) -> str:
        if not isinstance(value, str):
            mistakes.add(path, "expected text: put it in quotes")
            return ""
        if len(value) > most or not value.isprintable():
            mistakes.add(path, f"expected one line of at most {most} characters")
        return value

    return check


def secret(value: Any, path: str, mistakes: Mistakes) -> str:
    """A password: up to 512 characters, any."""
    if not isinstance(value, str):
        mistakes.add(path, "expected text: put it in quotes")
        return ""
    if not 1 <= len(value) <= 512:
        mistakes.add(path, "expected 1 to 512 characters")
    return value


def flag(value: Any, path: str, mistakes: Mistakes) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        mistakes.add(path, "expected true or false")
    return bool(value)


def number(least: int, most: int) -> Check:
    """A whole number in a range."""

    def check(value: Any, path: str, mistakes: Mistakes) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            mistakes.add(path, f"expected a whole number from {least} to {most}")
            return least
        return value

    return check


def one_of(*choices: str) -> Check:
    """One of some words."""

    def check(value: Any, path: str, mistakes: Mistakes) -> str:
        if value not in choices:
            mistakes.add(path, f"expected one of {', '.join(choices)}")
        return str(value)

    return check


def items(check: Check, *, most: int = _MOST) -> Check:
    """A list (or a single one) of what `check` takes, without repetitions, in order."""

    def check_all(value: Any, path: str, mistakes: Mistakes) -> list[Any]:
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > most:
            mistakes.add(path, f"at most {most}")
            return []
        found = [check(v, f"{path}[{i}]", mistakes) for i, v in enumerate(values)]
        return list(dict.fromkeys(found))

    return check_all


def label(value: Any, path: str, mistakes: Mistakes) -> str:
    """A tenant's or operator's name: lower-case letters, digits, inner hyphens, at most 63."""
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        mistakes.add(path, "expected lower-case letters, digits and hyphens, at most 63")
        return ""
    return value


def name(value: Any, path: str, mistakes: Mistakes) -> str:
    """A connector's or group's name: letters, digits, inner dots, underscores and hyphens, at most 63."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or ".." in value:
        mistakes.add(path, "expected letters, digits, dots, underscores and hyphens, at most 63")
        return ""
    return value


def domain(value: Any, path: str, mistakes: Mistakes) -> str:
    """A domain in lower case, as on the wire (RFC 1035, A-labels of RFC 5890)."""
    if isinstance(value, str):
        try:
            found = value.rstrip(".").encode("idna").decode().lower() if not value.isascii() else value.lower()
        except UnicodeError:
            found = ""
        labels = found.split(".")
        if len(found) <= 253 and len(labels) > 1 and all(_LABEL.fullmatch(part) for part in labels):
            return found
    mistakes.add(path, "expected a domain such as acme.example")
    return ""


def address(value: Any, path: str, mistakes: Mistakes) -> str:
    """A mail address in lower case, its domain as on the wire."""
    if isinstance(value, str):
        local, at, host = value.rpartition("@")
        if (
            at
            and _LOCAL.fullmatch(local)
            and not local.startswith(".")
            and not local.endswith(".")
            and len(value) < 255
        ):
            inner = Mistakes()
            found = domain(host, path, inner)
            if not inner.found:
                return f"{local.lower()}@{found}"
    mistakes.add(path, "expected an address such as alice@acme.example")
    return ""


def network(value: Any, path: str, mistakes: Mistakes) -> str:
    """A network in CIDR notation, or one address."""
    try:
        return str(ipaddress.ip_network(value if isinstance(value, str) else ""))
    except ValueError as error:
        host_bits = "host bits" in str(error)
        mistakes.add(path, "has host bits set" if host_bits else "expected a network such as 192.0.2.0/24")
        return ""


def duration(value: Any, path: str, mistakes: Mistakes) -> str:
    """A duration such as 90d or 7y; empty: for ever."""
    if value == "":
        return ""
    try:
        parse_duration(value)
    except (ValueError, OverflowError):
        mistakes.add(path, "expected a duration such as 90d or 7y")
    return str(value)


def route(value: Any, path: str, mistakes: Mistakes) -> dict[str, str]:
    """Where mail goes: `{address: HOST:PORT, tls: …}`."""
    if isinstance(value, Mapping) and "address" not in value:
        mistakes.add(path, "expected an address")
    found = fields(value, {"address": host_port, "tls": one_of("none", "opportunistic", "required")}, path, mistakes)
    return {"address": found.get("address") or "", "tls": found.get("tls") or "opportunistic"}


def host_port(value: Any, path: str, mistakes: Mistakes) -> str:
    """`host:port`."""
    match = _HOST_PORT.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[2]) < 65536:
        mistakes.add(path, "expected HOST:PORT")
        return ""
    return str(value)


def roles(value: Any, path: str, mistakes: Mistakes) -> list[str]:
    """Known roles that one person may hold together."""
    found: list[str] = items(one_of(*sorted(ROLES)), most=len(ROLES))(value, path, mistakes)
    clash = conflicting_roles(found)
    if clash:
        mistakes.add(path, f"nobody may be {' and '.join(sorted(clash))} at once")
    return sorted(found)


def limits(value: Any, path: str, mistakes: Mistakes) -> dict[str, int]:
    """Known limits of a tenant."""
    known = dict.fromkeys(sorted(LIMITS), number(1, 2**40)) | {"recipients": number(100, 2**40)}  # RFC 5321 4.5.3.1.8
    found = fields(value, known, path, mistakes)
    return {k: v for k, v in found.items() if v is not None}


TENANT: Mapping[str, Check] = {
    "next_hop": route,
    "smarthost": route,
    "keep_refused": flag,
    "bare_newlines": one_of("refuse", "normalise"),
    "retention": duration,
    "approvals": number(1, 10),
    "limits": limits,
    "suspended": flag,
    "language": one_of("en", "ja", "zh-Hant"),
}
DOMAIN: Mapping[str, Check] = {"recipients": one_of("any", "listed", "call_ahead")}
CONNECTOR: Mapping[str, Check] = {
    "networks": items(network, most=256),
    "tls_client": items(domain, most=256),
    "senders": items(text(254), most=1000),
    "username": text(200),
    "password": secret,
}
PERSON: Mapping[str, Check] = {
    "roles": roles,
    "aliases": items(address, most=100),
    "password": secret,
    "active": flag,
}
GROUP: Mapping[str, Check] = {"members": items(address), "address": address}
