"""Reveals against grants: what the entries of one log, read in order, must say of each other.

A grant is what the approvals of a request made. Whoever reads under it is the
person who asked, after enough others approved exactly that request, before it
expires or is revoked. All of it is judged by what stands in clear in the
leaves: `grant_id`, `who`, and the facts `request_id`, `request_hash`,
`approvals` (how many are needed), `expires`, `capabilities`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.common.tlog.entry import Leaf

CAPABILITY = {
    "archive.searched": ("counts", "headers", "search"),
    "archive.opened": ("open",),
    "archive.exported": ("export",),
}
"""Reveals, and which of a request's capabilities allow each."""
RELEVANT = frozenset({"access.requested", "access.approved", "access.refused", "access.revoked", *CAPABILITY})


@dataclass(slots=True)
class _Request:
    who: str
    hash: str
    needed: int
    capabilities: Sequence[str]
    expires: str
    approvers: set[str] = field(default_factory=set)
    ended: bool = False


class Accesses:
    """Feed it the relevant leaves in order; each answer is what is wrong, empty when all is well."""

    def __init__(self) -> None:
        self._requests: dict[str, _Request] = {}
        self._grants: dict[str, str] = {}

    def see(self, leaf: Leaf) -> str:
        """What is wrong with this entry in the light of those before it."""
        if leaf.outcome != "done":
            return ""
        match leaf.action:
            case "access.requested":
                return self._requested(leaf)
            case "access.approved":
                return self._approved(leaf)
            case "access.refused" | "access.revoked":
                for request in self._named(leaf):
                    request.ended = True
                return ""
        return self._revealed(leaf) if leaf.action in CAPABILITY else ""

    def _requested(self, leaf: Leaf) -> str:
        name, digest = _text(leaf, "request_id"), _text(leaf, "request_hash")
        if not name or not digest:
            return "a request without request_id or request_hash"
        if name in self._requests:
            return f"request {name} is made twice"
        needed, capabilities = leaf.facts.get("approvals", 1), leaf.facts.get("capabilities", ())
        self._requests[name] = _Request(
            leaf.who,
            digest,
            needed if isinstance(needed, int) else 1,
            capabilities if not isinstance(capabilities, str | int) else (),
            _text(leaf, "expires"),
        )
        if leaf.grant_id:
            self._grants[leaf.grant_id] = name
        return ""

    def _approved(self, leaf: Leaf) -> str:
        name = _text(leaf, "request_id")
        request = self._requests.get(name)
        if request is None:
            return f"an approval of request {name or '(none)'}, which is not in the log before it"
        if _text(leaf, "request_hash") != request.hash:
            return f"the approval is of another text than request {name}"
        if leaf.who == request.who:
            return f"request {name} is approved by its requester"
        if leaf.who in request.approvers:
            return f"request {name} is approved twice by one person"
        request.approvers.add(leaf.who)
        request.expires = _text(leaf, "expires") or request.expires
        if leaf.grant_id and self._grants.setdefault(leaf.grant_id, name) != name:
            return f"grant {leaf.grant_id} is of another request"
        return ""

    def _revealed(self, leaf: Leaf) -> str:
        name = self._grants.get(leaf.grant_id, "")
        if not name:
            return f"{leaf.action} under grant {leaf.grant_id or '(none)'}, which nobody approved before it"
        request = self._requests[name]
        given = len(request.approvers)
        if given < request.needed:
            return f"{leaf.action} under grant {leaf.grant_id} after {given} of {request.needed} approvals"
        if leaf.who != request.who:
            return f"{leaf.action} under grant {leaf.grant_id} by another person than its requester"
        if request.ended:
            return f"{leaf.action} under grant {leaf.grant_id} after it was revoked or refused"
        if request.expires and leaf.time > request.expires:
            return f"{leaf.action} under grant {leaf.grant_id} after it expired at {request.expires}"
        digest = _text(leaf, "request_hash")
        if digest and digest != request.hash:
            return f"{leaf.action} under grant {leaf.grant_id} for another request than was approved"
        if request.capabilities and not set(CAPABILITY[leaf.action]) & set(request.capabilities):
            return f"{leaf.action} under grant {leaf.grant_id}, which does not allow it"
        return ""

    def _named(self, leaf: Leaf) -> list[_Request]:
        names = {_text(leaf, "request_id"), self._grants.get(leaf.grant_id, "")}
        return [self._requests[n] for n in names if n in self._requests]


def _text(leaf: Leaf, name: str) -> str:
    value = leaf.facts.get(name, "")
    return value if isinstance(value, str) else ""
