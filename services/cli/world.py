"""The world file as it is sent: every `…_file` replaced by what the file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from services.common.errors import InvalidInput


def read_world(path: Path) -> str:
    """The document at `path`; files it names are looked for beside it. Raises `InvalidInput`.

    Without such names it is the text as it stands, so that the line of a mistake is the line in the file.
    """
    return resolve(_read(path), path.parent, str(path))


def resolve(text: str, folder: Path, name: str = "world file") -> str:
    """Like `read_world`, for a text whose files are in `folder`."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""  # type: ignore[attr-defined]
        raise InvalidInput(f"{name}{where}: not YAML") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{name}: expected a tree with operators and tenants")
    resolved, changed = _walk(document, folder)
    return str(yaml.safe_dump(resolved, allow_unicode=True, sort_keys=False)) if changed else text


def _walk(value: Any, folder: Path) -> tuple[Any, bool]:
    """`value` with its files read, and whether there was one. A policy's own words are left alone."""
    if isinstance(value, list):
        items = [_walk(item, folder) for item in value]
        return [item for item, _ in items], any(changed for _, changed in items)
    if not isinstance(value, dict):
        return value, False
    found: dict[Any, Any] = {}
    changed = False
    for key, item in value.items():
        if isinstance(key, str) and key.endswith("_file") and isinstance(item, str):
            target = key.removesuffix("_file")
            if target in value:
                raise InvalidInput(f"{target} and {key} are both given", field=key)
            found[target], changed = _value(target, _read(folder / item)), True
        elif key == "policy":
            found[key] = item
        else:
            found[key], inner = _walk(item, folder)
            changed = changed or inner
    return found, changed


def _value(name: str, text: str) -> Any:
    if name != "policy":
        return text.strip()
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise InvalidInput("policy_file: not YAML", field="policy_file") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not UTF-8 text") from None
