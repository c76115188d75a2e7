"""The slow path: the standard library reads what the fast parser refuses, within bounds.

It decodes what it can of a broken part so that rules see it, and says that it
is broken. Where even that would cost too much (deep nests, huge mails), the
raw bytes are read as one text.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from email import errors, policy
from email.header import decode_header
from email.message import Message as StdMessage
from email.parser import BytesHeaderParser, BytesParser
from typing import Any

from services.common.charsets import decode
from services.policy.core.base64s import base64_of, base64_readings
from services.policy.core.extract import Leaf, Limits, Reading
from services.policy.core.headers import readings
from services.policy.core.message import NotInspected, Reason

_DEFECTS = {
    errors.CloseBoundaryNotFoundDefect: "boundary-unclosed",
    errors.StartBoundaryNotFoundDefect: "boundary-missing",
    errors.NoBoundaryInMultipartDefect: "boundary-missing",
    errors.MissingHeaderBodySeparatorDefect: "header-broken",
}
_MAX_HEADER_BLOCK = 256 * 1024
_MAX_NESTS = 100

type Std = StdMessage[str, str]


def headers_of(raw: bytes) -> Mapping[str, tuple[str, ...]]:
    """The headers alone, decoded, lower-case names; what cannot be read is left as it stands."""
    end = raw.find(b"\r\n\r\n", 0, _MAX_HEADER_BLOCK)
    if end < 0:
        end = raw.find(b"\n\n", 0, _MAX_HEADER_BLOCK)
    block = raw[: end if end >= 0 else _MAX_HEADER_BLOCK]
    try:
        return _headers(BytesHeaderParser(policy=policy.compat32).parsebytes(block))
    except Exception:
        return {}


def read_slowly(raw: bytes, limits: Limits) -> Reading:
    """A reading of a mail that the fast parser refused; the mail as a whole is broken unless its parts say it."""
    if len(raw) > limits.max_slow or raw.lower().count(b"boundary") > _MAX_NESTS:
        return _as_text(raw, "broken" if len(raw) <= limits.max_slow else "too_large")
    try:
        root: Std = BytesParser(policy=policy.compat32).parsebytes(raw)
        reading = Reading(_headers(root))
        _walk(root, "", 0, reading, limits)
        return reading
    except Exception:
        return _as_text(raw, "broken")


def _as_text(raw: bytes, reason: Reason) -> Reading:
    reading = Reading(headers_of(raw), doubts=[NotInspected("", reason)], odd={"structure-unreadable"})
    reading.leaves.append(Leaf("1", "text/plain", "", "", False, raw))
    return reading


def _walk(part: Std, path: str, depth: int, reading: Reading, limits: Limits) -> None:
    if len(reading.leaves) >= limits.max_parts or depth > limits.max_depth:
        reading.doubts.append(NotInspected(path, "too_large"))
        return
    kind = part.get_content_type().lower()
    payload: Any = part.get_payload()
    if kind == "multipart/encrypted":
        reading.doubts.append(NotInspected(path, "encrypted"))
    if isinstance(payload, list):
        embedded = part.get_content_maintype() == "message"
        if embedded:
            inner = _headers(payload[0]) if payload else {}
            reading.leaves.append(
                Leaf(path or "1", kind, str(part.get("content-type", "")), _name(part), True, b"", inner, embedded=True)
            )
        reading.odd.update(_DEFECTS[type(d)] for d in part.defects if type(d) in _DEFECTS)
        for outside in (part.preamble, part.epilogue):
            if outside and outside.strip():
                reading.between += f"\n{outside}"
        for number, child in enumerate(payload, 1):
            _walk(child, f"{path}.{number}" if path else str(number), depth + embedded, reading, limits)
        return
    contents, broken = _contents(part)
    broken = broken or kind.startswith("multipart/") or bool(part.defects)
    if kind.startswith("multipart/"):
        reading.odd.add("boundary-missing")
    disposition = str(part.get("content-disposition", "")).strip().lower()
    name = _name(part)
    named = [str(v) for f in ("content-disposition", "content-type") for v in part.get_all(f, [])]
    others = tuple(n for n in readings(named, "filename", "name") if n != name)
    for content in contents:
        reading.leaves.append(
            Leaf(
                path or "1",
                "text/plain" if kind.startswith("multipart/") else kind,
                str(part.get("content-type", "")),
                name,
                disposition.startswith("attachment") or bool(name),
                content,
                doubt="broken" if broken else None,
                names=others,
            )
        )


def _contents(part: Std) -> tuple[list[bytes], bool]:
    """The decoded bytes, in every way programs may read them, and whether they may disagree."""
    encodings = [str(v).strip().lower() for v in part.get_all("content-transfer-encoding", [])]
    raw = _raw(part)
    if "base64" not in " ".join(encodings):
        known = all(e in ("7bit", "8bit", "binary", "quoted-printable") for e in encodings) and len(encodings) <= 1
        return [binascii.a2b_qp(raw) if "quoted-printable" in encodings else raw], not known
    decoded, sure = base64_of(raw)
    if len(encodings) > 1 or encodings[0] != "base64":
        # Some programs decode it, some do not: both readings are looked at.
        return [*base64_readings(raw), raw], True
    if sure:
        return [decoded if decoded or not raw.strip() else raw], False
    return base64_readings(raw) or [raw], True


def _raw(part: Std) -> bytes:
    payload = part.get_payload()
    return payload.encode("ascii", "surrogateescape") if isinstance(payload, str) else b""


def _headers(part: Std) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in part.items():
        key = name.strip().lower()
        found[key] = (*found.get(key, ()), _decoded(str(value)))
    return found


def _decoded(value: str) -> str:
    value = re.sub(r"\r?\n[ \t]?", " ", value)
    if "=?" not in value:
        return decode(value.encode("ascii", "surrogateescape"), "")[0] if not value.isascii() else value
    try:
        words = decode_header(value)
        return "".join(w if isinstance(w, str) else decode(w, charset or "")[0] for w, charset in words)
    except Exception:
        return value


def _name(part: Std) -> str:
    try:
        return _decoded(part.get_filename() or "")
    except Exception:
        return ""
