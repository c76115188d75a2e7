"""What a sender is told of a mail that policy gave back: by which rule, and what was found, masked. Never more."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_SPANS, _LETTERS = 20, 80
POLICY = "policy_"
"""How the codes of results that policy decided begin."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that matched, for whom (positions), and the masked spans of what made it match."""

    rule: str
    recipients: frozenset[int]
    spans: Sequence[str] = field(default=())


def findings(fired: Iterable[Fired], rule: str, positions: Iterable[int]) -> str:
    """The masked spans of the rule that decided, each once, one a line; empty when it found no text."""
    wanted = frozenset(positions)
    found: dict[str, None] = {}
    for one in fired:
        if one.rule == rule and (not one.recipients or one.recipients & wanted):
            found |= dict.fromkeys(" ".join(span.split())[:_LETTERS] for span in one.spans if span.strip())
    lines = list(found)
    more = [f"… (+{len(lines) - _SPANS})"] if len(lines) > _SPANS else []
    return "\n".join([*lines[:_SPANS], *more])


def vouched(sender: str, *, own: bool, senders: Iterable[str]) -> bool:
    """Whether the tenant stands for this sender: its domain is the tenant's `own`, or its connector may send as it.

    Anybody else's address is only claimed, and a report to it would be mail to a stranger.
    """
    return own or any(fnmatch.fnmatchcase(sender.lower(), glob.lower()) for glob in senders)
