"""When a silent mail is asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.archive.core.fold import Decided, Event, Leg, MailState
from services.archive.core.patience import Ask, again_after, overdue

WAIT = timedelta(minutes=15)
MINUTE = 60_000
LEGS = (Leg(1, (0,), "deliver"), Leg(2, (1,), "hold"), Leg(3, (2,), "delay", seconds=3600))
DECIDED = Decided(decided=0, received=0, size=1, directions=("outbound",) * 3, legs=LEGS)
DONE = tuple(Event(1, leg, (leg - 1,), "delivered", n=1) for leg in (1, 2, 3))


def mail(*events: Event) -> MailState:
    """A decided mail with these events; recipients without any are done."""
    known = {p for e in events for p in e.recipients}
    return MailState("T", "M", DECIDED, (*events, *(e for e in DONE if e.recipients[0] not in known)))


def test_nothing_recorded_means_start_over() -> None:
    """But not before the mail is old enough."""
    assert overdue(None, stored=0, now=14 * MINUTE, sweep_after=WAIT) is None
    assert overdue(None, stored=0, now=15 * MINUTE, sweep_after=WAIT) == Ask(decided=False)


def test_a_final_mail_is_left_alone() -> None:
    """However old it is."""
    assert overdue(mail(), stored=0, now=10**12, sweep_after=WAIT) is None


@pytest.mark.parametrize(
    ("event", "patience_minutes"),
    [
        (Event(0, 1, (0,), "accepted"), 15),
        (Event(MINUTE, 1, (0,), "sealed"), 16),
        (Event(MINUTE, 1, (0,), "released", n=1), 16),
        (Event(MINUTE, 1, (0,), "deferred", n=1), 16),
        (Event(21 * MINUTE, 1, (0,), "deferred", n=3), 21 + 105),
        (Event(48 * 60 * MINUTE, 1, (0,), "deferred", n=9), 48 * 60 + 255),
        (Event(MINUTE, 2, (1,), "held"), 16),
        (Event(48 * 60 * MINUTE, 2, (1,), "held"), 48 * 60 + 375),
        (Event(MINUTE, 3, (2,), "deferred", n=0), 16 + 60),
    ],
)
def test_how_long_each_state_is_left_alone(event: Event, patience_minutes: int) -> None:
    """A retry, a hold and a delay are waited for; then their leg alone is asked for."""
    before = overdue(mail(event), stored=0, now=patience_minutes * MINUTE - 1, sweep_after=WAIT)
    after = overdue(mail(event), stored=0, now=patience_minutes * MINUTE, sweep_after=WAIT)
    assert before is None
    assert after == Ask(decided=True, legs=(event.leg,))


def test_a_leg_without_a_word_is_asked_for_while_others_are_done() -> None:
    """The outcome of one leg says nothing of another."""
    silent = replace(mail(), events=tuple(e for e in DONE if e.leg != 1))
    assert overdue(silent, stored=0, now=15 * MINUTE, sweep_after=WAIT) == Ask(decided=True, legs=(1,))


def test_asking_again_grows_slower() -> None:
    """Doubling, up to six hours."""
    assert [again_after(n, sweep_after=WAIT) for n in range(3)] == [WAIT, 2 * WAIT, 4 * WAIT]
    assert again_after(100, sweep_after=WAIT) == timedelta(hours=6)
