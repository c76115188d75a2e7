"""HTML: what is shown, then what is not: attributes, comments, hidden elements."""

from __future__ import annotations

import re
from html import unescape

from selectolax.lexbor import LexborHTMLParser

from services.common.extraction.readers.plain import decode
from services.common.extraction.walk import Reading

_BLOCK = re.compile(
    r"<(?=/?(?:p|div|br|tr|td|th|li|ul|ol|dl|dt|dd|h[1-6]|table|hr|pre|blockquote|section|article|header|footer|option"
    r"|title|form|address|center|body|textarea)\b)",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(
    r"""\b(?:alt|title|placeholder|value|content|href|src|action|label|summary|aria-label|data-[a-z-]+)\s*=\s*"""
    r"""(?:"([^"]{1,4000})"|'([^']{1,4000})'|([^\s"'>]{1,4000}))""",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w:-]{2,40})""", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]*>")
_MAX_BYTES = 8 * 1024 * 1024
_MAX_TAGS = 150_000
"""What a tree is built for: its nodes cost thirty times the bytes of a page of nothing but tags."""


def read_html(content: bytes, reading: Reading) -> None:
    """Text of the whole page."""
    if len(content) > _MAX_BYTES:
        reading.trouble("too_large")
    content = content[:_MAX_BYTES]
    found = _CHARSET.search(content[:4096])
    charset = reading.charset or (found[1].decode("ascii") if found else "")
    for text in texts(decode(content, charset)):
        reading.text(text)


def texts(html: str) -> list[str]:
    """Text elements joined as they stand (`<b>41</b>11` is one number), blocks as lines; attributes; comments; code."""
    if html.count("<") > _MAX_TAGS:
        shown = unescape(_ANY_TAG.sub("", _BLOCK.sub("\n<", html)))
        return [t for t in (shown, *_hidden(html)) if t.strip()]
    tree = LexborHTMLParser(_BLOCK.sub("\n<", html))
    code = [node.text(deep=True) for node in tree.css("script, style, template")]
    for node in tree.css("script, style, template"):
        node.decompose()
    root = tree.root
    shown = root.text(deep=True, separator="", strip=False) if root is not None else ""
    return [t for t in (shown, *_hidden(html), "\n".join(code)) if t.strip()]


def _hidden(html: str) -> tuple[str, str]:
    attributes = "\n".join(unescape(a or b or c) for a, b, c in _ATTRIBUTE.findall(html))
    return attributes, "\n".join(_COMMENT.findall(html))
