"""Text of XML, fast: blocks are lines, cells are tabs, tags are nothing."""

from __future__ import annotations

import re
from html import unescape
from xml.parsers import expat

_LINE = re.compile(
    r"</(?:[\w.-]+:)?(?:p|h|row|tr|table-row|si|comment|title|creator|subject|keywords|description|lpwstr)>"
    r"|<(?:[\w.-]+:)?(?:br|cr|line-break)\b[^>]*>"
)
_GAP = re.compile(r"</(?:[\w.-]+:)?(?:tc|c|table-cell)>|<(?:[\w.-]+:)?(?:tab|s)\b[^>]*/>")
_TAG = re.compile(r"<[^>]*>")
_LINES = frozenset({"p", "h", "row", "tr", "table-row", "si", "comment", "title", "br", "cr", "line-break"})
_SHOWN = re.compile(r"""\b(?:descr|title|alt|tooltip)="([^"<]{1,2000})\"""")
_NAMES = ('descr="', 'title="', 'alt="', 'tooltip="')
_RELATION = re.compile(r"<(?:[\w.-]+:)?Relationship\b[^>]*>")
_TARGET = re.compile(r"""\bTarget=(?:"([^"]*)"|'([^']*)')""")


def text(data: bytes) -> str:
    """All character data of a document, hidden or not, and the alternative texts of pictures.

    Raises `ValueError` for what is no XML. A `>` inside an attribute leaves some rubbish: more text, never less.
    """
    if not data.strip():
        return ""
    # CDATA, comments, document types and other encodings than UTF-8 are read slowly and by the rules.
    if b"<!" in data or not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or not _utf8(data):
        return _slow(data)
    source = data.decode("utf-8-sig")
    shown = unescape(_TAG.sub("", _GAP.sub("\t", _LINE.sub("\n", source))))
    if not any(name in source for name in _NAMES):
        return shown
    return "\n".join([shown, *map(unescape, _SHOWN.findall(source))])


def external_targets(data: bytes) -> str:
    """Where the relationships of an Office file lead outside of it."""
    relations = [r for r in _RELATION.findall(data.decode("utf-8", "replace")) if "External" in r]
    return "\n".join(unescape(a or b) for r in relations for a, b in _TARGET.findall(r))


def _utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data[:64]


def _slow(data: bytes) -> str:
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def end(name: str) -> None:
        local = name.rpartition(":")[2]
        found.append("\n" if local in _LINES else "\t" if local in ("tc", "c", "table-cell", "tab") else "")

    def entity(*_: object) -> None:
        raise ValueError("a document that defines entities")

    parser.CharacterDataHandler = found.append
    parser.CommentHandler = found.append
    parser.EndElementHandler = end
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError("no XML") from error
    return "".join(found)
