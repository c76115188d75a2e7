"""The third reading of a mail that programs read differently: every part that any of them may find.

It follows no structure. A line that begins like any boundary named anywhere, or that stands before a Content
field, begins a part; a part is decoded in every way that its header or its looks suggest, and read under every
type it claims. Mails found in parts are read the same way. Bounded in parts, depth and bytes.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable

from services.policy.core.base64s import base64_readings
from services.policy.core.extract import Leaf, Limits
from services.policy.core.headers import BLANK, readings, without_comments

_BOUNDARY = re.compile(rb"boundary[^\r\n]{0,2000}(?:\r?\n[ \t][^\r\n]{0,2000}){0,20}", re.IGNORECASE)
_BEFORE_FIELDS = re.compile(
    rb"^--([^\r\n]{1,200}?)[ \t]*\r?\n(?=(?:content-|mime-version)[^\r\n:]{0,40}:)", re.I | re.M
)
_FIELD = re.compile(rb"^[ \t]*([!-9;-~]{1,76})[ \t]*:((?:[^\n]|\n[ \t])*)", re.MULTILINE)
_LIKE_A_MAIL = re.compile(
    rb"\s{0,8}(?:[!-9;-~]{1,76}[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*){0,40}?"
    rb"(?:subject|from|to|date|mime-version|content-[a-z-]{1,30})[ \t]*:",
    re.IGNORECASE,
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]{8,}\Z")
_QP = re.compile(rb"=(?:[0-9A-Fa-f]{2}|[ \t]*\r?\n)")
_MAX_BOUNDARIES = 200
_MAX_TIMES = 4


def every_part(raw: bytes, limits: Limits, known: Iterable[Leaf]) -> list[Leaf]:
    """The parts that `known` does not have; their places are `0.1`, `0.2`, …"""
    scan = _Scan(limits, len(raw) * _MAX_TIMES + 1_000_000)
    for leaf in known:
        scan.seen.add(_mark(leaf.content_type, leaf.content))
    scan.mail(raw, 0)
    return scan.found


def fresh(leaves: Iterable[Leaf], known: Iterable[Leaf]) -> list[Leaf]:
    """Those of the leaves whose content is in none of the known ones."""
    seen = {_mark(leaf.content_type, leaf.content) for leaf in known}
    return [leaf for leaf in leaves if not leaf.embedded and _mark(leaf.content_type, leaf.content) not in seen]


class _Scan:
    def __init__(self, limits: Limits, room: int) -> None:
        self._limits, self._room = limits, room
        self.found: list[Leaf] = []
        self.seen: set[tuple[bool, bytes]] = set()

    def mail(self, raw: bytes, depth: int) -> None:
        """Read bytes as a mail, or a part with its header."""
        if depth > self._limits.max_depth:
            return
        marks = boundaries(raw)
        segments = (
            re.split(rb"^--(?:" + b"|".join(map(re.escape, marks)) + rb")[^\n]*\n?", raw, flags=re.M)
            if marks
            else [raw]
        )
        for segment in segments:
            if len(self.found) >= self._limits.max_parts or self._room <= 0:
                return
            self._part(segment, depth)

    def _part(self, segment: bytes, depth: int) -> None:
        blank = BLANK.search(segment)
        if segment.startswith((b"\n", b"\r\n")):
            header, body = b"", segment
        elif blank is None:
            header, body = segment, b""
        else:
            header, body = segment[: blank.start()], segment[blank.end() :]
        fields: dict[str, list[str]] = {}
        for name, value in _FIELD.findall(header):
            fields.setdefault(name.decode("ascii").lower().replace("_", "-"), []).append(
                value.decode("utf-8", "replace")
            )
        if not fields or not body:
            # No header at all, or nothing else: it is a text for those who do not look for one.
            self._leaf("text/plain", "", (), segment)
        types = [without_comments(v).strip() for v in fields.get("content-type", ["text/plain"])]
        names = readings((*fields.get("content-disposition", ()), *fields.get("content-type", ())), "filename", "name")
        attached = any("attachment" in v.lower() for v in fields.get("content-disposition", ()))
        for content, decoded in _contents(body, " ".join(fields.get("content-transfer-encoding", ())).lower()):
            for header_value in dict.fromkeys(types):
                kind = "".join(header_value.partition(";")[0].lower().split()) or "text/plain"
                if kind.startswith("multipart/"):
                    kind = "text/plain"
                self._leaf(kind, header_value, names, content, attached=attached)
                head = content[:20_000]
                parts = decoded and head.lstrip().startswith(b"--")
                if parts or ((decoded or kind.startswith("message/")) and _LIKE_A_MAIL.match(head)):
                    self.mail(content, depth + 1)

    def _leaf(self, kind: str, header: str, names: tuple[str, ...], content: bytes, *, attached: bool = False) -> None:
        mark = _mark(kind, content)
        if mark in self.seen or not content.strip():
            return
        self.seen.add(mark)
        self._room -= len(content)
        name = names[0] if names else ""
        self.found.append(
            Leaf(f"0.{len(self.found) + 1}", kind, header, name, attached or bool(name), content, names=names[1:])
        )


def _mark(kind: str, content: bytes) -> tuple[bool, bytes]:
    return "html" in kind, hashlib.sha256(b"".join(content.split())).digest()


def boundaries(raw: bytes) -> list[bytes]:
    """Whatever any program may take for a boundary, the longest first."""
    found: dict[bytes, None] = {}
    for value in _BOUNDARY.findall(raw):
        for reading in readings([value.decode("utf-8", "replace")], "boundary"):
            if reading.strip("-"):
                found[reading.encode("utf-8", "replace")] = None
        if len(found) >= _MAX_BOUNDARIES:
            break
    for line in _BEFORE_FIELDS.findall(raw):
        if len(found) >= _MAX_BOUNDARIES:
            break
        found[line] = None
    return sorted(found, key=len, reverse=True)


def _contents(body: bytes, encoding: str) -> list[tuple[bytes, bool]]:
    """The body in every coding that may be meant, and whether it was decoded."""
    forms: dict[bytes, bool] = {}
    encoding = without_comments(encoding).strip().strip("\"';")
    if encoding not in ("base64", "quoted-printable"):
        forms[body] = False
    if "base64" in encoding or _BASE64.match(body):
        for decoded in base64_readings(body):
            forms.setdefault(decoded, True)
    if "quoted" in encoding or _QP.search(body):
        forms.setdefault(binascii.a2b_qp(re.sub(rb"[ \t]+(?=\r?\n)", b"", body)), True)
    return list(forms.items())
