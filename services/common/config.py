"""Settings: one frozen dataclass per component, read from the environment and a mounted file.

`LETTERLOCK_<COMPONENT>__<NAME>` or the same tree in YAML; the environment
wins. Unknown keys are errors, and all mistakes are reported at once.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from services.common.errors import InvalidInput

PREFIX = "LETTERLOCK_"
_RESERVED = frozenset({"DATA", "SERVER", "TOKEN", "TENANT", "CA"})
"""Not components: the data directory and the command line's own."""


class Secret(str):
    """A text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        """The text."""
        return str.__str__(self)


@dataclass(frozen=True, slots=True)
class Address:
    """`host:port`; port 0 means: take a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port` or `[v6]:port`; raises `ValueError`."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("expected HOST:PORT")
        return cls(host.strip("[]"), int(port))


_UNITS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "y": 365 * 86400,
}
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}


def parse_duration(text: str | int | float) -> timedelta:
    """Read `90s`, `1.5h`, `7d` or a number of seconds; raises `ValueError`."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return timedelta(seconds=text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|[smhdwy])", str(text).strip())
    if not match:
        raise ValueError("expected a duration such as 90s, 5m, 2h, 7d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def parse_bytes(text: str | int) -> int:
    """Read `50MiB`, `10MB` or a number of bytes; raises `ValueError`."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", str(text).strip())
    if not match or match[2].lower() not in _BYTES:
        raise ValueError("expected a size such as 50MiB or 1000000")
    return int(float(match[1]) * _BYTES[match[2].lower()])


class Bytes(int):
    """A number of bytes."""

    __slots__ = ()


def setting(default: Any, doc: str) -> Any:
    """A field of a settings dataclass: its default and what it means, with units."""
    metadata = {"doc": doc}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _convert(kind: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value in (None, ""):
            return None
        return _convert(next(a for a in arguments if a is not types.NoneType), value)
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [v.strip() for v in str(value).split(",") if v.strip()]
        return tuple(_convert(arguments[0], v) for v in items)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"expected one of {', '.join(map(str, arguments))}")
        return value
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "1", "yes", "on"):
            return True
        if str(value).lower() in ("false", "0", "no", "off"):
            return False
        raise ValueError("expected true or false")
    if kind is timedelta:
        return parse_duration(value)
    if kind is Address:
        return Address.parse(str(value))
    if kind is Bytes:
        return Bytes(parse_bytes(value))
    if kind is Path:
        return Path(str(value))
    if kind in (int, float, str, Secret):
        if isinstance(value, bool | list | dict):
            raise ValueError(f"expected {kind.__name__}")
        return kind(value)
    raise TypeError(f"a setting cannot be of type {kind}")


class Settings:
    """The settings of this process, by component: `settings.of(IngressConfig)`."""

    def __init__(self, values: Mapping[str, Any], data: Path) -> None:
        self._values = dict(values)
        self.data = data

    def of[T](self, kind: type[T]) -> T:
        """The settings of one component."""
        return next(v for v in self._values.values() if type(v) is kind)

    def components(self) -> Mapping[str, Any]:
        """All of them by name."""
        return self._values

    def show(self) -> dict[str, dict[str, Any]]:
        """Everything as plain values, secrets hidden."""
        return {
            name: {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
            for name, value in self._values.items()
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return "(secret)"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Bytes):
        return int(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def load(
    registry: Mapping[str, type],
    environment: Mapping[str, str],
    file: Path | None = None,
) -> Settings:
    """Read the settings of the components in `registry`; raises `InvalidInput` that names every mistake."""
    mistakes: list[str] = []
    tree: dict[str, dict[str, tuple[str, Any]]] = {name: {} for name in registry}
    data = environment.get("LETTERLOCK_DATA", ".letterlock")
    if file is not None:
        try:
            document = yaml.safe_load(file.read_text()) or {}
        except OSError as error:
            raise InvalidInput(f"{file}: {error.strerror}") from error
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            mark = getattr(error, "problem_mark", None)
            raise InvalidInput(f"{file}{f', line {mark.line + 1}' if mark else ''}: not YAML") from error
        if not isinstance(document, dict):
            raise InvalidInput(f"{file}: expected a tree of settings")
        for component, branch in document.items():
            if component == "data":
                data = environment.get("LETTERLOCK_DATA", str(branch))
            elif component not in registry or not isinstance(branch, dict):
                mistakes.append(f"{file}: unknown setting {component}")
            else:
                for key, value in branch.items():
                    tree[component][str(key)] = (f"{file}: {component}.{key}", value)
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name[len(PREFIX) :] in _RESERVED:
            continue
        component, separator, key = name[len(PREFIX) :].lower().partition("__")
        if not separator or component not in registry:
            mistakes.append(f"{name}: unknown setting")
        else:
            tree[component][key] = (name, value)
    values: dict[str, Any] = {}
    for component, kind in registry.items():
        hints = typing.get_type_hints(kind)
        known = {f.name: f for f in fields(kind)}
        arguments: dict[str, Any] = {}
        own: list[str] = []
        for key, (where, value) in tree[component].items():
            if key not in known:
                own.append(f"{where}: unknown setting")
                continue
            try:
                arguments[key] = _convert(hints[key], value)
            except ValueError as error:
                own.append(f"{where}: {error}")
        own += [
            f"{PREFIX}{component.upper()}__{f.name.upper()}: required"
            for f in known.values()
            if f.default is MISSING and f.default_factory is MISSING and f.name not in tree[component]
        ]
        if not own:
            try:
                values[component] = kind(**arguments)
            except InvalidInput as error:
                own.append(str(error))
        mistakes += own
    if mistakes:
        raise InvalidInput("; ".join(mistakes))
    return Settings(values, Path(data).absolute())
