"""The outcome lattice: how what matches becomes what happens."""

from __future__ import annotations

import pytest

from services.policy.core.message import Message, NotInspected, Transaction
from services.policy.core.rules import Policy
from tests.unit.policy.builders import mail, policy, rules, summary, transaction, verdict

ORDER = ["pass: {}", "delay: {for: 1m}", "hold: {}", "return: {}", "refuse: {}", "delete: {}"]
NAMES = ["deliver", "delay", "hold", "return", "return", "delete"]
BROKEN = Message(not_inspected=(NotInspected("1", "broken"),))
INBOUND = transaction(("bob@acme.example", "inbound"), sender="x@world.example")
TWO = transaction(("a@world.example", "outbound"), ("b@world.example", "outbound"))
TWO_IN = transaction(("a@acme.example", "inbound"), ("b@acme.example", "inbound"), sender="x@world.example")


@pytest.mark.parametrize("weak", range(6))
@pytest.mark.parametrize("strong", range(6))
def test_the_stronger_disposition_wins(weak: int, strong: int) -> None:
    """Whatever the order and the priority."""
    of = rules(
        f"priority: 9, then: {{{ORDER[weak]}}}",
        f"then: {{{ORDER[strong]}}}",
        "when: {recipient: {address: 'a@*'}}, then: {delete: {}}",
    )
    legs = verdict(of, mail(), TWO).legs
    found = next(leg.treatment.disposition for leg in legs if 1 in leg.recipients)
    assert found == NAMES[max(weak, strong)]


def test_priority_decides_text_and_settings() -> None:
    """Among rules that say the same, the larger priority speaks."""
    of = rules("priority: 1, then: {refuse: {text: low}}", "priority: 2, then: {refuse: {text: high}}")
    (leg,) = verdict(of, mail(), transaction()).legs
    assert (leg.treatment.text, leg.treatment.rule) == ("high", "r2")


def test_transforms_add_up_and_stay_through_a_hold() -> None:
    """All transforms of all matching rules are on the leg, the larger priority first."""
    of = rules(
        "then: [{tag: {subject_prefix: a}}, {hold: {reviewers: legal}}]",
        "priority: 1, then: {notify: {to: [x@acme.example]}}",
    )
    (leg,) = verdict(of, mail(), transaction()).legs
    assert [(c.kind, c.rule) for c in leg.treatment.transforms] == [("notify", "r2"), ("tag", "r1")]
    assert (leg.treatment.disposition, leg.treatment.reviewers) == ("hold", ("legal",))
    assert leg.treatment.transforms[1].settings == '{"subject_prefix":"a"}'


def test_recipients_treated_alike_are_one_leg() -> None:
    """Legs count from 1 and cover everybody once."""
    of = rules("when: {recipient: {address: 'a@*'}}, then: {hold: {}}")
    result = verdict(of, mail(), TWO)
    assert [(leg.number, leg.recipients, leg.treatment.disposition) for leg in result.legs] == [
        (1, (0,), "hold"),
        (2, (1,), "deliver"),
    ]


@pytest.mark.parametrize(
    ("by", "then", "queued", "expected"),
    [
        (TWO, "refuse: {}", False, [("refuse", (0, 1))]),
        (TWO, "refuse: {}", True, [("return", (0, 1))]),
        (TWO_IN, "refuse: {}", False, [("refuse", (0, 1))]),
        (TWO_IN, "refuse: {}", True, [("refuse", (0, 1))]),
        (TWO_IN, "return: {}", True, [("refuse", (0, 1))]),
        (TWO_IN, "return: {}", False, [("return", (0, 1))]),
        (TWO, "return: {}", False, [("return", (0, 1))]),
    ],
)
def test_refusals_of_all(by: Transaction, then: str, queued: bool, expected: object) -> None:
    """For all it is said in the dialogue; after it, outbound returns and inbound keeps it as refused."""
    assert summary(verdict(rules(f"then: {{{then}}}"), mail(), by, queued=queued)) == expected


@pytest.mark.parametrize(
    ("by", "then", "expected"),
    [
        (TWO, "refuse: {text: no}", "return"),
        (TWO_IN, "refuse: {text: no}", "refuse"),
        (TWO_IN, "return: {text: no}", "refuse"),
        (transaction(("a@acme.example", "internal"), ("b@acme.example", "internal")), "refuse: {text: no}", "return"),
    ],
)
def test_refusals_of_some(by: Transaction, then: str, expected: str) -> None:
    """A refusal that is not for all returns outbound mail, and keeps inbound mail as refused."""
    result = verdict(rules(f"when: {{recipient: {{address: 'a@*'}}}}, then: {{{then}}}"), mail(), by)
    assert summary(result) == [(expected, (0,)), ("deliver", (1,))]
    assert result.legs[0].treatment.text == "no"


@pytest.mark.parametrize(
    ("choice", "by", "queued", "expected"),
    [
        ("tempfail", INBOUND, False, None),
        ("tempfail", INBOUND, True, "hold"),
        ("hold", INBOUND, False, "hold"),
        ("pass", INBOUND, False, "deliver"),
    ],
)
def test_doubt(choice: str, by: Transaction, queued: bool, expected: str | None) -> None:
    """What could not be inspected gets what the tenant chose; None is "come again"."""
    result = verdict(policy(f"version: 1\non_doubt: {{inbound: {choice}}}\nrules: []\n"), BROKEN, by, queued=queued)
    assert result.tempfail == (expected is None)
    assert [d for d, _ in summary(result)] == ([expected] if expected else [])
    assert result.doubted == (choice != "pass")


