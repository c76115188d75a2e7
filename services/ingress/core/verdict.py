"""What a decision means for the dialogue: refuse everybody, ask to come back, or accept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LegView:
    """A leg of the decision, as far as the dialogue cares."""

    recipients: tuple[int, ...]
    refused: bool
    text: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Commit it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse it for all, with the rule's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Later:
    """Tell the peer to come back (`on_doubt: tempfail`)."""


type Verdict = Accept | Refuse | Later


class Incomplete(ValueError):
    """The decision does not say what happens to each recipient exactly once."""


def judge(origin: str, legs: Sequence[LegView], *, envelope_recipients: int, recipients: int) -> Verdict:
    """Read a decision. `recipients` counts those that rules added too; raises `Incomplete`."""
    if origin == "tempfail":
        return Later()
    named = sorted(r for leg in legs for r in leg.recipients)
    if named != list(range(recipients)) or recipients < envelope_recipients:
        raise Incomplete
    refusing = [leg for leg in legs if leg.refused]
    refused = {r for leg in refusing for r in leg.recipients}
    if all(r in refused for r in range(envelope_recipients)):
        return Refuse(next((leg.text for leg in refusing if leg.text), ""))
    return Accept()
