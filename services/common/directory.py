"""The directory: who is hosted here, with which domains, people, connectors and routes.

A pure, immutable view made from control documents (`control.py` feeds it and
swaps a new view in on each change). Every question carries the tenant or
finds it; nothing here does I/O.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from services.common.ids import TenantId

type Tls = Literal["none", "opportunistic", "required"]
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ROLES = frozenset(
    {
        "user",
        "reviewer",
        "auditor",
        "approver",
        "tenant_admin",
        "data_protection_officer",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where mail goes: `host:port` and how TLS is used on the way."""

    address: str
    tls: Tls = "opportunistic"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of a tenant; `recipients` says which of its addresses exist."""

    name: str
    tenant: TenantId
    recipients: Literal["any", "listed", "call_ahead"] = "any"


@dataclass(frozen=True, slots=True)
class Connector:
    """A mail system of a tenant: known by network, TLS client certificate name, or AUTH."""

    name: str
    tenant: TenantId
    networks: tuple[Network, ...] = ()
    tls_client: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    username: str = ""
    password_hash: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A person or automation of a tenant."""

    address: str
    tenant: TenantId
    roles: frozenset[str] = frozenset({"user"})
    aliases: tuple[str, ...] = ()
    password_hash: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Named addresses; members with `send_as` may send under the group's own `address`."""

    name: str
    tenant: TenantId
    members: frozenset[str] = frozenset()
    address: str = ""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A token's SHA-256 (hex) and whose it is: a person of a tenant, or an operator."""

    digest: str
    tenant: TenantId
    owner: str
    operator: bool = False
    limited: bool = False
    """Made by somebody else: it never speaks for the roles that read or approve."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation and how its mail is handled."""

    id: TenantId
    name: str
    next_hop: Route | None = None
    smarthost: Route | None = None
    keep_refused: bool = False
    bare_newlines: Literal["refuse", "normalise"] = "refuse"
    retention: str = ""
    approvals: int = 1
    policy: Mapping[str, Any] | None = None
    policy_revision: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)
    suspended: bool = False
    language: str = ""
    """What its people are told things in (a tag of RFC 5646); empty: the default."""


@dataclass(frozen=True)
class Directory:
    """One consistent view; `revision` grows with every change it has seen."""

    revision: int = 0
    tenants: Mapping[TenantId, Tenant] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    connectors: tuple[Connector, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[tuple[TenantId, str], Group] = field(default_factory=dict)
    api_keys: Mapping[str, ApiKey] = field(default_factory=dict)
    logged_out: Mapping[str, int] = field(default_factory=dict)
    """Until when a person's sessions are over, by address: microseconds since 1970."""

    def tenant(self, tenant: TenantId) -> Tenant | None:
        """The tenant, or None."""
        return self.tenants.get(tenant)

    def tenant_named(self, name: str) -> Tenant | None:
        """The tenant with this label, or None."""
        return self._by_name.get(name)

    def domain_of(self, address: str) -> Domain | None:
        """The hosted domain of an address, or None."""
        name = address.rpartition("@")[2].lower()
        if not name.isascii():
            # Domains are kept as A-labels; SMTPUTF8 brings them as people write them (RFC 5890).
            try:
                name = name.encode("idna").decode("ascii")
            except UnicodeError:
                return None
        return self.domains.get(name)

    def recipient_exists(self, address: str) -> bool:
        """Whether a hosted address is accepted: every one where the domain is not `listed`; `postmaster` always."""
        domain = self.domain_of(address)
        if domain is None:
            return False
        if domain.recipients != "listed":
            return True
        return address.lower().startswith("postmaster@") or self._known(domain.tenant, address.lower())

    def person(self, address: str) -> Person | None:
        """The person with this address or alias, or None."""
        address = address.lower()
        return self.people.get(address) or self._aliases.get(address)

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """Members of a tenant's group; empty when there is no such group."""
        group = self.groups.get((tenant, name))
        return group.members if group else frozenset()

    def connector_for(self, address: str, tls_names: Iterable[str] = ()) -> Connector | None:
        """The connector a peer is, by certificate name first, then by the most specific network."""
        names = {n.lower() for n in tls_names}
        if names:
            for connector in self.connectors:
                if names & set(connector.tls_client):
                    return connector
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return None
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        best: tuple[int, Connector] | None = None
        for connector in self.connectors:
            for network in connector.networks:
                if (
                    network.version == peer.version
                    and peer in network
                    and (best is None or network.prefixlen > best[0])
                ):
                    best = network.prefixlen, connector
        return best[1] if best else None

    def connector_named(self, username: str) -> Connector | None:
        """The connector that logs in by this user name, or None."""
        return next((c for c in self.connectors if c.username and c.username == username), None)

    def may_send_as(self, connector: Connector, sender: str) -> bool:
        """Whether a connector may use this MAIL FROM: null, its globs, or its tenant's own domains."""
        if not sender:
            return True
        if connector.senders:
            return any(fnmatch.fnmatchcase(sender.lower(), glob.lower()) for glob in connector.senders)
        domain = self.domain_of(sender)
        return domain is not None and domain.tenant == connector.tenant

    def addresses_of(self, person: Person) -> frozenset[str]:
        """Every address a person may send from: their own, aliases, and groups they are members of."""
        groups = {
            g.address.lower()
            for g in self.groups.values()
            if g.tenant == person.tenant and g.address and person.address in g.members
        }
        return frozenset({person.address, *person.aliases, *groups})

    @cached_property
    def _by_name(self) -> dict[str, Tenant]:
        return {t.name: t for t in self.tenants.values()}

    @cached_property
    def _aliases(self) -> dict[str, Person]:
        return {alias: p for p in self.people.values() for alias in p.aliases}

    @cached_property
    def _group_addresses(self) -> set[tuple[TenantId, str]]:
        return {(g.tenant, g.address.lower()) for g in self.groups.values() if g.address}

    def _known(self, tenant: TenantId, address: str) -> bool:
        person = self.person(address)
        return (person is not None and person.tenant == tenant) or (
            tenant,
            address,
        ) in self._group_addresses
