"""Patterns and words of a policy, compiled so that many of them cost little more than one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import re2
from ahocorasick_rs import AhoCorasick

from services.policy.core.tree import Value

_FEW_WORDS = 16
_GROUP = 64


def pattern(value: Value) -> Any:
    """A compiled RE2 pattern: linear in time, whatever is written."""
    source = value.text(limit=2000)
    try:
        return re2.compile(source, options())
    except re2.error as error:
        said = (
            error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        raise value.mistake(f"not a safe (RE2) pattern: {said}") from error


def screens(patterns: Sequence[Any]) -> tuple[tuple[Any, tuple[Any, ...]], ...]:
    """Most patterns are not in most mails: one search says so for a whole group."""
    groups = []
    for start in range(0, len(patterns), _GROUP):
        group = tuple(patterns[start : start + _GROUP])
        screen = None
        if len(group) > 1:
            with suppress(re2.error):  # together larger than RE2 takes
                screen = re2.compile("|".join(f"(?:{p.pattern})" for p in group), options())
        groups.append((screen, group))
    return tuple(groups)


def options() -> Any:
    """How patterns are compiled: quietly, with little memory."""
    chosen = re2.Options()
    chosen.log_errors = False
    chosen.max_mem = 4 << 20
    return chosen


def automaton(words: Sequence[str]) -> Any:
    """Finds any of many words in one pass; None for a few."""
    return AhoCorasick(words) if len(words) > _FEW_WORDS else None
