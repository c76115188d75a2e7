"""What goes into extraction and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from services.common.ids import TenantId

type Reason = Literal["encrypted", "broken", "too_large", "timeout", "unsupported"]
"""Why a file, or a part of it, was not read; `unsupported`: nothing is wrong with it, we read no text of its kind."""

REASONS: tuple[Reason, ...] = get_args(Reason.__value__)


@dataclass(frozen=True, slots=True)
class File:
    """One MIME leaf, transfer-decoded; `part` is its number in the mail (`2`, `1.3`)."""

    part: str
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """One file found: the file itself, or one inside it."""

    part: str
    """`2` is the file itself, `2/1` its first member, `2/1/3` the third member of that."""
    name: str
    content_type: str
    """As declared; of a member, by content."""
    true_type: str
    """By content, never by name; `services/common/extraction/kinds.py` has the list."""
    size: int
    """Bytes, decoded; of a member that was not unpacked, as its archive says."""
    sha256: str
    """In hex; empty where the bytes were not to be had."""
    text: str | None
    """As the file has it, not normalised; None where the type has no text that we read."""
    encrypted: bool = False
    """It asks for a password, whether or not one that was given opened it."""
    macros: bool = False
    problem: Reason | None = None
    """None is a statement: all of it was read, within the bounds."""


class Extractor(Protocol):
    """Reads files of strangers."""

    async def __call__(
        self, tenant: TenantId, files: Sequence[File], *, passwords: Sequence[str] = (), timeout: float
    ) -> tuple[Piece, ...]:
        """Every file and everything found in it, in order; each file that was given is answered for, whatever it is.

        What a reader dies of is `broken`, what does not end in `timeout` seconds is `timeout`: never an exception.
        Raises `Busy` when there is no room, or none came free in time; `Unavailable` when no reader can be started.
        """
        ...
