"""From control documents to the directory: pure, total, and deaf to what it does not understand.

| kind | tenant | key | value |
|---|---|---|---|
| `operator` | installation | name | `{digest}` |
| `tenant-name` | installation | name | `{tenant}`: a claim, so that names are unique |
| `domain-claim` | installation | domain | `{tenant}`: a claim, so that domains are unique |
| `tenant` | the tenant | `self` | `{name, next_hop, smarthost, keep_refused, …}`, as `_tenant` reads it |
| `domain` | the tenant | domain | `{recipients}` |
| `connector` | the tenant | name | `{networks, tls_client, senders, username, password_hash}` |
| `person` | the tenant | address | `{roles, pending, pending_by, aliases, password_hash, active}`; pending: no effect |
| `group` | the tenant | name | `{members, address}` |
| `apikey` | the tenant | SHA-256 of the token | `{owner, name, limited}` |
| `logout` | the tenant | address | `{until}`: sessions begun until then are over (microseconds since 1970) |
| `policy` | the tenant | any | the policy service's own |
| `detector`, `dataset` | the tenant | name | the policy service's own: what a tenant adds to the detectors |

A domain, a connector or a person whose claim names another tenant is not believed: the claim is what was
compared and set, so two tenants can never both hold a domain.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from services.common.control_store import Document
from services.common.directory import (
    ROLES,
    ApiKey,
    Connector,
    Directory,
    Domain,
    Group,
    Network,
    Person,
    Route,
    Tenant,
)
from services.common.ids import INSTALLATION, TenantId

KINDS = ("tenant", "domain", "connector", "person", "group", "apikey", "policy", "logout", "detector", "dataset")
"""What a tenant's part of the directory is made from."""
INSTALLATION_KINDS = ("operator", "tenant-name", "domain-claim")
"""What the installation's part is made from."""


def build(documents: Iterable[Document]) -> Directory:
    """The directory these documents say; the newest revision of each, deletions included, in any order."""
    revision = 0
    live: dict[str, list[Document]] = {}
    policy_revisions: dict[TenantId, Document] = {}
    for document in documents:
        revision += document.revision
        if document.kind == "policy" and document.tenant != INSTALLATION:
            policy_revisions[document.tenant] = document
        elif document.value is not None:
            live.setdefault(document.kind, []).append(document)
    claims = {d.key: str(_value(d).get("tenant", "")) for d in live.get("domain-claim", ())}
    tenants = {
        d.tenant: _tenant(d, policy_revisions.get(d.tenant))
        for d in sorted(live.get("tenant", ()), key=lambda d: d.tenant)
        if d.tenant != INSTALLATION
    }
    domains = {
        d.key: Domain(d.key, d.tenant, _value(d).get("recipients", "any"))
        for d in live.get("domain", ())
        if d.tenant in tenants and claims.get(d.key) == d.tenant
    }
    people: dict[str, Person] = {}
    for d in live.get("person", ()):
        owner = domains.get(d.key.rpartition("@")[2])
        # An address speaks for its domain: only the domain's tenant may name a person there.
        if owner is not None and owner.tenant == d.tenant:
            people[d.key] = _person(d)
    groups = {(d.tenant, d.key): _group(d) for d in live.get("group", ()) if d.tenant in tenants}
    connectors = tuple(
        _connector(d) for d in sorted(live.get("connector", ()), key=lambda d: (d.tenant, d.key)) if d.tenant in tenants
    )
    keys, ends = _api_keys(live, people), _logged_out(live, people)
    return Directory(revision, tenants, domains, connectors, people, groups, keys, ends)


def _value(document: Document) -> Mapping[str, Any]:
    return document.value or {}


def _api_keys(live: Mapping[str, list[Document]], people: Mapping[str, Person]) -> dict[str, ApiKey]:
    keys: dict[str, ApiKey] = {}
    for d in live.get("operator", ()):
        digest = _value(d).get("digest")
        if d.tenant == INSTALLATION and isinstance(digest, str):
            keys[digest] = ApiKey(digest, INSTALLATION, d.key, operator=True)
    for d in live.get("apikey", ()):
        owner = str(_value(d).get("owner", ""))
        person = people.get(owner)
        if d.tenant != INSTALLATION and d.key not in keys and person is not None and person.tenant == d.tenant:
            keys[d.key] = ApiKey(d.key, d.tenant, owner, limited=bool(_value(d).get("limited", False)))
    return keys


def _logged_out(live: Mapping[str, list[Document]], people: Mapping[str, Person]) -> dict[str, int]:
    ends = {}
    for d in live.get("logout", ()):
        until, person = _value(d).get("until"), people.get(d.key)
        if isinstance(until, int) and person is not None and person.tenant == d.tenant:
            ends[d.key] = until
    return ends


def _route(value: Any) -> Route | None:
    if not isinstance(value, Mapping) or not value.get("address"):
        return None
    return Route(str(value["address"]), value.get("tls", "opportunistic"))


def _tenant(document: Document, policy: Document | None) -> Tenant:
    value = _value(document)
    return Tenant(
        id=document.tenant,
        name=str(value.get("name", "")),
        next_hop=_route(value.get("next_hop")),
        smarthost=_route(value.get("smarthost")),
        keep_refused=bool(value.get("keep_refused", False)),
        bare_newlines=value.get("bare_newlines", "refuse"),
        retention=str(value.get("retention", "")),
        approvals=int(value.get("approvals", 1)),
        policy=policy.value if policy else None,
        policy_revision=policy.revision if policy and policy.value is not None else 0,
        limits={str(k): int(v) for k, v in value.get("limits", {}).items()},
        suspended=bool(value.get("suspended", False)),
        language=str(value.get("language", "")),
    )


def _person(document: Document) -> Person:
    value = _value(document)
    return Person(
        address=document.key,
        tenant=document.tenant,
        roles=frozenset(value.get("roles", ("user",))) & ROLES,
        aliases=tuple(value.get("aliases", ())),
        password_hash=str(value.get("password_hash", "")),
        active=bool(value.get("active", True)),
    )


def _group(document: Document) -> Group:
    value = _value(document)
    return Group(document.key, document.tenant, frozenset(value.get("members", ())), str(value.get("address", "")))


def _connector(document: Document) -> Connector:
    value = _value(document)
    networks: list[Network] = []
    for text in value.get("networks", ()):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            continue  # checked when it was written; a network that cannot be read admits nobody
    return Connector(
        name=document.key,
        tenant=document.tenant,
        networks=tuple(networks),
        tls_client=tuple(value.get("tls_client", ())),
        senders=tuple(value.get("senders", ())),
        username=str(value.get("username", "")),
        password_hash=str(value.get("password_hash", "")),
    )
