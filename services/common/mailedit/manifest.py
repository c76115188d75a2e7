"""The manifest of a changed mail: enough to have the original back from what was delivered, byte for byte.

Canonical JSON:

    {"version": 1,
     "original": {"size", "sha256"}, "delivered": {"size", "sha256"},
     "newlines": {"lines": [["lf", 3], ["crlf", 1]], "nul": [17]},      only where bare CR, LF or NUL were taken out
     "spans": [{"original": [offset, length], "delivered": [offset, length], "old": "…", "sha256": "…"}],
     "changes": [{"kind", "rule", "parts"}], "left": [{"kind", "rule", "part", "reason"}]}

The new bytes of a span are those of the delivered mail at its place. `old` is base64 of the deflated old bytes; where
they are too large to keep twice (a stripped attachment), their SHA-256 stands alone, and they are
`[offset, length]` of the archived original. Offsets of `original` are those after the newlines were cleaned.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from services.common import newlines
from services.common.errors import Corrupt, NotFound
from services.common.mailedit.draft import Replaced

_INLINE, _ALL = 8 * 1024, 48 * 1024
"""Largest deflated bytes of one span, and of all, that the manifest itself holds."""
_BREAK = re.compile(rb"\r\n|\r|\n")
_NAMES = {b"\r\n": "crlf", b"\r": "cr", b"\n": "lf"}
_BYTES = {name: raw for raw, name in _NAMES.items()}
_MOST = 1 << 30


def build(
    original: bytes,
    clean: bytes,
    delivered: bytes,
    replaced: Sequence[Replaced],
    changes: Sequence[Mapping[str, Any]],
    left: Sequence[Mapping[str, Any]],
) -> bytes:
    """The manifest of `original`, which became `clean` by its newlines alone, and `delivered` by the rest."""
    document: dict[str, Any] = {
        "version": 1,
        "original": _named(original),
        "delivered": _named(delivered),
        "spans": _spans(clean, replaced),
        "changes": list(changes),
        "left": list(left),
    }
    if clean is not original:
        document["newlines"] = _newlines(original)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def rebuild(delivered: bytes, manifest: bytes, *, archived: bytes | None = None) -> bytes:
    """The original of what was delivered (without our trace headers).

    `archived` is asked only for what the manifest holds by hash alone. Raises `Corrupt` when delivered, manifest and
    archived mail do not belong together, `NotFound` when it would need `archived`.
    """
    try:
        document = json.loads(manifest)
        if _named(delivered) != document["delivered"]:
            raise Corrupt("these are not the bytes that were delivered")
        clean = _undone(delivered, document, archived)
        said = document.get("newlines")
        original = _with_newlines(clean, said) if said is not None else clean
        if _named(original) != document["original"]:
            raise Corrupt("the original does not match its hash")
        return original
    except (ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
        raise Corrupt("manifest is malformed") from error


def _named(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _spans(clean: bytes, replaced: Sequence[Replaced]) -> list[dict[str, Any]]:
    spans, room = [], _ALL
    for one in replaced:
        old = clean[one.start : one.end]
        span: dict[str, Any] = {
            "original": [one.start, one.end - one.start],
            "delivered": [one.at, one.length],
        }
        packed = zlib.compress(old, 9) if 0 < len(old) <= 64 * _INLINE else b""
        if old and packed and len(packed) <= min(_INLINE, room):
            room -= len(packed)
            span["old"] = base64.b64encode(packed).decode("ascii")
        elif old:
            span["sha256"] = hashlib.sha256(old).hexdigest()
        spans.append(span)
    return spans


def _undone(delivered: bytes, document: Mapping[str, Any], archived: bytes | None) -> bytes:
    parts, position, clean = [], 0, None
    for span in document["spans"]:
        (start, size), (at, length) = span["original"], span["delivered"]
        if not position <= at <= at + length <= len(delivered):
            raise Corrupt("spans are not in order")
        parts.append(delivered[position:at])
        position = at + length
        if "old" in span:
            old = zlib.decompressobj().decompress(base64.b64decode(span["old"], validate=True), _MOST)
        elif "sha256" in span:
            if archived is None:
                raise NotFound("what was taken out is only in the archived mail")
            if clean is None:
                clean = newlines.normalise(archived) if "newlines" in document else archived
            old = clean[start : start + size]
            if hashlib.sha256(old).hexdigest() != span["sha256"]:
                raise Corrupt("the archived mail is another one")
        else:
            old = b""
        if len(old) != size:
            raise Corrupt("a span has another size")
        parts.append(old)
    parts.append(delivered[position:])
    return b"".join(parts)


def _newlines(original: bytes) -> dict[str, Any]:
    """Which line ends the original has, in runs, and where its NUL bytes are."""
    runs: list[list[Any]] = []
    for match in _BREAK.finditer(original.replace(b"\0", b"")):
        name = _NAMES[match[0]]
        if runs and runs[-1][0] == name:
            runs[-1][1] += 1
        else:
            runs.append([name, 1])
    return {"lines": runs, "nul": [m.start() for m in re.finditer(rb"\0", original)]}


def _with_newlines(clean: bytes, said: Mapping[str, Any]) -> bytes:
    lines = clean.split(b"\r\n")
    ends = [_BYTES[name] for name, count in said["lines"] for _ in range(min(count, len(lines)))]
    if len(ends) != len(lines) - 1:
        raise Corrupt("line ends do not fit")
    plain = b"".join(line + end for line, end in zip(lines, [*ends, b""], strict=True))
    parts, position = [], 0
    for number, at in enumerate(said["nul"]):
        parts.append(plain[position : at - number])
        position = at - number
    return b"\0".join([*parts, plain[position:]])
