"""The bus's pure rules: subjects, what becomes of a message, what a watcher is told."""

from __future__ import annotations

import pytest

from services.common.bus import Entry, Later, Message
from services.common.bus.consuming import Ack, Again, Dead, Failures, dead_letter
from services.common.bus.kv import _View
from services.common.bus.publishing import check_ack
from services.common.bus.streams import (
    ACCESS,
    BUCKETS,
    CONSUMERS,
    STREAMS,
    Consumer,
    matches,
    schedule_subject,
    stream_of,
)
from services.common.errors import Busy, Conflict, Corrupt, InvalidInput, TooLarge, Unavailable

SPEC = Consumer(stream="ACCEPTED", subject="mail.accepted.*", service="policy", backoff=(1, 5), max_deliver=4)


@pytest.mark.parametrize(
    ("pattern", "subject", "yes"),
    [
        ("mail.accepted.*", "mail.accepted.T", True),
        ("mail.accepted.*", "mail.accepted", False),
        ("mail.accepted.*", "mail.accepted.T.M", False),
        ("mail.outcome.*.*", "mail.outcome.T.M", True),
        ("dead.>", "dead.a.b.c", True),
        ("dead.>", "dead", False),
        ("a.b", "a.b", True),
        ("a.b", "a.B", False),
    ],
)
def test_patterns_match_as_the_broker_matches(pattern: str, subject: str, yes: bool) -> None:
    """`*` is one token, `>` at least one."""
    assert matches(pattern, subject) is yes


def test_every_consumer_takes_a_subject_of_its_stream_for_a_known_service() -> None:
    """The table agrees with itself."""
    for name, consumer in CONSUMERS.items():
        assert name.startswith(consumer.service), name
        assert consumer.subject in STREAMS[consumer.stream].subjects, name
        assert consumer.service in ACCESS, name
    for access in ACCESS.values():
        assert {*access.writes, *access.reads} <= BUCKETS.keys()
        assert set(access.looks_into) <= STREAMS.keys()


def test_no_subject_belongs_to_two_streams() -> None:
    """The broker would refuse it."""
    for subject in (s.replace("*", "x").replace(">", "x") for spec in STREAMS.values() for s in spec.subjects):
        assert sum(any(matches(p, subject) for p in spec.subjects) for spec in STREAMS.values()) == 1
    with pytest.raises(InvalidInput):
        stream_of("policy.decide")


def test_a_schedule_is_kept_beside_its_target() -> None:
    """One subject per tenant and key."""
    assert schedule_subject("delivery.retry.T", "M.1") == "delivery.schedule.T.M.1"
    assert stream_of(schedule_subject("quarantine.due.T", "M.1")) == stream_of("quarantine.due.T")


def test_failures_back_off_and_end_and_success_forgets_them() -> None:
    """The last back-off repeats; the count begins anew after an ack."""
    failures = Failures(SPEC)
    assert [failures.judge(7, Unavailable("x")) for _ in range(4)] == [
        Again(1),
        Again(5),
        Again(5),
        Dead("unavailable"),
    ]
    assert failures.judge(8, Unavailable("x")) == Again(1)
    assert failures.judge(8, None) == Ack()
    assert failures.judge(8, Unavailable("x")) == Again(1)


def test_later_is_no_failure_and_poison_ends_at_once() -> None:
    """An unknown exception is ours and is tried again; its text is never the reason."""
    failures = Failures(SPEC)
    assert [failures.judge(7, Later(3)) for _ in range(9)] == [Again(3)] * 9
    assert failures.judge(7, Corrupt("x")) == Dead("corrupt")
    for _ in range(3):
        assert isinstance(failures.judge(9, ValueError("content")), Again)
    assert failures.judge(9, ValueError("content")) == Dead("ValueError")


def test_a_dead_letter_keeps_headers_but_not_the_brokers() -> None:
    """A `Nats-…` header would be an order to the broker."""
    message = Message("mail.accepted.T", b"", {"Nats-Msg-Id": "1:a:0", "traceparent": "x", "Nats-Schedule": "@at x"}, 3)
    subject, headers = dead_letter("policy-accepted", message, "corrupt")
    assert subject == "dead.policy-accepted.mail.accepted.T"
    assert not [name for name in headers if name.startswith("Nats-")]
    assert (headers["traceparent"], headers["Letterlock-Msg-Id"]) == ("x", "1:a:0")


@pytest.mark.parametrize(
    ("number", "error"),
    [(10077, Busy), (10047, Busy), (10071, Conflict), (10054, TooLarge), (10008, Unavailable), (0, Unavailable)],
)
def test_the_brokers_refusals_become_our_errors(number: int, error: type[Exception]) -> None:
    """What the caller can do decides the class."""
    with pytest.raises(error):
        check_ack(b'{"error":{"code":400,"err_code":%d,"description":"x"},"stream":"S","seq":0}' % number)
    assert check_ack(b'{"stream":"S","seq":3,"duplicate":true}').duplicate
    with pytest.raises(Unavailable):
        check_ack(b"<html>")


def test_a_watcher_is_told_news_only() -> None:
    """Old revisions, deletions it never knew, and a key that one reading lacks are no news."""
    view = _View()
    assert view.seen("t1", [Entry("a", b"1", 1), Entry("gone", None, 2)]) == [Entry("a", b"1", 1)]
    assert view.heard(Entry("a", b"1", 1)) is False
    assert view.heard(Entry("a", b"2", 3)) is True
    assert view.heard(Entry("a", b"1", 1)) is None
    assert view.seen("t1", []) == []
    assert view.seen("t1", [Entry("a", b"2", 3)]) == []
    assert view.seen("t1", []) == []
    assert view.seen("t1", []) == [Entry("a", None, 3)]


def test_a_watcher_of_a_bucket_made_anew_is_told_what_is_gone() -> None:
    """Revisions of another bucket mean nothing."""
    view = _View()
    view.seen("t1", [Entry("a", b"1", 9), Entry("b", b"1", 8)])
    assert view.seen("t2", [Entry("a", b"2", 1)]) == [Entry("b", None, 8), Entry("a", b"2", 1)]
