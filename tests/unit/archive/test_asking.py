"""No question leaves its tenant or its scope, whatever tree it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.core.asking import question
from services.archive.ports import Tokens
from services.common.errors import Corrupt, InvalidInput
from services.common.grants import Scope
from services.common.ids import TenantId
from services.common.search import terms, words
from services.common.search.query import leaves

ACME = TenantId.new()
_WORD = st.sampled_from(["alpha", "subject:beta", "from:x.example", '"two words"', "機密", "larger:5", "verdict:hold"])
_QUERY = st.recursive(
    _WORD,
    lambda inner: st.one_of(
        inner.map(lambda q: f"NOT ({q})"),
        st.tuples(inner, inner).map(" OR ".join).map("({})".format),
        st.tuples(inner, inner).map(" ".join).map("({})".format),
    ),
    max_leaves=12,
)


def blinded(node: Any) -> list[list[Tokens]]:
    """Terms as their own tokens."""
    return [[Tokens(o.field, o.terms) for o in terms.lookups(leaf)] for leaf in leaves(node)]


@given(_QUERY)
def test_tenant_scope_and_excluded_people_stand_beside_every_question(query: str) -> None:
    """They are filters of the outermost conjunctions: OR and NOT of the question are inside, never around them."""
    try:
        node = terms.effective(query, Scope(people=("in@acme.example",), excluded=("out@acme.example",)))
    except InvalidInput:
        return  # nested deeper than questions may be
    built = question(ACME, node, blinded(node))
    assert list(built) == ["bool"]
    assert list(built["bool"]) == ["filter"]
    tenant, tree = built["bool"]["filter"]
    assert tenant == {"term": {"tenant": ACME}}
    assert list(tree["bool"]) == ["filter"]
    _, within, without = tree["bool"]["filter"]
    assert within["bool"]["minimum_should_match"] == 1
    assert {v for one in within["bool"]["should"] for v in one["term"].values()} == {"in@acme.example"}
    assert {v for one in without["bool"]["must_not"][0]["bool"]["should"] for v in one["term"].values()} == {
        "out@acme.example"
    }


def test_tokens_of_another_question_are_refused() -> None:
    """Too few, too many, or of another field."""
    node = terms.effective("alpha subject:beta", Scope())
    good = blinded(node)
    for bad in (good[:1], [*good, *good], good[::-1], [good[0], [Tokens("body", ("x",))]]):
        with pytest.raises(Corrupt):
            question(ACME, node, bad)


@given(st.text(max_size=200))
def test_one_pass_reads_as_both_readings_do(text: str) -> None:
    """`readings` is `words`, and `characters` where there is a CJK character."""
    found, single = words.readings(text)
    assert found == words.words(text)
    assert single in ([], words.characters(text))
    assert bool(single) or found == words.characters(text)
