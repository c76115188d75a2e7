"""Ids sort by time, say their day, and have one validating door."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.common.errors import InvalidInput
from services.common.ids import MailId, TenantId


def test_ids_sort_by_time_and_say_their_day() -> None:
    """A later id is a larger text, and the UTC day is in it."""
    early = MailId.new(now=datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC).timestamp())
    late = MailId.new(now=datetime(2026, 11, 25, 0, 0, 0, tzinfo=UTC).timestamp())
    assert early < late
    assert (early.day, late.day) == (date(2026, 11, 24), date(2026, 11, 25))


@pytest.mark.parametrize(
    "text",
    ["", "x", "8" + "0" * 25, "0" * 25, "0" * 27, "0" * 25 + "I", "0" * 25 + "a", "../" + "0" * 23, "7" + "Z" * 25],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    """Wrong length, wrong letters, too large, paths, and times beyond any day."""
    with pytest.raises(InvalidInput):
        TenantId.parse(text)


def test_an_id_is_parsed_back() -> None:
    """Parsing gives the same id, of the asked type."""
    made = TenantId.new(now=1.0, entropy=b"\xff" * 10)
    assert TenantId.parse(str(made)) == made
    assert made.endswith("ZZZZ")
