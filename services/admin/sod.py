"""Separation of duties, enumerated: every combination of roles, what it reaches, and what it never may."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import letterlock
from letterlock.options.v1 import options_pb2 as options

from services.common import auth
from services.common.auth import Principal
from services.common.directory import ROLES
from services.common.ids import INSTALLATION
from services.common.rpc import rules_of

NEVER: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            ("approve", "read"), ("request", "approve"), ("operate", "read"), ("people", "review"),
            ("policy", "review"), ("people", "read"), ("policy", "read"), ("operate", "approve"),
            ("operate", "request"), ("people", "approve"), ("people", "consent"), ("operate", "consent"),
            ("review", "read"), ("audit", "read"),
        ),
    )
)  # fmt: skip
"""Two things that one principal must never reach."""

_REACH = {
    options.PERMISSION_OPERATE: "operate",
    options.PERMISSION_DIRECTORY: "people",
    options.PERMISSION_POLICY: "policy",
    options.PERMISSION_REQUEST: "request",
    options.PERMISSION_APPROVE: "approve",
    options.PERMISSION_CONSENT: "consent",
    options.PERMISSION_READ: "read",
    options.PERMISSION_AUDIT: "audit",
}


@dataclass(frozen=True, slots=True)
class Combination:
    """Roles together. `forbidden` says why nobody may hold them, `violations` what they reach and never may."""

    roles: tuple[str, ...]
    reaches: frozenset[str]
    rpcs: int
    forbidden: str
    violations: tuple[str, ...]


def methods() -> dict[str, tuple[frozenset[int], frozenset[str]]]:
    """Every RPC of the installation, by its full name, with the permissions and callers it declares."""
    found: dict[str, tuple[frozenset[int], frozenset[str]]] = {}
    for module in pkgutil.walk_packages(letterlock.__path__, "letterlock."):
        if not module.name.endswith("_pb2"):
            continue
        for service in importlib.import_module(module.name).DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                name = f"/{service.full_name}/{method.name}"
                found[name] = rules_of(name)
    return found


def combinations(methods: Mapping[str, tuple[Collection[int], Collection[str]]]) -> Iterator[Combination]:
    """Every combination of a person's roles, and the operator, over RPCs by name → permissions and callers."""
    for size in range(1, len(ROLES) + 1):
        for roles in itertools.combinations(sorted(ROLES), size):
            yield _combination(roles, Principal("person", INSTALLATION, "", frozenset(roles)), methods)
    yield _combination(("operator",), Principal("operator", None, "", frozenset({"operator"})), methods)


def _combination(
    roles: tuple[str, ...], who: Principal, methods: Mapping[str, tuple[Collection[int], Collection[str]]]
) -> Combination:
    reachable = [rules for rules in methods.values() if auth.allowed(who, *rules)]
    reaches = reach(roles, reachable)
    clash = auth.conflicting_roles(roles)
    forbidden = f"nobody may be {' and '.join(sorted(clash))} at once" if clash else ""
    broken = [] if clash else [" and ".join(sorted(pair)) for pair in NEVER if pair <= reaches]
    return Combination(roles, reaches, len(reachable), forbidden, tuple(broken))


def reach(roles: Collection[str], reachable: Iterable[tuple[Collection[int], Collection[str]]]) -> frozenset[str]:
    """What these roles reach through these RPCs: of several permissions on an RPC, those that the roles have."""
    own = frozenset().union(*(auth.ROLE_PERMISSIONS[r] for r in roles))
    found = {_REACH[p] for permissions, _ in reachable for p in permissions if p in own and p in _REACH}
    # A user's part of the reviewers' RPCs is their own mail.
    return frozenset(found | ({"review"} if "reviewer" in roles else set()))
