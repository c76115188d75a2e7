"""Whatever valid number chance makes is found; whatever wrong one it makes is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stdnum import luhn as stdnum_luhn
from stdnum.cn import ric
from stdnum.iso7064 import mod_97_10

from services.policy.core.detectors.checks import keccak256
from services.policy.core.detectors.scanner import Scanner, find
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.text import normalise

_DIGITS = "0123456789"
_LETTER_VALUES = dict(zip("ABCDEFGHJKLMNPQRSTUVXYWZIO", range(10, 36), strict=True))


def _national_id(letter: str, rest: str) -> str:
    value = _LETTER_VALUES[letter]
    total = value // 10 + value % 10 * 9 + sum(int(d) * w for d, w in zip(rest, range(8, 0, -1), strict=True))
    return f"{letter}{rest}{-total % 10}"


def _card(rest: str) -> str:
    number = f"4{rest}"
    return number + stdnum_luhn.calc_check_digit(number)


def _iban(account: str) -> str:
    check = mod_97_10.calc_check_digits(f"{account}DE")
    return f"DE{check}{account}"


def _resident(day: int, order: str) -> str:
    number = f"110105199{day % 10}0{day % 9 + 1}1{day % 9}{order}"
    return number + ric.calc_check_digit(number + "0")


def digits(count: int) -> st.SearchStrategy[str]:
    """Exactly so many digits."""
    return st.text(_DIGITS, min_size=count, max_size=count)


_VALID: dict[str, tuple[st.SearchStrategy[str], str]] = {
    "tw_national_id": (
        st.builds(
            _national_id,
            st.sampled_from(sorted(_LETTER_VALUES)),
            st.builds(lambda sex, rest: sex + rest, st.sampled_from("12"), digits(7)),
        ),
        "{}",
    ),
    "payment_card": (st.builds(_card, digits(14)), "{}"),
    "iban": (st.builds(_iban, digits(18)), "{}"),
    "cn_resident_id": (st.builds(_resident, st.integers(0, 80), digits(3)), "{}"),
}
_SEPARATED: dict[str, Callable[[str], str]] = {
    "plain": str,
    "spaces": lambda v: " ".join(v[i : i + 4] for i in range(0, len(v), 4)),
    "Han": lambda v: f"號碼為{v}謝謝",
    "full-width": lambda v: "".join(chr(ord(c) + 0xFEE0) for c in v),
    "zero-width": "\u200b".join,
}


@pytest.mark.parametrize("name", _VALID)
@pytest.mark.parametrize("written", _SEPARATED)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_valid_values_are_found(name: str, written: str, data: st.DataObject) -> None:
    """However they are written, and with their own value."""
    strategy, form = _VALID[name]
    value = data.draw(strategy)
    text = normalise(form.format(_SEPARATED[written](value)))
    assert value in [h.value for h in find(DETECTORS[name], text) if h.confidence != "low"]


@pytest.mark.parametrize("name", _VALID)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), shift=st.integers(1, 9))
def test_wrong_checksums_are_not_found(name: str, data: st.DataObject, shift: int) -> None:
    """One digit changed is another number, which is not valid."""
    value = data.draw(_VALID[name][0])
    place = -2 if value[-1] == "X" else -1
    changed = value[:place] + str((int(value[place]) + shift) % 10) + value[len(value) + place + 1 :]
    assert find(DETECTORS[name], f"number {changed} here") == []


_EVERYTHING = Scanner(tuple(DETECTORS.values()))


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(st.text(max_size=300), max_size=4))
def test_any_text_can_be_scanned(texts: list[str]) -> None:
    """No text breaks a check, and every find is inside of its text."""
    normal = [normalise(t) for t in texts]
    for hits in _EVERYTHING.scan(normal).values():
        for number, hit in hits:
            assert 0 <= hit.start < hit.end <= len(normal[number])


@settings(max_examples=150, deadline=None)
@given(text=st.text("0123456789 -.,/:\nABCabc證號@=", max_size=400))
def test_text_of_numbers_can_be_scanned(text: str) -> None:
    """Numbers in any arrangement are candidates of many detectors: none fails, and a find alone is a find together."""
    for name, hits in _EVERYTHING.scan([text]).items():
        assert [h for _, h in hits] == find(DETECTORS[name], text)


def test_keccak_is_the_one_of_ethereum() -> None:
    """Digests that are published (the empty text, and one of a block and a byte)."""
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert len({keccak256(b"a" * n) for n in range(130, 140)}) == 10
