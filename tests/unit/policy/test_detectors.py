"""Detectors catch what they say and spare what they say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from services.policy.core.detectors import CONFIDENCES, Detector, Shape
from services.policy.core.detectors import scanner as scanning
from services.policy.core.detectors.checks import luhn
from services.policy.core.detectors.payment_card import PAYMENT_CARD, find
from services.policy.core.detectors.scanner import Scanner
from services.policy.core.detectors.table import DETECTORS, FAMILIES
from services.policy.core.text import normalise
from tests.unit.policy.builders import mail, matches, rules, transaction

CATCHES = [(d.name, text) for d in DETECTORS.values() for text in d.catches]
SPARES = [(d.name, text) for d in DETECTORS.values() for text in d.spares]


@pytest.fixture(scope="module")
def everything() -> Scanner:
    """All detectors in one database."""
    return Scanner(tuple(DETECTORS.values()))


@pytest.mark.parametrize(("name", "text"), CATCHES)
def test_catches(name: str, text: str) -> None:
    """Every true positive of a detector is found with the confidence that rules ask for by default."""
    assert [h for h in scanning.find(DETECTORS[name], normalise(text)) if h.confidence != "low"]


@pytest.mark.parametrize(("name", "text"), SPARES)
def test_spares(name: str, text: str) -> None:
    """No false positive of a detector is found with the confidence that rules ask for by default."""
    assert [h for h in scanning.find(DETECTORS[name], normalise(text)) if h.confidence != "low"] == []


def test_cards_are_spared_at_any_confidence() -> None:
    """A wrong card number is not even a weak find."""
    assert [t for t in PAYMENT_CARD.spares if scanning.find(PAYMENT_CARD, normalise(t))] == []


def test_one_pass_for_all_finds_what_each_finds_alone(everything: Scanner) -> None:
    """Neither the company of other patterns nor that of other texts changes a find, nor where it stands."""
    texts = [normalise(text) for _, text in CATCHES]
    together = everything.scan(texts)
    for number, (name, _) in enumerate(CATCHES):
        alone = scanning.find(DETECTORS[name], texts[number])
        assert [(h.start, h.end, h.masked, h.confidence) for at, h in together[name] if at == number] == [
            (h.start, h.end, h.masked, h.confidence) for h in alone
        ]


@pytest.mark.parametrize(
    ("name", "text"), [(d.name, d.catches[0]) for f, ds in FAMILIES.items() for d in ds if d.shapes]
)
def test_han_beside_a_value_hides_nothing(name: str, text: str) -> None:
    """Letters without spaces around them are no boundary that a value needs."""
    assert scanning.find(DETECTORS[name], f"這是{normalise(text)}謝謝")


def test_offsets_count_characters() -> None:
    """A find in text of several bytes a character is where a reader counts it."""
    text = "我的證號是A123456789，卡號4111111111111111。"
    hits = Scanner((DETECTORS["tw_national_id"], PAYMENT_CARD)).scan(["無", text])
    for name, value in (("tw_national_id", "A123456789"), ("payment_card", "4111111111111111")):
        ((number, hit),) = hits[name]
        assert (number, text[hit.start : hit.end]) == (1, value)


def test_what_is_shown_of_a_value_is_less_than_half() -> None:
    """Masks keep the ends only."""
    for name, text in CATCHES:
        for hit in scanning.find(DETECTORS[name], normalise(text)):
            if not DETECTORS[name].words:
                shown = [c for c in hit.masked if c != "•"]
                assert len(shown) * 2 <= max(len(hit.value), 2), (name, hit.masked)


def test_every_detector_says_what_it_is() -> None:
    """Name, description, source and both kinds of examples."""
    for name, detector in DETECTORS.items():
        assert all((detector.about, detector.source, detector.catches, detector.spares)), name
        assert detector.shapes or detector.words, name
        assert {s.near for s in detector.shapes} <= set(CONFIDENCES)


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
    assert find("1 " * 500_000) == []
    assert find("1234 " * 200_000) is not None


def test_a_flood_of_candidates_is_said_and_not_called_clean(
    everything: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text that is made to look like numbers everywhere fails the rules that ask, which then hold the mail."""
    monkeypatch.setattr(scanning, "MAX_CANDIDATES", 1000)
    with pytest.raises(scanning.TooManyCandidates):
        everything.scan(["1 2-" * 3000])


def test_one_database_takes_any_detectors(everything: Scanner) -> None:
    """Detectors that are not built in are found in the same pass, and a pattern that is none is refused."""
    own = Detector(
        name="acme_project",
        about="a project's name",
        source="the tenant",
        shapes=(Shape(expression="acme-[0-9]{4}", bare="medium", near="medium", caseless=True),),
        catches=("ACME-1234",),
        spares=("ACME-12345",),
    )
    hits = Scanner((PAYMENT_CARD, own)).scan(["計畫ACME-1234用4111111111111111"])
    assert [len(hits[n]) for n in ("acme_project", "payment_card")] == [1, 1]
    with pytest.raises(ValueError, match="pattern"):
        Scanner((replace(own, shapes=(replace(own.shapes[0], expression="(a"),)),))


def test_a_scanner_serves_many_threads_at_once(everything: Scanner) -> None:
    """Each thread has a scratch of its own: the same text gives the same finds."""
    text = "\n".join(normalise(text) for _, text in CATCHES) * 3
    expected = everything.scan([text])
    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(everything.scan, [[text]] * 24))


def test_a_flood_fails_every_rule_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that could not look is no rule that did not match."""
    monkeypatch.setattr(scanning, "MAX_CANDIDATES", 100)
    asked = rules(
        "when: {detector: {name: tw_business_number}}, then: {hold: {reviewers: legal}}",
        "when: {detector: {name: tw_national_id}}, then: {hold: {reviewers: legal}}",
    )
    found = matches(asked, mail("12345678 統編 " * 300), transaction())
    assert [m.error for m in found] == ["TooManyCandidates"] * 2
