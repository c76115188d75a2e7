"""The message data model: what rules may ask about a mail.

Texts are normalised (`text.py`). What could not be read is listed, never
left out: an empty `not_inspected` is a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

type Direction = Literal["inbound", "outbound", "internal"]
type Reason = Literal["encrypted", "broken", "too_large", "timeout", "unsupported"]

REASONS: frozenset[str] = frozenset({"encrypted", "broken", "too_large", "timeout", "unsupported"})
DOUBTS: frozenset[str] = REASONS - {"unsupported"}
"""What `on_doubt` answers to. A file type we extract no text from is said in the coverage and left to the
`not_inspected` predicate, else every mail with a PDF would be held."""


@dataclass(frozen=True, slots=True)
class NotInspected:
    """A part that was not read, by its place (`1.2`; empty for the whole mail), and why."""

    part: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not body text, or a file inside one. `size` is in bytes after transfer decoding.

    What an archive holds are attachments of their own, with the place of the archive before a slash (`2/1`).
    """

    part: str
    name: str
    content_type: str
    size: int
    text: str | None = None
    true_type: str = ""
    """What the bytes are, whatever the label says (`pdf`, `docm`, `exe`, …); empty where nobody looked."""
    encrypted: bool = False
    macros: bool = False
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One mail as read. Header names are lower-case, values decoded."""

    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subject: str = ""
    header_from: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    parts: int = 0
    not_inspected: tuple[NotInspected, ...] = ()
    ambiguities: tuple[str, ...] = ()
    """What mail programs read differently in this mail, as stable codes (README.md of policy)."""
    hidden: tuple[str, ...] = ()
    """Texts that no reader is shown: comments, invisible HTML, what stands between the parts."""
    originals: Mapping[str, str] = field(default_factory=dict)
    """A text as it was decoded, by its normal form, where they differ: offsets in reports are those of the former."""

    @property
    def doubts(self) -> frozenset[str]:
        """Reasons that `on_doubt` answers to."""
        return frozenset(n.reason for n in self.not_inspected) & DOUBTS


@dataclass(frozen=True, slots=True)
class Recipient:
    """One envelope recipient; the direction is its own."""

    address: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Transaction:
    """The SMTP transaction around a mail. `at` is aware; `size` in bytes."""

    sender: str
    recipients: tuple[Recipient, ...]
    tls: bool
    size: int
    at: datetime
