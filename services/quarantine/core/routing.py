"""Who may see a hold, and who may decide its level now.

A reviewer sees what names them, a group of theirs, or somebody they stand in for; what names nobody; and what is
escalated or overdue. Where a rule names as many reviewers as levels, each level is one of theirs, in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from services.common.errors import Rejected
from services.quarantine.core.holds import LETS_GO, Hold

type Members = Callable[[str], Collection[str]]


@dataclass(frozen=True, slots=True)
class Caller:
    """A person: own addresses, those they may send from, roles, and reviewers whose named deputy they are."""

    addresses: frozenset[str]
    senders: frozenset[str]
    roles: frozenset[str]
    stands_for: frozenset[str] = frozenset()


def is_sender(hold: Hold, caller: Caller) -> bool:
    """Whether the held mail is the caller's own."""
    return bool(hold.sender) and hold.sender.lower() in caller.senders


def routed_to(hold: Hold, caller: Caller, members: Members) -> bool:
    """Whether a person may see the hold; `members` gives a group's."""
    if "sender" in hold.reviewers and is_sender(hold, caller):
        return True
    if "reviewer" not in caller.roles or hold.kind == "delay":
        return False
    return hold.open_to_all or _named(hold.reviewers, caller.addresses | caller.stands_for, members)


def acts_for(hold: Hold, caller: Caller, members: Members, action: str) -> str:
    """For whom a person decides who may see the hold: another reviewer's address, or empty for themselves.

    Raises `Rejected` when this level is not theirs: they decided one before, it is another's, or the mail is their own.
    """
    if "sender" in hold.reviewers and is_sender(hold, caller):
        return ""
    if action not in LETS_GO:
        return "" if _own(hold, hold.reviewers, caller, members) else _stood_for(hold.reviewers, caller, members)
    if is_sender(hold, caller):
        raise Rejected("own mail", public="it is your own mail: another reviewer decides it", hold=hold.id)
    before = {address for s in hold.approvals for address in (s.by, s.acting_for) if address}
    if before & caller.addresses:
        text = f"you decided an earlier level: another reviewer decides level {hold.level} of {hold.levels}"
        raise Rejected("same person", public=text, hold=hold.id)
    names = _of_level(hold)
    if _own(hold, names, caller, members):
        return ""
    someone = _stood_for(names, Caller(frozenset(), frozenset(), caller.roles, caller.stands_for - before), members)
    if not someone:
        text = f"level {hold.level} of {hold.levels} is for {', '.join(names)}"
        raise Rejected("another's level", public=text, hold=hold.id)
    return someone


def _of_level(hold: Hold) -> tuple[str, ...]:
    if hold.levels > 1 and len(hold.reviewers) == hold.levels:
        return (hold.reviewers[hold.level - 1],)
    return hold.reviewers


def _own(hold: Hold, names: tuple[str, ...], caller: Caller, members: Members) -> bool:
    return hold.open_to_all or _named(names, caller.addresses, members)


def _stood_for(names: tuple[str, ...], caller: Caller, members: Members) -> str:
    return next((a for a in sorted(caller.stands_for) if _named(names, frozenset({a}), members)), "")


def _named(names: tuple[str, ...], addresses: frozenset[str], members: Members) -> bool:
    return any(name.lower() in addresses or not addresses.isdisjoint(members(name)) for name in names)
