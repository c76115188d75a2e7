"""Which keys are made, published, destroyed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.common.errors import Corrupt, Unavailable
from services.encryption.core import plan, wrapping

DAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("private", "public", "expected"),
    [
        (set(), set(), [plan.Make("n")]),
        ({"n"}, set(), [plan.Publish("n")]),
        ({"n"}, {"n"}, []),
        (set(), {"n"}, []),
    ],
    ids=["nothing", "died in between", "whole", "destroyed"],
)
def test_steps(private: set[str], public: set[str], expected: list[plan.Step]) -> None:
    """The private half comes first, and what was destroyed is not made again."""
    assert plan.steps(["n"], private, public) == expected


def test_a_tenant_always_has_a_key_that_opens() -> None:
    """A lost private half gives a new version, never a second meaning of an old one."""
    assert plan.tenant_steps("a/", set(), set()) == [plan.Make("a/00000001")]
    assert plan.tenant_steps("a/", {"a/00000001"}, set()) == [plan.Publish("a/00000001")]
    assert plan.tenant_steps("a/", set(), {"a/00000003"}) == [plan.Make("a/00000004")]
    assert plan.tenant_steps("a/", {"a/00000002"}, {"a/00000001", "a/00000002"}) == []


def test_versions_sort_as_text() -> None:
    """Up to a hundred million rotations."""
    assert plan.next_version("a/", {"a/00000009"}) == "a/00000010"
    assert plan.version("a/00000010") == 10
    assert plan.version("pipeline/2026-11-24") == 0


def test_tomorrows_key_is_made_today() -> None:
    """Midnight waits for nobody."""
    assert plan.days(DAY) == (DAY, DAY + timedelta(days=1))


@pytest.mark.parametrize(("age", "may"), [(-1, False), (0, False), (1, False), (2, True), (400, True)])
def test_young_days_keep_their_key(age: int, may: bool) -> None:
    """Two days."""
    assert plan.may_destroy(DAY - timedelta(days=age), DAY) is may


def test_wrapped_key_opens_under_its_name_and_master_only() -> None:
    """Moved or changed: Corrupt; another master key: perhaps the right one comes back."""
    wrapped = wrapping.wrap(bytes(32), "pipeline/x", "AGE-SECRET", nonce=bytes(12))
    assert b"AGE-SECRET" not in wrapped
    assert wrapping.unwrap(bytes(32), "pipeline/x", wrapped) == "AGE-SECRET"
    for name, data in (
        ("pipeline/y", wrapped),
        ("pipeline/x", wrapped[:-1]),
        ("pipeline/x", b""),
        ("pipeline/x", b"junk"),
    ):
        with pytest.raises(Corrupt):
            wrapping.unwrap(bytes(32), name, data)
    with pytest.raises(Unavailable):
        wrapping.unwrap(b"\1" * 32, "pipeline/x", wrapped)
