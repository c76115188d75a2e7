"""What policy needs of the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.common.ids import TenantId
from services.policy.core.filters import FilterVerdict
from services.policy.core.message import Direction
from services.policy.core.own import NOTHING, Own
from services.policy.core.rules import Policy


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy that decides now; revision 0 is "the tenant has none"."""

    policy: Policy
    revision: int
    own: Own = NOTHING
    """What it asks for of the tenant's own."""


class Policies(Protocol):
    """The tenants' policies and what rules refer to. Answers from memory."""

    def current(self, tenant: TenantId) -> InForce:
        """The policy in force; raises `Unavailable` when there is one that this node cannot use."""

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """The lower-case addresses in a group of the tenant; empty when there is no such group."""

    def direction_of(self, tenant: TenantId, address: str, *, from_stranger: bool) -> Direction:
        """The direction of a mail of this tenant to an address that a rule adds."""


@dataclass(frozen=True, slots=True)
class Question:
    """A mail for a filter: its bytes and the envelope. An unknown text is empty."""

    mail_id: str
    raw: bytes
    sender: str
    recipients: tuple[str, ...]
    address: str = ""
    helo: str = ""
    account: str = ""


class Engine(Protocol):
    """A filter beside us."""

    @property
    def answers(self) -> frozenset[str]:
        """What it can be asked, of `core.filters.FIELDS`."""

    async def ask(self, question: Question) -> FilterVerdict:
        """What it says; raises `Unavailable`. The caller bounds the time."""

    async def close(self) -> None:
        """Let go of its connections."""


class Passwords(Protocol):
    """Passwords that a tenant has with its partners, to look into what is sealed with them."""

    async def for_mail(self, tenant: TenantId, sender: str, recipients: Sequence[str]) -> Sequence[str]:
        """The agreed ones and those made for mail between these, the likelier first; none is an answer.

        Raises `Unavailable`.
        """
