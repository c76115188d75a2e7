"""Predicates, modes, schedules: each row is a rule, a mail, and whether it matches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.policy.core import facts, meeting
from services.policy.core.evaluate import chosen, in_force
from services.policy.core.message import Attachment, Message, NotInspected
from services.policy.core.rules import Schedule
from tests.unit.policy.builders import NOON, mail, matches, rules, transaction

MESSAGE = Message(
    headers={"x-foo": ("Bar baz",), "subject": ("Quarterly Résumé",), "from": ("Carol <carol@partner.example>",)},
    subject="Quarterly Résumé",
    header_from=("carol@partner.example",),
    bodies=("Straße: 機密 card 4111 1111 1111 1111", "second"),
    attachments=(
        Attachment("2", "Plan.XLSM", "application/vnd.ms-excel", 20_000, None),
        Attachment("3", "notes.txt", "text/plain", 100, "hidden treasure"),
    ),
    parts=4,
    not_inspected=(NotInspected("2", "unsupported"),),
)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{sender: {address: 'alice@acme.example'}}", True),
        ("{sender: {address: 'ALICE@*'}}", True),
        ("{sender: {domain: acme.example}}", True),
        ("{sender: {domain: '*.example'}}", True),
        ("{sender: {domain: example}}", False),
        ("{header_from: {domain: partner.example}}", True),
        ("{header_from: {address: alice@acme.example}}", False),
        ("{recipient: {address: 'bob@*'}}", True),
        ("{recipient: {group: legal}}", False),
        ("{recipients: {more_than: 0}}", True),
        ("{recipients: {more_than: 1}}", False),
        ("{recipients: {any_external: true}}", True),
        ("{recipients: {any_external: false}}", False),
        ("{subject: {contains: RÉSUMÉ}}", True),
        ("{subject: {contains: 機密}}", False),
        ("{subject: {matches: '^Quarterly'}}", True),
        ("{text: {contains: STRASSE}}", True),
        ("{text: {contains: 機密}}", True),
        ("{text: {contains: treasure}}", True),
        ("{text: {contains: Quarterly}}", False),
        ("{text: {matches: '機.'}}", True),
        ("{any_text: {contains: quarterly}}", True),
        ("{any_text: {contains: plan.xlsm}}", True),
        ("{any_text: {contains: bar}}", True),
        ("{header: {name: X-Foo, contains: [nope, BAR]}}", True),
        ("{header: {name: X-Foo}}", True),
        ("{header: {name: X-Nope}}", False),
        ("{header: {name: x-foo, matches: '^bar'}}", False),
        ("{attachment: {name: '*.xlsm'}}", True),
        ("{attachment: {name: '*.xlsm', larger_than: 20KB}}", False),
        ("{attachment: {name: '*.xlsm', larger_than: 19KB}}", True),
        ("{attachment: {type: 'text/*'}}", True),
        ("{all_attachments: {type: 'text/*'}}", False),
        ("{all_attachments: {larger_than: 10}}", True),
        ("{no_attachment: {name: '*.exe'}}", True),
        ("{no_attachment: {name: '*.txt'}}", False),
        ("{detector: {name: payment_card}}", True),
        ("{detector: {name: payment_card, at_least: 2}}", False),
        ("{detector: {name: payment_card, confidence: high}}", True),
        ("{size: {larger_than: 999}}", True),
        ("{size: {larger_than: 1000}}", False),
        ("{size: {smaller_than: 1001}}", True),
        ("{tls: true}", True),
        ("{tls: false}", False),
        ("{not_inspected: any}", True),
        ("{not_inspected: unsupported}", True),
        ("{not_inspected: [encrypted, broken]}", False),
        ("{all: [{tls: true}, {size: {larger_than: 1}}]}", True),
        ("{any: [{tls: false}, {size: {larger_than: 1}}]}", True),
        ("{not: {tls: false}}", True),
        ("[{tls: true}, {subject: {contains: nope}}]", False),
    ],
)
def test_predicates(when: str, expected: bool) -> None:
    """A predicate holds exactly when the contract says."""
    (match,) = matches(rules(f"when: {when}, then: {{delete: {{}}}}"), MESSAGE, transaction())
    assert bool(match.recipients) == expected
    assert match.error == ""
    assert match.why


def test_null_sender_has_a_name() -> None:
    """`<>` is the null reverse-path."""
    (match,) = matches(rules("when: {sender: {address: '<>'}}, then: {delete: {}}"), MESSAGE, transaction(sender=""))
    assert match.recipients == (0,)


def test_groups_of_the_tenant_match() -> None:
    """A group stands for its members."""
    by = transaction(("lin@acme.example", "internal"), ("x@acme.example", "internal"))
    (match,) = matches(rules("when: {recipient: {group: legal}}, then: {delete: {}}"), MESSAGE, by)
    assert match.recipients == (0,)


def test_rules_concern_their_direction_only() -> None:
    """A rule says nothing about recipients of another direction, and per mail it takes all of its own."""
    by = transaction(("a@acme.example", "internal"), ("b@world.example", "outbound"), ("c@world.example", "outbound"))
    of = rules(
        "direction: outbound, then: {delete: {}}",
        "direction: inbound, then: {delete: {}}",
        "direction: [internal, outbound], when: {recipient: {address: 'b@*'}}, per: mail, then: {delete: {}}",
    )
    found = {m.rule.id: m.recipients for m in matches(of, MESSAGE, by)}
    assert found == {"r1": (1, 2), "r3": (0, 1, 2)}


def test_unless_takes_recipients_out() -> None:
    """An exception holds for the recipient at hand."""
    by = transaction(("a@partner.example", "outbound"), ("b@world.example", "outbound"))
    of = rules("unless: [{recipient: {domain: partner.example}}, {subject: {contains: nope}}], then: {delete: {}}")
    (match,) = matches(of, MESSAGE, by)
    assert match.recipients == (1,)
    assert {w.path: w.truth for w in match.why}["rules[0].unless[0].recipient"]


def test_modes() -> None:
    """Drafts say nothing; shadows speak and do not count."""
    of = rules("mode: draft, then: {delete: {}}", "mode: shadow, then: {delete: {}}", "then: {delete: {}}")
    assert [(m.rule.id, m.applies, m.recipients) for m in matches(of, MESSAGE, transaction())] == [
        ("r2", False, (0,)),
        ("r3", True, (0,)),
    ]


def test_canaries_choose_senders_for_good() -> None:
    """A canary takes about its share of the senders, and always the same."""
    (rule,) = rules("mode: {canary: 20%}, then: {delete: {}}").rules
    senders = [f"user{i}@acme.example" for i in range(1000)]
    taken = [s for s in senders if chosen(rule, s)]
    assert 150 < len(taken) < 250
    assert [s for s in senders if chosen(rule, s.upper())] == taken


def test_why_masks_what_matched() -> None:
    """The reason shows where, and not what."""
    of = rules("when: [{detector: {name: payment_card}}, {text: {contains: treasure}}], then: {delete: {}}")
    (match,) = matches(of, MESSAGE, transaction())
    spans = [s for w in match.why for s in w.spans]
    assert len(spans) == 2
    assert all("4111 1111" not in s and "treasure" not in s for s in spans)
    assert spans[0].startswith("body 1 ")


def test_every_predicate_s_truth_is_kept() -> None:
    """Also of branches that the answer did not need."""
    of = rules("when: {any: [{tls: true}, {size: {larger_than: 1}}, {not: {tls: true}}]}, then: {delete: {}}")
    (match,) = matches(of, MESSAGE, transaction())
    assert {w.path.removeprefix("rules[0]."): w.truth for w in match.why} == {
        "when.any": True,
        "when.any[0].tls": True,
        "when.any[1].size": True,
        "when.any[2].not": False,
        "when.any[2].not.tls": True,
    }


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        ('{timezone: Asia/Taipei, hours: "09:00-18:00"}', NOON, True),
        ('{timezone: America/New_York, hours: "09:00-18:00"}', NOON, False),
        ("{timezone: Asia/Taipei, days: [tue]}", NOON, True),
        ("{timezone: Asia/Taipei, days: [sat-mon]}", NOON, False),
        ("{timezone: Asia/Taipei, days: [wed]}", datetime(2026, 11, 24, 17, 0, tzinfo=UTC), True),
        ("{from: 2026-11-24, until: 2026-11-24}", NOON, True),
        ("{from: 2026-11-25}", NOON, False),
        ("{until: 2026-11-23}", NOON, False),
        ('{hours: "22:00-06:00", days: [mon]}', datetime(2026, 11, 24, 4, 0, tzinfo=UTC), True),
        ('{hours: "22:00-06:00", days: [tue]}', datetime(2026, 11, 24, 4, 0, tzinfo=UTC), False),
        ('{hours: "18:00-24:00"}', datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC), True),
        ('{hours: ["00:00-01:00", "03:00-05:00"]}', NOON, True),
    ],
)
def test_schedules(schedule: str, at: datetime, expected: bool) -> None:
    """Schedules hold in their own time zone, over midnight too."""
    (rule,) = rules(f"schedule: {schedule}, then: {{delete: {{}}}}").rules
    assert isinstance(rule.schedule, Schedule)
    assert in_force(rule.schedule, transaction(at=at)) == expected


def test_a_rule_that_fails_counts_as_failed() -> None:
    """An error in a rule is told, and never reads as "did not match"."""
    of = rules("when: {text: {matches: x}}, then: {delete: {}}")
    when = of.rules[0].when
    broken = replace(of, rules=(replace(of.rules[0], when=replace(when, screens=((object(), ()),))),))  # type: ignore[type-var]
    (match,) = matches(broken, mail(), transaction())
    assert match.error == "AttributeError"


def test_many_words_are_found_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one pass, also across the pieces a long text is read in; not one that is not there."""
    monkeypatch.setattr(meeting, "_PIECE", 10)
    words = ", ".join(f"word{i:03}x" for i in range(200))
    policy = rules(f"when: {{text: {{contains: [{words}, 機密]}}}}, then: {{hold: {{}}}}")
    for at in range(25):
        (match,) = matches(policy, Message(bodies=("." * at + "WORD123X" + "." * 9,)), transaction())
        assert match.why[0].spans == (f"body 1 {at}-{at + 8}: w••••••x",)
    assert matches(policy, Message(bodies=("十一月機密文件",)), transaction())[0].recipients == (0,)
    assert matches(policy, Message(bodies=("word12" * 50,)), transaction())[0].recipients == ()


