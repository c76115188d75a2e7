"""Decisions of delivery: schedule, replies, routes, destinations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.common.directory import Directory, Domain, Route, Tenant
from services.common.ids import TenantId
from services.delivery.core import routes
from services.delivery.core.destinations import Destinations
from services.delivery.core.replies import Reply, classify, classify_recipient, deferred
from services.delivery.core.routes import ByMx, Fixed, Host, Mx
from services.delivery.core.schedule import Schedule

T0 = datetime(2026, 11, 24, tzinfo=UTC)
ACME, OTHER = TenantId.new(now=1), TenantId.new(now=2)
SCHEDULE = Schedule(
    (timedelta(minutes=1), timedelta(minutes=5)), give_up_after=timedelta(hours=1), delay_notice_after=timedelta(0)
)


def directory(*, next_hop: Route | None = None, smarthost: Route | None = None) -> Directory:
    tenants = {
        ACME: Tenant(ACME, "acme", next_hop=next_hop, smarthost=smarthost),
        OTHER: Tenant(OTHER, "other"),
    }
    domains = {"acme.example": Domain("acme.example", ACME), "other.example": Domain("other.example", OTHER)}
    return Directory(tenants=tenants, domains=domains)


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 1), (2, 5), (3, 5), (9, 5)])
def test_the_last_wait_repeats(attempts: int, minutes: int) -> None:
    """Waits follow the list and then its last entry."""
    assert SCHEDULE.next(attempts=attempts, queued_at=T0, now=T0) == T0 + timedelta(minutes=minutes)


def test_the_last_attempt_is_at_the_end_and_then_it_gives_up() -> None:
    """No wait reaches past the end, and at the end there is none."""
    end = T0 + timedelta(hours=1)
    assert SCHEDULE.next(attempts=5, queued_at=T0, now=end - timedelta(minutes=2)) == end
    assert SCHEDULE.next(attempts=6, queued_at=T0, now=end) is None


@pytest.mark.parametrize(
    ("reply", "fate", "status"),
    [
        (Reply(250, "2.0.0 ok"), "delivered", "2.0.0"),
        (Reply(250, "ok"), "delivered", "2.0.0"),
        (Reply(451, "4.7.1 greylisted"), "deferred", "4.7.1"),
        (Reply(421, "going down"), "deferred", "4.0.0"),
        (Reply(550, "5.1.1 no such user"), "failed", "5.1.1"),
        (Reply(550, "4.1.1 muddled"), "failed", "5.0.0"),
        (Reply(354, "what?"), "deferred", "4.0.0"),
        (Reply(199, "?"), "deferred", "4.0.0"),
    ],
)
def test_replies_are_classified_by_their_first_digit(reply: Reply, fate: str, status: str) -> None:
    """2xx delivered, 5xx failed, all else is tried again."""
    result = classify(reply, remote="192.0.2.1:25")
    assert (result.fate, result.status) == (fate, status)


def test_552_after_accepted_recipients_means_another_transaction() -> None:
    """RFC 5321 4.5.3.1.10."""
    assert classify_recipient(Reply(552, "too many"), remote="", accepted_before=3).too_many
    assert classify_recipient(Reply(552, "mailbox full"), remote="", accepted_before=0).fate == "failed"
    assert not classify_recipient(Reply(452, "4.2.2 full"), remote="", accepted_before=3).too_many


def test_a_reply_is_told_on_one_printable_line() -> None:
    """What a stranger's server says cannot break a log, a DSN or a terminal."""
    assert Reply(550, "no\nway\x1b[31m\r").detail == "550 no way [31m"


def test_own_domains_go_to_the_next_hop_and_the_world_to_the_smarthost() -> None:
    """A tenant's routes are chosen by whose domain it is."""
    hop, smart = Route("127.0.0.1:2526", "none"), Route("127.0.0.1:2527", "required")
    view = directory(next_hop=hop, smarthost=smart)
    assert routes.choose(view, ACME, "acme.example") == Fixed("127.0.0.1:2526", "none")
    assert routes.choose(view, ACME, "world.example") == Fixed("127.0.0.1:2527", "required")
    assert routes.choose(view, ACME, "other.example") == Fixed("127.0.0.1:2527", "required")
    assert routes.choose(view, OTHER, "acme.example") == ByMx("acme.example", hosted=True)


