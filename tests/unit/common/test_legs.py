"""Which legs are encryption's to make."""

from __future__ import annotations

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.legs import needs_sealing


def leg(disposition: mail_pb2.Disposition, *kinds: str) -> mail_pb2.Leg:
    """A leg with transforms."""
    return mail_pb2.Leg(disposition=disposition, transforms=[mail_pb2.Transform(kind=k, rule="r") for k in kinds])


@pytest.mark.parametrize("kind", ["seal", "link"])
def test_a_leg_that_is_delivered_sealed_or_as_a_link_is_encryption_s(kind: str) -> None:
    """At once, after a delay and after a hold."""
    for disposition in (mail_pb2.DISPOSITION_DELIVER, mail_pb2.DISPOSITION_DELAY, mail_pb2.DISPOSITION_HOLD):
        assert needs_sealing(leg(disposition, "tag", kind))


def test_other_legs_are_delivery_s() -> None:
    """Without such a transform, or where nothing reaches a recipient."""
    assert not needs_sealing(leg(mail_pb2.DISPOSITION_DELIVER, "banner", "strip", "tag", "notify"))
    for disposition in (mail_pb2.DISPOSITION_RETURN, mail_pb2.DISPOSITION_REFUSE, mail_pb2.DISPOSITION_DELETE):
        assert not needs_sealing(leg(disposition, "seal"))