@pytest.mark.parametrize("reason", ["encrypted", "broken", "too_large", "timeout"])
def test_doubt_holds_without_a_policy(reason: str) -> None:
    """The default of a tenant without a policy: inbound comes again, outbound is held."""
    message = Message(not_inspected=(NotInspected("1", reason),))  # type: ignore[arg-type]
    assert verdict(Policy(), message, INBOUND).tempfail
    assert summary(verdict(Policy(), message, transaction())) == [("hold", (0,))]


def test_unsupported_types_are_said_and_not_doubted() -> None:
    """A PDF alone does not hold a mail."""
    message = Message(not_inspected=(NotInspected("1", "unsupported"),))
    assert summary(verdict(Policy(), message, transaction())) == [("deliver", (0,))]


def test_a_stronger_rule_needs_no_inspection() -> None:
    """What is refused or deleted anyway is not put off."""
    for then in ("hold: {}", "refuse: {}", "delete: {}"):
        assert not verdict(rules(f"then: {{{then}}}"), BROKEN, INBOUND).tempfail


def test_a_rule_about_the_doubt_replaces_on_doubt() -> None:
    """Who writes what happens to encrypted mail has decided; other doubts stay."""
    of = rules("when: {not_inspected: encrypted}, then: {pass: {}}")
    encrypted = NotInspected("1", "encrypted")
    assert summary(verdict(of, Message(not_inspected=(encrypted,)), INBOUND)) == [("deliver", (0,))]
    assert verdict(of, Message(not_inspected=(encrypted, NotInspected("2", "broken"))), INBOUND).tempfail
    tagged = rules("when: {not_inspected: encrypted}, then: {tag: {subject_prefix: x}}")
    assert verdict(tagged, Message(not_inspected=(encrypted,)), INBOUND).tempfail


def test_blind_copies_go_where_the_mail_goes() -> None:
    """A copy is treated as what it accompanies: held with it, and not made of what goes nowhere."""
    of = rules(
        "then: {bcc: [audit@acme.example, A@world.example]}",
        "when: {recipient: {address: 'b@*'}}, then: {hold: {}}",
    )
    result = verdict(of, mail(), TWO)
    assert [(r.address, r.direction) for r in result.added] == [("audit@acme.example", "internal")]
    assert summary(result) == [("deliver", (0, 2)), ("hold", (1,))]
    held = verdict(rules("then: [{bcc: [audit@acme.example]}, {hold: {}}]"), mail(), TWO)
    assert summary(held) == [("hold", (0, 1, 2))]
    assert verdict(rules("then: [{bcc: [audit@acme.example]}, {delete: {}}]"), mail(), TWO).added == ()


def test_redirects_are_on_the_leg() -> None:
    """The leg says where its copies go instead."""
    of = rules("when: {recipient: {address: 'a@*'}}, then: {redirect: [x@acme.example]}")
    result = verdict(of, mail(), TWO)
    assert [(leg.recipients, leg.treatment.redirect) for leg in result.legs] == [
        ((0,), ("x@acme.example",)),
        ((1,), ()),
    ]


def test_first_match_is_a_switch() -> None:
    """With `match: first` only the rule with the largest priority counts."""
    lines = ("priority: 2, then: {hold: {}}", "priority: 1, then: {delete: {}}")
    assert summary(verdict(rules(*lines), mail(), transaction())) == [("delete", (0,))]
    assert summary(verdict(rules(*lines, match="first"), mail(), transaction())) == [("hold", (0,))]


def test_shadows_change_nothing() -> None:
    """A shadow rule is reported only."""
    assert summary(verdict(rules("mode: shadow, then: {delete: {}}"), mail(), transaction())) == [("deliver", (0,))]


def test_transforms_add_up_and_a_mail_is_sealed_once() -> None:
    """In order of priority; of two seals the first rule's settings are in force."""
    of = rules(
        "priority: 1, then: [{seal: {password: agreed}}, {banner: {text: low}}]",
        "priority: 2, then: [{banner: {text: high}}, {seal: {keep: ['*.pdf']}}, {strip: {attachments: '*.EXE'}}]",
    )
    (leg,) = verdict(of, mail(), transaction()).legs
    assert [(c.kind, c.rule, c.settings) for c in leg.treatment.transforms] == [
        ("banner", "r2", '{"text":"high"}'),
        ("seal", "r2", '{"format":"zip","keep":["*.pdf"],"password":"random","unless_tls":false}'),
        ("strip", "r2", '{"attachments":["*.exe"],"why":""}'),
        ("banner", "r1", '{"text":"low"}'),
    ]


def test_priority_decides_a_hold_s_settings_and_doubt_has_its_own() -> None:
    """Reviewers, levels and times come from one rule together; a hold for doubt keeps what the rules change."""
    of = rules(
        "priority: 1, then: {hold: {levels: 5, expires: 9d}}",
        "priority: 2, then: [{hold: {reviewers: sender, levels: 2, expires: 1d, on_expiry: release}}, {seal: {}}]",
    )
    (leg,) = verdict(of, mail(), transaction()).legs
    treatment = leg.treatment
    assert (treatment.rule, treatment.levels, treatment.seconds, treatment.on_expiry) == ("r2", 2, 86400, "release")
    broken = Message(not_inspected=(NotInspected("1", "broken"),))
    (leg,) = verdict(rules("then: {seal: {}}"), broken, transaction()).legs
    assert (leg.treatment.rule, leg.treatment.levels) == ("on_doubt", 1)
    assert [c.kind for c in leg.treatment.transforms] == ["seal"]