def test_without_a_smarthost_mx_decides_and_another_tenants_domain_is_marked() -> None:
    """The one exception of "not to ourselves"."""
    view = directory()
    assert routes.choose(view, ACME, "world.example") == ByMx("world.example")
    assert routes.choose(view, ACME, "other.example") == ByMx("other.example", hosted=True)
    assert routes.choose(view, ACME, "acme.example") == ByMx("acme.example", hosted=False)


def test_null_mx_is_one_record_for_the_root() -> None:
    """RFC 7505."""
    assert routes.is_null_mx([Mx(0, "")])
    assert not routes.is_null_mx([Mx(0, ""), Mx(10, "mx.example")])


def test_records_from_our_own_preference_on_are_dropped() -> None:
    """RFC 5321 5.1: else two relays send mail to each other for ever."""
    records = [Mx(10, "a.example"), Mx(20, "US.example."), Mx(20, "b.example"), Mx(30, "c.example")]
    assert routes.usable(records, own_names=frozenset({"us.example"})) == (Mx(10, "a.example"),)


def test_equal_preferences_are_shuffled_and_others_kept() -> None:
    """Load is shared among equals only."""
    records = [Mx(20, "c"), Mx(10, "a"), Mx(10, "b")]
    assert [r.host for r in routes.in_order(records, lambda group: group.reverse())] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("address", "bad"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("169.254.1.1", True),
        ("224.0.0.1", True),
        ("203.0.113.9", True),
        ("192.0.2.1", False),
        ("10.0.0.1", False),
    ],
)
def test_a_public_name_does_not_lead_to_loopback_or_ourselves(address: str, bad: bool) -> None:
    """Whoever controls a domain cannot make us talk to our own ports."""
    assert routes.forbidden(address, own=frozenset({"203.0.113.9"}), allow_loopback=False) is bad


def test_hosts_are_tried_by_record_then_by_family_each_once() -> None:
    """The order of attempts, bounded."""
    addresses = {"a": ["2001:db8::1", "192.0.2.1"], "b": ["192.0.2.1", "192.0.2.2"]}
    found = routes.hosts([Mx(1, "a"), Mx(2, "b")], addresses, port=25, preference="ipv4", limit=3)
    assert found == (Host("a", "192.0.2.1", 25), Host("a", "2001:db8::1", 25), Host("b", "192.0.2.2", 25))


@pytest.mark.parametrize(
    ("domain", "address"),
    [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1"), ("[nonsense]", None), ("a.example", None)],
)
def test_address_literals_are_read(domain: str, address: str | None) -> None:
    """RFC 5321 4.1.3."""
    assert routes.literal(domain) == address


def test_a_failed_destination_rests_ever_longer_and_one_answer_forgives() -> None:
    """Failures that began together count once; the probe has one slot."""
    known = Destinations(most=16, first=5.0, longest=12.0)
    why = deferred("connect_failed", "4.4.1", "")
    known.unreachable("d", why, now=0.0)
    known.unreachable("d", why, now=1.0)
    assert known.down("d", 4.9) is why
    assert known.down("d", 5.0) is None
    assert known.get("d").limit == 1
    known.unreachable("d", why, now=6.0)
    assert known.down("d", 15.9) is why
    known.unreachable("d", why, now=16.0)
    assert known.down("d", 28.1) is None
    known.answered("d", 0.01, 30.0)
    assert known.get("d").limit == 5
    assert known.get("d").patience(30.0) > 1


def test_nobody_waits_for_a_destination_that_is_down_slow_or_silent() -> None:
    """Waiting mail holds a slot that a live destination could use."""
    known = Destinations(most=6, first=5.0)
    fresh = known.get("fresh")
    assert 0 < fresh.patience(100.0) < 1
    fresh.began(100.0)
    assert fresh.patience(103.0) == 0
    known.answered("slow", 9.0, 0.0)
    assert known.get("slow").patience(0.0) == 0
    known.unreachable("down", deferred("connect_failed", "4.4.1", ""), now=0.0)
    assert known.get("down").patience(0.0) == 0


def test_success_earns_slots_up_to_the_limit() -> None:
    """An unknown destination begins with few."""
    known = Destinations(most=6, first=5.0)
    assert known.get("d").limit == 4
    for _ in range(10):
        known.answered("d", 0.01, 30.0)
    assert known.get("d").limit == 6
