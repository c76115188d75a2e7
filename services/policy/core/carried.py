"""Files inside of texts: uuencode and yEnc, as old programs write them, and `data:` addresses of pages."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote_to_bytes

from services.common.extraction.kinds import content_type, true_type

_UU = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ([^\r\n]{1,255})\r?\n", re.MULTILINE)
_YENC = re.compile(rb"^=ybegin [^\r\n]{0,400}?name=([^\r\n]{1,255})\r?\n(?:=ypart [^\r\n]{0,200}\r?\n)?", re.MULTILINE)
_DATA = re.compile(
    rb"data:([\w.+-]{0,60}/?[\w.+-]{0,80})[^,\"'<>\s]{0,100};base64,((?:[A-Za-z0-9+/=%]|[\r\n\t ]){16,})"
)
_SHIFTED = bytes((i - 42) % 256 for i in range(256))
_ESCAPED = re.compile(rb"=(.)", re.DOTALL)
_MAX_FILES = 50


@dataclass(frozen=True, slots=True)
class Carried:
    """A file found in a text; `whole` says that it could be decoded to its end."""

    name: str
    content: bytes
    kind: str
    whole: bool


def carried(content: bytes) -> list[Carried]:
    """The files in the bytes of a text; parts of one that is cut are given as far as they go."""
    found: list[Carried] = []
    if b";base64," in content:
        found += _data(content)
    if b"begin" not in content:
        return found
    begins = list(islice(_UU.finditer(content), _MAX_FILES))
    for start, limit in zip(begins, [*(b.start() for b in begins[1:]), len(content)], strict=False):
        decoded, whole = _uu(content, start.end(), limit, base64=start[0].startswith(b"begin-base64"))
        if decoded:
            found.append(Carried(start[1].decode("utf-8", "replace").strip(), decoded, "uuencode", whole))
    starts = list(islice(_YENC.finditer(content), _MAX_FILES - len(found)))
    for number, start in enumerate(starts):
        # Without an end of its own a file ends where the next begins.
        limit = starts[number + 1].start() if number + 1 < len(starts) else len(content)
        end = content.find(b"\n=yend", start.end(), limit)
        body = content[start.end() : end if end >= 0 else limit].replace(b"\r", b"").replace(b"\n", b"")
        plain = _ESCAPED.sub(lambda m: bytes([(m[1][0] - 64) % 256]), body).translate(_SHIFTED)
        found.append(Carried(start[1].decode("utf-8", "replace").strip(), plain, "yenc", end >= 0))
    return found


def _data(content: bytes) -> list[Carried]:
    """Files in `data:` addresses (RFC 2397), but for pictures and fonts that are some."""
    found = []
    for match in islice(_DATA.finditer(content), _MAX_FILES):
        plain = unquote_to_bytes(match[2]) if b"%" in match[2] else match[2]
        letters = b"".join(plain.split()).rstrip(b"=")
        letters = letters[: len(letters) - (len(letters) % 4 == 1)]
        decoded = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
        if not content_type(true_type(decoded)).startswith(("image/", "font/")) or b"image/svg" in match[1].lower():
            name = f"data.{match[1].decode('ascii', 'replace').rpartition('/')[2][:20] or 'txt'}"
            found.append(Carried(name, decoded, "data-address", True))
    return found


def _uu(content: bytes, position: int, limit: int, *, base64: bool) -> tuple[bytes, bool]:
    decoded: list[bytes] = []
    while position < limit:
        stop = content.find(b"\n", position, limit)
        stop = stop if stop >= 0 else limit
        line = content[position:stop].rstrip(b"\r")
        position = stop + 1
        if line in (b"end", b"===="):
            return b"".join(decoded), True
        try:
            if base64:
                decoded.append(binascii.a2b_base64(line))
                continue
            if not line.strip(b"` "):
                continue
            # Some programs drop the spaces at the end of a line, others add a sign.
            size = (((line[0] - 32) & 63) * 4 + 5) // 3
            decoded.append(binascii.a2b_uu(line[:size].ljust(size)))
        except (binascii.Error, ValueError):
            return b"".join(decoded), False
    return b"".join(decoded), False
