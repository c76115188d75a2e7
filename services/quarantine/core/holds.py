"""A held mail's life: what a decision makes of it, who has claimed it, and what its time does.

| state | release, seal, forward | delete, return, cancel | its time |
|---|---|---|---|
| held | the last level ends it, another is noted | deleted, returned, cancelled | escalated, then as the rule says |
| overdue | as held | as held | stays |
| ended | the same again is success, anything else is refused | | stays |

A mail that a rule delays is held the same way, for its sender: released when its time is over, or cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from services.common.errors import InvalidInput, Rejected

type State = Literal["held", "overdue", "released", "sealed", "forwarded", "deleted", "returned", "cancelled"]
type Action = Literal["release", "seal", "forward", "delete", "return", "cancel"]
type Kind = Literal["hold", "delay"]

OPEN: frozenset[State] = frozenset({"held", "overdue"})
DONE: Mapping[Action, State] = {
    "release": "released",
    "seal": "sealed",
    "forward": "forwarded",
    "delete": "deleted",
    "return": "returned",
    "cancel": "cancelled",
}
LETS_GO: frozenset[str] = frozenset({"release", "seal", "forward"})
"""Decisions that let content go on; they need every level, and the engines' word of today."""
FORMATS = ("zip", "pdf")
EXPIRY = "expiry"
"""Who decides when nobody did in time."""
_ESCALATE_AT = 0.75
"""Part of a hold's time after which every reviewer may decide it, and is told."""
_MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class Step:
    """What a person did with a hold, kept for ever: who (for whom), when, at which level, what and why."""

    at: datetime
    by: str
    what: str
    note: str = ""
    level: int = 0
    acting_for: str = ""
    detail: str = ""
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """One leg of a mail that waits for a person, or what a person made of it. Times are UTC."""

    mail_id: str
    leg: int
    held_at: datetime
    expires_at: datetime | None = None
    on_expiry: str = "escalate"
    reviewers: tuple[str, ...] = ()
    sender: str = ""
    state: State = "held"
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""
    decision: int = 0
    """Revision that decided it: part of the id of what is told of the decision."""
    told: bool = False
    """Whether the mail's way on is told; a decision that is not is told again."""
    revision: int = 0
    kind: Kind = "hold"
    levels: int = 1
    escalated_at: datetime | None = None
    claimed_by: str = ""
    claimed_until: datetime | None = None
    target: str = ""
    """Where it was forwarded, or the format it was sealed in."""
    steps: tuple[Step, ...] = ()
    noticed: int = 0
    """What people were told of it: 0 nothing, n its beginning and n - 1 of its steps."""

    @property
    def id(self) -> str:
        """`<mail id>.<leg>`."""
        return f"{self.mail_id}.{self.leg}"

    @property
    def approvals(self) -> tuple[Step, ...]:
        """The levels that let it go so far."""
        return tuple(s for s in self.steps if s.what in LETS_GO)

    @property
    def level(self) -> int:
        """Which level decides next, from 1."""
        return min(len(self.approvals) + 1, self.levels)

    @property
    def open_to_all(self) -> bool:
        """Whether every reviewer of the tenant may decide it: nobody in particular is named, or those named did not."""
        return not self.reviewers or self.state == "overdue" or self.escalated_at is not None

    def claimant(self, now: datetime) -> str:
        """Who has claimed it and is still in time; empty otherwise."""
        return self.claimed_by if self.claimed_until is not None and now < self.claimed_until else ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decides. `target`: the address of a forward, or the format of a seal."""

    action: Action
    note: str = ""
    target: str = ""
    acting_for: str = ""
    forced: bool = False


def decide(hold: Hold, decision: Decision, *, by: str, at: datetime) -> Hold:
    """The hold as decided, or one level further; itself when it was decided so before.

    Raises `Rejected` when it was decided otherwise, another has claimed it, or it needs what only a hold has.
    """
    state = DONE[decision.action]
    if hold.state == state and hold.target == decision.target:
        return hold
    if hold.state not in OPEN:
        raise Rejected("decided otherwise", public=f"it is {hold.state} already", hold=hold.id)
    claimant = hold.claimant(at)
    if claimant and by not in (claimant, EXPIRY):
        until = f"{hold.claimed_until:%Y-%m-%d %H:%M} UTC"
        raise Rejected("claimed", public=f"{claimant} has claimed it until {until}; take it over first", hold=hold.id)
    if hold.kind == "delay" and decision.action not in ("release", "cancel"):
        raise Rejected("a delayed mail", public="a delayed mail can be released or cancelled", hold=hold.id)
    step = Step(
        at, by, decision.action, decision.note, hold.level, decision.acting_for, decision.target, decision.forced
    )
    told = _with(hold, step)
    if decision.action in LETS_GO and by != EXPIRY and len(told.approvals) < hold.levels:
        return replace(told, claimed_by="", claimed_until=None)
    return replace(
        told,
        state=state,
        decided_by=by,
        decided_at=at,
        note=decision.note,
        target=decision.target,
        decision=hold.revision + 1,
        claimed_by="",
        claimed_until=None,
    )


def claim(hold: Hold, *, by: str, at: datetime, until: datetime, take_over: bool = False) -> Hold:
    """The hold as claimed by a person until a time; claiming again makes it longer.

    Raises `Rejected` when it is decided, or claimed by another and not taken over, which is recorded.
    """
    _must_be_open(hold)
    claimant = hold.claimant(at)
    if claimant and claimant != by and not take_over:
        until_ = f"{hold.claimed_until:%Y-%m-%d %H:%M} UTC"
        raise Rejected("claimed", public=f"{claimant} has claimed it until {until_}; take it over first", hold=hold.id)
    taken = bool(claimant) and claimant != by
    step = Step(at, by, "take_over" if taken else "claim", level=hold.level, detail=claimant if taken else "")
    return replace(_with(hold, step), claimed_by=by, claimed_until=until)


def unclaim(hold: Hold, *, by: str, at: datetime) -> Hold:
    """The hold free for the others again; itself when `by` has no claim."""
    if hold.claimant(at) != by:
        return hold
    return replace(_with(hold, Step(at, by, "unclaim", level=hold.level)), claimed_by="", claimed_until=None)


def remark(
    hold: Hold, what: Literal["pending", "request", "notify"], *, by: str, at: datetime, note: str, to: str = ""
) -> Hold:
    """The hold with a note, perhaps for somebody to read, or a recipient's request, and nothing decided.

    Raises `Rejected` when it is decided.
    """
    _must_be_open(hold)
    return _with(hold, Step(at, by, what, note, hold.level, detail=to))


def expire(hold: Hold, now: datetime) -> Hold:
    """What the hold is at `now`: itself while it has time or is decided, escalated, or what its rule says.

    A mail that is to be released comes back as it is: that needs the engines' word (`release_due`).
    """
    if hold.state != "held" or hold.expires_at is None:
        return hold
    if now >= hold.expires_at:
        match hold.on_expiry:
            case "release":
                return hold
            case "return":
                return decide(hold, Decision("return"), by=EXPIRY, at=now)
            case _:
                return overdue(hold, now)
    at = escalates_at(hold)
    if at is not None and hold.escalated_at is None and now >= at:
        return replace(_with(hold, Step(now, EXPIRY, "escalate", level=hold.level)), escalated_at=now)
    return hold


def release_due(hold: Hold, now: datetime) -> bool:
    """Whether the hold's time is over and its rule lets it go."""
    over = hold.expires_at is not None and now >= hold.expires_at
    return over and hold.state == "held" and hold.on_expiry == "release"


