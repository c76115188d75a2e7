"""What must hold between documents, whatever wrote them: names, domains, networks and addresses meet nobody else's.

Another tenant's documents are never named in what is said of a clash.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.common.ids import INSTALLATION, TenantId

type Place = tuple[TenantId, str, str]
"""Tenant, kind, key."""


@dataclass(frozen=True, slots=True)
class Known:
    """A document as it is: None and revision 0 when there never was one."""

    value: Mapping[str, Any] | None = None
    revision: int = 0


NOTHING = Known()


@dataclass(frozen=True, slots=True)
class Clash:
    """A field of a document that may not be as it is."""

    place: Place
    field: str
    text: str


def live(state: Mapping[Place, Known], kind: str) -> Iterator[tuple[TenantId, str, Mapping[str, Any]]]:
    """Tenant, key and value of every document of a kind that is not deleted."""
    for (tenant, of, key), known in state.items():
        if of == kind and known.value is not None:
            yield tenant, key, known.value


def clashes(state: Mapping[Place, Known]) -> list[Clash]:
    """Everything that may not be together in one installation."""
    domains = {key: str(value.get("tenant", "")) for tenant, key, value in live(state, "domain-claim")}
    return [
        *_domain_clashes(state, domains),
        *_network_clashes(state),
        *_shared(state, "tls_client"),
        *_shared(state, "username"),
        *_address_clashes(state, domains),
    ]


def parent_of(name: str, domains: Mapping[str, str], tenant: TenantId) -> str | None:
    """A claimed parent or child of a domain that belongs to somebody else, or None."""
    labels = name.split(".")
    for start in range(1, len(labels)):
        parent = ".".join(labels[start:])
        if domains.get(parent, tenant) != tenant:
            return parent
    suffix = f".{name}"
    return next((d for d, owner in domains.items() if d.endswith(suffix) and owner != tenant), None)


def _domain_clashes(state: Mapping[Place, Known], domains: Mapping[str, str]) -> Iterator[Clash]:
    for tenant, key, _ in live(state, "domain"):
        if domains.get(key) != tenant:
            yield Clash((tenant, "domain", key), "name", "is another tenant's, or not claimed")
        elif parent_of(key, domains, tenant) is not None:
            yield Clash((tenant, "domain", key), "name", "its parent or child domain is another tenant's")


def _network_clashes(state: Mapping[Place, Known]) -> Iterator[Clash]:
    spans = sorted(
        (net.version, int(net.network_address), int(net.broadcast_address), tenant, key)
        for tenant, key, value in live(state, "connector")
        for net in map(ipaddress.ip_network, value.get("networks") or ())
    )
    said: set[tuple[TenantId, str]] = set()
    open_: list[tuple[int, int, int, TenantId, str]] = []
    for span in spans:
        open_ = [o for o in open_ if o[0] == span[0] and o[2] >= span[1]]
        for other in open_:
            if other[3] == span[3]:
                continue
            for _, _, _, tenant, key in (other, span):
                if (tenant, key) not in said:
                    said.add((tenant, key))
                    yield Clash((tenant, "connector", key), "networks", "overlaps with another tenant's connector")
        open_.append(span)


def _shared(state: Mapping[Place, Known], field: str) -> Iterator[Clash]:
    owners: dict[str, tuple[TenantId, str]] = {}
    for tenant, key, value in live(state, "connector"):
        given = value.get(field) or ()
        for item in (given,) if isinstance(given, str) else given:
            first = owners.setdefault(item, (tenant, key))
            if first != (tenant, key):
                yield Clash((tenant, "connector", key), field, "is in use by another connector")
                yield Clash((first[0], "connector", first[1]), field, "is in use by another connector")


def _address_clashes(state: Mapping[Place, Known], domains: Mapping[str, str]) -> Iterator[Clash]:
    owners: dict[str, Place] = {}
    for tenant, kind, field, key, addresses in _addresses(state):
        place = (tenant, kind, key)
        for address in addresses:
            if domains.get(address.rpartition("@")[2]) != tenant:
                yield Clash(place, field, "is not in a domain of this tenant")
            elif owners.setdefault(address, place) != place:
                yield Clash(place, field, "is in use by another person or group")


def _addresses(state: Mapping[Place, Known]) -> Iterable[tuple[TenantId, str, str, str, list[str]]]:
    for tenant, key, _ in live(state, "person"):
        yield tenant, "person", "address", key, [key]
    for tenant, key, value in live(state, "person"):
        yield tenant, "person", "aliases", key, list(value.get("aliases") or ())
    for tenant, key, value in live(state, "group"):
        if value.get("address"):
            yield tenant, "group", "address", key, [str(value["address"])]


def tenant_names(state: Mapping[Place, Known]) -> dict[str, TenantId]:
    """Ids by name: what is claimed, whether or not the tenant is complete yet."""
    return {
        key: TenantId(value["tenant"])
        for tenant, key, value in live(state, "tenant-name")
        if tenant == INSTALLATION and isinstance(value.get("tenant"), str)
    }
