"""The language of questions about archived mail: one parser for the command line, the API and the portal.

```
question = all { "OR" all }            all  = one { [ "AND" ] one }
one      = "NOT" one | "(" question ")" | [ field ":" ] ( word | '"' phrase '"' )
```

Exact: no stemming, no wildcards, no guesses. What cannot be meant is refused with its place, instead of finding
something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from services.common.errors import InvalidInput
from services.common.search import words

MOST_CHARACTERS = 4096
MOST_TERMS = 64
MOST_DEPTH = 16

type TextField = Literal["any", "subject", "attachment", "filename", "header"]
type AddressField = Literal["from", "to", "recipient"]

TEXT_FIELDS: tuple[str, ...] = ("subject", "attachment", "filename")
ADDRESS_FIELDS: tuple[str, ...] = ("from", "to", "recipient")
DIRECTIONS = ("inbound", "outbound", "internal")
VERDICTS = ("deliver", "delay", "hold", "return", "refuse", "delete")


@dataclass(frozen=True, slots=True)
class Text:
    """A word or an exact phrase in a field; `any` is subject, body and attachment text. `header` is lower-case."""

    field: TextField
    text: str
    header: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """A whole address, a local part with `@`, or a domain with its subdomains, in a field."""

    field: AddressField
    address: str


@dataclass(frozen=True, slots=True)
class MessageIdIs:
    """The Message-ID, without its angle brackets."""

    value: str


@dataclass(frozen=True, slots=True)
class Received:
    """The time of receipt, UTC: `after` is inclusive, `before` exclusive."""

    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """More than `larger` or fewer than `smaller` bytes."""

    larger: int | None = None
    smaller: int | None = None


@dataclass(frozen=True, slots=True)
class Is:
    """A code: the mail's direction, its verdict, or a rule that matched."""

    field: Literal["direction", "verdict", "rule"]
    value: str


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them."""

    of: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It is not."""

    of: Node


type Leaf = Text | Address | MessageIdIs | Received | Size | Is
type Node = Leaf | And | Or | Not

