"""Line ends as they leave, and so as they are inspected, when a mail came with bare CR, bare LF or NUL."""

from __future__ import annotations

import re

_NEWLINE = re.compile(rb"\r\n|\r|\n")


def is_clean(content: bytes) -> bool:
    """Whether every CR and LF is part of a CRLF and there is no NUL."""
    pairs = content.count(b"\r\n")
    return content.count(b"\n") == pairs and content.count(b"\r") == pairs and b"\0" not in content


def normalise(content: bytes) -> bytes:
    """The content with CRLF for every bare CR and bare LF, and without NUL."""
    return _NEWLINE.sub(b"\r\n", content.replace(b"\0", b""))
