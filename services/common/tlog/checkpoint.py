"""C2SP tlog-checkpoint: a signed tree head as the text of a note: origin, size, root."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from services.common.tlog import note
from services.common.tlog.merkle import HASH


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says it is: so many entries with this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse(text: str) -> Checkpoint:
    """The checkpoint in a note's text; raises `ValueError`. Ours has no extension lines, and none are believed."""
    lines = text.split("\n")
    try:
        origin, size, root, end = lines
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error):
        raise ValueError("not a checkpoint") from None
    if end or not origin or len(found.root) != HASH or found.text != text:
        raise ValueError("not a checkpoint")
    return found


def opened(data: bytes, key: note.Key) -> tuple[Checkpoint, note.Note]:
    """The checkpoint of a note that `key` signed for its own origin; raises `ValueError`."""
    found = note.parse(data)
    if not found.signed_by(key):
        raise ValueError("not signed by the log's key")
    head = parse(found.text)
    if head.origin != key.name:
        raise ValueError("the checkpoint is of another log")
    return head, found