_LEX = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))
    |(?P<bare>header:[!-9;-~]+?:|[A-Za-z]+:)(?=[\s()]|$)
    |(?P<field>header:[!-9;-~]+?:|[A-Za-z]+:)?(?:"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()"]+))
    |(?P<quote>"))""",
    re.VERBOSE,
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(b|kb|mb|gb|kib|mib|gib|)", re.IGNORECASE)
_UNITS = {
    "": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3,
}  # fmt: skip
_FIELDS = (
    *ADDRESS_FIELDS, *TEXT_FIELDS, "messageid", "after", "before", "larger", "smaller", "direction", "verdict", "rule",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: Literal["open", "close", "and", "or", "not", "term"]
    at: int
    field: str = ""
    value: str = ""
    quoted: bool = False


def parse(text: str) -> Node:
    """The tree of a question; raises `InvalidInput` (field `query`) that says what is wrong, and where."""
    if len(text) > MOST_CHARACTERS:
        raise _wrong(0, f"a query has at most {MOST_CHARACTERS} characters")
    tokens = list(_tokens(text))
    if not tokens:
        raise _wrong(0, "the query is empty")
    if sum(t.kind == "term" for t in tokens) > MOST_TERMS:
        raise _wrong(0, f"a query has at most {MOST_TERMS} terms")
    parser = _Parser(tokens, len(text))
    node = parser.question(0)
    parser.end()
    return node


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf, left to right."""
    match node:
        case And(of=inner) | Or(of=inner):
            for one in inner:
                yield from leaves(one)
        case Not(of=one):
            yield from leaves(one)
        case _:
            yield node


def _wrong(at: int, what: str) -> InvalidInput:
    said = f"query, character {at + 1}: {what}"
    return InvalidInput(said, field="query")


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        found = _LEX.match(text, position)
        if found is None:
            raise _wrong(position, "cannot be read")
        at = found.end() - len(found[0].lstrip())
        position = found.end()
        if found["open"]:
            yield _Token("open", at)
        elif found["close"]:
            yield _Token("close", at)
        elif found["quote"]:
            raise _wrong(at, "this quotation mark is never closed")
        elif found["bare"]:
            raise _wrong(at, f"{found['bare']} needs a value right after the colon")
        elif found["phrase"] is not None:
            value = re.sub(r"\\(.)", r"\1", found["phrase"])
            yield _Token("term", at, (found["field"] or "").lower().rstrip(":"), value, quoted=True)
        else:
            yield _word(at, found["field"] or "", found["word"])


def _word(at: int, field: str, word: str) -> _Token:
    if not field and word in ("AND", "OR", "NOT"):
        return _Token(word.lower(), at)  # type: ignore[arg-type]
    name = field.lower().rstrip(":")
    if name and name not in _FIELDS and not name.startswith("header:"):
        if name in ("http", "https", "mailto", "ftp"):  # an address of the web is a phrase of its words
            return _Token("term", at, "", field + word)
        raise _wrong(at, f"there is no field {name!r}; fields are {', '.join((*_FIELDS, 'header:NAME'))}")
    return _Token("term", at, name, word)


class _Parser:
    def __init__(self, tokens: list[_Token], length: int) -> None:
        self._tokens, self._next, self._length = tokens, 0, length

    def question(self, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise _wrong(self._at(), f"nested deeper than {MOST_DEPTH}")
        found = [self._all(depth)]
        while self._take("or"):
            found.append(self._all(depth))
        return found[0] if len(found) == 1 else Or(tuple(found))

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise _wrong(self._at(), "this parenthesis was never opened")

    def _all(self, depth: int) -> Node:
        found = [self._one(depth)]
        while self._next < len(self._tokens) and self._tokens[self._next].kind not in ("or", "close"):
            self._take("and")
            found.append(self._one(depth))
        return found[0] if len(found) == 1 else And(tuple(found))

    def _one(self, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise _wrong(self._at(), f"nested deeper than {MOST_DEPTH}")
        if self._take("not"):
            return Not(self._one(depth + 1))
        if self._take("open"):
            node = self.question(depth + 1)
            if not self._take("close"):
                raise _wrong(self._at(), "a parenthesis is never closed")
            return node
        if self._next >= len(self._tokens) or self._tokens[self._next].kind != "term":
            raise _wrong(self._at(), "a word, a phrase or a field is missing here")
        token = self._tokens[self._next]
        self._next += 1
        return _leaf(token)

    def _take(self, kind: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next].kind == kind:
            self._next += 1
            return True
        return False

    def _at(self) -> int:
        return self._tokens[self._next].at if self._next < len(self._tokens) else self._length


def _leaf(token: _Token) -> Leaf:
    value = token.value
    match token.field:
        case "":
            return Text("any", _text(token))
        case "subject" | "attachment" | "filename" as part:
            return Text(part, _text(token))
        case "from" | "to" | "recipient" as field:
            if not value.strip("@. ") or re.search(r"\s", value) or value.count("@") > 1 or _wild(value):
                raise _wrong(token.at, f"{field}: takes an address, a local part with @, or a domain")
            return Address(field, value)
        case "messageid":
            inner = value.strip().removeprefix("<").removesuffix(">")
            if not inner:
                raise _wrong(token.at, "messageid: is empty")
            return MessageIdIs(inner)
        case "after":
            return Received(after=_day(token))
        case "before":
            return Received(before=_day(token))
        case "larger":
            return Size(larger=_bytes(token))
        case "smaller":
            return Size(smaller=_bytes(token))
        case "direction":
            return Is("direction", _one_of(token, DIRECTIONS))
        case "verdict":
            return Is("verdict", _one_of(token, VERDICTS))
        case "rule":
            return Is("rule", value)
        case header:
            name = header.removeprefix("header:").rstrip(":")
            return Text("header", _text(token), header=name)


def _text(token: _Token) -> str:
    if not token.quoted and _wild(token.value):
        raise _wrong(token.at, "there are no wildcards; words are found whole, CJK by any part of two characters")
    if not token.quoted and token.value.startswith("-"):
        raise _wrong(token.at, "write NOT before a word that must not be there")
    if not words.words(token.value):
        raise _wrong(token.at, "has no letter and no digit to look for")
    return token.value


def _wild(value: str) -> bool:
    return "*" in value or value.endswith("?")


def _day(token: _Token) -> datetime:
    try:
        day = date.fromisoformat(token.value)
    except ValueError:
        try:
            moment = datetime.fromisoformat(token.value)
        except ValueError:
            raise _wrong(token.at, f"{token.field}: takes a date such as 2026-10-01") from None
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _bytes(token: _Token) -> int:
    found = _SIZE.fullmatch(token.value)
    if found is None or len(found[1]) > 15:
        raise _wrong(token.at, f"{token.field}: takes a size such as 10MB or 500000")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _one_of(token: _Token, known: tuple[str, ...]) -> str:
    if token.value.lower() not in known:
        raise _wrong(token.at, f"{token.field}: is one of {', '.join(known)}")
    return token.value.lower()
