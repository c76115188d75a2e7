"""YAML (and so JSON) as a tree that knows its lines, read within bounds.

No tags, no aliases (a "billion laughs" is made of them), no duplicate keys;
size, depth and node count are limited before anything is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_NODES = 20_000
MAX_MISTAKES = 50


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, where: lines and columns count from 1, 0 is the document as a whole."""

    line: int
    column: int
    path: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path + ': ' if self.path else ''}{self.reason}"


class Bad(Exception):
    """A value that cannot be used; the mistake is already noted."""


class Notes:
    """Collects mistakes, the first fifty."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def add(self, line: int, column: int, path: str, reason: str) -> None:
        """Note one."""
        if len(self.mistakes) < MAX_MISTAKES:
            self.mistakes.append(Mistake(line, column, path, reason))


@dataclass(frozen=True, slots=True)
class Value:
    """A node of the document: a mapping, a list or a plain value, with its place."""

    plain: Any
    line: int
    column: int
    path: str
    notes: Notes
    source: str | None = None
    """A plain value as it was written: where a text is expected, `no` is not false and 007 is not 7."""

    def mistake(self, reason: str) -> Bad:
        """Note a mistake here; returned so that it can be raised."""
        self.notes.add(self.line, self.column, self.path, reason)
        return Bad(reason)

    def mapping(self, *known: str, later: Iterable[str] = ()) -> Mapping[str, Value]:
        """The values by key; notes each unknown key, and each that is not yet available."""
        if not isinstance(self.plain, dict):
            raise self.mistake(f"expected a mapping, not {kind(self.plain)}")
        unusable = False
        for key, value in self.plain.items():
            if key in later:
                value.mistake(f"{key} is not yet available")
                unusable = True
            elif known and key not in known:
                value.mistake(f"unknown key {key!r}; known are {', '.join(sorted(known))}")
                unusable = True
        if unusable:
            raise Bad
        return self.plain

    def items(self) -> list[Value]:
        """The values of a list; a lone value is a list of one."""
        return self.plain if isinstance(self.plain, list) else [self]

    def each[T](self, read: Callable[[Value], T], *, empty: bool = False) -> tuple[T, ...]:
        """Every item through `read`; mistakes of all of them are noted before it raises."""
        found, bad = [], False
        for item in self.items():
            try:
                found.append(read(item))
            except Bad:
                bad = True
        if bad:
            raise Bad
        if not found and not empty:
            raise self.mistake("is empty, so it can never match")
        return tuple(found)

    def text(self, *, limit: int = 1000, empty: bool = False) -> str:
        """A text, as it was written."""
        if self.source is None or self.plain is None:
            raise self.mistake(f"expected a text, not {kind(self.plain)}; write it in quotes")
        text = self.source
        if not text.strip() and not empty:
            raise self.mistake("is empty")
        if len(text) > limit:
            raise self.mistake(f"is longer than {limit} characters")
        return text

    def number(self, low: float, high: float) -> int:
        """A whole number between two bounds."""
        if isinstance(self.plain, bool) or not isinstance(self.plain, int):
            raise self.mistake(f"expected a whole number, not {kind(self.plain)}")
        number: int = self.plain
        if not low <= number <= high:
            raise self.mistake(f"must be from {low:,} to {high:,}")
        return number

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.plain, bool):
            raise self.mistake(f"expected true or false, not {kind(self.plain)}")
        return self.plain

    def one_of[T: str](self, *allowed: T) -> T:
        """One of a few words."""
        for word in allowed:
            if self.plain == word:
                return word
        raise self.mistake(
            f"expected {', '.join(allowed[:-1])} or {allowed[-1]}" if allowed[1:] else f"expected {allowed[0]}"
        )


def kind(plain: Any) -> str:
    """What a value is, in words."""
    match plain:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return "true/false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case None:
            return "nothing"
        case _:
            return f"a {type(plain).__name__}"


def load(text: str, notes: Notes) -> Value | None:
    """The document as a tree, or None with the mistakes noted."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        notes.add(0, 0, "", f"the document is larger than {MAX_BYTES // 1024} KiB")
        return None
    if text.lstrip().startswith("{"):
        # JSON may be indented with tabs, YAML may not; inside JSON texts a raw tab is forbidden.
        text = text.replace("\t", " ")
    try:
        if not _bounded(text, notes):
            return None
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            notes.add(0, 0, "", "the document is empty")
            return None
        return _Builder(notes).build(node, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        notes.add(line, column, "", f"not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        notes.add(0, 0, "", f"not YAML: {str(error).splitlines()[0] if str(error) else 'unreadable'}")
    return None


def _bounded(text: str, notes: Notes) -> bool:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        mark: Any = event.start_mark
        reason = ""
        if isinstance(event, yaml.AliasEvent):
            reason = "aliases (*name) are not allowed"
        elif getattr(event, "tag", None) is not None and not _implied(event):
            reason = "tags (!name) are not allowed"
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                reason = f"nested deeper than {MAX_DEPTH} levels"
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if count > MAX_NODES:
            reason = f"more than {MAX_NODES:,} values"
        if reason:
            notes.add(mark.line + 1, mark.column + 1, "", reason)
            return False
    return True


def _implied(event: Any) -> bool:
    # A quoted scalar bears the tag "!" or none; the resolver decides, not the author.
    implicit = event.implicit
    return any(implicit) if isinstance(implicit, tuple) else bool(implicit)


class _Builder:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._scalars = _Loader("")

    def build(self, node: yaml.Node, path: str) -> Value:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        plain: Any
        source = None
        if isinstance(node, yaml.MappingNode):
            plain = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
                mark = key_node.start_mark
                where = f"{path}.{key}" if path else str(key)
                if key is None or key in plain:
                    reason = "keys must be plain texts" if key is None else f"{key!r} is given twice"
                    self._notes.add(mark.line + 1, mark.column + 1, path, reason)
                    continue
                value = self.build(value_node, where)
                # A mistake about a key's value is shown where the key stands.
                plain[key] = Value(value.plain, mark.line + 1, mark.column + 1, where, self._notes, value.source)
        elif isinstance(node, yaml.SequenceNode):
            plain = [self.build(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
        else:
            source = str(node.value)
            try:
                plain = self._scalars.construct_object(node)
            except (ValueError, OverflowError, yaml.YAMLError):
                self._notes.add(line, column, path, "cannot be read as a value; write it in quotes")
                plain = None
        return Value(plain, line, column, path, self._notes, source)
