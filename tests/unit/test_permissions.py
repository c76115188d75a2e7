"""Every RPC × every role: who may call what is one table, and no role holds what another must check."""

from __future__ import annotations

import importlib
import itertools
import pkgutil

import letterlock
import pytest
from google.protobuf import descriptor_pool
from letterlock.options.v1 import options_pb2 as options

from services.common import auth
from services.common.auth import Principal
from services.common.directory import ROLES
from services.common.frontdoor import AREAS
from services.common.ids import TenantId
from services.common.rpc import FRONT_DOOR, rules_of
from services.runner import SERVICES

ACME = TenantId.new()

# What each role may call, RPC by RPC. A new RPC is added here on purpose, or the test fails.
ADMINISTER = {
    f"directory.DirectoryService/{verb}{noun}"
    for verb, nouns in {
        "List": ("Domains", "Connectors", "People", "Groups", "ApiKeys"),
        **dict.fromkeys(("Get", "Create", "Update", "Delete"), ("Domain", "Connector", "Person", "Group", "ApiKey")),
    }.items()
    for noun in nouns
} | {
    f"policy.PolicyService/{verb}"
    for verb in ("Get", "Apply", "Check", "History", "Rollback", "Trace", "Lint", "ShadowReport", "ReplayWhy")
}
OWN = {
    *(f"policy.OwnDetectorService/{verb}OwnDetector" for verb in ("Create", "Get", "Update", "Delete")),
    *(f"policy.DataSetService/{verb}" for verb in ("CreateSet", "GetSet", "DeleteSet")),
    *(f"policy.DataSetService/{rpc}" for rpc in ("ListSets", "UploadRows", "CommitRows")),
    *(f"policy.DataSetService/{verb}Document" for verb in ("Add", "Remove")),
}
DETECTORS = OWN | {"policy.DetectorService/ListDetectors", "policy.DetectorService/TestDetectors"}
NOTICES = {f"quarantine.NoticeService/{verb}Template{s}" for verb, s in
           (("List", "s"), ("Get", ""), ("Set", ""), ("Reset", ""))}  # fmt: skip
HOLDS = {
    f"quarantine.HoldService/{rpc}"
    for rpc in (
        *("ListHolds", "RequestRelease", "ListSenders", "SetSender", "ListDeputies", "SetDeputy", "ClearDeputy"),
        *(f"{v}Hold" for v in ("Get", "Release", "Delete", "Return", "Forward", "Seal", "Cancel")),
        *(f"{v}Hold" for v in ("Claim", "Unclaim", "Note", "Read")),
    )
}
TENANTS = {
    f"directory.DirectoryService/{rpc}"
    for rpc in ("ListTenants", "GetTenant", "CreateTenant", "UpdateTenant", "DeleteTenant", "ApplyWorld")
}
# A link in a notice is all the right there is: its token names person, mail and action.
LINKS = {"quarantine.HoldService/DescribeLink", "quarantine.HoldService/ActByLink"}
PUBLIC = {"system.SystemService/Version", "access.AccessService/Enrol", "directory.SessionService/LogIn"} | LINKS


def _modules() -> None:
    for found in pkgutil.walk_packages(letterlock.__path__, "letterlock."):
        if found.name.endswith("_pb2"):
            importlib.import_module(found.name)


def methods() -> dict[str, str]:
    """Every RPC of the installation by its short name, `area.Service/Method`."""
    _modules()
    found = {}
    for module in pkgutil.walk_packages(letterlock.__path__, "letterlock."):
        if not module.name.endswith("_pb2"):
            continue
        file = importlib.import_module(module.name).DESCRIPTOR
        for service in file.services_by_name.values():
            for method in service.methods:
                area = service.full_name.split(".")[1]
                found[f"{area}.{service.name}/{method.name}"] = f"/{service.full_name}/{method.name}"
    return found


def caller(role: str) -> Principal:
    """A principal with exactly one role."""
    if role == "operator":
        return Principal("operator", None, "ops", frozenset({"operator"}))
    return Principal("person", ACME, "x@acme.example", frozenset({role}))


