"""Expressions: typed when a document is applied, bounded in cost, and never silently false."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letterlock.policy.v1 import model_pb2

from services.policy.adapters.cel import MAX_ITEMS, ExpressionFailed, compile_expression
from services.policy.core.facts import MailFacts
from services.policy.core.filters import FilterVerdict, VerdictUnknown
from services.policy.core.known import MAX_EXPRESSION, BadExpression
from services.policy.core.message import Attachment, Message, NotInspected
from tests.unit.policy.builders import matches, rules, transaction

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"
MESSAGE = Message(
    headers={"x-project": ("apollo", "gemini"), "subject": ("Offer",)},
    subject="Offer for you",
    header_from=("alice@acme.example",),
    bodies=("card 4111 1111 1111 1111",),
    attachments=(
        Attachment("2", "Plan.docm", "application/msword", 20_000, true_type="docm", macros=True),
        Attachment("3", "a.zip", "application/zip", 10, true_type="zip", encrypted=True),
    ),
    parts=3,
    not_inspected=(NotInspected("3", "encrypted"),),
    ambiguities=("duplicate_header",),
)


def document(source: str) -> str:
    """A rule with one expression, as YAML in flow form."""
    quoted = source.replace("'", "''")
    return f"when: {{cel: '{quoted}'}}, then: {{hold: {{}}}}"


@pytest.mark.parametrize(
    ("source", "truth"),
    [
        ("mail.size > 900 && mail.tls", True),
        ("mail.sender.domain == 'acme.example' && mail.sender.local == 'alice'", True),
        ("mail.header_from.exists(a, a.domain.endsWith('.example'))", True),
        ("mail.recipients == 1 && mail.any_external", True),
        ("mail.subject.matches(r'(?i)^offer\\b')", True),
        ("mail.headers['X-Project'].contains('gemini')", True),
        ("mail.headers['x-none'] == ''", True),
        ("mail.attachments.exists(a, a.macros && a.true_type == 'docm' && a.size > 1000)", True),
        ("mail.attachments.all(a, a.encrypted)", False),
        ("mail.attachments.exists_one(a, a.name == 'Plan.docm')", True),
        ("size(mail.attachments) == 2 && mail.attachments[0].type.startsWith('application/')", True),
        ("mail.parts == 3 && 'encrypted' in mail.not_inspected", True),
        ("'duplicate_header' in mail.ambiguities", True),
        ("mail.detectors['payment_card'].count >= 1 && mail.detectors['payment_card'].unique == 1", True),
        ("mail.received_at.getHours('Asia/Taipei') == 12", True),
        ("recipient.domain.endsWith('.example') && recipient.direction == 'outbound'", True),
        ("recipient.address == 'nobody@acme.example' || recipient.local == 'bob'", True),
    ],
)
def test_expression_asks_the_published_model(source: str, truth: bool) -> None:
    """Every field of the model can be asked."""
    (match,) = matches(rules(document(source)), MESSAGE, transaction())
    assert (match.error, bool(match.recipients)) == ("", truth)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("mail.siz > 1", "column 5 of the expression: undefined field 'siz'"),
        ("mail.size == 'x'", "no matching overload"),
        ("mail.attachments.exists(a, a.nam == 'x')", "undefined field 'nam'"),
        ("mail.text.contains('x')", "undefined field 'text'"),
        ("envelope.sender == ''", "undeclared reference"),
        ("mail.size", "not true or false"),
        ("mail.size >", "mismatched input"),
        ("mail.subject + 'x' == 'x'", "cannot be joined"),
        ("[1] + [2] == [1]", "cannot be joined"),
        ("mail.attachments.map(a, a.name) == []", "map is not available"),
        ("size(mail.attachments.filter(a, a.macros)) == 1", "filter is not available"),
        ("{'a': 1}['a'] == 1", "mappings cannot be built"),
        ("mail.attachments.all(a, mail.attachments.all(b, a.name == b.name))", "cannot stand inside another"),
        ("mail.subject.matches(mail.headers['x'])", "takes a pattern in quotes"),
        ("mail.subject.matches('(?=x)')", "not a safe (RE2) pattern"),
        ("mail.headers.exists(h, h == 'x')", "takes the header's name in quotes"),
        ("mail.detectors[mail.subject].count > 1", "takes the detector's name in quotes"),
        ("mail.subject == `x`", "cannot be read at character"),
        (" || ".join(["mail.attachments.exists(a, a.macros)"] * 9), "more than 8 loops"),
        ("true || " * 300 + "true", f"at most {MAX_EXPRESSION} characters"),
        ("(" * 200 + "true" + ")" * 200, ""),
    ],
)
def test_wrong_expression_is_refused_when_the_document_is_applied(source: str, words: str) -> None:
    """Wrong fields, wrong types, and what could grow without bound."""
    with pytest.raises(BadExpression) as refused:
        compile_expression(source)
    assert words in str(refused.value)


@pytest.mark.parametrize("source", ["1 / (mail.parts - 3) > 0", "mail.received_at.getHours('Mars/Olympus') > 1"])
def test_fault_of_an_expression_is_a_fault_of_its_rule(source: str) -> None:
    """Never taken for a rule that did not match."""
    (match,) = matches(rules(document(source)), MESSAGE, transaction())
    assert match.error == "ExpressionFailed"


def test_nothing_hides_behind_a_hundred_attachments() -> None:
    """A list that does not fit into the model is a fault for who asks it, and only for them."""
    many = Message(attachments=tuple(Attachment(str(i), f"{i}.txt", "text/plain", 1) for i in range(MAX_ITEMS + 1)))
    policy = rules(document("mail.attachments.exists(a, a.macros)"), document("mail.size > 1"))
    first, second = matches(policy, many, transaction())
    assert (first.error, second.error, second.recipients) == ("ExpressionFailed", "", (0,))


def test_verdict_that_nobody_gave_is_a_fault() -> None:
    """A number that is unknown is not zero."""
    policy = rules(document("mail.verdict.spam < 3.0"))
    (unknown,) = matches(policy, MESSAGE, transaction())
    (known,) = matches(policy, MESSAGE, transaction(), filters=FilterVerdict(spam=1.5))
    assert (unknown.error, known.recipients) == ("VerdictUnknown", (0,))


def test_expression_about_the_recipient_is_asked_for_each() -> None:
    """As the recipient predicate is."""
    to = transaction(("bob@world.example", "outbound"), ("eve@other.example", "outbound"))
    (match,) = matches(rules(document("recipient.local == 'eve'")), MESSAGE, to)
    assert match.recipients == (1,)


def test_fuzzed_expressions_are_refused_or_true_or_false() -> None:
    """Whatever is written: `BadExpression`, or a program that ends with a truth or a fault of its own."""
    words = st.sampled_from(
        [
            "mail",
            "recipient",
            ".",
            "size",
            "subject",
            "headers",
            "attachments",
            "['x']",
            "(",
            ")",
            "exists(a,",
            "a.name",
            "all",
            "map",
            "+",
            "-",
            "*",
            "/",
            "%",
            "==",
            "!=",
            "&&",
            "||",
            "!",
            "'x'",
            "1",
            "2.5",
            "true",
            "null",
            "[",
            "]",
            "{",
            "}",
            ":",
            "?",
            "matches('x')",
            "'a'",
            "in",
            "dyn",
            "type",
            "duration('1s')",
            "b'x'",
            "\\",
            '"',
            "'",
            "\n",
            "é",
        ]
    )

    @settings(max_examples=300, deadline=None)
    @given(st.lists(words, max_size=14).map("".join))
    def holds(source: str) -> None:
        try:
            program = compile_expression(source)
        except BadExpression:
            return
        facts = MailFacts(MESSAGE, transaction(), lambda name: frozenset(), filters=FilterVerdict(spam=1.0))
        with suppress(ExpressionFailed, VerdictUnknown):
            assert program(facts, "bob@world.example") in (True, False)

    holds()


def test_page_names_every_field_of_the_model() -> None:
    """docs/policy.md has a row for each field an expression may ask, with its type, and no other."""
    told = set(re.findall(r"^\| `((?:mail|recipient)\.[^`]+)` \| ([a-z ]+) \|", PAGE.read_text(), re.M))
    assert told == {
        *_fields("mail", model_pb2.MailModel.DESCRIPTOR),
        *_fields("recipient", model_pb2.MailRecipient.DESCRIPTOR),
    }


_KINDS = {3: "int", 1: "double", 8: "bool", 9: "string"}


def _fields(path: str, message: object) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for field in message.fields:  # type: ignore[attr-defined]
        name, inner = f"{path}.{field.name}", field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            value = inner.fields_by_name["value"]
            if value.message_type is None:
                found.add((f'{name}["name"]', "string"))
            else:
                found |= _fields(f'{name}["name"]', value.message_type)
        elif inner is not None and inner.full_name == "google.protobuf.Timestamp":
            found.add((name, "timestamp"))
        elif inner is not None:
            found |= _fields(name + "[]" * field.is_repeated, inner)
        else:
            found.add((name + "[]" * field.is_repeated, _KINDS[field.type]))
    return found
