"""The bytes and names of segments."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.archive.core import framing
from services.common.errors import Corrupt


@given(st.lists(st.binary(max_size=300)))
def test_messages_come_back_in_order(messages: list[bytes]) -> None:
    """Whatever their lengths, empty ones too."""
    assert list(framing.unpack(framing.pack(messages))) == messages


@given(st.binary(max_size=200))
def test_rubbish_is_corrupt_and_nothing_worse(data: bytes) -> None:
    """Bytes that are no segment raise `Corrupt`, compressed or not."""
    with pytest.raises(Corrupt):
        list(framing.unpack(b"\x00" + data))
    with suppress(Corrupt):
        list(framing.unpack(zstandard.compress(data)))


def test_a_bomb_is_not_unpacked() -> None:
    """A small frame that promises more than any segment holds is refused before it is unpacked."""
    bomb = zstandard.ZstdCompressor().compress(bytes(framing.MAX_PLAIN + 1))
    with pytest.raises(Corrupt):
        list(framing.unpack(bomb))


def test_names_sort_by_time_and_say_it() -> None:
    """A name's day and time are when it was made, UTC; bounds lie below the names of their time."""
    when = datetime(2026, 11, 24, 23, 59, 59, 500_000, tzinfo=UTC).timestamp()
    name, later = framing.new_name(now=when), framing.new_name(now=when + 1)
    assert name.startswith("2026-11-24/")
    assert later.startswith("2026-11-25/")
    assert name < later
    assert framing.is_name(name)
    assert not framing.is_name("2026-11-24/x")
    assert framing.first_of(when) <= name < framing.first_of(when + 1)
    assert framing.before_day(datetime(2026, 11, 25, tzinfo=UTC).date()) < later
