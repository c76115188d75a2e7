"""One reader per true type: `reader_of("docx")(content, reading)`.

A reader puts what it finds into the `Reading`, and may raise whatever it likes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.common.extraction.walk import Reader

_READERS: dict[str, str] = {
    **dict.fromkeys(("text", "csv", "ics", "vcf", "script"), "plain:read_text"),
}
"""True type → `module:function` in this package. Imported when first met."""


def reader_of(kind: str) -> Reader | None:
    """The reader of a true type; None where no text of it is read."""
    where = _READERS.get(kind)
    if where is None:
        return None
    module, _, name = where.partition(":")
    found: Callable[..., None] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found


def load() -> None:
    """Import every reader and what it needs: a confined process cannot open a file."""
    for kind in _READERS:
        reader_of(kind)
