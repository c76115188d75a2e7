"""Every mail of the corpus is read as it must be."""

from __future__ import annotations

import pytest

from services.policy.core.detectors.payment_card import find
from tests.corpus.make import FOLDER, Case, cases
from tests.unit.policy.test_mime import opened


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_corpus(case: Case) -> None:
    """Words, attachments, detections and coverage of one mail; its file is what the generator makes."""
    assert (FOLDER / f"{case.name}.eml").read_bytes() == case.raw
    message = opened(case.raw)
    texts = [*message.bodies, *(a.text for a in message.attachments if a.text), *message.hidden]
    for word in case.words:
        assert any(word in text for text in texts), texts
    assert message.header_from == ("chen@acme.example",)
    if case.attachments:
        assert tuple(a.name for a in message.attachments) == case.attachments
    assert {n.reason for n in message.not_inspected} == case.not_inspected
    assert sum(len(find(text)) for text in texts) == case.cards
