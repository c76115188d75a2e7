"""Who calls, and what each role may do: one table, from which the interceptor and its test both read.

No role holds what another must check: who administers people or policy never
reviews or reads, who operates the system sees no address and no mail.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import math
import secrets
import string
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from letterlock.options.v1 import options_pb2 as options

from services.common.directory import Directory
from services.common.errors import InvalidInput
from services.common.ids import TenantId

MIN_API_KEY = 16
"""Characters an API key has at least."""
STRONG_BITS = 128
"""Below this much randomness a key is taken, with a warning."""

_OPERATE, _DIRECTORY = options.PERMISSION_OPERATE, options.PERMISSION_DIRECTORY
_POLICY, _REVIEW, _TRACE = options.PERMISSION_POLICY, options.PERMISSION_REVIEW, options.PERMISSION_TRACE
_AUDIT, _READ = options.PERMISSION_AUDIT, options.PERMISSION_READ
_CASE, _REQUEST = options.PERMISSION_CASE, options.PERMISSION_REQUEST
_APPROVE, _CONSENT = options.PERMISSION_APPROVE, options.PERMISSION_CONSENT
_ANY, _INTERNAL, _PUBLIC = options.PERMISSION_ANY, options.PERMISSION_INTERNAL, options.PERMISSION_PUBLIC

ROLE_PERMISSIONS: Mapping[str, frozenset[int]] = {
    # Sets tenants up and keeps them running; what it sees of a mail's trace has domains only, and of
    # the audit logs the installation's own.
    "operator": frozenset({_ANY, _OPERATE, _DIRECTORY, _POLICY, _TRACE, _AUDIT}),
    "tenant_admin": frozenset({_ANY, _DIRECTORY, _POLICY, _TRACE}),
    "reviewer": frozenset({_ANY, _REVIEW}),
    # A user reviews what a rule leaves to its sender and traces their own mails: each service narrows it to those.
    "user": frozenset({_ANY, _REVIEW, _TRACE}),
    "auditor": frozenset({_ANY, _READ, _CASE, _REQUEST}),
    "approver": frozenset({_ANY, _APPROVE, _CONSENT}),
    "data_protection_officer": frozenset({_ANY, _AUDIT, _CASE, _CONSENT}),
}

EXCLUSIVE_ROLES: tuple[frozenset[str], ...] = (
    frozenset({"tenant_admin", "reviewer"}),
    frozenset({"tenant_admin", "auditor"}),
    frozenset({"tenant_admin", "approver"}),
    frozenset({"auditor", "approver"}),
    frozenset({"data_protection_officer", "auditor"}),
    frozenset({"data_protection_officer", "tenant_admin"}),
    frozenset({"data_protection_officer", "reviewer"}),
    frozenset({"data_protection_officer", "approver"}),
    frozenset({"reviewer", "auditor"}),
    frozenset({"reviewer", "approver"}),
)
"""Roles one person may not hold together: {people or policy, review or read}, {request, approve}, {watch, act}."""
WATCHED_ROLES = frozenset({"reviewer", "auditor", "approver", "data_protection_officer"})
"""Roles that read or approve: given after the first world file they need consent, and a key of the person's own."""
WATCHING_ROLES = frozenset({"approver", "data_protection_officer"})
"""Who may consent."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `tenant` is None for operators, services and the nameless; `address` is a person's address or an
    operator's name; `service` is the name in a client certificate."""

    kind: Literal["person", "operator", "service", "anonymous"] = "anonymous"
    tenant: TenantId | None = None
    address: str = ""
    roles: frozenset[str] = frozenset()
    service: str = ""

    @property
    def name(self) -> str:
        """How records name it: an address, `operator:NAME` or `service:NAME`."""
        match self.kind:
            case "operator":
                return f"operator:{self.address}"
            case "service":
                return f"service:{self.service}"
            case _:
                return self.address


ANONYMOUS = Principal()


