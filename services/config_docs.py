"""Write `docs/config.md` from the settings classes, so that it is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import timedelta

from services.common.config import PREFIX, Bytes

_HEAD = """# Settings

Generated from the settings classes (`make docs`); a test keeps it true. Each setting is an environment variable, or a
key of the YAML tree that `--config FILE` names (`ingress: {max_bytes: 50MiB}`); the environment wins. Unknown keys are
errors. `LETTERLOCK_DATA` is the data directory. Durations are written `90s`, `5m`, `2h`, `7d`; sizes `50MiB`, `10MB`.
"""


def render(registry: Mapping[str, type]) -> str:
    """The whole page."""
    lines = [_HEAD]
    for component, kind in registry.items():
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        lines += [f"## `{component}`", "", summary, "", "| setting | default | meaning |", "|---|---|---|"]
        for item in fields(kind):
            default = item.default if item.default is not MISSING else item.default_factory()  # type: ignore[misc]
            meaning = str(item.metadata.get("doc", "")).replace("|", "\\|")
            lines.append(f"| `{PREFIX}{component.upper()}__{item.name.upper()}` | {_shown(default)} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}s`"
    if isinstance(value, Bytes):
        return f"`{int(value)}`"
    if isinstance(value, tuple):
        return "`" + ",".join(_shown(v).strip("`") for v in value) + "`"
    return f"`{value}`"