def callable_by(who: Principal) -> set[str]:
    """Short names of what a principal may call."""
    return {short for short, method in methods().items() if auth.allowed(who, *rules_of(method))}


@pytest.mark.parametrize("short", sorted(methods()))
def test_every_rpc_declares_who_may_call(short: str) -> None:
    """Nothing is left to the default, an internal RPC names its callers, and each caller exists."""
    permissions, callers = rules_of(methods()[short])
    assert permissions
    assert options.PERMISSION_UNSPECIFIED not in permissions
    assert bool(callers) == (options.PERMISSION_INTERNAL in permissions)
    assert callers <= {*SERVICES, "dev"}
    assert FRONT_DOOR not in callers


@pytest.mark.parametrize("role", sorted({*ROLES, "operator"}))
def test_role_may_call_what_its_permissions_say(role: str) -> None:
    """RPC by RPC, the interceptor's answer is the table's: any one of the declared permissions."""
    granted = auth.ROLE_PERMISSIONS[role] | {options.PERMISSION_PUBLIC}
    expected = {
        short for short, method in methods().items() if granted & (rules_of(method)[0] - {options.PERMISSION_INTERNAL})
    }
    assert callable_by(caller(role)) == expected


def test_what_each_role_may_do_by_name() -> None:
    """The table of CONTRACT and DESIGN, spelled out for what administers, reviews and operates."""
    sensitive = ADMINISTER | DETECTORS | NOTICES | HOLDS | TENANTS
    may = {role: callable_by(caller(role)) & sensitive for role in {*ROLES, "operator"}}
    assert may == {
        "operator": TENANTS | ADMINISTER | DETECTORS | NOTICES,
        "tenant_admin": ADMINISTER | DETECTORS | NOTICES,
        "reviewer": HOLDS,
        "user": HOLDS,
        "auditor": set(),
        "approver": set(),
        "data_protection_officer": set(),
    }


def test_strangers_get_only_what_is_public() -> None:
    """No token: the version, and what a link in a notice proves. The front door by itself: no more."""
    assert callable_by(auth.ANONYMOUS) == PUBLIC
    assert callable_by(Principal("service", service=FRONT_DOOR)) == PUBLIC


@pytest.mark.parametrize("service", [*SERVICES, "dev"])
def test_service_may_call_only_what_names_it(service: str) -> None:
    """A service's certificate opens the internal RPCs that list it; `roles` in it would change nothing."""
    expected = {short for short, method in methods().items() if service in rules_of(method)[1]} | PUBLIC
    assert callable_by(Principal("service", service=service, roles=frozenset(auth.ROLE_PERMISSIONS))) == expected


def test_no_token_gets_a_private_key() -> None:
    """What hands out keys is for services by certificate alone, whatever token the front door brings."""
    keys = {"keys.KeyService/GetPipelineKey", "keys.KeyService/GetTraceKey"}
    assert keys <= methods().keys()
    everything = Principal("person", ACME, "x@acme.example", frozenset({*ROLES, "operator"}))
    assert not callable_by(everything) & keys


def test_front_door_knows_every_area() -> None:
    """Each area of the API is some service's."""
    assert {short.partition(".")[0] for short in methods()} == AREAS.keys()
    assert set(AREAS.values()) <= SERVICES.keys()


@pytest.mark.parametrize("pair", sorted(itertools.combinations(sorted(ROLES), 2)))
def test_no_permitted_pair_of_roles_administers_and_reviews_as_reviewer(pair: tuple[str, str]) -> None:
    """{people or policy, review or read} and {request, approve} are never one person's."""
    if auth.conflicting_roles(pair):
        return
    assert not ("tenant_admin" in pair and {"reviewer", "auditor", "approver", "data_protection_officer"} & set(pair))
    assert set(pair) != {"auditor", "approver"}


def test_no_pool_surprise() -> None:
    """A method that does not exist has no rules."""
    assert rules_of("/letterlock.directory.v1.DirectoryService/Nope") == (frozenset(), frozenset())
    assert descriptor_pool.Default() is not None
