"""Whom a grant's scope reaches, judged by the opened mail itself: what the index said is not believed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses

from services.common.grants import Scope
from services.common.search import words

_FIELDS = ("From", "Sender", "To", "Cc", "Bcc", "Resent-From", "Resent-To", "Resent-Cc")
_MOST_HEADER = 1 << 20
_MOST_ADDRESSES = 5000


def addresses(raw: bytes) -> list[str]:
    """Addresses in a mail's headers; what cannot be read is none."""
    head = raw[:_MOST_HEADER]
    end = head.find(b"\r\n\r\n")
    found = BytesHeaderParser(policy=compat32).parsebytes(head[:end] if end >= 0 else head)
    values = [str(v) for name in _FIELDS for v in found.get_all(name, ())]
    return [address for _, address in getaddresses(values) if "@" in address][:_MOST_ADDRESSES]


def is_excluded(scope: Scope, people: Iterable[str]) -> bool:
    """Whether one of these people is never to be shown."""
    return _touches(scope.excluded, people)


def reaches(scope: Scope, people: Iterable[str], received: datetime) -> bool:
    """Whether a mail between these people, received then, is inside the scope."""
    people = list(people)
    if scope.after is not None and received < scope.after:
        return False
    if scope.before is not None and received >= scope.before:
        return False
    within = (*scope.people, *(f"@{domain.removeprefix('@')}" for domain in scope.domains))
    return (not within or _touches(within, people)) and not is_excluded(scope, people)


def _touches(sought: Iterable[str], people: Iterable[str]) -> bool:
    wanted = {words.address_term(one) for one in sought}
    return bool(wanted) and any(not wanted.isdisjoint(words.address_terms(one)) for one in people)
