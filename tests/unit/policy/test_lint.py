"""Rules that are of no use beside the others are told; rules that are of use never are."""

from __future__ import annotations

import pytest

from services.policy.core.lint import lint
from tests.unit.policy.builders import rules


def findings(*of: str, **top: str) -> list[str]:
    """What is told about rules r1, r2, … ."""
    return [m.reason for m in lint(rules(*of, **top))]


HOLD, REFUSE, PASS = "then: {hold: {}}", "then: {refuse: {}}", "then: {pass: {}}"
ANY_WORD = "when: {text: {contains: [a, b]}}"
ONE_WORD = "when: {text: {contains: [a]}}"


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        # The same conditions, or weaker ones, and as strong or stronger.
        (f"priority: 2, {ANY_WORD}, {HOLD}", f"priority: 1, {ANY_WORD}, {HOLD}", "'r2' is covered by 'r1' in line 3"),
        (f"priority: 2, {ANY_WORD}, {HOLD}", f"priority: 1, {ONE_WORD}, {HOLD}", "'r2' is covered by 'r1'"),
        (f"priority: 1, {ONE_WORD}, {HOLD}", f"priority: 2, {ANY_WORD}, {REFUSE}", "'r1' is covered by 'r2'"),
        (f"{REFUSE}", f"{ONE_WORD}, {HOLD}", "'r2' is covered by 'r1'"),
        ("when: {any: [{tls: true}, {size: {larger_than: 5}}]}, " + HOLD, "when: {tls: true}, " + HOLD, "covered"),
        ("when: {size: {larger_than: 5}}, " + HOLD, "when: {size: {larger_than: 9}}, " + HOLD, "covered"),
        ("when: {sender: {domain: [a.example, b.example]}}, " + HOLD, "when: {sender: {domain: a.example}}, " + HOLD, "covered"),
        ("when: {detector: {name: payment_card, at_least: 1}}, " + HOLD,
         "when: {detector: {name: payment_card, at_least: 3, confidence: high}}, " + HOLD, "covered"),
        (f"{HOLD}", f"direction: outbound, unless: {{tls: true}}, {HOLD}", "covered"),
        # The same conditions, and pass beside something that stops.
        (f"{ANY_WORD}, {PASS}", f"{ANY_WORD}, {REFUSE}", "'r1' contradicts 'r2' in line 4"),
        (f"priority: 9, {ONE_WORD}, {PASS}", f"{ANY_WORD}, {HOLD}", "'r1' contradicts 'r2'"),
    ],
)  # fmt: skip
def test_rule_that_another_makes_useless_is_told(first: str, second: str, told: str) -> None:
    """With the other rule and its line."""
    (found,) = findings(first, second)
    assert told in found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"{ANY_WORD}, {HOLD}", f"{ONE_WORD}, {REFUSE}"),  # the narrower one is stronger
        (f"priority: 1, {ANY_WORD}, {HOLD}", f"priority: 2, {ONE_WORD}, then: {{hold: {{reviewers: sender}}}}"),
        (f"{ONE_WORD}, {HOLD}", f"{ANY_WORD}, {HOLD}"),
        (f"direction: inbound, {HOLD}", f"direction: outbound, {HOLD}"),
        (f"direction: inbound, {HOLD}", HOLD),
        (f"mode: shadow, {HOLD}", HOLD),
        (f"mode: 'canary: 10%', {REFUSE}", HOLD),
        (HOLD, f"mode: draft, {HOLD}"),
        (f"schedule: {{days: [mon]}}, {HOLD}", HOLD),
        (f"unless: {{tls: true}}, {HOLD}", HOLD),
        (HOLD, "then: [{hold: {}}, {tag: {subject_prefix: x}}]"),
        (HOLD, "then: [{tag: {subject_prefix: x}}]"),
        (HOLD, "then: [{bcc: a@b.example}]"),
        ("then: {banner: {text: x}}", HOLD),
        (HOLD, f"when: {{not_inspected: any}}, {PASS}"),
        (f"when: {{recipient: {{domain: a.example}}}}, {HOLD}", f"per: mail, when: {{recipient: {{domain: a.example}}}}, {HOLD}"),
        ("when: {text: {contains: a}}, " + HOLD, "when: {subject: {contains: a}}, " + HOLD),
        ("when: {header: {name: x-a, contains: a}}, " + HOLD, "when: {header: {name: x-b, contains: a}}, " + HOLD),
        ("when: {size: {smaller_than: 5}}, " + HOLD, "when: {size: {larger_than: 9}}, " + HOLD),
        ("when: {any: [{tls: true}, {subject: {contains: a}}]}, " + HOLD, "when: {size: {larger_than: 9}}, " + HOLD),
        ("when: {detector: {name: payment_card, unique: true}}, " + HOLD, "when: {detector: {name: payment_card}}, " + HOLD),
        ("when: {attachment: {name: '*'}}, " + HOLD, "when: {all_attachments: {name: '*'}}, " + HOLD),
        ("when: {not: {text: {contains: [a, b]}}}, " + HOLD, "when: {not: {text: {contains: [a]}}}, " + HOLD),
    ],
)  # fmt: skip
def test_rules_that_are_of_use_are_not_told(first: str, second: str) -> None:
    """No false alarm."""
    assert findings(f"priority: 5, {first}" if "priority" not in first else first, second) == []


def test_unless_that_takes_back_everything_is_told() -> None:
    """Also where it says more than `when`."""
    (found,) = findings(
        "when: {sender: {domain: a.example}}, unless: {sender: {domain: [a.example, b.example]}}, " + HOLD
    )
    assert "takes back everything" in found
    assert findings("when: {sender: {domain: '*'}}, unless: {sender: {domain: a.example}}, " + HOLD) == []


def test_rule_after_a_first_match_that_takes_all_is_never_reached() -> None:
    """Whatever it does."""
    (found,) = findings(PASS, "then: [{tag: {subject_prefix: x}}, {refuse: {}}]", match="first")
    assert "never reached: 'r1' in line 4" in found
