"""Reads a mail into the message model. Never raises; never says more was read than was.

A Rust parser reads the structure; what it cannot take goes through `slowmime.py` within bounds. Every header
block is looked at besides: where programs read it differently, the union of all readings is inspected
(`union.py`), and each ambiguity is named. Text between the parts, which no reader shows, is read too: it
carries things out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fast_mail_parser import PyLazyMimePart, parse_email_tree

from services.policy.core.base64s import base64_odd
from services.policy.core.content import SMIME, signed_content
from services.policy.core.extract import Inspection, Leaf, Limits, Reading, extracted, inspection_of
from services.policy.core.headers import BLANK, ENCODINGS, odd_header, oddities, readings
from services.policy.core.message import Message, NotInspected
from services.policy.core.slowmime import headers_of, read_slowly
from services.policy.core.union import boundaries, every_part, fresh

_MULTIPART = re.compile(rb"^content-type:[ \t\r\n]*multipart/", re.IGNORECASE | re.MULTILINE)
_BASE64 = re.compile(rb"^content-transfer-encoding[ \t]*:[^\n]*base64", re.IGNORECASE | re.MULTILINE)
_HARMLESS = frozenset(
    {"text-outside", "boundary-unclosed", "uuencode", "yenc", "data-address", "polyglot", "external-body"}
)
"""Codes that say nothing about where parts begin and how they are coded."""
_BROKEN = frozenset({"header-broken"})
_SILENCED = frozenset({"base64", "quoted-printable"})
_MIME_PREAMBLE = re.compile(r"(?i)\s*this is a (?:multi-?part|cryptographically|mime)[^\n]*(?:\s|$)")
_QUICK = ((b"\n--", 200), (b"<", 4000), (b"=?", 500))
_MAX_HEADER_BLOCK = 256 * 1024


DEFAULT = Limits()


class Laborious(Exception):
    """The mail asks for more than a moment."""


class _Unreadable(Exception):
    """The fast parser gave up."""


@dataclass(frozen=True, slots=True)
class _Place:
    node: PyLazyMimePart
    path: str
    depth: int


def inspect(raw: bytes, limits: Limits = DEFAULT, *, quick: bool = False) -> Inspection:
    """All of the mail that is read in this process, and the files that are not.

    `quick`: raises `Laborious` where it would take long for its size (many parts or tags, a union of readings).
    """
    if quick and any(raw.count(sign) > most for sign, most in _QUICK):
        raise Laborious
    if len(raw) > limits.max_bytes:
        return inspection_of(Reading(headers_of(raw), doubts=[NotInspected("", "too_large")]), limits)
    try:
        return inspection_of(_reading(raw, limits, quick=quick), limits)
    except Laborious:
        raise
    except Exception:
        # Whatever a hostile mail breaks in a parser is a fact about the mail.
        doubts = [NotInspected("", "broken")]
        return inspection_of(Reading(headers_of(raw), doubts=doubts, odd={"structure-unreadable"}), limits)


def read(raw: bytes, limits: Limits = DEFAULT) -> Message:
    """The mail as a message model where there is no sandbox: files are `unsupported`."""
    return extracted(inspect(raw, limits), None, limits, failed="unsupported")


def headers_only(raw: bytes, doubt: NotInspected) -> Message:
    """The headers of a mail that is not inspected further, and why it is not."""
    return inspection_of(Reading(headers_of(raw), doubts=[doubt]), Limits()).message


def _reading(raw: bytes, limits: Limits, *, quick: bool) -> Reading:
    """The usual reading, and where programs differ whatever the others have besides."""
    try:
        reading = _read_fast(raw, limits)
        fast = True
    except _Unreadable:
        if quick:
            raise Laborious from None
        reading = read_slowly(raw, limits)
        fast = False
        reading.odd |= _blocks(raw, boundaries(raw), Reading({}))
        reading.odd.update(() if reading.odd else ("structure-unreadable",))
    if reading.odd - _HARMLESS:
        if quick:
            raise Laborious
        usual = list(reading.leaves)
        if fast and len(raw) <= limits.max_slow:
            other = read_slowly(raw, limits)
            reading.leaves += fresh(other.leaves, usual)
            reading.odd |= other.odd
        reading.leaves += every_part(raw, limits, reading.leaves)
        for leaf in usual:
            # What is coded within a mail that is itself coded is not seen from outside.
            if leaf.embedded and leaf.content:
                reading.leaves += every_part(leaf.content, limits, reading.leaves)
        if len(reading.leaves) > limits.max_parts:
            reading.doubts.append(NotInspected("", "too_large"))
    return reading


def _tree(raw: bytes) -> PyLazyMimePart:
    try:
        return parse_email_tree(raw, mode="lazy")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust panic is no Exception
        raise _Unreadable from error


def _read_fast(raw: bytes, limits: Limits) -> Reading:
    root = _tree(raw)
    headers = _lowered(root.headers)
    reading = Reading(headers)
    marks: list[str] = []
    coded: list[bytes] = []
    stack = [_Place(root, "", 0)]
    while stack:
        place = stack.pop()
        node, path = place.node, place.path
        if len(reading.leaves) >= limits.max_parts or place.depth > limits.max_depth:
            reading.doubts.append(NotInspected(path, "too_large"))
            if len(reading.leaves) >= limits.max_parts:
                break
            continue
        own = headers if path == "" else _lowered(node.headers)
        kind = node.content_type.lower()
        children = node.children
        if kind.startswith("multipart/"):
            if not children:
                raise _Unreadable
            if kind == "multipart/encrypted":
                reading.doubts.append(NotInspected(path, "encrypted"))
            marks += readings(own.get("content-type", ()), "boundary")
        else:
            reading.leaves.append(_leaf(node, path or "1", own, kind))
            if node.is_message and not children:
                reading.doubts.append(NotInspected(path or "1", "broken"))
            if node.is_message and _encoding(own) in _SILENCED and (inside_raw := node.content):
                coded.append(inside_raw)
            if kind == "message/partial":
                reading.odd.add("message-partial")
            elif kind == "message/external-body":
                reading.odd.add("external-body")
        deeper = place.depth + 1 if node.is_message else place.depth
        base = f"{path}." if path else ""
        if not node.is_message and not kind.startswith("multipart/"):
            carried = _mail_in(kind, reading.leaves[-1])
            inside = _embed(reading, carried) if carried is not None else None
            if carried is not None and inside is not None:
                coded.append(carried)
                stack.append(_Place(inside, f"{path or '1'}.1", place.depth + 1))
        stack.extend(_Place(c, f"{base}{i}", deeper) for i, c in reversed(list(enumerate(children, 1))))
    for content in (raw, *coded):
        reading.odd |= _blocks(content, [m.encode("utf-8", "replace") for m in marks], reading)
    if reading.odd & _BROKEN:
        reading.doubts.append(NotInspected("", "broken"))
    return reading


def _encoding(headers: Mapping[str, tuple[str, ...]]) -> str:
    return " ".join(headers.get("content-transfer-encoding", ())).strip().lower()


def _leaf(node: PyLazyMimePart, path: str, headers: Mapping[str, tuple[str, ...]], kind: str) -> Leaf:
    encodings = headers.get("content-transfer-encoding", ())
    types = headers.get("content-type", ())
    if len(encodings) > 1 or (encodings and encodings[0].strip().lower() not in ENCODINGS):
        # Some programs decode it and some do not: the slow path looks at both readings.
        raise _Unreadable
    try:
        content = node.content
    except Exception as error:
        # Only the slow path decodes what it can of it.
        raise _Unreadable from error
    disposition = (node.disposition or "").lower()
    name, others = _names(node, headers)
    return Leaf(
        path=path,
        content_type=kind,
        header=", ".join(types),
        name=name,
        attachment=disposition.startswith("attachment") or bool(name),
        content=content or b"",
        headers=_inner(node) if node.is_message else {},
        embedded=node.is_message,
        doubt="broken" if len(types) > 1 or kind == "message/partial" else None,
        names=others,
    )


def _names(node: PyLazyMimePart, headers: Mapping[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """The name most programs show, and what others do."""
    fields = (*headers.get("content-disposition", ()), *headers.get("content-type", ()))
    if not any("name" in field.lower() for field in fields):
        return node.filename or "", ()
    named = readings(fields, "filename", "name")
    name = node.filename or (named[0] if named else "")
    return name, tuple(n for n in named if n != name)


def _mail_in(kind: str, leaf: Leaf) -> bytes | None:
    """The mail that a part is although its type is none of a mail: an `.eml`, what S/MIME signs."""
    if kind in SMIME or leaf.name.lower().endswith((".p7m", ".p7s")):
        return signed_content(leaf.content)
    return leaf.content if kind == "message/global" or leaf.name.lower().endswith(".eml") else None


def _embed(reading: Reading, content: bytes) -> PyLazyMimePart | None:
    """The mail in the last leaf, which the parser took for a file; the leaf becomes an embedded mail."""
    leaf = reading.leaves[-1]
    try:
        inside = _tree(content)
    except _Unreadable:
        reading.doubts.append(NotInspected(leaf.path, "broken"))
        return None
    reading.leaves[-1] = replace(leaf, embedded=True, headers=_lowered(inside.headers))
    return inside


def _inner(node: PyLazyMimePart) -> Mapping[str, tuple[str, ...]]:
    children = node.children
    return _lowered(children[0].headers) if children else {}


def _lowered(headers: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    lowered: dict[str, tuple[str, ...]] = {}
    for name, values in headers.items():
        key = name.strip().lower()
        lowered[key] = lowered[key] + tuple(values) if key in lowered else tuple(values)
    return lowered


def _blocks(raw: bytes, boundaries: Sequence[bytes], reading: Reading) -> set[str]:
    """Codes of all header blocks of a mail; text before the first and after the last part of each multipart
    (RFC 2046 §5.1.1), which nobody is shown, is added to the reading."""
    end = BLANK.search(raw, 0, _MAX_HEADER_BLOCK)
    found = oddities(raw[: end.start()] if end else raw[:_MAX_HEADER_BLOCK])
    if odd_header(raw):
        found.add("header-broken")
    if end and _BASE64.search(raw, 0, end.start()) and base64_odd(raw[end.end() :]):
        found.add("base64-odd")
    if not boundaries:
        return found
    marks = sorted(set(boundaries), key=len, reverse=True)
    hidden: list[bytes] = []
    closed: set[bytes] = set()
    for index, segment in enumerate((b"\n" + raw).split(b"\n--")):
        body = segment
        if index:
            mark = next((m for m in marks if segment.startswith(m)), None)
            if mark is None:
                continue
            line_end = segment.find(b"\n")
            after = segment[len(mark) : line_end if line_end >= 0 else len(segment)].strip()
            body = segment[line_end + 1 :] if line_end >= 0 else b""
            if after == b"--":
                closed.add(mark)
                if body.strip():
                    hidden.append(body)
                continue
            if after:
                found.add("boundary-odd")
            if mark in closed:
                found.add("after-close")
            if body.startswith((b"\r\n", b"\n")):
                continue
        end = BLANK.search(body)
        if index and end is not None:
            found |= oddities(body[: end.start()])
            if odd_header(body):
                found.add("header-broken")
            if _BASE64.search(body, 0, end.start()) and base64_odd(body[end.end() :]):
                found.add("base64-odd")
        if end and _MULTIPART.search(body, 0, end.start()) and body[end.end() :].strip():
            hidden.append(body[end.end() :])
    between = b"\n".join(hidden).decode("utf-8", "replace")
    if _MIME_PREAMBLE.sub("", between).strip():
        found.add("text-outside")
    reading.between += between
    return found
