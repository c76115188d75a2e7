"""What a question looks for, term by term: the same for who blinds the terms and for who asks the index.

Both sides derive it from the grant's own request: neither believes what the other says was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.common.grants import Scope
from services.common.search import words
from services.common.search.query import (
    ADDRESS_FIELDS,
    Address,
    And,
    Is,
    Leaf,
    MessageIdIs,
    Node,
    Not,
    Or,
    Received,
    Text,
    parse,
)

SINGLE = ".1"
"""After a field's name: its second reading, where every character stands at a position of its own."""
_EVERYWHERE = ("subject", "body", "attachment")
_GRACE = timedelta(days=1)
"""How far the time of receipt may be from the time in the mail's id: the longest transaction, and clocks."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A field of the index and the terms that stand in it at consecutive positions."""

    field: str
    terms: tuple[str, ...]


def effective(query: str, scope: Scope) -> Node:
    """The question inside its scope: what is asked of the index, and nothing else. Raises `InvalidInput`.

    Somebody in scope, or of a domain in scope, sent it or got it; nobody excluded did.
    """
    bounds: list[Node] = []
    if scope.after is not None or scope.before is not None:
        bounds.append(Received(scope.after, scope.before))
    within = (*scope.people, *(f"@{domain.removeprefix('@')}" for domain in scope.domains))
    if within:
        bounds.append(_touches(within))
    if scope.excluded:
        bounds.append(Not(_touches(scope.excluded)))
    question = parse(query)
    return And((question, *bounds)) if bounds else question


def lookups(leaf: Leaf) -> tuple[Lookup, ...]:
    """Where a leaf's terms are looked for: one of these is enough. Empty for what the index holds in clear."""
    match leaf:
        case Text(field="any", text=text):
            return tuple(_text(field, text) for field in _EVERYWHERE)
        case Text(field="header", text=text, header=name):
            found = _text("header", text)
            return (Lookup(found.field, tuple(header_term(name, term) for term in found.terms)),)
        case Text(field=field, text=text):
            return (_text(field, text),)
        case Address(field=field, address=address):
            return (Lookup(field, (words.address_term(address),)),)
        case MessageIdIs(value=value):
            return (Lookup("messageid", (message_id_term(value),)),)
        case Is(field="rule", value=value):
            return (Lookup("rule", (value,)),)
        case _:
            return ()


def header_term(name: str, term: str) -> str:
    """The term of a word in a header: words of headers of another name are other terms."""
    return f"{name.lower()}:{term}"


def message_id_term(value: str) -> str:
    """The term of a Message-ID, with or without its angle brackets."""
    return words.fold(value.strip().removeprefix("<").removesuffix(">").strip())


def reach(node: Node, first: date, last: date) -> tuple[date, date]:
    """The days of `first` to `last` whose mails can answer, as the question's times bound them."""
    after, before = _span(node)
    if after is not None:
        first = max(first, (after - _GRACE).date())
    if before is not None:
        last = min(last, (before + _GRACE).date())
    return first, last


def months(node: Node, first: date, last: date) -> tuple[str, ...]:
    """The months (`2026-11`), oldest first, of the days that `reach` gives."""
    return tuple(_months(*reach(node, first, last)))


def _months(first: date, last: date) -> Iterator[str]:
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month) and first <= last:
        yield f"{year:04}-{month:02}"
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _span(node: Node) -> tuple[datetime | None, datetime | None]:
    """Times outside of which nothing can answer; None is no bound."""
    match node:
        case Received(after=after, before=before):
            return after, before
        case And(of=inner):
            spans = [_span(one) for one in inner]
            afters, befores = [a for a, _ in spans if a is not None], [b for _, b in spans if b is not None]
            return max(afters, default=None), min(befores, default=None)
        case Or(of=inner):
            spans = [_span(one) for one in inner]
            earliest = None if any(a is None for a, _ in spans) else min(a for a, _ in spans if a is not None)
            latest = None if any(b is None for _, b in spans) else max(b for _, b in spans if b is not None)
            return earliest, latest
        case _:
            return None, None


def _text(field: str, text: str) -> Lookup:
    if words.needs_characters(text):
        return Lookup(field + SINGLE, tuple(words.characters(text)))
    return Lookup(field, tuple(words.words(text)))


def _touches(people: tuple[str, ...]) -> Node:
    found = tuple(Address(field, who) for who in people for field in ADDRESS_FIELDS)  # type: ignore[arg-type]
    return found[0] if len(found) == 1 else Or(found)
