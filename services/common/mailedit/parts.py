"""Where the parts of a mail are in its bytes: a reading for editing, which doubts rather than guesses.

Works on clean content (CRLF only). What has two readings is `ambiguous`, what
has none is `broken`; an edit then leaves it alone. Depth, number and size of
heads are bounded.
"""

from __future__ import annotations

import email
import email.utils
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.header import decode_header, make_header
from email.message import Message
from typing import Literal

_DEPTH, _PARTS, _HEAD = 30, 2000, 256 * 1024
_ABOUT, _PARAMETERS = 4 * 1024, 100
"""Most bytes and parameters of a part's Content fields: the time to read them grows with the square of their number."""
_FIELD = re.compile(rb"([^\r\n]+)(?:\r\n|\Z)(?:[ \t][^\r\n]*(?:\r\n|\Z))*")
_NAME = re.compile(rb"([!-9;-~]{1,100})[ \t]*:")
_REST = re.compile(rb"(--)?[ \t]*(?=\r\n|\Z)")
_CONTENT = (b"content-type", b"content-transfer-encoding", b"content-disposition")

type Problem = Literal["", "broken", "ambiguous", "too_complex"]
type Protection = Literal["", "signed", "encrypted"]


@dataclass(frozen=True, slots=True)
class Field:
    """A header field: its name in lower case, and where it is with its final CRLF."""

    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part: fields from `start` to `head_end`, body from `body` to `end`; its boundary line begins at `delimiter`."""

    path: str
    start: int
    head_end: int
    body: int
    end: int
    type: str
    charset: str
    encoding: str
    names: tuple[str, ...] = ()
    attached: bool = False
    fields: tuple[Field, ...] = ()
    children: tuple[Part, ...] = ()
    boundaries: tuple[bytes, ...] = ()
    delimiter: int = -1
    problem: Problem = ""
    protection: Protection = ""
    message: bool = False
    """Whether its head is a mail's, with fields that are not about this part alone."""

    def walk(self) -> Iterator[Part]:
        """This part and all inside it."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def is_text(self) -> bool:
        """Whether people read it as the mail's text."""
        return self.type in ("text/plain", "text/html") and not self.attached and not self.names


@dataclass
class _Budget:
    parts: int = _PARTS


def read(content: bytes) -> Part:
    """The parts of a mail. Never raises."""
    return _read(content, 0, len(content), "", (), "text/plain", 0, _Budget(), message=True)


def _read(
    content: bytes,
    start: int,
    end: int,
    path: str,
    boundaries: tuple[bytes, ...],
    default: str,
    depth: int,
    budget: _Budget,
    *,
    message: bool = False,
) -> Part:
    head_end, body = _head(content, start, end)
    budget.parts -= 1
    unread = Part(path or "1", start, head_end, body, end, default, "", "", problem="too_complex", message=message)
    if head_end - start > _HEAD or depth > _DEPTH or budget.parts < 0:
        return unread
    fields = tuple(_fields(content, start, head_end))
    mine = [f for f in fields if f.name in _CONTENT]
    about = b"".join(content[f.start : f.end] for f in mine)
    if len(about) > _ABOUT or about.count(b";") > _PARAMETERS:
        return replace(unread, fields=fields)
    parsed = _parsed(about)
    kind = parsed.get_content_type() if any(f.name == b"content-type" for f in mine) else default
    part = Part(
        path or "1",
        start,
        head_end,
        body,
        end,
        kind,
        _charset(parsed),
        _encoding(parsed),
        _names(parsed),
        _attached(parsed),
        fields,
        boundaries=boundaries,
        problem="ambiguous" if len({f.name for f in mine}) < len(mine) else "",
        protection=_protection(parsed, kind),
        message=message,
    )
    if kind.startswith("multipart/"):
        return _multipart(content, part, path, parsed, depth, budget)
    if kind in ("message/rfc822", "message/global") and part.encoding in ("", "7bit", "8bit", "binary"):
        child = _read(content, body, end, _sub(path, 1), boundaries, "text/plain", depth + 1, budget, message=True)
        return replace(part, children=(child,))
    return part


