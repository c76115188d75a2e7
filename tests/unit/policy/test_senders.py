"""Senders that reviewers allow or block: only inbound, never past malware, never past doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.ids import TenantId
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.policy.adapters.senders import SenderLists, apply
from services.policy.core.filters import FilterVerdict
from services.quarantine.adapters.settings import StoredSettings
from services.quarantine.ports import Sender

ACME, UMBRELLA = TenantId.new(), TenantId.new()
PROVED = FilterVerdict(malware=False, spf="pass", dmarc="pass")
HOLD, DELIVER, REFUSE = mail_pb2.DISPOSITION_HOLD, mail_pb2.DISPOSITION_DELIVER, mail_pb2.DISPOSITION_REFUSE


def decided(
    disposition: mail_pb2.Disposition,
    direction: mail_pb2.Direction = mail_pb2.DIRECTION_INBOUND,
    *,
    complete: bool = True,
    span: str = "",
) -> mail_pb2.Decision:
    """A decision with one leg."""
    decision = mail_pb2.Decision()
    decision.recipients.add(address="a@acme.example", direction=direction)
    decision.legs.add(number=1, recipients=[0], disposition=disposition, rule="r", reviewers=["legal"], seconds=9)
    decision.coverage.complete = complete
    decision.why.add(rule="m", mode="shadow").predicates.add(path="when", spans=[span] if span else [])
    return decision


def after(decision: mail_pb2.Decision, verdict: str, said: FilterVerdict = PROVED) -> mail_pb2.Disposition:
    """What becomes of the leg."""
    apply(decision, verdict, said)
    return decision.legs[0].disposition


def test_block_refuses_what_would_come_in() -> None:
    """Whatever else a rule would do with it; what is refused or deleted already stays so."""
    assert after(decided(DELIVER), "block") == REFUSE
    assert after(decided(HOLD), "block") == REFUSE
    assert after(decided(mail_pb2.DISPOSITION_DELETE), "block") == mail_pb2.DISPOSITION_DELETE


def test_allow_lets_a_hold_go() -> None:
    """And lifts no refusal."""
    decision = decided(HOLD)
    assert after(decision, "allow") == DELIVER
    assert (decision.legs[0].rule, list(decision.legs[0].reviewers)) == ("sender-list", [])
    assert after(decided(REFUSE), "allow") == REFUSE


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (decided(HOLD), replace(PROVED, malware=True)),
        (decided(HOLD), replace(PROVED, phishing=True)),
        (decided(HOLD, span="malware Eicar"), PROVED),
        (decided(HOLD, complete=False), PROVED),
        (decided(HOLD), FilterVerdict()),
        (decided(HOLD), replace(PROVED, dmarc="fail")),
        (decided(HOLD, mail_pb2.DIRECTION_OUTBOUND), PROVED),
    ],
    ids=["malware", "phishing", "malware-seen", "not-inspected", "not-proved", "forged", "outbound"],
)
def test_allow_is_not_enough(decision: mail_pb2.Decision, said: FilterVerdict) -> None:
    """It stays held."""
    assert after(decision, "allow", said) == HOLD


async def test_list_is_read_as_quarantine_writes_it() -> None:
    """By tenant and address, whatever its case; a change is seen when the list is old."""
    objects, keys = InMemoryObjects(), FakeKeys()
    settings = StoredSettings(objects, keys.public, keys.identities)
    sender = Sender("s@out.example", "block", "lin@acme.example", datetime.now(UTC))
    await settings.set_sender(ACME, sender.address, sender, actor="lin@acme.example")
    lists = SenderLists(objects, keys.identities)
    assert await lists.verdict(ACME, "S@out.example") == "block"
    assert await lists.verdict(ACME, "other@out.example") == ""
    assert await lists.verdict(UMBRELLA, "s@out.example") == ""
    objects.unavailable = True
    lists._known[ACME].read_at -= 3600
    assert await lists.verdict(ACME, "s@out.example") == "block"
    objects.unavailable = False
    await settings.set_sender(ACME, sender.address, None, actor="lin@acme.example")
    assert await SenderLists(objects, keys.identities).verdict(ACME, "s@out.example") == ""
