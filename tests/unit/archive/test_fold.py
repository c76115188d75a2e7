"""Folding events into what became of a mail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.archive.core.document import code, from_document, to_document
from services.archive.core.fold import STATES, Decided, Event, Leg, MailState, fold
from services.common.ids import MailId

MAIL = MailId.new(now=1_790_000_000)
DECIDED = Decided(
    decided=1_790_000_000_010,
    received=1_790_000_000_000,
    size=10,
    directions=("outbound", "internal"),
    legs=(Leg(1, (0, 1), "deliver"),),
    rules=("r1",),
)

events = st.builds(
    Event,
    at=st.integers(1, 5),
    leg=st.integers(1, 2),
    recipients=st.sampled_from([(0,), (1,), (0, 1)]),
    state=st.sampled_from(STATES),
    n=st.integers(0, 2),
    code=st.sampled_from(["", "x"]),
)
parts = st.builds(
    MailState,
    tenant=st.just("T"),
    mail_id=st.just(str(MAIL)),
    decided=st.sampled_from([None, DECIDED]),
    events=st.lists(events, max_size=4).map(tuple),
    segments=st.frozensets(st.sampled_from("abc")),
)


def state(*what: Event, decided: Decided | None = DECIDED) -> MailState:
    """A mail with these events."""
    return MailState("T", MAIL, decided).merge(MailState("T", MAIL, events=what))


@given(parts, parts, parts)
def test_merging_is_idempotent_and_knows_no_order(a: MailState, b: MailState, c: MailState) -> None:
    """Facts come twice and in any order; what is known in the end is the same."""
    assert a.merge(b).merge(c) == c.merge(a.merge(b)) == b.merge(c.merge(a))
    assert a.merge(b).merge(b) == a.merge(b)
    assert fold([a, b, a])[MAIL] == fold([b, a, a])[MAIL]


@given(parts, parts)
def test_a_document_is_read_back_as_it_was_written(a: MailState, b: MailState) -> None:
    """The index gives back all that a state knows."""
    merged = a.merge(b)
    assert from_document(to_document(merged, made=MAIL.time)) == merged


def test_the_latest_state_counts_and_a_terminal_one_stays() -> None:
    """A late copy of an earlier state changes nothing."""
    mail = state(
        Event(10, 1, (0,), "delivered", n=2),
        Event(30, 1, (0,), "deferred", n=1),
        Event(5, 1, (1,), "held"),
        Event(7, 1, (1,), "deferred", n=1),
    )
    assert mail.state(0) == "delivered"
    assert mail.state(1) == "deferred"
    assert not mail.final


def test_a_release_puts_a_recipient_back_on_the_way() -> None:
    """A released recipient is accepted until something becomes of it."""
    held = state(Event(5, 1, (0, 1), "held"))
    released = held.merge(MailState("T", MAIL, events=(Event(8, 1, (0, 1), "released", n=1),)))
    assert [held.state(0), released.state(0)] == ["held", "accepted"]


def test_a_mail_is_final_when_every_recipient_of_its_decision_is_done() -> None:
    """Undecided mails are never final, whatever is known of them."""
    done = [Event(10, 1, (0,), "delivered", n=1), Event(11, 1, (1,), "returned", n=1)]
    assert state(*done).final
    assert not state(done[0]).final
    assert not state(*done, decided=None).final


def test_the_mails_direction_is_the_outermost_of_its_recipients() -> None:
    """A mail to people inside and outside is outbound."""
    assert state().direction == "outbound"


def test_only_codes_reach_the_index() -> None:
    """A text that is no code becomes `other`."""
    assert code("remote_refused") == "remote_refused"
    assert code("550 5.1.1 bob@acme.example unknown") == "other"
    assert code("") == ""
