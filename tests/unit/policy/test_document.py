"""The policy document: what is accepted, and what is refused with its line and reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.adapters.cel import compile_expression
from services.policy.core.document import parse
from services.policy.core.known import Known
from services.policy.core.lint import lint
from services.policy.core.rules import Detected, walk

CONTRACT = """\
version: 1
on_doubt: {inbound: tempfail, outbound: hold}    # what a mail gets that could not be inspected
rules:
  - id: cards-out
    mode: enforce
    direction: outbound
    priority: 100
    schedule: {timezone: Asia/Taipei, days: [mon-fri], hours: "09:00-18:00", from: 2026-01-01, until: 2026-12-31}
    when:
      any:
        - {detector: {name: payment_card, at_least: 1}}
        - {text: {contains: [機密, "trade secret"]}}
    unless:
      - {recipient: {domain: [partner.example]}}
    then:
      - {hold: {reviewers: legal, expires: 3d, on_expiry: return}}
"""


def rule(body: str, then: str = "[{hold: {}}]") -> str:
    """A document of one rule."""
    return f"version: 1\nrules:\n  - id: r\n    {body}\n    then: {then}\n"


def reasons(text: str, **given: Any) -> list[str]:
    """The mistakes of a document as lines."""
    return [str(m) for m in parse(text, Known(compile=compile_expression, **given)).mistakes]


def test_the_contract_s_document_is_accepted() -> None:
    """The example of the contract means what it says."""
    checked = parse(CONTRACT, Known(frozenset({"legal"})))
    assert checked.mistakes == ()
    assert checked.policy is not None
    (only,) = checked.policy.rules
    assert (only.id, only.priority, only.directions) == ("cards-out", 100, frozenset({"outbound"}))
    assert only.dispositions[0].seconds == 3 * 86400
    assert any(isinstance(p, Detected) for p in walk(only.when))


@pytest.mark.parametrize(
    "predicate",
    [
        "{sender: {address: ['*@acme.example'], domain: [acme.example]}}",
        "{header_from: {domain: '*.example'}}",
        "{recipient: {address: bob@acme.example}}",
        "{recipients: {more_than: 20}}",
        "{recipients: {any_external: true}}",
        "{subject: {contains: [x], matches: '(?i)a+b'}}",
        "{text: {contains: x}}",
        "{any_text: {matches: [a, b]}}",
        "{header: {name: X-Foo, contains: [x]}}",
        "{header: {name: X-Foo}}",
        "{attachment: {name: '*.xlsm', type: [application/pdf], larger_than: 10MB}}",
        "{attachment: {true_type: [zip, 'xls*'], encrypted: true, macros: false}}",
        "{all_attachments: {true_type: pdf}}",
        "{verdict: {spam: '>=6', malware: true, phishing: true, spf: fail, dkim: none, dmarc: [fail, none], arc: pass}}",
        "{cel: \"mail.size > 1000 && recipient.domain.endsWith('.example')\"}",
        "{all_attachments: {type: application/pdf}}",
        "{no_attachment: {name: [a, b]}}",
        "{detector: {name: payment_card, at_least: 3, confidence: high, unique: true}}",
        "{size: {larger_than: 25MB}}",
        "{tls: false}",
        "{not_inspected: any}",
        "{not_inspected: [encrypted, broken]}",
        "{all: [{tls: true}, {not: {size: {smaller_than: 1KiB}}}]}",
    ],
)
def test_every_predicate_of_now_is_accepted(predicate: str) -> None:
    """What can be evaluated is accepted."""
    assert reasons(rule(f"when: {predicate}")) == []


@pytest.mark.parametrize(
    "outcome",
    [
        "pass: {}", "delay: {for: 10m}", "hold: {reviewers: sender}", "hold: {reviewers: lin@acme.example, levels: 1}",
        "return: {text: no}", "refuse: {text: no}", "delete: {}", "notify: {to: [a@b.example], template: hello}",
        "tag: {header: {name: X-Tag, value: v}, subject_prefix: '[EXT] '}", "bcc: [a@b.example]", "redirect: a@b.example",
        "banner: {text: careful}", "strip: {attachments: '*.exe', why: unsafe}", "strip: {attachments: ['*.a', '*.b']}",
        "seal: {format: zip, password: agreed, unless_tls: false, keep: ['*.pdf']}", "seal: {}",
        "seal: {per: recipient, subject: hide, language: zh-Hant}", "hold: {reviewers: sender, levels: 5}",
    ],
)  # fmt: skip
def test_every_outcome_of_now_is_accepted(outcome: str) -> None:
    """What can be carried out is accepted, alone and in a list."""
    assert reasons(rule("when: {tls: true}", f"[{{{outcome}}}]")) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: 1\nrule: []\n", 2, "unknown key 'rule'"),
        ("version: 2\nrules: []\n", 1, "the only version is 1"),
        (rule("whenn: {tls: true}"), 4, "unknown key 'whenn'"),
        (rule("when: {tlss: true}"), 4, "unknown key 'tlss'"),
        (rule("when: {tls: 'yes'}"), 4, "expected true or false"),
        (rule("when: {tls: true, size: {larger_than: 1}}"), 4, "exactly one key"),
        (rule("when: {detector: {name: nonsense}}"), 4, "unknown detector"),
        (rule("when: {text: {matches: '(?=x)'}}"), 4, "not a safe (RE2) pattern"),
        (rule(r"when: {text: {matches: '(a)\1'}}"), 4, "not a safe (RE2) pattern"),
        (rule("when: {text: {matches: 'a{5000}'}}"), 4, "not a safe (RE2) pattern"),
        (rule("when: {any: []}"), 4, "can never match"),
        (rule("when: {text: {contains: []}}"), 4, "can never match"),
        (rule("when: {sender: {address: [nobody]}}"), 4, "no address can match"),
        (rule("when: [{tls: true}, {tls: false}]"), 3, "can never match"),
        (rule("when: {size: {larger_than: 2MB, smaller_than: 1MB}}"), 4, "can never match"),
        (rule("when: [{size: {larger_than: 2MB}}, {size: {smaller_than: 1MB}}]"), 3, "can never match"),
        (rule("when: [{tls: true}, {not: {tls: true}}]"), 3, "can never match"),
        (rule("when: {tls: true}\n    unless: {tls: true}"), 3, "can never match"),
        (rule("schedule: {from: 2026-02-01, until: 2026-01-01}"), 3, "can never match"),
        (rule('schedule: {hours: "09:00-09:00"}'), 4, "can never match"),
        (rule("schedule: {from: 2026-11-24, until: 2026-11-24, days: [sun]}"), 3, "can never match"),
        (rule("direction: inbound\n    when: {recipients: {any_external: true}}"), 3, "can never match"),
        (rule("schedule: {timezone: Mars/Olympus}"), 4, "unknown time zone"),
        (rule("mode: canary"), 4, "share"),
        (rule("mode: 'canary: 0%'"), 4, "from 1% to 100%"),
        (rule("direction: sideways"), 4, "expected inbound"),
        (rule("priority: high"), 4, "expected a whole number"),
        (rule("priority: 1", "[]"), 5, "would do nothing"),
        (rule("priority: 1", '[{refuse: {text: "a\\r\\nb"}}]'), 5, "one line"),
        (rule("priority: 1", "[{tag: {header: {name: Received}}}]"), 5, "X-"),
        (rule("priority: 1", "[{bcc: [nobody]}]"), 5, "not an address"),
        (rule("priority: 1", "[{hold: {on_expiry: return}}]"), 5, "needs expires"),
        (rule("priority: 1") + "  - id: r\n    then: {delete: {}}\n", 6, "already taken"),
        (rule("when: {verdict: {spam: 6}}"), 4, "comparison"),
        (rule("when: {verdict: {}}"), 4, "is empty"),
        (rule("when: {verdict: {spf: maybe}}"), 4, "expected fail"),
        (rule("when: {attachment: {true_type: application/zip}}"), 4, "belong under type"),
        (rule("when: {attachment: {encrypted: 1}}"), 4, "expected true or false"),
        (rule("priority: 1", "[{seal: {format: rar}}]"), 5, "expected zip or pdf"),
        (rule("priority: 1", "[{seal: {password: secret}}]"), 5, "expected agreed or random"),
        (rule("priority: 1", "[{link: {expires: 1d}}]"), 5, "not yet available"),
        (rule("priority: 1", "[{seal: {per: leg}}]"), 5, "expected mail or recipient"),
        (rule("priority: 1", "[{strip: {why: x}}]"), 5, "needs attachments"),
        (rule("priority: 1", "[{banner: {}}]"), 5, "needs text"),
        (rule("priority: 1", "[{hold: {levels: 6}}]"), 5, "from 1 to 5"),
        (rule(f"when: {{text: {{matches: [{', '.join(['a'] * 1001)}]}}}}"), 2, "more than 1,000 patterns"),
        ("version: 1\nversion: 1\nrules: []\n", 2, "given twice"),
        ("a: &x [1]\nb: *x\n", 2, "aliases"),
        ("version: 1\nrules: !!python/name:os.system []\n", 2, "tags"),
        ("version: 1\nrules: [\n", 3, "not YAML"),
        ("version: 1\nrules:\n" + "  - {id: a, then: {delete: {}}}\n" * 501, 2, "more than 500"),
        ("[" * 60 + "]" * 60, 1, "nested deeper"),
        ("x" * 300_000, 0, "larger than 256 KiB"),
        ("", 0, "empty"),
    ],
)
def test_mistakes_name_line_and_reason(text: str, line: int, words: str) -> None:
    """Each mistake says where it is and what is wrong."""
    checked = parse(text)
    assert checked.policy is None
    assert [m.line for m in checked.mistakes if words in m.reason][:1] == [line], reasons(text)


def test_all_mistakes_are_told_at_once() -> None:
    """Who fixes a document sees every mistake of it."""
    text = "version: 1\nrules:\n  - {id: a, when: {x: 1}, then: {delete: {}}}\n  - {id: b, then: {y: 1}}\n  - {then: {delete: {}}}\n"
    assert [m.line for m in parse(text).mistakes] == [3, 4, 5]


def test_unknown_groups_are_mistakes_when_the_groups_are_known() -> None:
    """A rule that waits for reviewers who do not exist is refused."""
    text = rule("when: {sender: {group: board}}", "[{hold: {reviewers: legal}}]")
    assert len(reasons(text, groups=frozenset())) == 2
    assert reasons(text, groups=frozenset({"board", "legal"})) == []


def test_json_is_a_document_too() -> None:
    """JSON with tabs, as editors indent it, is read."""
    assert (
        reasons('{\n\t"version": 1,\n\t"rules": [{"id": "a", "when": {"tls": true}, "then": [{"delete": {}}]}]\n}')
        == []
    )


def test_canaries_are_written_two_ways() -> None:
    """A share in percent, as text or as a mapping."""
    for mode in ("'canary: 10%'", "{canary: 10%}", "canary(10%)"):
        policy = parse(rule(f"mode: {mode}")).policy
        assert policy is not None
        assert (policy.rules[0].mode, policy.rules[0].percent) == ("canary", 10)


YAML_LIKE = st.recursive(
    st.sampled_from(
        [
            "when",
            "then",
            "hold",
            "any",
            "'>=6'",
            "'mail.size > 1'",
            "'mail.'",
            "10MB",
            "zip",
            "1",
            "true",
            "null",
            "'x'",
            "1e999",
            "0x1G",
            "2026-99-01",
            "~",
            "@",
            "{}",
            "[]",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda x: "[" + ", ".join(x) + "]")
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "when",
                    "then",
                    "all",
                    "rules",
                    "text",
                    "matches",
                    "x",
                    "verdict",
                    "spam",
                    "cel",
                    "attachment",
                    "true_type",
                    "seal",
                    "keep",
                    "strip",
                    "link",
                ]
            ),
            inner,
            max_size=4,
        ).map(lambda d: "{" + ", ".join(f"{k}: {v}" for k, v in d.items()) + "}")
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200) | YAML_LIKE | YAML_LIKE.map(lambda t: f"version: 1\nrules: [{t}]"))
def test_nothing_escapes_the_parser(text: str) -> None:
    """Whatever is written, the answer is a policy or mistakes."""
    checked = parse(text, Known(compile=compile_expression))
    assert (checked.policy is None) == bool(checked.mistakes)
    assert checked.policy is None or lint(checked.policy) is not None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(CONTRACT) - 1), st.text(max_size=4))
def test_nothing_escapes_for_a_damaged_document(at: int, damage: str) -> None:
    """A good document with a wound in it is judged, not crashed on."""
    checked = parse(CONTRACT[:at] + damage + CONTRACT[at + 1 :])
    assert (checked.policy is None) == bool(checked.mistakes)
