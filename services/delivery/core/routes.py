"""Where a recipient's mail goes: the tenant's own hop, its smarthost, or the hosts of an MX look-up.

RFC 5321 5.1 orders the hosts; RFC 7505 says which domains take no mail. We
never deliver to ourselves or to loopback by a public name, except to the
relay for a domain of another tenant of this installation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from services.common.directory import Directory, Route, Tls
from services.common.ids import TenantId

type Way = Tls | Literal["verified"]
"""How TLS is used on the way to a host; `verified`: required, with a certificate that proves the host's name."""
type Preference = Literal["ipv4", "ipv6"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A host that the tenant, or we, named: `host:port`."""

    address: str
    tls: Way

    @property
    def key(self) -> str:
        """The name of this destination in limits, pools and back-off."""
        return f"{self.address}/{self.tls}"


@dataclass(frozen=True, slots=True)
class ByMx:
    """The hosts that DNS names for a domain. `hosted`: another tenant here has it."""

    domain: str
    hosted: bool = False
    tls: Way = "opportunistic"

    @property
    def key(self) -> str:
        """The name of this destination in limits, pools and back-off."""
        return f"mx:{self.domain}" + ("/verified" if self.tls == "verified" else "")


type Destination = Fixed | ByMx


@dataclass(frozen=True, slots=True)
class Mx:
    """One MX record; an empty `host` (the root) is a null MX."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class Host:
    """An address to connect to; `name` is what its certificate should say."""

    name: str
    address: str
    port: int


def domain_of(address: str) -> str:
    """The domain of an address, lower case."""
    return address.rpartition("@")[2].lower()


def choose(directory: Directory, tenant: TenantId, domain: str) -> Destination:
    """The destination of a tenant's mail to a domain."""
    settings = directory.tenant(tenant)
    hosted = directory.domains.get(domain)
    mine = hosted is not None and hosted.tenant == tenant
    route: Route | None = None
    if settings is not None:
        route = settings.next_hop if mine else settings.smarthost
    if route is not None:
        return Fixed(route.address, route.tls)
    return ByMx(domain, hosted=hosted is not None and not mine)


def verified(destination: Destination) -> Destination:
    """The same destination, by verified TLS only."""
    return replace(destination, tls="verified")


def is_null_mx(records: Sequence[Mx]) -> bool:
    """Whether the domain says that it takes no mail (RFC 7505): exactly one record, for the root."""
    return len(records) == 1 and records[0].host in ("", ".")


def usable(records: Sequence[Mx], *, own_names: frozenset[str]) -> tuple[Mx, ...]:
    """The records before our own in preference, best first; those of our own preference and later are dropped.

    RFC 5321 5.1: who delivers to a host of equal or worse preference than itself makes a loop.
    """
    ours = min((r.preference for r in records if r.host.lower().rstrip(".") in own_names), default=None)
    kept = [r for r in records if r.host not in ("", ".") and (ours is None or r.preference < ours)]
    return tuple(sorted(kept, key=lambda r: r.preference))


def in_order(records: Sequence[Mx], shuffle: Callable[[list[Mx]], None]) -> tuple[Mx, ...]:
    """Records by preference, those of equal preference in the order that `shuffle` gives (RFC 5321 5.1)."""
    groups: dict[int, list[Mx]] = {}
    for record in sorted(records, key=lambda r: r.preference):
        groups.setdefault(record.preference, []).append(record)
    for group in groups.values():
        shuffle(group)
    return tuple(r for group in groups.values() for r in group)


def forbidden(address: str, *, own: frozenset[str], allow_loopback: bool) -> bool:
    """Whether a public name may not lead here: loopback, unspecified, multicast, link-local, or ourselves."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if str(ip) in own:
        return True
    if ip.is_loopback:
        return not allow_loopback
    return ip.is_unspecified or ip.is_multicast or ip.is_link_local or ip == ipaddress.ip_address("255.255.255.255")


def by_preference(addresses: Sequence[str], preference: Preference) -> tuple[str, ...]:
    """Addresses with the preferred family first, else in the order of the answer."""
    wanted = 4 if preference == "ipv4" else 6
    return tuple(sorted(addresses, key=lambda a: ipaddress.ip_address(a).version != wanted))


def hosts(
    records: Sequence[Mx], addresses: Mapping[str, Sequence[str]], *, port: int, preference: Preference, limit: int
) -> tuple[Host, ...]:
    """What to try, in order, at most `limit` addresses, each once."""
    found: dict[str, Host] = {}
    for record in records:
        for address in by_preference(addresses.get(record.host, ()), preference):
            found.setdefault(address, Host(record.host.rstrip("."), address, port))
    return tuple(found.values())[:limit]


def literal(domain: str) -> str | None:
    """The IP address of an address literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3), or None."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return None
    inner = domain[1:-1]
    if inner.lower().startswith("ipv6:"):
        inner = inner[5:]
    try:
        return str(ipaddress.ip_address(inner))
    except ValueError:
        return None