def test_many_patterns_are_found_each_by_itself() -> None:
    """Screened in groups, with their own flags and anchors; a group that is too large together is asked one by one."""
    sources = [f"'(?i)pat{i:03}[0-9]+'" for i in range(130)] + [r"'^begin'", r"'end$'", *["'[a-z]{900}x{900}y'"] * 5]
    policy = rules(f"when: {{text: {{matches: [{', '.join(sources)}]}}}}, then: {{hold: {{}}}}")

    def found(text: str) -> tuple[str, ...]:
        (match,) = matches(policy, Message(bodies=(text,)), transaction())
        return match.why[0].spans

    for i in range(0, 130, 7):
        assert found(f"xx PAT{i:03}77") == ("body 1 3-11: P••••••7",)
    assert found("begin here") == ("body 1 0-5: b•••n",)
    assert found("at the end") == ("body 1 7-10: e•d",)
    assert found("not begin, end of it; pat130, PAT") == ()
    assert len(found("z" * 900 + "x" * 900 + "y")) == 5


def test_mail_too_large_for_so_many_patterns_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rules that would read on, not of those before and not of those that read nothing."""
    monkeypatch.setattr(facts, "MAX_PATTERN_BYTES", 25)
    of = rules(
        *(f"priority: -{i}, when: {{text: {{matches: ['b+', c]}}}}, then: {{hold: {{}}}}" for i in range(3)),
        "when: {tls: true}, then: {hold: {}}",
    )
    found = {m.rule.id: m.error for m in matches(of, Message(bodies=("a" * 10,)), transaction())}
    assert found == {"r1": "", "r2": "BudgetSpent", "r3": "BudgetSpent", "r4": ""}


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        # New York went from 02:00 to 01:00 on 2026-11-01 and from 02:00 to 03:00 on 2026-03-08.
        ("{timezone: America/New_York, hours: '01:00-02:00'}", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), True),
        ("{timezone: America/New_York, hours: '01:00-02:00'}", datetime(2026, 11, 1, 6, 30, tzinfo=UTC), True),
        ("{timezone: America/New_York, hours: '01:00-02:00'}", datetime(2026, 11, 1, 7, 0, tzinfo=UTC), False),
        ("{timezone: America/New_York, hours: '02:00-03:00'}", datetime(2026, 3, 8, 6, 59, tzinfo=UTC), False),
        ("{timezone: America/New_York, hours: '02:00-03:00'}", datetime(2026, 3, 8, 7, 0, tzinfo=UTC), False),
        ("{timezone: America/New_York, hours: '22:00-03:30', days: [sat]}", datetime(2026, 3, 8, 7, 29, tzinfo=UTC), True),
        ("{timezone: Asia/Taipei, hours: '22:00-24:00', days: [tue]}", datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC), True),
        ("{timezone: Asia/Taipei, hours: '22:00-24:00', days: [tue]}", datetime(2026, 11, 24, 16, 0, tzinfo=UTC), False),
        ("{timezone: Asia/Taipei, from: 2026-11-25, until: 2026-11-25}", datetime(2026, 11, 24, 16, 0, tzinfo=UTC), True),
        ("{timezone: Asia/Taipei, from: 2026-11-25, until: 2026-11-25}", datetime(2026, 11, 25, 16, 0, tzinfo=UTC), False),
    ],
)  # fmt: skip
def test_schedules_go_by_the_clock_on_the_wall(schedule: str, at: datetime, expected: bool) -> None:
    """An hour that is repeated is in force twice, one that is skipped not at all; days change at local midnight."""
    (rule,) = rules(f"schedule: {schedule}, then: {{delete: {{}}}}").rules
    assert rule.schedule is not None
    assert in_force(rule.schedule, transaction(at=at)) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{attachment: {true_type: docm, macros: true}}", True),
        ("{attachment: {true_type: 'doc*', encrypted: true}}", False),
        ("{attachment: {encrypted: true, true_type: [zip, 7z]}}", True),
        ("{attachment: {name: '*.txt', true_type: exe}}", True),
        ("{all_attachments: {macros: false}}", False),
        ("{all_attachments: {true_type: [docm, zip, exe]}}", True),
        ("{no_attachment: {true_type: pdf}}", True),
        ("{no_attachment: {encrypted: true}}", False),
    ],
)
def test_files_are_what_they_are_and_not_what_they_are_called(when: str, expected: bool) -> None:
    """By content, also inside archives; one file must meet all of it."""
    message = Message(
        attachments=(
            Attachment("2", "Plan.doc", "application/msword", 9, true_type="docm", macros=True),
            Attachment("3", "a.zip", "application/zip", 9, true_type="zip", encrypted=True),
            Attachment("4/1", "readme.txt", "text/plain", 9, true_type="exe"),
        )
    )
    (match,) = matches(rules(f"when: {when}, then: {{hold: {{}}}}"), message, transaction())
    assert bool(match.recipients) == expected
