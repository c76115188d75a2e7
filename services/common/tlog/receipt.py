"""A receipt checked: what whoever opens mail believes before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.common.tlog import checkpoint, entry, note, proof


@dataclass(frozen=True, slots=True)
class Checked:
    """An entry that is in the log: the leaf, its values, and the tree that it is in."""

    leaf: entry.Leaf
    opening: entry.Opening
    index: int
    checkpoint: checkpoint.Checkpoint


def check(leaf: bytes, index: int, path: Sequence[bytes], signed: bytes, opening: bytes, key: note.Key) -> Checked:
    """Return what a receipt proves under the log's key; raises `ValueError` that says what is wrong.

    Whether the checkpoint is consistent with one that is known already is the caller's to ask (`merkle`).
    """
    head = proof.check(leaf, index, path, signed, key)
    found, values = entry.load(leaf), entry.Opening.load(opening)
    if not values.opens(found):
        raise ValueError("the values are not those that the entry commits to")
    return Checked(found, values, index, head)


def key_of(signed: bytes, tenant: str, public: bytes) -> note.Key:
    """The key that must have signed a receipt's checkpoint, for `check`: `public` is the audit service's key
    (`Writers.public("audit")`), named like the checkpoint's origin. Raises `ValueError` when that is another tenant's.
    """
    origin = checkpoint.parse(note.parse(signed).text).origin
    if origin.rpartition("/")[2] != tenant:
        raise ValueError("the checkpoint is of another log")
    return note.Key(origin, public)
