"""docs/policy.md: every document on it can be applied as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.policy.adapters.cel import compile_expression
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.document import parse
from services.policy.core.filters import FIELDS
from services.policy.core.known import Known
from services.policy.core.lint import lint

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"
DOCUMENTS = [d for d in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S) if d.startswith("version:")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_document_of_the_page_can_be_applied(document: str) -> None:
    """Nothing to correct, and nothing doubtful."""
    checked = parse(
        document,
        Known(filters=frozenset(FIELDS), detectors=frozenset({*DETECTORS, "project"}), compile=compile_expression),
    )
    assert checked.policy is not None, [str(m) for m in checked.mistakes]
    assert lint(checked.policy) == ()


def test_page_has_documents() -> None:
    """The test above is not empty."""
    assert len(DOCUMENTS) >= 4
