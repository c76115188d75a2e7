"""What an expression may not do, found before it is compiled: its cost must not grow faster than its length.

CEL ends always, but values may double in each step. Where no value grows (no `map` or `filter`, no texts or lists
joined, no mappings built, no loop in a loop), the cost is at most the expression's length times the longest list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.policy.core.known import MAX_EXPRESSION, BadExpression

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)|(?P<raw>[rR](?:'[^'\n]*'|"[^"\n]*"))|(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d[\w.]*)|(?P<sign>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]{}])"""
)
_LOOPS = frozenset({"all", "exists", "exists_one"})
_REFUSED = frozenset({"map", "filter"})
_NAMED = {"headers": "header", "detectors": "detector"}
MAX_LOOPS = 8
"""Loops in one expression."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What an expression mentions."""

    names: frozenset[str]
    headers: frozenset[str]
    detectors: frozenset[str]
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def outline(source: str) -> Outline:
    """What it mentions; raises `BadExpression` for what is not taken."""
    if len(source) > MAX_EXPRESSION:
        raise BadExpression(f"an expression has at most {MAX_EXPRESSION} characters")
    tokens = _tokens(source)
    _check_loops(tokens)
    mentioned: dict[str, set[str]] = {"headers": set(), "detectors": set()}
    patterns: list[str] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else _Token("", "")
        after = [t.text for t in tokens[i + 1 : i + 3]]
        if token.text in ("{", "}"):
            raise BadExpression("mappings cannot be built")
        if token.kind != "name":
            continue
        if token.text in _REFUSED and before.text == ".":
            raise BadExpression(f"{token.text} is not available")
        if token.text in mentioned and before.text == ".":
            mentioned[token.text].add(_named(tokens, i))
        if token.text == "matches" and before.text == ".":
            if len(after) < 2 or after[0] != "(" or tokens[i + 2].kind not in ("raw", "text"):
                raise BadExpression("matches takes a pattern in quotes")
            patterns.append(_unquoted(tokens[i + 2]))
    names = frozenset(t.text for t in tokens if t.kind == "name")
    return Outline(names, frozenset(mentioned["headers"]), frozenset(mentioned["detectors"]), tuple(patterns))


def _tokens(source: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise BadExpression(f"cannot be read at character {at + 1}: {source[at]!r}")
        at = found.end()
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found.group()))
    return tokens


def _check_loops(tokens: list[_Token]) -> None:
    inside: list[bool] = []
    loops = 0
    for i, token in enumerate(tokens):
        if token.text == "(":
            loop = i >= 2 and tokens[i - 1].text in _LOOPS and tokens[i - 2].text == "."
            loops += loop
            if loop and any(inside):
                raise BadExpression("a loop (all, exists, exists_one) cannot stand inside another")
            inside.append(loop)
        elif token.text == ")" and inside:
            inside.pop()
    if loops > MAX_LOOPS:
        raise BadExpression(f"more than {MAX_LOOPS} loops (all, exists, exists_one)")


def _named(tokens: list[_Token], i: int) -> str:
    """The name in `mail.headers["x"]`, or before it in `"x" in mail.headers`."""
    what = _NAMED[tokens[i].text]
    if i + 2 < len(tokens) and tokens[i + 1].text == "[" and tokens[i + 2].kind in ("raw", "text"):
        return _unquoted(tokens[i + 2])
    raise BadExpression(f'mail.{tokens[i].text} takes the {what}\'s name in quotes: mail.{tokens[i].text}["name"]')


def _unquoted(token: _Token) -> str:
    if token.kind == "raw":
        return token.text[2:-1]
    body = token.text[1:-1]
    if re.search(r"\\[^\\'\"]", body):
        raise BadExpression("write patterns and names without escapes, or as r'…'")
    return re.sub(r"\\(.)", r"\1", body)
