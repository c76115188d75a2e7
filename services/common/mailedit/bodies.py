"""Words put into a text body, in the part's own charset and transfer encoding where these can say them.

Where the charset cannot, that one part is written anew in UTF-8; in HTML,
character references say everything in ASCII, so nothing has to be.
"""

from __future__ import annotations

import codecs
import html
import re
from typing import Literal

from services.common.mailedit import transfer
from services.common.mailedit.draft import Span
from services.common.mailedit.parts import Part
from services.common.mailedit.transfer import NeedsEncoding, Unsafe

type Where = Literal["before", "after"]

_REFUSED = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"})
_WIDER = {
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
"""What mail that is labelled so is often really written in; tried when it is to be read strictly."""
_ASCII = "".join(map(chr, range(32, 127)))
_LETTERS = 200
_CHUNK = 100
_MARKS, _TAG = 2000, 4000
_STYLE = (
    "display:block!important;visibility:visible!important;color:#222!important;background:#fff6d5!important;"
    "border:1px solid #c90!important;padding:8px!important;margin:0 0 10px!important;font:14px sans-serif!important"
)
_MARK = re.compile(rb"<!--|<(?:script|style|title|textarea|xmp)\b|<body\b|</body|</head|<html\b|</html", re.IGNORECASE)
_TAG_END = re.compile(rb"""[^>"']*(?:"[^"]*"[^>"']*|'[^']*'[^>"']*)*>""")
_PGP = (b"-----BEGIN PGP MESSAGE-----", b"-----BEGIN PGP SIGNED MESSAGE-----")


def pgp(decoded: bytes) -> Literal["", "signed", "encrypted"]:
    """Whether a decoded text is PGP's own form (RFC 9580 6, 7), which an edit would break."""
    if _PGP[0] in decoded:
        return "encrypted"
    return "signed" if _PGP[1] in decoded else ""


def put(content: bytes, part: Part, text: str, where: Where) -> list[Span]:
    """The edits that say `text` in a text part; raises `Unsafe`."""
    if part.problem:
        raise Unsafe(part.problem)
    if part.body == part.head_end:  # nothing parts the fields from a body
        raise Unsafe("no_text_body")
    body = content[part.body : part.end]
    decoded = transfer.decode(body, part.encoding)
    protected = pgp(decoded)
    if protected:
        raise Unsafe(protected)
    codec = _codec(part.charset)
    if part.type == "text/html":
        span = _in_html(body, decoded, part, codec, text, where)
        return [Span(part.body + span.start, part.body + span.end, _fits(span.new, part))]
    try:
        span = _in_text(body, decoded, part, codec, text, where)
    except (UnicodeEncodeError, NeedsEncoding):
        return _anew(content, part, decoded, codec, text, where)
    return [Span(part.body + span.start, part.body + span.end, _fits(span.new, part))]


def lines(text: str) -> list[str]:
    """Lines of at most 200 characters, without control characters; at most 200 of them."""
    clean = "".join(c if c >= " " and c != "\x7f" else "\n" if c == "\n" else " " for c in text.replace("\r\n", "\n"))
    clean = clean.encode("utf-8", "replace").decode("utf-8")
    found: list[str] = []
    for line in clean.strip().split("\n"):
        found += [line[i : i + _LETTERS].rstrip() for i in range(0, len(line), _LETTERS)] or [""]
    return found[:200]


def _codec(charset: str) -> str:
    try:
        found = codecs.lookup(charset or "us-ascii")
    except (LookupError, ValueError) as error:
        raise Unsafe("charset") from error
    if found.name in _REFUSED or not getattr(found, "_is_text_encoding", True):
        raise Unsafe("charset")
    return found.name


def _plain(codec: str) -> bool:
    """Whether ASCII bytes mean ASCII wherever they stand, but for the second byte of a character."""
    if codec.startswith("iso2022") or codec in ("hz", "johab"):
        return False
    try:
        return _ASCII.encode(codec) == _ASCII.encode() and _ASCII.encode().decode(codec) == _ASCII
    except (UnicodeError, ValueError):
        return False


def _in_text(body: bytes, decoded: bytes, part: Part, codec: str, text: str, where: Where) -> Span:
    if not _plain(codec) and not codec.startswith("iso2022"):
        raise NeedsEncoding
    new = _words(text, where, ends=decoded.endswith(b"\n") or not decoded).encode(codec)
    if part.encoding == "base64":
        new = _padded(new)
    at = len(decoded) if where == "after" else 3 if decoded.startswith(b"\xef\xbb\xbf") and codec == "utf-8" else 0
    return transfer.insert(body, part.encoding, at, new)


def _words(text: str, where: Where, *, ends: bool) -> str:
    said = "\r\n".join(lines(text))
    if where == "before":
        return said + "\r\n\r\n"
    return ("" if ends else "\r\n") + "\r\n" + said + "\r\n"


def _padded(new: bytes) -> bytes:
    """Filled up to a multiple of three with empty lines; a space could join lines (RFC 3676 4.1)."""
    return new + b"\r\n" * (len(new) % 3)


def _in_html(body: bytes, decoded: bytes, part: Part, codec: str, text: str, where: Where) -> Span:
    said = [_referenced(line) for line in lines(text)]
    markup = f'\r\n<div style="{_STYLE}">\r\n' + "<br>\r\n".join(said) + "\r\n</div>\r\n"
    if _plain(codec):
        at, new = _html_place(decoded, where), markup.encode("ascii")
    elif part.encoding == "base64" or codec.startswith("iso2022"):
        at, new = _html_place_in_text(decoded, codec, where), markup.encode(_endless(codec, decoded))
    else:
        raise Unsafe("charset")
    if part.encoding == "base64":
        new += "\r\n".encode(_endless(codec, decoded)) * (len(new) % 3)
        if len(new) % 3:
            raise Unsafe("charset")
    try:
        return transfer.insert(body, part.encoding, at, new)
    except NeedsEncoding as error:
        raise Unsafe("encoding") from error


def _endless(codec: str, decoded: bytes) -> str:
    """The codec that writes no mark at the beginning, in the byte order that the text has."""
    if codec == "utf-16":
        return "utf-16-be" if decoded.startswith(b"\xfe\xff") else "utf-16-le"
    if codec == "utf-32":
        return "utf-32-be" if decoded.startswith(b"\x00\x00\xfe\xff") else "utf-32-le"
    return codec


def _html_place_in_text(decoded: bytes, codec: str, where: Where) -> int:
    """The place in bytes of a charset in which ASCII bytes may mean something else."""
    try:
        text = decoded.decode(codec)
        in_ascii = "".join(c if c.isascii() else "?" for c in text).encode("ascii")
        before = text[: _html_place(in_ascii, where)].encode(codec)
    except UnicodeError as error:
        raise Unsafe("charset") from error
    if not decoded.startswith(before):
        raise Unsafe("charset")
    return len(before)


def _html_place(page: bytes, where: Where) -> int:
    """After `<body>`, or before `</body>`, outside comments and scripts; else as near as the page has it."""
    found: dict[bytes, int] = {}
    position, marks = 0, 0
    while marks < _MARKS and (mark := _MARK.search(page, position)) is not None:
        marks += 1
        name = mark[0].lower()
        if name == b"<!--":
            position = page.find(b"-->", mark.end())
        elif name in (b"<script", b"<style", b"<title", b"<textarea", b"<xmp"):
            position = _closing(page, name, mark.end())
        else:
            end = _TAG_END.match(page, mark.end(), mark.end() + _TAG)
            position = end.end() if end is not None else mark.end()
            if name in (b"</body", b"</html"):
                found[name] = mark.start()
            elif end is not None:
                found.setdefault(name, end.end())
        if position < 0:
            break
    if where == "after":
        return found.get(b"</body", found.get(b"</html", len(page)))
    at = found.get(b"<body", found.get(b"</head", found.get(b"<html")))
    if at is None:
        doctype = re.match(rb"(?:\xef\xbb\xbf|\s)*<!doctype[^>]{0,500}>", page, re.IGNORECASE)
        at = doctype.end() if doctype is not None else 0
    return at


def _closing(page: bytes, name: bytes, start: int) -> int:
    match = re.compile(b"</" + name[1:], re.IGNORECASE).search(page, start)
    return match.end() if match is not None else -1


def _referenced(line: str) -> str:
    """A line as ASCII markup, in pieces short enough for any line length; a break inside a tag is none on the page."""
    escaped = [html.escape(line[i : i + _CHUNK]) for i in range(0, len(line), _CHUNK)]
    return "<wbr\r\n>".join(p.encode("ascii", "xmlcharrefreplace").decode("ascii") for p in escaped)


def _fits(new: bytes, part: Part) -> bytes:
    if any(b"--" + boundary in new for boundary in part.boundaries):
        raise Unsafe("boundary")
    return new


def _anew(content: bytes, part: Part, decoded: bytes, codec: str, text: str, where: Where) -> list[Span]:
    """The whole part in UTF-8, with the two fields that say so."""
    old = _strictly(decoded, codec)
    new = _words(text, where, ends=old.endswith("\n") or not old)
    said = (new + old if where == "before" else old + new).encode("utf-8")
    said = re.sub(rb"\r\n|\r|\n", b"\r\n", said)
    quoted = sum(b > 126 for b in said) < len(said) // 6
    body = transfer.quoted(said) if quoted else transfer.based(said)
    spans = [Span(part.body, part.end, _fits(body, part))]
    spans += _type_spans(content, part)
    spans += _field_spans(content, part, b"content-transfer-encoding", b"quoted-printable" if quoted else b"base64")
    inserted = b"".join(s.new for s in spans if s.start == s.end == part.head_end)
    if part.message and not any(f.name == b"mime-version" for f in part.fields):
        inserted += b"MIME-Version: 1.0\r\n"
    spans = [s for s in spans if not s.start == s.end == part.head_end]
    return [*spans, Span(part.head_end, part.head_end, inserted)] if inserted else spans


def _strictly(decoded: bytes, codec: str) -> str:
    # Programs read Latin-1 as Windows does; strictly, it has no quotation marks but control characters.
    for name in ("cp1252", codec) if codec == "iso8859-1" else (codec, _WIDER.get(codec, codec)):
        try:
            return decoded.decode(name)
        except UnicodeError:
            continue
    raise Unsafe("charset")


def _type_spans(content: bytes, part: Part) -> list[Span]:
    """Edits after which Content-Type says UTF-8."""
    fields = [f for f in part.fields if f.name == b"content-type"]
    if not fields:
        return [Span(part.head_end, part.head_end, b"Content-Type: text/plain; charset=utf-8\r\n")]
    said = content[fields[0].start : fields[0].end]
    if b"(" in said or re.search(rb"(?i)charset\*", said):
        raise Unsafe("ambiguous")
    found = list(re.finditer(rb'(?i);\s*charset\s*=\s*("[^"\r\n]*"|[^\s;"]+)', said))
    if len(found) > 1:
        raise Unsafe("ambiguous")
    if found:
        at = fields[0].start + found[0].start(1)
        return [Span(at, fields[0].start + found[0].end(1), b"utf-8")]
    kind = re.match(rb"(?i)content-type[ \t]*:\s*text/plain", said)
    if kind is None:
        raise Unsafe("ambiguous")
    at = fields[0].start + kind.end()
    return [Span(at, at, b"; charset=utf-8")]


def _field_spans(content: bytes, part: Part, name: bytes, value: bytes) -> list[Span]:
    """The edit after which a field of the part has this value."""
    for found in part.fields:
        if found.name == name:
            at = content.index(b":", found.start) + 1
            return [Span(at, found.end, b" " + value + b"\r\n")]
    return [Span(part.head_end, part.head_end, name.title() + b": " + value + b"\r\n")]
