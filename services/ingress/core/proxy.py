"""The PROXY protocol's header, versions 1 and 2: who really connected (haproxy's proxy-protocol.txt)."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

V1_PREFIX = b"PROXY "
V1_LONGEST = 107
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2_FIXED = 16
V2_LONGEST = 4096
"""Bytes of a version 2 header after the fixed part; balancers send some hundred."""


class Malformed(ValueError):
    """Not a header by the specification."""


@dataclass(frozen=True, slots=True)
class Source:
    """The client behind the balancer; None fields: the balancer speaks for itself (health checks)."""

    address: str | None
    port: int | None


def parse_v1(line: bytes) -> Source:
    """Read a whole version 1 line with its CRLF; raises `Malformed`."""
    if not line.startswith(V1_PREFIX) or not line.endswith(b"\r\n") or len(line) > V1_LONGEST or not line.isascii():
        raise Malformed
    words = line[:-2].decode().split(" ")
    if words[1] == "UNKNOWN":
        return Source(None, None)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise Malformed
    version = 4 if words[1] == "TCP4" else 6
    try:
        source, target = ipaddress.ip_address(words[2]), ipaddress.ip_address(words[3])
    except ValueError as error:
        raise Malformed from error
    ports = [int(w) for w in words[4:] if w.isdigit() and len(w) <= 5]
    if source.version != version or target.version != version or len(ports) != 2 or max(ports) > 65535:
        raise Malformed
    return Source(str(source), ports[0])


def v2_length(fixed: bytes) -> int:
    """How many bytes follow the 16 of the fixed part; raises `Malformed`."""
    if len(fixed) != V2_FIXED or not fixed.startswith(V2_SIGNATURE) or fixed[12] >> 4 != 2:
        raise Malformed
    length = int(struct.unpack("!H", fixed[14:])[0])
    if length > V2_LONGEST:
        raise Malformed
    return length


def parse_v2(fixed: bytes, rest: bytes) -> Source:
    """Read a whole version 2 header; raises `Malformed`."""
    if v2_length(fixed) != len(rest):
        raise Malformed
    command, family = fixed[12] & 15, fixed[13]
    if command == 0:
        return Source(None, None)
    if command != 1:
        raise Malformed
    if family == 0x11 and len(rest) >= 12:
        return Source(str(ipaddress.IPv4Address(rest[:4])), struct.unpack("!H", rest[8:10])[0])
    if family == 0x21 and len(rest) >= 36:
        return Source(str(ipaddress.IPv6Address(rest[:16])), struct.unpack("!H", rest[32:34])[0])
    if family == 0x00:
        return Source(None, None)
    raise Malformed
