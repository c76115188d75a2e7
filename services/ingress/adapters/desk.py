"""What all sessions of a process share: settings, the directory, the receiver, who is connected."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from services.common.directory import Directory
from services.ingress.adapters.auth import Authenticator
from services.ingress.core.limits import Limits
from services.ingress.core.throttle import Counts
from services.ingress.receive import Receiver

type Kind = Literal["relay", "submission", "submissions"]

HANDSHAKE = 30.0
"""Longest TLS handshake, seconds."""


@dataclass(kw_only=True)
class Desk:
    """The shared side of every session."""

    hostname: str
    directory: Callable[[], Directory]
    receiver: Receiver
    authenticator: Authenticator
    tls: ssl.SSLContext
    limits: Limits = field(default_factory=Limits)
    max_connections: int = 4000
    max_connections_per_peer: int = 500
    max_connections_per_tenant: int = 1000
    greeting_delay: float = 0.0
    postmaster: str = ""
    counts: Counts = field(default_factory=Counts)
    stopping: bool = False


def peer_key(address: str) -> str:
    """What counts as one peer: an IPv4 address, an IPv6 /64."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
