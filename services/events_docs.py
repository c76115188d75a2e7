"""Write `docs/events.md`: every log event in the code, found by reading the code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
_HEAD = """# Log events

Generated from the code (`make docs`); a test keeps it true. An event's name is constant, its facts are fields: ids,
sizes, counts and codes. No event carries content, a subject, an address or a secret.

| event | level | fields | where |
|---|---|---|---|
"""


def events() -> Iterator[tuple[str, str, str, str]]:
    """Each (event, level, fields, module), in the order of the files."""
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "_log", "_LOG")
                and node.args
            ):
                first = node.args[0]
                name = first.value if isinstance(first, ast.Constant) else "(not constant)"
                names = ", ".join(f"`{k.arg}`" for k in node.keywords if k.arg and k.arg != "exc_info")
                yield str(name), node.func.attr, names, str(file.relative_to(ROOT.parent).with_suffix(""))


def render() -> str:
    """The whole page."""
    rows = sorted({f"| `{name}` | {level} | {names or '–'} | `{where}` |" for name, level, names, where in events()})
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(render(), end="")