def overdue(hold: Hold, now: datetime, note: str = "") -> Hold:
    """The hold kept beyond its time, for every reviewer."""
    step = Step(now, EXPIRY, "overdue", note, hold.level)
    return replace(_with(hold, step), state="overdue", escalated_at=hold.escalated_at or now)


def escalates_at(hold: Hold) -> datetime | None:
    """When a hold's reviewers are joined by all others; None for what never expires or waits for nobody else."""
    if hold.kind == "delay" or hold.expires_at is None or not hold.reviewers:
        return None
    return hold.held_at + (hold.expires_at - hold.held_at) * _ESCALATE_AT


def next_due(hold: Hold) -> datetime | None:
    """When time does something with the hold next; None: never."""
    if hold.state != "held" or hold.expires_at is None:
        return None
    at = escalates_at(hold)
    return at if at is not None and hold.escalated_at is None else hold.expires_at


def _must_be_open(hold: Hold) -> None:
    if hold.state not in OPEN:
        raise Rejected("decided already", public=f"it is {hold.state} already", hold=hold.id)


def _with(hold: Hold, step: Step) -> Hold:
    if len(hold.steps) >= _MOST_STEPS and step.what not in DONE and step.by != EXPIRY:
        raise InvalidInput(f"at most {_MOST_STEPS} notes and claims a hold", field="note")
    return replace(hold, steps=(*hold.steps, step))
