"""XML of no kind we know, and SVG: its text, and its attributes, where many dialects keep theirs."""

from __future__ import annotations

import re

from services.common.extraction.readers import markup
from services.common.extraction.readers.plain import decode
from services.common.extraction.walk import Reading

_ATTRIBUTE = re.compile(r"""=\s*"([^"<]{1,4000})"|=\s*'([^'<]{1,4000})'""")
_MAX_BYTES = 8 * 1024 * 1024


def read_xml(content: bytes, reading: Reading) -> None:
    """All of it."""
    if len(content) > _MAX_BYTES:
        reading.trouble("too_large")
        content = content[:_MAX_BYTES]
    source = decode(content, reading.charset)
    try:
        reading.text(markup.text(content))
    except ValueError:
        # Not well-formed, which no rule forbids in a mail: as it stands.
        reading.text(source)
        return
    reading.text("\n".join(a or b for a, b in _ATTRIBUTE.findall(source)))
