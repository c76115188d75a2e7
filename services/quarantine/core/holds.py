"""A held mail's life: who may decide it, what a decision makes of it, and what its expiry does.

| state | release | delete | return | expiry |
|---|---|---|---|---|
| held | released | deleted | returned | as the rule says; escalate: overdue |
| overdue | released | deleted | returned | stays |
| released, deleted, returned | the same again is success, anything else is refused | | | stays |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from services.common.errors import Rejected

type State = Literal["held", "overdue", "released", "deleted", "returned"]
type Action = Literal["release", "delete", "return"]

OPEN: frozenset[State] = frozenset({"held", "overdue"})
DONE: Mapping[Action, State] = {"release": "released", "delete": "deleted", "return": "returned"}
EXPIRY = "expiry"
"""Who decides when nobody did in time."""


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

    @property
    def id(self) -> str:
        """`<mail id>.<leg>`."""
        return f"{self.mail_id}.{self.leg}"


def decide(hold: Hold, action: Action, *, by: str, at: datetime, note: str = "") -> Hold:
    """The hold as decided; itself when it was decided so before. Raises `Rejected` when decided otherwise."""
    state = DONE[action]
    if hold.state == state:
        return hold
    if hold.state not in OPEN:
        raise Rejected("decided otherwise", public=f"it is {hold.state} already", hold=hold.id)
    number = hold.revision + 1
    return replace(hold, state=state, decided_by=by, decided_at=at, note=note, decision=number)


def expire(hold: Hold, now: datetime) -> Hold:
    """What the hold is at `now`: itself while it has time or is decided, else what its rule says."""
    if hold.state != "held" or hold.expires_at is None or now < hold.expires_at:
        return hold
    match hold.on_expiry:
        case "release":
            return decide(hold, "release", by=EXPIRY, at=now)
        case "return":
            return decide(hold, "return", by=EXPIRY, at=now)
        case _:
            return replace(hold, state="overdue")


@dataclass(frozen=True, slots=True)
class Caller:
    """A person: own addresses, those they may send from, roles."""

    addresses: frozenset[str]
    senders: frozenset[str]
    roles: frozenset[str]


def routed_to(hold: Hold, caller: Caller, members: Callable[[str], Collection[str]]) -> bool:
    """Whether a person may see and decide the hold; `members` gives a group's.

    A sender decides where the rule says `sender`. A reviewer decides what names them or a group of theirs, what
    names nobody, and what is overdue.
    """
    if "sender" in hold.reviewers and hold.sender and hold.sender.lower() in caller.senders:
        return True
    if "reviewer" not in caller.roles:
        return False
    if not hold.reviewers or hold.state == "overdue":
        return True
    return any(
        name.lower() in caller.addresses or not caller.addresses.isdisjoint(members(name)) for name in hold.reviewers
    )