def principal_for(directory: Directory, token: str) -> Principal | None:
    """Whose token this is; None when it is nobody's, or its owner or tenant is switched off."""
    key = directory.api_keys.get(token_digest(token))
    if key is None:
        return None
    if key.operator:
        return Principal("operator", None, key.owner, frozenset({"operator"}))
    person, tenant = directory.people.get(key.owner), directory.tenant(key.tenant)
    if person is None or person.tenant != key.tenant or not person.active or tenant is None or tenant.suspended:
        return None
    # Whoever made the token for them could otherwise act as a person that others trust.
    roles = person.roles - WATCHED_ROLES if key.limited else person.roles
    return Principal("person", person.tenant, person.address, roles)


def permissions_of(principal: Principal) -> frozenset[int]:
    """Everything a principal may be asked for, but what its certificate alone allows."""
    granted: frozenset[int] = frozenset({_PUBLIC})
    for role in principal.roles:
        granted |= ROLE_PERMISSIONS.get(role, frozenset())
    return granted


def allowed(principal: Principal, permissions: Collection[int], callers: Collection[str]) -> bool:
    """Whether an RPC that declares these may be called; one that declares nothing is nobody's."""
    if principal.kind == "service":
        return _PUBLIC in permissions or (_INTERNAL in permissions and principal.service in callers)
    return bool(permissions_of(principal) & (set(permissions) - {_INTERNAL}))


def conflicting_roles(roles: Collection[str]) -> frozenset[str]:
    """A set of roles among these that nobody may hold together; empty when all is well."""
    return next((pair for pair in EXCLUSIVE_ROLES if pair <= set(roles)), frozenset())


def token_digest(token: str) -> str:
    """Hex SHA-256: what is stored of a token, which is itself random enough to need no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def new_token() -> str:
    """A token of 256 random bits."""
    return "ll_" + secrets.token_urlsafe(32)


def check_api_key(token: str, *, field: str = "api_key") -> None:
    """Return when this may be a token; raises `InvalidInput`."""
    if len(token) < MIN_API_KEY:
        raise InvalidInput(f"an API key has at least {MIN_API_KEY} characters", field=field)
    if len(token) > 512 or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("an API key is printable ASCII without spaces, at most 512 characters", field=field)


def is_weak(token: str) -> bool:
    """Whether a token can hardly have 128 bits of randomness: judged by its length, alphabet and repetitions."""
    classes = (string.digits, string.ascii_lowercase, string.ascii_uppercase, string.punctuation)
    used = set(token)
    alphabet = 16 if used <= set("0123456789abcdef-") else sum(len(c) for c in classes if set(c) & used)
    return _unforeseen(token) * math.log2(max(alphabet, 2)) < STRONG_BITS or len(used) < 10


def _unforeseen(token: str) -> int:
    """Characters of a token, a run such as `0123456` or `aaaaa` of five or more counted as one."""
    steps = [ord(b) - ord(a) for a, b in itertools.pairwise(token)]
    foreseen = 0
    for step, group in itertools.groupby(steps):
        length = sum(1 for _ in group)
        if -1 <= step <= 1 and length >= 4:
            foreseen += length
    return len(token) - foreseen


# 19 MiB, two passes: OWASP's argon2id parameters for a server that many log in to at once.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Two at a time: more would only take memory and the cores that carry mail.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="argon2")
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))
_KNOWN: dict[bytes, None] = {}
_KNOWN_KEY = secrets.token_bytes(32)
_KNOWN_MOST = 10_000


def hash_password(password: str) -> str:
    """The argon2id hash; takes some 20 ms of a core."""
    return _HASHER.hash(password)


def password_matches(stored: str, password: str) -> bool:
    """Whether this is the password; false for a hash that cannot be read. Takes some 20 ms of a core."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def verify_password(stored: str, password: str) -> bool:
    """As `password_matches`, off the loop. An empty `stored` (nobody, or no password) costs as much and is false.

    A pair that has matched in this process is known again by a keyed hash, without argon2, so that a client which
    logs in for each mail costs one verification.
    """
    known = hmac.digest(_KNOWN_KEY, f"{stored}\0{password}".encode("utf-8", "surrogateescape"), "sha256")
    if stored and known in _KNOWN:
        return True
    loop = asyncio.get_running_loop()
    matches = await loop.run_in_executor(_THREADS, password_matches, stored or _NOBODY, password)
    if not matches or not stored:
        return False
    if len(_KNOWN) >= _KNOWN_MOST:
        _KNOWN.pop(next(iter(_KNOWN)))
    _KNOWN[known] = None
    return True
