"""Which service may write which action: a log that anyone can fill with anything proves nothing."""

from __future__ import annotations

from collections.abc import Mapping

from services.common.tlog.entry import ACTIONS

EVERYONE = frozenset({"rpc.refused", "login"})
"""What every service may tell of its own callers."""

WRITERS: Mapping[str, frozenset[str]] = {
    "admin": frozenset(
        {
            "case.created", "case.closed", "access.requested", "access.approved", "access.refused", "access.revoked",
            "directory.changed", "retention.changed", "consent.given", "policy.applied",
        }
    ),
    "archive": frozenset(
        {
            "archive.searched", "archive.opened", "archive.exported", "archive.disposed", "retention.changed",
            "ingest.sealed",
        }
    ),
    "quarantine": frozenset({"hold.viewed", "hold.decided"}),
    "encryption": frozenset({"password.viewed", "password.changed", "key.rotated", "key.destroyed"}),
    "policy": frozenset({"policy.applied"}),
    "portal": frozenset({"password.viewed", "hold.viewed"}),
    "audit": frozenset(),
    "ingress": frozenset(),
    "delivery": frozenset(),
}  # fmt: skip

BUS = "bus"
"""The service of an entry that came on the bus, where nothing proves which service told it."""
ON_THE_BUS = ACTIONS - {
    "access.requested", "access.approved", "access.refused", "access.revoked", "archive.searched", "archive.opened",
    "archive.exported", "password.viewed",
}  # fmt: skip
"""What may be told without waiting. Approvals and reveals are not: they come by `Append`, under a certificate."""


def may_write(service: str, action: str) -> bool:
    """Whether a service may say that this happened."""
    return service in WRITERS and (action in EVERYONE or action in WRITERS[service])
