"""The language of questions: what is meant is read, what cannot be meant is refused with its place."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidInput
from services.common.search.query import (
    Address,
    And,
    Is,
    MessageIdIs,
    Not,
    Or,
    Received,
    Size,
    Text,
    leaves,
    parse,
)  # fmt: skip


def any_(text: str) -> Text:
    """A bare word."""
    return Text("any", text)


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("secret", any_("secret")),
        ("a b", And((any_("a"), any_("b")))),
        ("a AND b OR c", Or((And((any_("a"), any_("b"))), any_("c")))),
        ("a (b OR c)", And((any_("a"), Or((any_("b"), any_("c")))))),
        ("NOT a b", And((Not(any_("a")), any_("b")))),
        ('"trade secret"', any_("trade secret")),
        (r'"say \"no\""', any_('say "no"')),
        ("and or", And((any_("and"), any_("or")))),
        ("subject:機密", Text("subject", "機密")),
        ('filename:"a b.xlsx"', Text("filename", "a b.xlsx")),
        ("header:X-Foo:bar", Text("header", "bar", header="x-foo")),
        ("from:alice@acme.example", Address("from", "alice@acme.example")),
        ("to:alice@ recipient:acme.example", And((Address("to", "alice@"), Address("recipient", "acme.example")))),
        ("messageid:<a@b>", MessageIdIs("a@b")),
        ("after:2026-10-01", Received(after=datetime(2026, 10, 1, tzinfo=UTC))),
        ("before:2026-10-01", Received(before=datetime(2026, 10, 1, tzinfo=UTC))),
        ("larger:10MB smaller:1000", And((Size(larger=10_000_000), Size(smaller=1000)))),
        ("direction:Outbound", Is("direction", "outbound")),
        ("verdict:hold rule:cards-out", And((Is("verdict", "hold"), Is("rule", "cards-out")))),
        ("https://evil.example/x", any_("https://evil.example/x")),
        ("from:x after:2026-10-01", And((Address("from", "x"), Received(after=datetime(2026, 10, 1, tzinfo=UTC))))),
    ],
)  # fmt: skip
def test_what_is_read(query: str, tree: object) -> None:
    """One reading for each question."""
    assert parse(query) == tree


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "empty"), ("   ", "empty"), ("(", "missing here"), (")", "missing here"), ("a )", "never opened"),
        ("(a", "never closed"), ('"a', "never closed"), ("a OR", "missing"), ("OR a", "missing"), ("NOT", "missing"),
        ("AND", "missing"), ("foo:bar", "no field 'foo'"), ("subject:", "needs a value"), ("sec*", "no wildcards"),
        ("secre?", "no wildcards"), ("-foo", "NOT before"), ("after:yesterday", "takes a date"), ("larger:big", "takes a size"),
        ("direction:up", "is one of inbound"), ("verdict:bad", "is one of"), ("from:a@b@c", "takes an address"),
        ('from:"a b"', "takes an address"), ("...", "no letter"), ("messageid:<>", "is empty"),
        ("(" * 40 + "a" + ")" * 40, "nested deeper"), ("NOT " * 40 + "a", "nested deeper"), ("a " * 65, "at most 64 terms"),
        ("a" * 5000, "at most 4096 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(query: str, said: str) -> None:
    """With the place and the reason, as an error of the field `query`."""
    with pytest.raises(InvalidInput, match=said) as refused:
        parse(query)
    assert refused.value.field == "query"


def written(node: object) -> str:
    """A tree as text again."""
    match node:
        case And(of=inner):
            return "(" + " AND ".join(map(written, inner)) + ")"
        case Or(of=inner):
            return "(" + " OR ".join(map(written, inner)) + ")"
        case Not(of=one):
            return f"NOT {written(one)}"
        case Text(field=field, text=text, header=header):
            quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
            return quoted if field == "any" else f"{field}{':' + header if header else ''}:{quoted}"
        case Address(field=field, address=address):
            return f"{field}:{address}"
        case other:
            raise TypeError(other)


_LEAVES = st.one_of(
    st.text(min_size=1, max_size=12).filter(lambda t: any(c.isascii() and c.isalnum() for c in t)).map(any_),
    st.sampled_from([Text("subject", "機密"), Text("header", "x y", header="x-a"), Address("from", "a@b.example")]),
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda of: And(tuple(of))),
        st.lists(inner, min_size=2, max_size=3).map(lambda of: Or(tuple(of))),
        inner.map(Not),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(_TREES)
def test_a_tree_that_is_written_is_read_as_it_was(tree: object) -> None:
    """Parsing undoes writing."""
    assert parse(written(tree)) == tree


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet='ab:()" \\ANDORT机*-<>@2026-', max_size=60))
def test_whatever_is_asked_is_read_or_refused(query: str) -> None:
    """No other exception, and no leaf without a term."""
    with suppress(InvalidInput):
        assert list(leaves(parse(query)))