def _multipart(content: bytes, part: Part, path: str, parsed: Message, depth: int, budget: _Budget) -> Part:
    boundary = _boundary(parsed)
    if not boundary or part.encoding not in ("", "7bit", "8bit", "binary"):
        return replace(part, problem=part.problem or "broken")
    default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
    children: list[Part] = []
    inside = (*part.boundaries, boundary)
    begun = -1
    delimiter = -1
    for at, after, last in _delimiters(content, part.body, part.end, boundary):
        if begun >= 0:
            stop = max(begun, at - 2)
            child = _read(content, begun, stop, _sub(path, len(children) + 1), inside, default, depth + 1, budget)
            children.append(replace(child, delimiter=delimiter))
        begun, delimiter = (-1 if last else after), at
        if last or budget.parts < 0:
            break
    if begun >= 0:
        child = _read(content, begun, part.end, _sub(path, len(children) + 1), inside, default, depth + 1, budget)
        children.append(replace(child, delimiter=delimiter))
    problem: Problem = part.problem or ("" if children else "broken")
    if budget.parts < 0:
        problem = "too_complex"
    return replace(part, children=tuple(children), problem=problem)


def _delimiters(content: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Each boundary line: its start, the start of the line after it, whether it closes."""
    mark = b"--" + boundary
    at = start if content.startswith(mark, start) else _next(content, start, end, mark)
    while 0 <= at < end:
        rest = _REST.match(content, at + len(mark), end)
        if rest is None:
            at = _next(content, at + len(mark), end, mark)
            continue
        after = min(rest.end() + 2, end)
        yield at, after, rest[1] is not None
        at = _next(content, max(after - 2, at + len(mark)), end, mark)


def _next(content: bytes, start: int, end: int, mark: bytes) -> int:
    found = content.find(b"\r\n" + mark, start, end)
    return found + 2 if found >= 0 else -1


def _head(content: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the fields end and where the body begins."""
    if content.startswith(b"\r\n", start, end):
        return start, start + 2
    found = content.find(b"\r\n\r\n", start, end)
    return (end, end) if found < 0 else (found + 2, found + 4)


def _fields(content: bytes, start: int, end: int) -> Iterator[Field]:
    for match in _FIELD.finditer(content, start, end):
        named = _NAME.match(match[1])
        yield Field(named[1].lower() if named else b"", match.start(), match.end())


def _sub(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)


def _parsed(head: bytes) -> Message:
    return email.message_from_bytes(head + b"\r\n")


def _quietly(value: object) -> str:
    return value if isinstance(value, str) else ""


def _charset(parsed: Message) -> str:
    try:
        return _quietly(parsed.get_content_charset()).strip()
    except (LookupError, ValueError, TypeError):
        return "unknown"


def _encoding(parsed: Message) -> str:
    return str(parsed.get("content-transfer-encoding", "")).strip().lower()


def _boundary(parsed: Message) -> bytes:
    try:
        found = _quietly(parsed.get_boundary())
        return found.encode("ascii", "surrogateescape")[:200]
    except (LookupError, ValueError, TypeError):
        return b""


def _attached(parsed: Message) -> bool:
    return any(str(v).strip().lower().startswith("attachment") for v in parsed.get_all("content-disposition", []))


def _names(parsed: Message) -> tuple[str, ...]:
    """Every name that some program may show for the part."""
    found: dict[str, None] = {}
    for header in ("content-disposition", "content-type"):
        for value in parsed.get_all(header, []):
            alone = Message()
            alone["content-disposition"] = value
            for key in ("filename", "name"):
                try:
                    said = alone.get_param(key, None, "content-disposition")
                    if said is None:
                        continue
                    raw = email.utils.collapse_rfc2231_value(said)
                except (LookupError, ValueError, TypeError):
                    found["?"] = None
                    continue
                found |= dict.fromkeys(n for n in (raw, _decoded(raw), _raw(raw)) if n)
    return tuple(found)


def _decoded(name: str) -> str:
    try:
        return str(make_header(decode_header(name)))
    except (LookupError, ValueError, TypeError):
        return ""


def _raw(name: str) -> str:
    """A name with bytes outside ASCII, as UTF-8."""
    return "" if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _protection(parsed: Message, kind: str) -> Protection:
    """Whether an edit inside would break a signature, or find nothing but cipher text."""
    if kind == "multipart/signed":
        return "signed"
    if kind in ("multipart/encrypted", "application/pgp-encrypted"):
        return "encrypted"
    if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        try:
            said = _quietly(parsed.get_param("smime-type", "")).lower()
        except (LookupError, ValueError, TypeError):
            said = ""
        return "signed" if said == "signed-data" else "encrypted"
    return ""
