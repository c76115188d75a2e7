"""Whatever a file is, it is answered for: no exception leaves the readers."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.extraction import File, Piece
from services.common.extraction.budget import Budget, Limits
from services.common.extraction.walk import Walk
from tests.unit.extraction.test_readers import WITH_MEMBERS, WITH_TEXT

_SEEDS = [*(c for c, _ in WITH_TEXT.values()), *WITH_MEMBERS.values()]
_LIMITS = Limits(total=8_000_000, member=2_000_000, text=100_000, files=100, depth=4)


def _walk(content: bytes) -> list[Piece]:
    found: list[Piece] = []
    Walk(Budget(_LIMITS, time.monotonic() + 30), ["a"], found.append).top(File("2", "x", "", content))
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(_SEEDS),
    st.lists(st.tuples(st.integers(0), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0),
)
def test_a_damaged_file_is_answered_for(seed: bytes, edits: list[tuple[int, bytes]], cut: int) -> None:
    content = bytearray(seed)
    for where, what in edits:
        at = where % len(content)
        content[at : at + len(what)] = what
    if cut % 3 == 0:
        content = content[: cut % len(content)]
    found = _walk(bytes(content))
    assert found[-1].part == "2"
    assert len(found) <= _LIMITS.files + 2


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([c[:16] for c in _SEEDS]), st.binary(max_size=300))
def test_a_file_that_only_begins_well_is_answered_for(start: bytes, rest: bytes) -> None:
    assert _walk(start + rest)[-1].part == "2"
