"""A grant's question as custody blinds it, and the summaries of its answer as custody opens them. Pure; slow."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date, timedelta

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.common.errors import InvalidInput
from services.common.grants import Scope
from services.common.ids import TenantId
from services.common.search import blind, terms
from services.common.search.query import Node, leaves
from services.encryption.core import reach
from services.encryption.core.receipts import refuse

MOST_MONTHS = 120
MOST_TOKENS = 200_000
_NONCE = 12
_FIRST = date(1970, 1, 1)

type Blinded = list[list[tuple[str, list[str]]]]
"""Per leaf of the effective question: fields and the tokens that stand there one after another."""


def check_months(node: Node, months: Sequence[str], today: date) -> None:
    """Return when these months are ones that the question reaches; raises `InvalidInput`, `Denied`."""
    if len(months) > MOST_MONTHS or len(set(months)) != len(months):
        raise InvalidInput(f"a question reaches {MOST_MONTHS} months at most", field="months")
    first, last = terms.reach(node, _FIRST, today + timedelta(days=1))
    allowed = set(terms.months(node, first, last))
    if not allowed.issuperset(months):
        raise refuse("out_of_reach", "the approved question does not reach these months")


def newest_months(node: Node, today: date) -> list[str]:
    """The last months that the question reaches, newest first, as many as one may ask."""
    first, last = terms.reach(node, _FIRST, today + timedelta(days=1))
    return list(terms.months(node, first, last))[: -MOST_MONTHS - 1 : -1]


def blinded(node: Node, root: bytes, tenant: TenantId, months: Sequence[str]) -> dict[str, Blinded]:
    """The question's tokens by month; raises `InvalidInput` when they are too many."""
    asked = [terms.lookups(leaf) for leaf in leaves(node)]
    if len(months) * sum(len(one.terms) for leaf in asked for one in leaf) > MOST_TOKENS:
        raise InvalidInput("the question is too long for so many months: ask for fewer, by dates", field="query")
    found: dict[str, Blinded] = {}
    for month in months:
        blinder = blind.Blinder(blind.month_key(root, tenant, month))
        found[month] = [[(one.field, blinder.tokens(one.field, one.terms)) for one in leaf] for leaf in asked]
    return found


def opened(
    documents: Sequence[tuple[str, str]], root: bytes, tenant: TenantId, months: Sequence[str], scope: Scope
) -> list[bytes]:
    """Each summary in clear, as it was sealed; empty where it cannot be, or names somebody excluded."""
    ciphers = [AESGCM(blind.summary_key(root, tenant, month)) for month in months]
    found: list[bytes] = []
    for document, sealed in documents:
        plain = b""
        for place, cipher in enumerate(ciphers):
            if plain := _open(cipher, document, sealed):
                # Answers come by month: the next is most likely of the same.
                ciphers.insert(0, ciphers.pop(place))
                break
        found.append(b"" if plain and _excluded(plain, scope) else plain)
    return found


def _open(cipher: AESGCM, document: str, sealed: str) -> bytes:
    try:
        data = base64.b64decode(sealed, validate=True)
        return cipher.decrypt(data[:_NONCE], data[_NONCE:], document.encode())
    except (InvalidTag, ValueError):
        return b""


def _excluded(plain: bytes, scope: Scope) -> bool:
    summary = orjson.loads(plain)
    return bool(scope.excluded) and reach.is_excluded(scope, [str(summary["from"]), *map(str, summary["to"])])
