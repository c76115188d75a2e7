"""Who carries a leg on: encryption first, where a rule asked for a sealed mail or for links, else delivery at once.

Delivery leaves such a leg of `mail.decided` and `mail.released` alone and takes it from `mail.sealed`; encryption
takes it from `mail.decided` when its disposition is to deliver, and from `mail.released` after a hold or a delay:
quarantine keeps both until then (`waits`).
"""

from __future__ import annotations

from letterlock.mail.v1 import mail_pb2

SEALING = frozenset({"seal", "link"})
"""Transforms that encryption carries out; all others are delivery's or quarantine's."""

_DELIVERING = frozenset({
    mail_pb2.DISPOSITION_DELIVER, mail_pb2.DISPOSITION_DELAY, mail_pb2.DISPOSITION_HOLD,
})  # fmt: skip
_WAITING = frozenset({mail_pb2.DISPOSITION_DELAY, mail_pb2.DISPOSITION_HOLD})


def needs_sealing(leg: mail_pb2.Leg) -> bool:
    """Whether what this leg delivers, now or after a delay or a hold, is made by encryption.

    A leg that is returned, refused or deleted is not: nothing of it reaches a recipient.
    """
    return leg.disposition in _DELIVERING and any(t.kind in SEALING for t in leg.transforms)


def waits(leg: mail_pb2.Leg, *, released: bool) -> bool:
    """Whether quarantine keeps a leg: nobody seals or delivers it before it is released."""
    return not released and leg.disposition in _WAITING
