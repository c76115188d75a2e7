"""Text as rules see it: one normal form, HTML without its tags, and the way back to offsets.

NFKC turns full-width digits and ligatures into the plain ones; zero-width and
other invisible characters, which split words for machines only, are removed.
"""

from __future__ import annotations

import re
import unicodedata
from html import unescape

from selectolax.lexbor import LexborHTMLParser

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e007f\U000e0100-\U000e01ef]+"
)
_BLOCK = re.compile(
    r"<(?=/?(?:p|div|br|tr|td|th|li|ul|ol|dl|dt|dd|h[1-6]|table|hr|pre|blockquote|section|article|header|footer|option"
    r"|title|form|address|center|body|textarea)\b)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
_ANY_TAG = re.compile(r"<[^<>]*>")
_MAX_NEST = 3000
_MAX_COPIES = 500_000
_USUAL_FORMATS = 20
_SHALLOW = re.compile(
    r"area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|dd|dt|t[dhr]|tbody|thead|tfoot|option"
)
_FORMAT = re.compile(r"a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u")
_SHOWN = re.compile(
    r"""\b(?:alt|title|placeholder|value)\s*=\s*(?:"([^"<>]{1,2000})"|'([^'<>]{1,2000})')""", re.IGNORECASE
)


def normalise(text: str) -> str:
    """The normal form: NFKC, no invisible characters."""
    if text.isascii():
        return text
    # Invisible first: one between a letter and its accent would keep them apart.
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))


def original_span(original: str, start: int, end: int) -> tuple[int, int]:
    """Where `normalise(original)[start:end]` stands in `original`; whole combining sequences, never less."""
    if original.isascii():
        return start, end
    position, first, last = 0, None, len(original)
    index = 0
    while index < len(original):
        stop = index + 1
        while stop < len(original) and (unicodedata.combining(original[stop]) or _INVISIBLE.match(original[stop])):
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


def too_deep(html: str) -> bool:
    """Whether parsing would cost the square of what it should, as no page that people write does.

    Nested elements are searched upwards for each new one, and formatting that is never closed is copied into each
    new paragraph (HTML, "reconstruct the active formatting elements").
    """
    tags = html.count("<")
    if tags <= _MAX_NEST:
        return False
    depth = formats = 0
    for closing, name in _TAG.findall(html):
        name = name.lower()
        if _SHALLOW.fullmatch(name):
            continue
        step = -1 if closing else 1
        depth = max(depth + step, 0)
        if _FORMAT.fullmatch(name):
            formats = max(formats + step, 0)
        if depth > _MAX_NEST or (formats > _USUAL_FORMATS and formats * tags > _MAX_COPIES):
            return True
    return False


def without_tags(html: str) -> str:
    """The text of HTML that is not parsed: whatever stands outside of angle brackets, scripts included."""
    return unescape(_ANY_TAG.sub("", _BLOCK.sub("\n<", html)))


def mask(value: str, *, keep: int = 0) -> str:
    """A matched value that may be shown: its first character, its last `keep` (or one), and its length."""
    value = " ".join(value.split())
    if len(value) <= 2:
        return "•" * len(value)
    if len(value) <= keep + 2:
        keep = 0
    return f"{value[0]}{'•' * min(len(value) - 1 - max(keep, 1), 12)}{value[-max(keep, 1) :]}"
