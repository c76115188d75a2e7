"""The world file: read whole, with every mistake in it at once.

Secrets come resolved (`…_file` is the client's business). What the file does
not name is left alone when it is applied; what it sets to null is removed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.admin.core import checks
from services.admin.core.checks import Mistakes
from services.common import auth
from services.common.errors import InvalidInput

MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PersonSpec:
    """A person in the file, secrets beside."""

    value: Mapping[str, Any]
    password: str | None = None
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """A connector in the file, its password beside."""

    value: Mapping[str, Any]
    password: str | None = None


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """A tenant in the file; keys of the mappings are names or addresses."""

    name: str
    value: Mapping[str, Any]
    domains: Mapping[str, Mapping[str, Any]]
    connectors: Mapping[str, ConnectorSpec]
    groups: Mapping[str, Mapping[str, Any]]
    people: Mapping[str, PersonSpec]
    policy: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What a world file says; `paths` says where each document stands in it."""

    operators: Mapping[str, str | None] = field(default_factory=dict)
    tenants: tuple[TenantSpec, ...] = ()
    warnings: tuple[str, ...] = ()
    paths: Mapping[tuple[str, str, str], str] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            name = key.value
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="this key stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def parse(document: str) -> tuple[World, Mistakes]:
    """What the file says, as far as it can be read, and what is wrong with it."""
    mistakes = Mistakes()
    if len(document.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        mistakes.add("", "larger than 4 MiB")
        return World(), mistakes
    try:
        # A SafeLoader's child: it makes plain values only.
        tree = yaml.load(document, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        mistakes.add(f"line {line}", str(error.problem or "not YAML"))
        return World(), mistakes
    except (yaml.YAMLError, ValueError, RecursionError):
        mistakes.add("", "not YAML")
        return World(), mistakes
    return _Reader(mistakes).world(tree if tree is not None else {}), mistakes


class _Reader:
    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes
        self.warnings: list[str] = []
        self.paths: dict[tuple[str, str, str], str] = {}
        self.keys: dict[str, str] = {}

    def world(self, tree: Any) -> World:
        raw = self._top(tree, {"operators", "tenants"}, "")
        operators: dict[str, str | None] = {}
        for path, item in self._list(raw.get("operators"), "operators"):
            found = self._top(item, {"name", "api_key"}, path)
            name = checks.label(found.get("name"), f"{path}.name", self.mistakes)
            if name and name in operators:
                self.mistakes.add(f"{path}.name", "stands twice")
            operators[name] = self._api_key(found.get("api_key"), f"{path}.api_key")
            self.paths["", "operator", name] = path
        tenants: list[TenantSpec] = []
        for path, item in self._list(raw.get("tenants"), "tenants"):
            tenant = self._tenant(item, path)
            if tenant.name and any(tenant.name == t.name for t in tenants):
                self.mistakes.add(f"{path}.name", "stands twice")
            tenants.append(tenant)
        return World(operators, tuple(tenants), tuple(self.warnings), self.paths)

    def _tenant(self, item: Any, path: str) -> TenantSpec:
        own = {"name", "domains", "connectors", "groups", "people", "archive", "policy"}
        settings = {"next_hop", "smarthost", "bare_newlines", "language", "limits", "suspended"}
        raw = self._top(item, own | settings, path)
        name = checks.label(raw.get("name"), f"{path}.name", self.mistakes)
        value = checks.fields({k: raw[k] for k in settings & raw.keys()}, checks.TENANT, path, self.mistakes)
        archive = {k: checks.TENANT[k] for k in ("retention", "keep_refused", "approvals")}
        if raw.get("archive") is not None:
            value |= checks.fields(raw["archive"], archive, f"{path}.archive", self.mistakes)
        self.paths[name, "tenant", "self"] = path
        return TenantSpec(
            name=name,
            value=value,
            domains=self._domains(name, raw.get("domains"), f"{path}.domains"),
            connectors=self._connectors(name, raw.get("connectors"), f"{path}.connectors"),
            groups=self._groups(name, raw.get("groups"), f"{path}.groups"),
            people=self._people(name, raw.get("people"), f"{path}.people"),
            policy=self._policy(raw.get("policy"), f"{path}.policy"),
            path=path,
        )

    def _domains(self, tenant: str, raw: Any, path: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for where, item in self._list(raw, path):
            given = dict(item) if isinstance(item, Mapping) else {"name": item}
            name = checks.domain(given.pop("name", None), f"{where}.name", self.mistakes)
            value = checks.fields(given, checks.DOMAIN, where, self.mistakes)
            self._once(found, (tenant, "domain", name), where, value)
        return found

    def _connectors(self, tenant: str, raw: Any, path: str) -> dict[str, ConnectorSpec]:
        found: dict[str, ConnectorSpec] = {}
        for where, item in self._list(raw, path):
            given = dict(item) if isinstance(item, Mapping) else {}
            name = checks.name(given.pop("name", None), f"{where}.name", self.mistakes)
            value = checks.fields(given, checks.CONNECTOR, where, self.mistakes)
            password = value.pop("password", None)
            if not any(value.get(k) for k in ("networks", "tls_client", "username")):
                self.mistakes.add(where, "needs networks, tls_client or username")
            self._once(found, (tenant, "connector", name), where, ConnectorSpec(value, password))
        return found

    def _groups(self, tenant: str, raw: Any, path: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        if raw is not None and not isinstance(raw, Mapping):
            self.mistakes.add(path, "expected a mapping of names to members")
            raw = None
        for key, item in (raw or {}).items():
            where = f"{path}.{key}"
            name = checks.name(key, where, self.mistakes)
            given = item if isinstance(item, Mapping) else {"members": item if item is not None else []}
            value = checks.fields(given, checks.GROUP, where, self.mistakes)
            self._once(found, (tenant, "group", name), where, value)
        return found

    def _people(self, tenant: str, raw: Any, path: str) -> dict[str, PersonSpec]:
        found: dict[str, PersonSpec] = {}
        for where, item in self._list(raw, path):
            given = dict(item) if isinstance(item, Mapping) else {"address": item}
            address = checks.address(given.pop("address", None), f"{where}.address", self.mistakes)
            api_key = self._api_key(given.pop("api_key", None), f"{where}.api_key")
            value = checks.fields(given, checks.PERSON, where, self.mistakes)
            password = value.pop("password", None)
            self._once(found, (tenant, "person", address), where, PersonSpec(value, password, api_key))
        return found

    def _policy(self, raw: Any, path: str) -> str | None:
        if raw is None or isinstance(raw, str):
            return raw
        if not isinstance(raw, Mapping):
            self.mistakes.add(path, "expected a policy document")
            return None
        return yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)

    def _api_key(self, raw: Any, path: str) -> str | None:
        if raw is None:
            return None
        if not isinstance(raw, str):
            self.mistakes.add(path, "expected text: put it in quotes")
            return None
        try:
            auth.check_api_key(raw)
        except InvalidInput as error:
            self.mistakes.add(path, error.public)
            return None
        if raw in self.keys:
            self.mistakes.add(path, f"is the same as {self.keys[raw]}")
        self.keys[raw] = path
        if auth.is_weak(raw):
            self.warnings.append(f"{path}: less than 128 bits of randomness")
        return raw

    def _once[V](self, found: dict[str, V], place: tuple[str, str, str], path: str, value: V) -> None:
        key = place[2]
        if key and key in found:
            self.mistakes.add(path, "stands twice")
        if key:
            found[key] = value
            self.paths[place] = path

    def _top(self, raw: Any, known: set[str], path: str) -> Mapping[str, Any]:
        if not isinstance(raw, Mapping):
            self.mistakes.add(path, "expected a mapping")
            return {}
        for key in raw:
            if key not in known:
                where = f"{path}.{key}" if path else str(key)
                self.mistakes.add(where, f"unknown; expected one of {', '.join(sorted(known))}")
        return {str(k): v for k, v in raw.items() if k in known}

    def _list(self, raw: Any, path: str) -> list[tuple[str, Any]]:
        if raw is None:
            return []
        if not isinstance(raw, list):
            self.mistakes.add(path, "expected a list")
            return []
        return [(f"{path}[{i}]", item) for i, item in enumerate(raw)]
