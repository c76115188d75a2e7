"""What became of a mail, folded from events that may come twice and in any order.

Rules:
- Merging is idempotent, commutative and associative: facts are delivered at
  least once, by several consumers, and segments are replayed in any order.
- An event is what it is by (leg, state, n) and its recipients; the earliest
  copy of it stays.
- A terminal state is left for another terminal state only; among others the
  latest counts.
- A mail is final when every recipient of its decision has a terminal state.

Times are milliseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce

STATES = ("released", "accepted", "held", "sealed", "delivered", "deferred", "returned", "refused", "deleted")
"""By number on the wire; 0 on an event means: released from a hold."""

DIRECTIONS = ("", "inbound", "outbound", "internal")
DISPOSITIONS = ("", "deliver", "delay", "hold", "return", "refuse", "delete")

TERMINAL = frozenset({"delivered", "returned", "refused", "deleted"})


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something became of some recipients of a leg; `recipients` are positions in the decision."""

    at: int
    leg: int
    recipients: tuple[int, ...]
    state: str
    n: int = 0
    code: str = ""
    service: str = ""
    attempts: int = 0

    @property
    def key(self) -> tuple[int, str, int, tuple[int, ...]]:
        """What makes two copies the same event."""
        return self.leg, self.state, self.n, self.recipients


@dataclass(frozen=True, slots=True, order=True)
class Leg:
    """Recipients that are treated alike."""

    number: int
    recipients: tuple[int, ...]
    disposition: str
    rule: str = ""
    seconds: int = 0
    transforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Decided:
    """A mail's plain facts, known once it has been decided. `directions` has one per recipient position."""

    decided: int
    received: int
    size: int
    directions: tuple[str, ...]
    legs: tuple[Leg, ...]
    origin: str = ""
    blob: bool = False
    revision: int = 0
    decision_origin: str = ""
    rules: tuple[str, ...] = ()
    inspected: bool = True
    not_inspected: tuple[str, ...] = ()


@dataclass(frozen=True)
class MailState:
    """All that is known of a mail without its content. `segments` (`<day>/<id>`) hold the records of it."""

    tenant: str
    mail_id: str
    decided: Decided | None = None
    events: tuple[Event, ...] = ()
    segments: frozenset[str] = field(default_factory=frozenset)

    def merge(self, other: MailState) -> MailState:
        """Both sides' knowledge; raises `ValueError` when they are not about the same mail of one tenant."""
        if (self.tenant, self.mail_id) != (other.tenant, other.mail_id):
            raise ValueError("two different mails cannot be merged")
        events: dict[tuple[int, str, int, tuple[int, ...]], Event] = {}
        for event in (*self.events, *other.events):
            known = events.get(event.key)
            events[event.key] = event if known is None else min(known, event)
        decided = [d for d in (self.decided, other.decided) if d is not None]
        return replace(
            self,
            decided=min(decided, default=None),
            events=tuple(sorted(events.values())),
            segments=self.segments | other.segments,
        )

    @cached_property
    def latest(self) -> Mapping[int, Event]:
        """The event that counts, per recipient position that has any."""
        result: dict[int, Event] = {}
        for event in self.events:
            for position in event.recipients:
                known = result.get(position)
                if known is None or _weight(event) > _weight(known):
                    result[position] = event
        return result

    @property
    def positions(self) -> int | None:
        """How many recipients the decision has; None while undecided."""
        return None if self.decided is None else len(self.decided.directions)

    def state(self, position: int) -> str:
        """A recipient's state; one released from a hold is on its way again: accepted."""
        event = self.latest.get(position)
        return "accepted" if event is None or event.state == "released" else event.state

    @property
    def final(self) -> bool:
        """Whether every recipient has a terminal state."""
        if self.decided is None:
            return False
        return all(self.state(p) in TERMINAL for p in range(len(self.decided.directions)))

    @property
    def direction(self) -> str:
        """Of the whole mail: inbound, else outbound if any recipient is outside, else internal."""
        present = set(self.decided.directions) if self.decided else set()
        return next((d for d in ("inbound", "outbound", "internal") if d in present), "")


def _weight(event: Event) -> tuple[bool, int, int, int]:
    return event.state in TERMINAL, event.at, event.n, STATES.index(event.state)


def fold(states: Iterable[MailState]) -> dict[str, MailState]:
    """Merge states by mail id."""
    result: dict[str, MailState] = {}
    for state in states:
        known = result.get(state.mail_id)
        result[state.mail_id] = state if known is None else known.merge(state)
    return result


def merged(states: Iterable[MailState | None]) -> MailState | None:
    """Merge what there is of one mail; None when there is nothing."""
    present = [s for s in states if s is not None]
    return reduce(MailState.merge, present) if present else None
