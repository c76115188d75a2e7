"""What people have to be told of a hold, as one notice each for what came together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.quarantine.core.holds import DONE, EXPIRY, OPEN, Hold

type Reader = Literal["reviewers", "sender", "named"]


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell: which notice, to whom; `who` asked for it or wrote `note`; `address` of a named reader."""

    notice: str
    reader: Reader
    who: str = ""
    address: str = ""
    note: str = ""


def news(hold: Hold, *, inbound: bool) -> list[News]:
    """What is to be told of a hold since `hold.noticed`; the newest of a kind only, and nothing that is over.

    A sender from outside is never told anything. Who decides their own mail is not told of it, and a returned mail
    goes back with its own report.
    """
    told = [_began(hold)] if hold.noticed == 0 and hold.state in OPEN else []
    for step in hold.steps[max(hold.noticed - 1, 0) :]:
        if step.what in ("escalate", "overdue") and hold.state in OPEN:
            told = [n for n in told if n.notice != "hold.notice.reviewer"]
            told.append(News("hold.escalated", "reviewers"))
        elif step.what == "request" and hold.state in OPEN:
            told.append(News("hold.requested", "reviewers", step.by))
        elif step.what == "notify":
            told.append(News("hold.note", "named", step.by, step.detail, step.note))
    if hold.state in ("deleted", "forwarded") and _is_new(hold) and hold.decided_by != EXPIRY:
        told.append(News("hold.deleted", "sender"))
    found = {
        (n.notice, n.address): n
        for n in told
        if n.notice and not (n.reader == "sender" and (inbound or not hold.sender))
    }
    return list(found.values())


def _began(hold: Hold) -> News:
    if hold.kind == "delay":
        return News("delay.notice", "sender")
    if "sender" in hold.reviewers:
        return News("hold.notice.sender", "sender")
    return News("hold.notice.reviewer", "reviewers")


def _is_new(hold: Hold) -> bool:
    return any(step.what in DONE for step in hold.steps[max(hold.noticed - 1, 0) :])


def after(hold: Hold) -> int:
    """`hold.noticed` once all of it is told."""
    return 1 + len(hold.steps)
