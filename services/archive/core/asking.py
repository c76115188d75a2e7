"""A question as the content index is asked it: one builder, out of which no question leaves its tenant or its scope.

The tree is the effective one (`search.terms.effective`): the grant's scope and the excluded people are in it, beside
the question, not inside of it. Nothing here is scored; all clauses are filters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from services.archive.core.blinding import field_of
from services.archive.ports import Blinded, Tokens
from services.common.errors import Corrupt, InvalidInput
from services.common.ids import TenantId
from services.common.search.query import And, Is, Leaf, Node, Not, Or, Received, Size
from services.common.search.terms import lookups

MOST_CLAUSES = 1000
"""Clauses and words of phrases together: an engine refuses more than 1,024."""

type Query = dict[str, Any]
_NOTHING: Query = {"match_none": {}}


def question(tenant: TenantId, node: Node, blinded: Blinded) -> Query:
    """The query for one month: `blinded` are the tokens of the node's leaves in order.

    Raises `InvalidInput` when it is too large; `Corrupt` when the tokens are not this question's.
    """
    clauses = sum(max(1, len(t.tokens)) for leaf in blinded for t in leaf) + len(blinded)
    if clauses > MOST_CLAUSES:
        raise InvalidInput("the query has too many words: part it, or use fewer and shorter phrases", field="query")
    rest = iter(blinded)
    tree = _tree(node, rest)
    if next(rest, None) is not None:
        raise Corrupt("tokens of another question")
    return {"bool": {"filter": [{"term": {"tenant": str(tenant)}}, tree]}}


def _tree(node: Node, blinded: Iterator[Sequence[Tokens]]) -> Query:
    match node:
        case And(of=inner):
            return {"bool": {"filter": [_tree(one, blinded) for one in inner]}}
        case Or(of=inner):
            return {"bool": {"should": [_tree(one, blinded) for one in inner], "minimum_should_match": 1}}
        case Not(of=one):
            return {"bool": {"must_not": [_tree(one, blinded)]}}
        case _:
            tokens = next(blinded, None)
            if tokens is None or len(tokens) != len(lookups(node)):
                raise Corrupt("tokens of another question")
            return _leaf(node, tokens)


def _leaf(leaf: Leaf, tokens: Sequence[Tokens]) -> Query:
    match leaf:
        case Received(after=after, before=before):
            return _range("received", gte=_ms(after), lt=_ms(before))
        case Size(larger=larger, smaller=smaller):
            return _range("size", gt=larger, lt=smaller)
        case Is(field="direction", value=value):
            return {"term": {"directions": value}}
        case Is(field="verdict", value=value):
            return {"term": {"verdicts": value}}
    found = [_tokens(t, wanted.field) for t, wanted in zip(tokens, lookups(leaf), strict=True)]
    return found[0] if len(found) == 1 else {"bool": {"should": found, "minimum_should_match": 1}}


def _tokens(found: Tokens, wanted: str) -> Query:
    if found.field != wanted:
        raise Corrupt("tokens of another question")
    name = field_of(found.field)
    match found.tokens:
        case ():
            return _NOTHING
        case (one,):
            return {"term": {name: one}}
        case several:
            return {"match_phrase": {name: " ".join(several)}}


def _range(name: str, **bounds: int | None) -> Query:
    return {"range": {name: {k: v for k, v in bounds.items() if v is not None}}}


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
