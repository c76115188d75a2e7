"""Text as rules see it: one normal form, HTML without its tags, and the way back to offsets.

NFKC turns full-width digits and ligatures into the plain ones; zero-width and
other invisible characters, which split words for machines only, are removed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from selectolax.lexbor import LexborHTMLParser

_INVISIBLE: Mapping[int, None] = dict.fromkeys(
    (
        0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0,
        *range(0x180B, 0x180E), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0),
    )
)  # fmt: skip
_BLOCK = re.compile(
    r"<(?=/?(?:p|div|br|tr|td|th|li|ul|ol|dl|dt|dd|h[1-6]|table|hr|pre|blockquote|section|article|header|footer|option"
    r"|title|form|address|center|body|textarea)\b)",
    re.IGNORECASE,
)
_SHOWN = re.compile(
    r"""\b(?:alt|title|placeholder|value)\s*=\s*(?:"([^"<>]{1,2000})"|'([^'<>]{1,2000})')""", re.IGNORECASE
)


def normalise(text: str) -> str:
    """The normal form: NFKC, no invisible characters."""
    if text.isascii():
        return text
    # Invisible first: one between a letter and its accent would keep them apart.
    return unicodedata.normalize("NFKC", text.translate(_INVISIBLE))


def original_span(original: str, start: int, end: int) -> tuple[int, int]:
    """Where `normalise(original)[start:end]` stands in `original`; whole combining sequences, never less."""
    if original.isascii():
        return start, end
    position, first, last = 0, None, len(original)
    index = 0
    while index < len(original):
        stop = index + 1
        while stop < len(original) and (unicodedata.combining(original[stop]) or ord(original[stop]) in _INVISIBLE):
            stop += 1
        position += len(normalise(original[index:stop]))
        if first is None and position > start:
            first = index
        if position >= end:
            last = stop
            break
        index = stop
    return (len(original) if first is None else first), last


def from_html(html: str) -> str:
    """What a reader can see of HTML, hidden text included; blocks are lines, scripts and styles are nothing."""
    # Lexbor joins text nodes as they stand, so that <b>4111</b>1111 stays one number; blocks must not join.
    tree = LexborHTMLParser(_BLOCK.sub("\n<", html))
    for node in tree.css("script, style, template"):
        node.decompose()
    root = tree.root
    text = root.text(deep=True, separator="", strip=False) if root is not None else ""
    shown = [a or b for a, b in _SHOWN.findall(html)]
    return "\n".join([text, *shown]) if shown else text


def mask(value: str, *, keep: int = 0) -> str:
    """A matched value that may be shown: its first character, its last `keep` (or one), and its length."""
    value = " ".join(value.split())
    if len(value) <= 2:
        return "•" * len(value)
    if len(value) <= keep + 2:
        keep = 0
    return f"{value[0]}{'•' * min(len(value) - 1 - max(keep, 1), 12)}{value[-max(keep, 1) :]}"
