"""What an operator may see of a trace: domains instead of addresses, and nothing that others have written."""

from __future__ import annotations

from letterlock.archive.v1 import archive_pb2
from letterlock.mail.v1 import mail_pb2


def masked(address: str) -> str:
    """The domain of an address with a star before it; the null sender stays."""
    if not address:
        return ""
    return "*@" + address.rpartition("@")[2] if "@" in address else "*"


def mask_status(response: archive_pb2.MailStatusResponse) -> archive_pb2.MailStatusResponse:
    """Take the addresses, texts and names of people out, in place."""
    response.sender = masked(response.sender)
    for recipient in response.recipients:
        recipient.address, recipient.detail = masked(recipient.address), ""
    for event in response.events:
        event.recipients[:] = [masked(a) for a in event.recipients]
        event.detail = ""
        event.actor = masked(event.actor)
    return response


def mask_decision(decision: mail_pb2.Decision) -> mail_pb2.Decision:
    """A copy without addresses, texts and spans."""
    copy = mail_pb2.Decision()
    copy.CopyFrom(decision)
    for recipient in copy.recipients:
        recipient.address, recipient.orcpt = masked(recipient.address), ""
    for leg in copy.legs:
        leg.text = ""
        leg.redirect[:] = [masked(a) for a in leg.redirect]
        leg.reviewers[:] = [masked(r) if "@" in r else r for r in leg.reviewers]
        for transform in leg.transforms:
            transform.settings = b""
    for why in copy.why:
        for predicate in why.predicates:
            del predicate.spans[:]
    return copy
