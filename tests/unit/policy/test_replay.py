"""A decision replayed from its own reasons comes out the same; a decision that was tampered with does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letterlock.mail.v1 import mail_pb2

from services.common.errors import InvalidInput
from services.common.ids import MailId, TenantId
from services.policy.adapters import senders, wire
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.lattice import join
from services.policy.core.message import Attachment, Direction, Message, NotInspected
from services.policy.core.replay import Replay, replay
from services.policy.core.rules import Policy
from tests.unit.policy.builders import GROUPS, direction_of, matches, rules, transaction

TENANT = TenantId.new()
MESSAGES = (
    Message(subject="hi", bodies=("card 4111 1111 1111 1111",), header_from=("alice@acme.example",)),
    Message(
        subject="contract",
        attachments=(Attachment("2", "a.docm", "application/msword", 10, true_type="docm", macros=True),),
        not_inspected=(NotInspected("2", "encrypted"), NotInspected("3", "unsupported")),
    ),
)
TO: tuple[tuple[tuple[str, Direction], ...], ...] = (
    (("bob@world.example", "outbound"),),
    (("bob@world.example", "outbound"), ("lin@acme.example", "internal"), ("eve@partner.example", "outbound")),
    (("alice@acme.example", "inbound"), ("lin@acme.example", "inbound")),
)
WHEN = (
    "when: {subject: {contains: hi}}",
    "when: [{not: {subject: {contains: hi}}}, {any: [{tls: true}, {size: {larger_than: 5MB}}]}]",
    "when: {recipient: {domain: [world.example]}}",
    "when: {detector: {name: payment_card}}, unless: {recipient: {group: legal}}",
    "when: {recipient: {address: 'lin@*'}}, per: mail",
    "when: {not_inspected: encrypted}",
    "when: {attachment: {macros: true}}",
    "when: {verdict: {malware: true}}, on_error: hold",
    "when: {cel: 'mail.size > 10'}",
    "schedule: {days: [mon]}, when: {tls: true}",
    "mode: shadow, when: {tls: true}",
    "mode: 'canary: 50%', when: {tls: true}",
    "direction: inbound",
    "priority: 3",
)
THEN = (
    "then: {pass: {}}", "then: {delay: {for: 1h}}", "then: {hold: {levels: 2, expires: 1d}}", "then: {return: {text: no}}",
    "then: {refuse: {text: no}}", "then: {delete: {}}", "then: [{seal: {keep: ['*.a']}}, {banner: {text: é}}]",
    "then: {bcc: archive@acme.example}", "then: {redirect: x@y.example}", "then: [{seal: {}}, {hold: {reviewers: sender}}]",
)  # fmt: skip


def decide(
    policy: Policy,
    message: Message,
    to: tuple[tuple[str, Direction], ...],
    *,
    queued: bool = False,
    filters: FilterVerdict = UNKNOWN,
) -> mail_pb2.Decision:
    """A decision as it is kept, through its bytes."""
    by = transaction(*to)
    envelope = mail_pb2.Envelope(tenant=TENANT, mail_id=MailId.new(), sender=by.sender)
    for address, direction in to:
        envelope.recipients.add(address=address, direction=wire.NUMBERS[direction])
    found = matches(policy, message, by, filters=filters)
    verdict = join(policy, found, message, by, queued=queued, direction_of=direction_of)
    made = wire.decision(envelope, verdict, found, message, revision=1, now=datetime.now(UTC))
    return mail_pb2.Decision.FromString(made.SerializeToString())


def again(policy: Policy, decision: mail_pb2.Decision) -> Replay:
    """Replay it."""
    return replay(policy, wire.certificate(decision), lambda name: GROUPS.get(name, frozenset()))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WHEN), st.sampled_from(THEN)), min_size=1, max_size=5),
    st.sampled_from(MESSAGES),
    st.sampled_from(TO),
    st.booleans(),
    st.sampled_from([UNKNOWN, FilterVerdict(malware=True), FilterVerdict(malware=False)]),
)
def test_every_decision_is_replayed_the_same(
    of: list[tuple[str, str]],
    message: Message,
    to: tuple[tuple[str, Direction], ...],
    queued: bool,
    filters: FilterVerdict,
) -> None:
    """Whatever the rules, in the dialogue and from the queue, with faults and with doubt."""
    policy = rules(*(f"{when}, {then}" for when, then in of))
    assert again(policy, decide(policy, message, to, queued=queued, filters=filters)) == Replay(())


HOLDS = rules(
    "when: {all: [{subject: {contains: hi}}, {tls: true}]}, then: {hold: {reviewers: sender}}",
    "when: {recipient: {domain: partner.example}}, then: {delete: {}}",
    "then: {seal: {}}",
)


def _released(decision: mail_pb2.Decision) -> None:
    decision.legs[0].disposition = mail_pb2.DISPOSITION_DELIVER


def _truth(decision: mail_pb2.Decision) -> None:
    next(p for p in decision.why[0].predicates if p.path.endswith("subject")).truth = False


def _unmatched(decision: mail_pb2.Decision) -> None:
    decision.why[1].matched = False
    del decision.why[1].recipients[:]


def _plain(decision: mail_pb2.Decision) -> None:
    for leg in decision.legs:
        del leg.transforms[:]


def _left_out(decision: mail_pb2.Decision) -> None:
    del decision.why[0]


def _failed(decision: mail_pb2.Decision) -> None:
    decision.why[0].error = "VerdictUnknown"


def _shadowed(decision: mail_pb2.Decision) -> None:
    decision.why[0].mode = "shadow"


def _copied(decision: mail_pb2.Decision) -> None:
    decision.recipients.add(address="spy@evil.example", added=True, direction=mail_pb2.DIRECTION_OUTBOUND)
    decision.legs[0].recipients.append(len(decision.recipients) - 1)


def _invented(decision: mail_pb2.Decision) -> None:
    decision.why.add(rule="r9", mode="enforce", matched=True, recipients=[0])


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_released, "disposition is 'hold', not 'deliver'"), (_truth, "was told as"), (_unmatched, "matches for recipients"),
        (_plain, "transforms"), (_left_out, "does not name it"), (_failed, "rule is 'on_doubt', not 'r1'"), (_shadowed, "treated as shadow"),
        (_copied, "copies go to 0 addresses, not to 1"), (_invented, "does not concern this mail"),
    ],
)  # fmt: skip
def test_what_differs_is_said(tamper: Callable[[mail_pb2.Decision], None], told: str) -> None:
    """Each change of a certificate shows, and where."""
    decision = decide(HOLDS, MESSAGES[0], TO[1])
    assert again(HOLDS, decision).differences == ()
    tamper(decision)
    assert any(told in d for d in again(HOLDS, decision).differences), again(HOLDS, decision)


def test_another_revision_gives_other_legs() -> None:
    """The certificate fits the revision that decided, and no other."""
    decision = decide(HOLDS, MESSAGES[0], TO[1])
    assert again(rules("then: {delete: {}}"), decision).differences


def test_reasons_that_were_cut_are_said_not_to_be_judged() -> None:
    """The legs are still compared, by what the rule is said to have matched."""
    decision = decide(HOLDS, MESSAGES[0], TO[1])
    for why in decision.why:
        del why.predicates[:]
    found = again(HOLDS, decision)
    assert found.differences == ()
    assert found.not_replayed == ("r1",)
    personal = rules("when: {cel: 'recipient.local == \"bob\"'}, then: {hold: {}}")
    assert again(personal, decide(personal, MESSAGES[0], TO[1])) == Replay((), ("r1",))


@pytest.mark.parametrize(("said", "then"), [("block", "pass: {}"), ("block", "hold: {}"), ("allow", "hold: {}")])
def test_what_a_list_of_senders_made_of_the_rules_is_no_difference(said: str, then: str) -> None:
    """It is named as not judged; a list that does what no list does is a difference."""
    policy = rules(f"then: {{{then}}}")
    decision = decide(policy, MESSAGES[0], TO[2])
    decision.coverage.complete = True
    senders.apply(decision, said, FilterVerdict(dmarc="pass", spf="pass"))
    assert decision.legs[0].rule == "sender-list"
    assert again(policy, decision) == Replay((), ("sender-list",))
    decision.legs[0].disposition = mail_pb2.DISPOSITION_DELETE
    assert again(policy, decision).differences


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.legs[0].recipients.append(99),
        lambda d: d.legs[0].transforms.add(kind="seal", settings=b"{"),
        lambda d: d.coverage.not_inspected.add(part="1", reason="bored"),
        lambda d: setattr(d.recipients[0], "address", "*@world.example"),
    ],
)
def test_certificate_that_is_none_is_refused(spoil: Callable[[mail_pb2.Decision], None]) -> None:
    """Broken, or masked for an operator."""
    decision = decide(HOLDS, MESSAGES[0], TO[1])
    spoil(decision)
    with pytest.raises(InvalidInput):
        wire.certificate(decision)
