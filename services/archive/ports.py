"""What the archive needs of the world."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from services.archive.core.fold import MailState
from services.common.audit_client import Receipt
from services.common.ids import MailId, TenantId

if TYPE_CHECKING:
    from services.archive.content.segments import Document


class Index(Protocol):
    """Documents by mail. All raise `Unavailable` while the index does not answer."""

    async def ensure(self) -> str:
        """Make templates and indices as they must be; returns the index's generation, another one when it was lost."""

    async def write(self, states: Sequence[MailState]) -> int:
        """Merge each state into its mail's document; returns how many documents the index refused for good.

        Idempotent and independent of order, also beside other writers.
        """

    async def read(self, tenant: TenantId, mail_ids: Collection[MailId]) -> dict[MailId, MailState]:
        """What the index has of these mails, the last write included."""

    async def present(self, tenant: TenantId, mail_ids: Collection[MailId]) -> set[MailId]:
        """Which of these mails have a document."""

    async def days(self, tenant: TenantId) -> Mapping[date, int]:
        """How many mails a search finds, by the day of their id, all that was written included."""

    async def cursor(self, tenant: TenantId) -> str:
        """The segment up to which the index holds everything; empty: none."""

    async def set_cursor(self, tenant: TenantId, segment: str) -> None:
        """Remember that."""

    async def floor(self, tenant: TenantId) -> date | None:
        """The day up to which all mails of a tenant (of the installation: their keys) are done with; None: none."""

    async def set_floor(self, tenant: TenantId, day: date) -> None:
        """Remember that."""

    async def check(self) -> None:
        """Return when it answers."""


class Keeper(Protocol):
    """Who destroys a day's pipeline key."""

    async def complete(self, day: date) -> None:
        """All mails of the day are final and indexed. Raises `Rejected` for a day too young, `Unavailable`."""


@dataclass(frozen=True, slots=True)
class MonthKeys:
    """Of a tenant's month, for the side that indexes: `month` makes tokens and document ids, `summary` seals."""

    month: bytes = field(repr=False)
    summary: bytes = field(repr=False)


class IndexKeys(Protocol):
    """Who gives the indexing side its keys."""

    async def index_keys(self, tenant: TenantId, months: Sequence[str]) -> Mapping[str, MonthKeys]:
        """The keys of each month (`2026-11`). Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A field of the index (`body`, `body.1`) and the tokens that stand in it at consecutive positions."""

    field: str
    tokens: tuple[str, ...]


type Blinded = Sequence[Sequence[Tokens]]
"""Per leaf of the effective question, in order: where it is looked for; one of them is enough."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a document is in a result which the log has: the result's receipt, and the way to its root."""

    result: Receipt
    document_id: str
    index: int
    size: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """What is told at the end of an opened mail: its envelope, and the SHA-256 of its bytes as received."""

    size: int
    sha256: bytes
    sender: str
    recipients: tuple[str, ...]
    received: int


class Custody(Protocol):
    """Who has the keys, and uses them against receipts alone (`encryption`).

    All raise `Unavailable`, `Denied` with the reason, and `Corrupt` for what was changed.
    """

    async def blind(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, months: Sequence[str]
    ) -> Mapping[str, Blinded]:
        """The tokens of the grant's effective question (`search.terms.effective`), by month."""

    async def open_summaries(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, leaves: Sequence[str], summaries: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        """The summaries of a result, in its order; an empty one where it is not what was sealed for its document."""

    def open(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, mail_id: MailId, proof: Proof
    ) -> AsyncGenerator[bytes | Opened]:
        """The bytes of a mail in parts, then what is told at its end. Also `NotFound`: it was disposed of."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that answers a question; `summary` is still sealed."""

    id: str
    month: str
    received: int
    size: int
    direction: str
    verdict: str
    summary: str


class ContentIndex(Protocol):
    """Blind documents by tenant and month. All raise `Unavailable` while the index does not answer."""

    async def ensure(self) -> str:
        """Make templates as they must be; returns the index's generation, another one when it was lost."""

    async def write(self, tenant: TenantId, documents: Sequence[Document]) -> int:
        """Write documents; idempotent. Returns how many the index refused for good."""

    async def present(self, tenant: TenantId, month: str, ids: Collection[str]) -> set[str]:
        """Which documents there are, the last write included."""

    async def cursor(self, tenant: TenantId) -> str:
        """The segment up to which the index holds everything; empty: none."""

    async def set_cursor(self, tenant: TenantId, segment: str) -> None:
        """Remember that."""

    async def floor(self, tenant: TenantId) -> date | None:
        """The day up to which the content of all mails is indexed; None: none."""

    async def set_floor(self, tenant: TenantId, day: date) -> None:
        """Remember that."""

    def search(self, month: str, query: Mapping[str, Any], *, tenant: TenantId) -> AsyncGenerator[list[Hit]]:
        """All that answers in a month, newest first, in pages of one moment's view.

        Raises `InvalidInput` for a question that the engine finds too large.
        """

    async def counts(self, tenant: TenantId, first: date, last: date) -> tuple[int, Mapping[tuple[str, str], int]]:
        """Documents of the days from `first` to `last`, and of those that have one: how many by reason and day."""
