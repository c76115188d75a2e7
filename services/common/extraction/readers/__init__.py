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
    "zip": "zips:read_zip",
    **dict.fromkeys(("7z", "rar", "tar", "cab", "iso"), "archives:read_archive"),
    **dict.fromkeys(("gz", "bz2", "xz", "zstd"), "archives:read_compressed"),
    **dict.fromkeys(("docx", "docm", "xlsx", "xlsm", "xlsb", "pptx", "pptm"), "office:read_ooxml"),
    **dict.fromkeys(("odt", "ods", "odp"), "office:read_odf"),
    "epub": "office:read_epub",
    "html": "html:read_html",
    **dict.fromkeys(("xml", "svg"), "xmls:read_xml"),
    "pdf": "pdf:read_pdf",
    "doc": "doc:read_doc",
    "xls": "xls:read_xls",
    "ppt": "ppt:read_ppt",
    "ole": "ole:read_ole",
    "msg": "msg:read_msg",
    "tnef": "tnef:read_tnef",
    "eml": "mail:read_mail",
    "rtf": "rtf:read_rtf",
}
"""True type → `module:function` in this package. Imported when first met."""


_LATER = (
    "Cryptodome.Cipher._mode_ctr", "email.base64mime", "email.feedparser", "email.generator", "email.header",
    "email.parser", "email.quoprimime",
)  # fmt: skip
"""What libraries import when they first need it."""


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
    for module in _LATER:
        importlib.import_module(module)
