"""The edits that a leg's rules ask for, applied to clean content, each kept with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.delivery.core import wire
from services.delivery.core.wire import Edit

HANDLED = frozenset({"tag", "notify", "bcc", "redirect"})
"""Transforms that delivery carries out, or that the decision's recipients and legs already show."""
SEALS = "seal"


@dataclass(frozen=True, slots=True)
class Wish:
    """A transform of a leg: its kind, the rule it is from, its settings."""

    kind: str
    rule: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """Content as it leaves, and what was changed; `normalised`: newlines and NUL too."""

    content: bytes
    normalised: bool
    edits: tuple[Edit, ...]

    @property
    def differs(self) -> bool:
        """Whether it is not byte for byte what came in."""
        return self.normalised or bool(self.edits)


def read(kind: str, rule: str, settings: bytes) -> Wish:
    """A wish from its stored form; settings that are no JSON object count as none."""
    try:
        value = json.loads(settings or b"{}")
    except ValueError:
        value = {}
    return Wish(kind, rule, value if isinstance(value, dict) else {})


def apply(content: bytes, wishes: Iterable[Wish]) -> Changed:
    """The content with clean newlines and every tag; a tag that is there already, or cannot be, changes nothing."""
    clean = wire.is_clean(content)
    if not clean:
        content = wire.normalise(content)
    edits: list[Edit] = []
    for wish in wishes:
        if wish.kind != "tag":
            continue
        header, prefix = wish.settings.get("header"), wish.settings.get("subject_prefix")
        steps = []
        if isinstance(prefix, str) and prefix.strip():
            steps.append(wire.prefix_subject(content, prefix, rule=wish.rule))
            content = steps[-1][0] if steps[-1] else content
        if isinstance(header, dict) and isinstance(header.get("name"), str):
            value = header.get("value", "")
            steps.append(wire.add_header(content, header["name"], str(value), rule=wish.rule))
            content = steps[-1][0] if steps[-1] else content
        edits += [step[1] for step in steps if step is not None]
    return Changed(content, not clean, tuple(edits))
