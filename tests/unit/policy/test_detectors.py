"""Detectors catch what they say and spare what they say."""

from __future__ import annotations

import pytest

from services.policy.core.detectors.payment_card import PAYMENT_CARD, find, luhn
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.text import normalise

CATCHES = [(d.name, text) for d in DETECTORS.values() for text in d.catches]
SPARES = [(d.name, text) for d in DETECTORS.values() for text in d.spares]


@pytest.mark.parametrize(("name", "text"), CATCHES)
def test_catches(name: str, text: str) -> None:
    """Every true positive of a detector is found."""
    assert [h for h in DETECTORS[name].find(normalise(text)) if h.confidence != "low"]


@pytest.mark.parametrize(("name", "text"), SPARES)
def test_spares(name: str, text: str) -> None:
    """No false positive of a detector is found."""
    assert DETECTORS[name].find(normalise(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "４１１１１１１１１１１１１１１１",
        "卡號４１１１－１１１１－１１１１－１１１１謝謝",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111\u00a01111\u00a01111\u00a01111",
    ],
)
def test_normalised_disguises_are_caught(text: str) -> None:
    """Full-width digits, zero-width characters and other spaces do not hide a number."""
    assert len(find(normalise(text))) == 1


def test_two_numbers_in_a_row_are_two() -> None:
    """Neighbouring numbers are told apart."""
    assert [h.value for h in find("4012 8888 8888 1881 5555 5555 5555 4444")] == [
        "4012888888881881",
        "5555555555554444",
    ]


def test_masks_keep_four_digits() -> None:
    """What may be shown has the first and the last four digits."""
    (hit,) = find("4111 1111 1111 1111")
    assert hit.masked == "4•••••••••••1111"


def test_confidence_grows_with_grouping_and_context() -> None:
    """A bare number is medium; groups or a word about cards make it high."""
    assert find("4111111111111111")[0].confidence == "medium"
    assert find("信用卡 4111111111111111")[0].confidence == "high"
    assert find("4111 1111 1111 1111")[0].confidence == "high"


def test_luhn() -> None:
    """The checksum of ISO/IEC 7812-1."""
    assert luhn("79927398713")
    assert not luhn("79927398710")


def test_no_quadratic_time_on_digits() -> None:
    """A megabyte of digits and spaces is read in linear time."""
    assert PAYMENT_CARD.find("1 " * 500_000) == []
    assert PAYMENT_CARD.find("1234 " * 200_000) is not None
