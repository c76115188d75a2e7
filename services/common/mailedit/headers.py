"""Tags in a mail's head: a field before it, a text before its subject. Nothing else of the head is touched."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from services.common.mailedit.draft import Span

_SUBJECT = re.compile(rb"(?mi)^subject[ \t]*:[ \t]?")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_LINE, _SUBJECTS = 900, 10


def head_end(content: bytes) -> int:
    """Where the header section of clean content ends: after the CRLF of its last field."""
    if content.startswith(b"\r\n"):
        return 0
    end = content.find(b"\r\n\r\n")
    return len(content) if end < 0 else end + 2


def add_header(name: str, value: str) -> Sequence[Span]:
    """The edit that puts a field before the mail; none for a name that is no field name (RFC 5322 2.2)."""
    if not _FIELD_NAME.fullmatch(name):
        return ()
    return (Span(0, 0, f"{name}: ".encode("ascii") + unstructured(value) + b"\r\n"),)


def prefix_subject(content: bytes, prefix: str) -> Sequence[Span]:
    """The edits that put a text before the subject, or add a subject; none when it is there already.

    Only the prefix is inserted, encoded for itself (RFC 2047), so the rest of the line stays as it was. Of several
    subjects, which no mail may have, each gets it: programs differ in which one they show.
    """
    end = head_end(content)
    found = [m for m, _ in zip(_SUBJECT.finditer(content, 0, end), range(_SUBJECTS), strict=False)]
    if not found:
        return (Span(0, 0, b"Subject: " + unstructured(prefix.strip()) + b"\r\n"),)
    return [span for match in found if (span := _before(content, match, prefix.strip())) is not None]


def _before(content: bytes, match: re.Match[bytes], prefix: str) -> Span | None:
    at = match.end()
    rest = content[at : content.find(b"\r\n", at)]
    # Between two encoded words a space is none (RFC 2047 6.2): then it belongs into the first.
    word = unstructured(prefix + " ", spaced=True) if rest.lstrip().startswith(b"=?") else unstructured(prefix)
    if rest.startswith(word):
        return None
    word += b"\r\n " if len(rest) + len(word) > _LINE else b" "
    return Span(at, at, word if match[0].endswith((b" ", b"\t")) else b" " + word)


def unstructured(text: str, *, spaced: bool = False) -> bytes:
    """One-line header text; encoded words of at most 75 characters, folded, when it is not plain ASCII.

    `spaced` keeps a space at the end inside the last encoded word.
    """
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    stripped = text.strip()
    if stripped.isascii() and len(stripped) <= _LINE and "=?" not in stripped:
        return stripped.encode("ascii")
    text = text.lstrip() if spaced else stripped
    words, chunk = [], b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > 42:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return b"\r\n ".join(b"=?utf-8?b?" + base64.b64encode(w) + b"?=" for w in words)
