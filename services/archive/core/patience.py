"""When a mail has been silent for too long, and who is to be asked.

Facts on the bus may be lost; the objects in the store are not. A mail whose
recipients have no terminal state is published again when nobody can be
expected to work on it any more. Asking too early costs a repetition that is
harmless, asking never would lose mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.archive.core.fold import TERMINAL, Event, Leg, MailState

LONGEST_RETRY = timedelta(hours=4)
"""The longest pause of the default schedule of retries."""
LONGEST_HOLD_CHECK = timedelta(hours=6)
"""How often, at most, the keeper of holds is asked whether it still knows one."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Publish a mail again: to be decided (no `legs`, not `decided`), or these legs of its decision."""

    decided: bool
    legs: tuple[int, ...] = ()


def overdue(state: MailState | None, *, stored: int, now: int, sweep_after: timedelta) -> Ask | None:
    """What to publish again of a mail stored at `stored` (ms), or None while someone may be at work on it.

    Without a recorded decision the answer is to start over; the caller looks
    into the object whether it holds a decision.
    """
    wait = int(sweep_after.total_seconds() * 1000)
    if state is None or state.decided is None:
        return Ask(decided=False) if now - stored >= wait else None
    due = [
        leg.number
        for leg in state.decided.legs
        if any(_due(state, leg, p, stored, now, wait) for p in leg.recipients if state.state(p) not in TERMINAL)
    ]
    return Ask(decided=True, legs=tuple(due)) if due else None


def _due(state: MailState, leg: Leg, position: int, stored: int, now: int, wait: int) -> bool:
    event = state.latest.get(position)
    since = stored if event is None else max(stored, event.at)
    return now - since >= _patience(event, leg, stored, wait)


def _patience(event: Event | None, leg: Leg, stored: int, wait: int) -> int:
    delay = leg.seconds * 1000 if leg.disposition == "delay" else 0
    if event is None or event.state in ("released", "accepted", "sealed"):
        return wait + delay
    # Pauses of a schedule of retries grow, none is longer than five times the mail's age at the attempt before it.
    grown = 5 * max(event.at - stored, 0)
    longest = LONGEST_HOLD_CHECK if event.state == "held" else LONGEST_RETRY
    return delay + max(wait, min(grown, wait + int(longest.total_seconds() * 1000)))


def again_after(asked: int, *, sweep_after: timedelta) -> timedelta:
    """How long to leave a mail alone that has been asked for `asked` times."""
    return timedelta(
        seconds=min(sweep_after.total_seconds() * 2.0 ** min(asked, 16), LONGEST_HOLD_CHECK.total_seconds())
    )
