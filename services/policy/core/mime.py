"""Reads a mail into the message model. Never raises; never says more was read than was.

A Rust parser reads the structure; what it cannot take goes through
`slowmime.py` within bounds. What another program may read differently
(two encodings, a line that is no header) is read and said to be broken. Text
between the parts, which no reader shows, is read too: it carries things out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fast_mail_parser import PyLazyMimePart, parse_email_tree

from services.policy.core.extract import Leaf, Limits, Reading, message_of
from services.policy.core.message import Message, NotInspected
from services.policy.core.slowmime import headers_of, read_slowly

_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
_BOUNDARY = re.compile(r"""boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""", re.IGNORECASE)
_MULTIPART = re.compile(rb"^content-type:[ \t\r\n]*multipart/", re.IGNORECASE | re.MULTILINE)
_NO_HEADER = re.compile(rb"^(?![!-9;-~]+[ \t]*:|[ \t]|\r?$)", re.MULTILINE)
_BLANK = re.compile(rb"\r?\n\r?\n")


DEFAULT = Limits()


class _Unreadable(Exception):
    """The fast parser gave up."""


@dataclass(frozen=True, slots=True)
class _Place:
    node: PyLazyMimePart
    path: str
    depth: int


def read(raw: bytes, limits: Limits = DEFAULT) -> Message:
    """The mail as a message model, with everything that was not read in `not_inspected`."""
    if len(raw) > limits.max_bytes:
        return message_of(Reading(headers_of(raw), doubts=[NotInspected("", "too_large")]), limits)
    try:
        try:
            reading = _read_fast(raw, limits)
        except _Unreadable:
            reading = read_slowly(raw, limits)
        return message_of(reading, limits)
    except Exception:
        # Whatever a hostile mail breaks in a parser is a fact about the mail.
        return message_of(Reading(headers_of(raw), doubts=[NotInspected("", "broken")]), limits)


def headers_only(raw: bytes, doubt: NotInspected) -> Message:
    """The headers of a mail that is not inspected further, and why it is not."""
    return message_of(Reading(headers_of(raw), doubts=[doubt]), Limits())


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
    if odd_header(raw):
        reading.doubts.append(NotInspected("", "broken"))
    boundaries: list[str] = []
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
            if found := _BOUNDARY.search(", ".join(own.get("content-type", ()))):
                boundaries.append(re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2])
        else:
            reading.leaves.append(_leaf(node, path or "1", own, kind))
            if node.is_message and not children:
                reading.doubts.append(NotInspected(path or "1", "broken"))
        deeper = place.depth + 1 if node.is_message else place.depth
        base = f"{path}." if path else ""
        if not node.is_message and reading.leaves and _is_mail(kind, reading.leaves[-1]):
            inside = _embed(reading)
            if inside is not None:
                stack.append(_Place(inside, f"{path or '1'}.1", place.depth + 1))
        stack.extend(_Place(c, f"{base}{i}", deeper) for i, c in reversed(list(enumerate(children, 1))))
    if boundaries:
        reading.between = between(raw, boundaries, reading)
    return reading


def _leaf(node: PyLazyMimePart, path: str, headers: Mapping[str, tuple[str, ...]], kind: str) -> Leaf:
    encodings = headers.get("content-transfer-encoding", ())
    types = headers.get("content-type", ())
    if len(encodings) > 1 or (encodings and encodings[0].strip().lower() not in _ENCODINGS):
        # Some programs decode it and some do not: the slow path looks at both readings.
        raise _Unreadable
    try:
        content = node.content
    except Exception as error:
        # Only the slow path decodes what it can of it.
        raise _Unreadable from error
    disposition = (node.disposition or "").lower()
    return Leaf(
        path=path,
        content_type=kind,
        header=", ".join(types),
        name=node.filename or "",
        attachment=disposition.startswith("attachment") or bool(node.filename),
        content=content or b"",
        headers=_inner(node) if node.is_message else {},
        embedded=node.is_message,
        doubt="broken" if len(types) > 1 or kind == "message/partial" else None,
    )


def _is_mail(kind: str, leaf: Leaf) -> bool:
    return not kind.startswith("multipart/") and (kind == "message/global" or leaf.name.lower().endswith(".eml"))


def _embed(reading: Reading) -> PyLazyMimePart | None:
    """The mail in the last leaf, which the parser took for a file; the leaf becomes an embedded mail."""
    leaf = reading.leaves[-1]
    try:
        inside = _tree(leaf.content)
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


def odd_header(block: bytes) -> bool:
    """Whether a header block has a line that is none: some programs end the header there, others go on."""
    end = _BLANK.search(block)
    header = block[: end.start()] if end else block[:65536]
    if end is None and b":" not in block[:1000]:
        return False
    return _NO_HEADER.search(header) is not None


def between(raw: bytes, boundaries: list[str], reading: Reading) -> str:
    """Text before the first and after the last part of each multipart (RFC 2046 §5.1.1), which nobody is shown."""
    marks = sorted((b.encode("utf-8", "replace") for b in boundaries), key=len, reverse=True)
    hidden: list[bytes] = []
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
                if body.strip():
                    hidden.append(body)
                continue
            if odd_header(body) and _BLANK.search(body) and not body.startswith((b"\r\n", b"\n")):
                reading.doubts.append(NotInspected("", "broken"))
        end = _BLANK.search(body)
        if end and _MULTIPART.search(body, 0, end.start()) and body[end.end() :].strip():
            hidden.append(body[end.end() :])
    return b"\n".join(hidden).decode("utf-8", "replace")
