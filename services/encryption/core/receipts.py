"""What a receipt proves, and what it must say before anything is opened for it. Pure.

Each refusal has a name (`reason`), which goes into the log and the audit entry; what people read says no more than they
may know.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.common.audit_client import Receipt
from services.common.errors import Denied
from services.common.grants import Grant
from services.common.tlog import merkle
from services.common.tlog.receipt import Checked, check, key_of

FRESH = timedelta(seconds=60)
"""How old an entry may be, by its own time and our clock."""
AHEAD = timedelta(seconds=5)
"""How far its writer's clock may be ahead of ours."""
MAX_PATH = 64
"""Hashes of a proof; no tree needs more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the entry must be: written by `service`, of `action` and `phase`, about exactly `mail_ids`."""

    service: str
    action: str
    phase: str = ""
    mail_ids: tuple[str, ...] = ()


def refuse(reason: str, public: str) -> Denied:
    """A refusal by its name."""
    return Denied(reason, public=public, reason=reason)


def prove(receipt: Receipt, tenant: str, public: bytes) -> Checked:
    """What a receipt proves under the audit service's key: that the entry is in this tenant's log, and its values."""
    if len(receipt.proof) > MAX_PATH:
        raise refuse("forged", "this receipt proves nothing: its proof is too long")
    try:
        key = key_of(receipt.checkpoint, tenant, public)
    except ValueError as error:
        raise refuse("another_log", "this receipt is not of the tenant's log") from error
    try:
        found = check(receipt.entry, receipt.index, receipt.proof, receipt.checkpoint, receipt.opening, key)
    except (ValueError, TypeError) as error:
        raise refuse("forged", f"this receipt proves nothing: {error}") from error
    if found.leaf.tenant != tenant:
        raise refuse("another_tenant", "this entry is another tenant's")
    return found


def fits(found: Checked, wanted: Wanted) -> None:
    """Return when the entry says what is wanted, and that it was done; told late is too late."""
    leaf = found.leaf
    if leaf.service != wanted.service:
        raise refuse("another_writer", "this entry was written by another service")
    if leaf.action != wanted.action or leaf.facts.get("phase", "") != wanted.phase:
        raise refuse("another_action", f"this entry is not of {wanted.action} {wanted.phase}".rstrip())
    if leaf.outcome != "done":
        raise refuse("not_done", "this entry says that it was refused")
    if leaf.late:
        raise refuse("late", "this entry was told after the fact")
    if leaf.mail_ids != wanted.mail_ids:
        raise refuse("another_mail", "this entry names other mails")


def time_of(found: Checked) -> datetime:
    """When the entry says it was, UTC."""
    return datetime.strptime(found.leaf.time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def is_fresh(found: Checked, now: datetime) -> None:
    """Return when the entry is at most 60 s old."""
    age = now - time_of(found)
    if age > FRESH:
        raise refuse("too_old", "this receipt is older than 60 seconds")
    if age < -AHEAD:
        raise refuse("not_yet", "this receipt is from the future")


def names(found: Checked, grant: Grant) -> None:
    """Return when the entry is of this grant and its exact request, by the person it was given to."""
    leaf, request = found.leaf, grant.request
    if leaf.grant_id != grant.id or leaf.case_id != request.case_id:
        raise refuse("another_grant", "this entry is of another grant")
    if found.opening.actor != request.requester:
        raise refuse("another_person", "this entry is another person's")
    if leaf.facts.get("request_id") != request.id or leaf.facts.get("request_hash") != request.hash():
        raise refuse("query_changed", "this entry is of another request than was approved")


def holds(result: Checked, document_id: str, index: int, size: int, path: Collection[bytes]) -> None:
    """Return when a document is in the result that a RESULT entry commits to."""
    if result.leaf.facts.get("count") != size or len(path) > MAX_PATH:
        raise refuse("not_in_result", "this mail is not in the result")
    try:
        root = merkle.root_from_inclusion(index, size, merkle.leaf_hash(document_id.encode()), tuple(path))
    except ValueError as error:
        raise refuse("not_in_result", "this mail is not in the result") from error
    if root.hex() != result.leaf.facts.get("root"):
        raise refuse("not_in_result", "this mail is not in the result")


def commits(result: Checked, documents: list[str]) -> None:
    """Return when a RESULT entry commits to exactly these documents in this order. Slow: hand many to a thread."""
    root = merkle.root_of([merkle.leaf_hash(one.encode()) for one in documents])
    if result.leaf.facts.get("count") != len(documents) or root.hex() != result.leaf.facts.get("root"):
        raise refuse("another_result", "the documents are not those that the log has")
