"""What applying a world file changes: the file, the documents as they are, and out come writes and lines for people.

Applying is a merge: documents and fields that the file does not name stay as
they are, a field that is null goes. The order of the writes is the order in
which a crash leaves the least: claims first, then the tenant, then its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.admin.core import consent
from services.admin.core.state import NOTHING, Clash, Known, Place, clashes, live, tenant_names
from services.admin.core.world import TenantSpec, World
from services.common.auth import token_digest
from services.common.ids import INSTALLATION, TenantId

WORLD_KEY = "world file"
"""Name of the API keys that a world file gave: the file's next key for the same person takes its place."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write, based on revision `expected`; `line` says it to people, empty for what they need not know."""

    place: Place
    value: Mapping[str, Any] | None
    expected: int
    line: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that applying a file does. `policies` are for the policy service: tenant id, name, text."""

    changes: tuple[Change, ...] = ()
    policies: tuple[tuple[TenantId, str, str], ...] = ()
    mistakes: tuple[tuple[str, str], ...] = ()

    @property
    def lines(self) -> list[str]:
        """The changes for people, in the order they are made."""
        return [c.line for c in self.changes if c.line]


@dataclass(frozen=True, slots=True)
class Means:
    """What planning needs from outside: new ids, and argon2 (slow: plan off the loop)."""

    new_id: Callable[[], TenantId] = TenantId.new
    hash_password: Callable[[str], str] = field(default=str)
    matches: Callable[[str, str], bool] = field(default=str.__eq__)


def plan(world: World, state: Mapping[Place, Known], means: Means, *, giver: str = "", file: str = "") -> Plan:
    """The writes that make `state` say what `world` says; none when it does. Clashes become mistakes by path.

    `giver` is who applies it and `file` the hash of what is applied: an interrupted first file goes on as first.
    """
    return _Planner(dict(state), means, giver, file).plan(world)


class _Planner:
    def __init__(self, state: dict[Place, Known], means: Means, giver: str, file: str) -> None:
        self.state, self.means, self.giver, self.file = state, means, giver, file
        self.names = tenant_names(state)
        self.changes: list[Change] = []
        self.mistakes: list[tuple[str, str]] = []
        self.digests = {
            **{key: (tenant, str(value.get("owner"))) for tenant, key, value in live(state, "apikey")},
            **{str(value.get("digest")): (t, key) for t, key, value in live(state, "operator")},
        }

    def plan(self, world: World) -> Plan:
        for name, key in world.operators.items():
            self._operator(world, name, key)
        ids: dict[TenantId, str] = {}
        policies: list[tuple[TenantId, str, str]] = []
        for spec in world.tenants:
            tenant = self._tenant(spec)
            ids[tenant] = spec.name
            self._parts(world, tenant, spec)
            if spec.policy is not None:
                policies.append((tenant, spec.name, spec.policy))
        for clash in clashes(self.state):
            if clash.place[0] in ids:
                self.mistakes.append((_path(world, ids, clash), clash.text))
        return Plan(tuple(self.changes), tuple(policies), tuple(dict.fromkeys(self.mistakes)))

    def _operator(self, world: World, name: str, key: str | None) -> None:
        place = (INSTALLATION, "operator", name)
        known = self.state.get(place, NOTHING)
        if key is None:
            if known.value is None:
                self.mistakes.append((world.paths["", "operator", name], "a new operator needs an api_key"))
            return
        digest = token_digest(key)
        if self.digests.get(digest, (INSTALLATION, name)) != (INSTALLATION, name):
            self.mistakes.append((world.paths["", "operator", name] + ".api_key", "is in use"))
        self._merge(place, {"digest": digest}, f"operator {name}", secret="api_key")

    def _tenant(self, spec: TenantSpec) -> TenantId:
        tenant = self.names.get(spec.name)
        if tenant is None:
            tenant = self.names[spec.name] = self.means.new_id()
            self._merge((INSTALLATION, "tenant-name", spec.name), {"tenant": tenant}, "")
        self._merge((tenant, "tenant", "self"), {"name": spec.name, **spec.value}, f"tenant {spec.name}")
        return tenant

    def _parts(self, world: World, tenant: TenantId, spec: TenantSpec) -> None:
        for name, value in spec.domains.items():
            claim = (INSTALLATION, "domain-claim", name)
            known = self.state.get(claim, NOTHING)
            if known.value is not None and known.value.get("tenant") != tenant:
                path = world.paths[spec.name, "domain", name]
                self.mistakes.append((path, "is another tenant's"))
                continue
            self._merge(claim, {"tenant": tenant}, "")
            self._merge((tenant, "domain", name), value, f"domain {name}")
        for name, connector in spec.connectors.items():
            secrets = self._secret((tenant, "connector", name), connector.password)
            line = f"connector {spec.name}/{name}"
            self._merge((tenant, "connector", name), {**connector.value, **secrets}, line)
        for name, value in spec.groups.items():
            self._merge((tenant, "group", name), value, f"group {spec.name}/{name}")
        self._people(world, tenant, spec)

    def _people(self, world: World, tenant: TenantId, spec: TenantSpec) -> None:
        """The first file that names people of a tenant gives them their roles; later ones wait for consent."""
        place = (tenant, "tenant", "self")
        founding = (self.state[place].value or {}).get("founding") == self.file or not any(
            t == tenant and kind == "person" for t, kind, _ in self.state
        )
        if founding and spec.people:
            self._merge(place, {"founding": self.file}, "")
        before = [value for t, _, value in live(self.state, "person") if t == tenant]
        for address, person in spec.people.items():
            known = self.state.get((tenant, "person", address), NOTHING).value
            given = {**person.value, **self._secret((tenant, "person", address), person.password)}
            waits = ""
            if not founding and "roles" in given:
                held = consent.held(known, {**(known or {}), **given}, self.giver)
                given = {"pending": None, "pending_by": None, **held}
                new = set(held.get("pending") or ()) - set((known or {}).get("pending") or ())
                waits = f": {', '.join(sorted(new))} waits for consent" if new else ""
            self._merge((tenant, "person", address), given, f"person {address}{waits}")
            if person.api_key is not None:
                self._api_key(world, tenant, spec.name, address, person.api_key, limited=not founding)
        after = [value for t, _, value in live(self.state, "person") if t == tenant]
        if consent.loses_last_watcher(before, after):
            self.mistakes.append((f"{spec.path}.people", "would leave no approver or data protection officer"))
        if founding and spec.people:
            self._merge(place, {"founding": None}, "")

    def _secret(self, place: Place, password: str | None) -> dict[str, Any]:
        if password is None:
            return {}
        stored = str((self.state.get(place, NOTHING).value or {}).get("password_hash", ""))
        if stored and self.means.matches(stored, password):
            return {}
        return {"password_hash": self.means.hash_password(password)}

    def _api_key(self, world: World, tenant: TenantId, name: str, owner: str, key: str, *, limited: bool) -> None:
        digest = token_digest(key)
        if self.digests.get(digest, (tenant, owner)) != (tenant, owner):
            path = world.paths[name, "person", owner]
            self.mistakes.append((f"{path}.api_key", "is in use"))
            return
        place = (tenant, "apikey", digest)
        if self.state.get(place, NOTHING).value is None:
            value = {"owner": owner, "name": WORLD_KEY} | ({"limited": True} if limited else {})
            self._merge(place, value, f"apikey of {owner}")
        replaced = [
            k
            for t, k, value in live(self.state, "apikey")
            if t == tenant and k != digest and value.get("owner") == owner and value.get("name") == WORLD_KEY
        ]
        for old in replaced:
            self._write((tenant, "apikey", old), None, f"- apikey of {owner} (replaced)")

    def _merge(self, place: Place, given: Mapping[str, Any], what: str, *, secret: str = "") -> None:
        known = self.state.get(place, NOTHING)
        before = dict(known.value or {})
        after = {k: v for k, v in {**before, **given}.items() if v is not None}
        if known.value is None:
            self._write(place, after, f"+ {what}" if what else "")
            return
        changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        if changed:
            names = ", ".join(dict.fromkeys(_word(k, secret) for k in changed))
            self._write(place, after, f"~ {what} ({names})" if what else "")

    def _write(self, place: Place, value: Mapping[str, Any] | None, line: str) -> None:
        known = self.state.get(place, NOTHING)
        self.changes.append(Change(place, value, known.revision, line))
        self.state[place] = Known(value, known.revision + 1)


def _word(field_name: str, secret: str) -> str:
    known = {"password_hash": "password", "digest": secret or "api_key", "pending": "roles", "pending_by": "roles"}
    return known.get(field_name, field_name)


def _path(world: World, ids: Mapping[TenantId, str], clash: Clash) -> str:
    tenant, kind, key = clash.place
    path = world.paths.get((ids[tenant], kind, key), f"{ids[tenant]}.{kind}.{key}")
    return f"{path}.{clash.field}"
