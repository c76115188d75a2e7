"""A sample of the conformance corpus: the first value of every detector, in every disguise, in every carrier.

`make bench-detectors` runs all values and publishes the shares in docs/detectors.md.
"""

from __future__ import annotations

import pytest

from services.policy.core.detectors.table import DETECTORS
from tests.detectors.carriers import CARRIERS, Carrier
from tests.detectors.corpus import run, values, wrong_checksums


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda c: c.name)
def test_values_are_found_in_the_carrier(carrier: Carrier) -> None:
    """At least 98 % of what a carrier can carry."""
    chosen = list(values(1))
    assert {v.detector.name for v in chosen} == set(DETECTORS)
    tally = run(chosen, (carrier,))
    assert sum(tally.carried.values()) > 100
    assert tally.share(carrier.name) >= 0.98, tally.missed[:20]


def test_wrong_checksums_are_spared() -> None:
    """At most 2 % of values with one digit changed."""
    tried, found = wrong_checksums()
    assert tried > 500
    assert len(found) <= tried * 0.02, found[:20]
