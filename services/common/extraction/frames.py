"""What the pool and a worker say to each other, over a socket pair and one sealed-off memory file a job.

To the worker: two lengths, of the header and of all, with a memory file: the header as JSON, then the contents of the
files. From the worker: frames of a letter, two lengths, JSON and UTF-8 text. The pool believes no
length, no type and no value: whoever took over a worker can say wrong things about the mail that it was given, and
nothing else.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from typing import Any

from services.common.extraction.budget import Limits
from services.common.extraction.kinds import KINDS
from services.common.extraction.model import REASONS, File, Piece

ASK = struct.Struct("<QQ")
HEAD = struct.Struct("<cII")
READY, PIECE, DONE, END, REFUSED = b"R", b"P", b"D", b"E", b"X"
_MAX_JSON = 16 * 1024
_MAX_SIZE = 1 << 53
_SHA256 = re.compile(r"(?:[0-9a-f]{64})?")
_CONTENT_TYPE = re.compile(r"[ -~]{0,1000}")


class Nonsense(Exception):
    """A worker said what no worker says."""


def request(files: Sequence[File], passwords: Sequence[str], seconds: float) -> bytes:
    """The header of a job; the contents follow it in the order of the files."""
    return json.dumps(
        {
            "files": [[f.part, f.name, f.content_type, len(f.content)] for f in files],
            "passwords": list(passwords),
            "seconds": seconds,
        }
    ).encode()


def frame(letter: bytes, head: Any = None, text: str | None = None) -> bytes:
    """One frame of a worker."""
    fields = b"" if head is None else json.dumps(head).encode()
    body = b"" if text is None else text.encode("utf-8", "replace")
    return HEAD.pack(letter, len(fields), len(body)) + fields + body


def piece_frame(piece: Piece) -> bytes:
    """A piece as a frame."""
    return frame(
        PIECE,
        [piece.part, piece.name, piece.content_type, piece.true_type, piece.size, piece.sha256, piece.text is not None,
         piece.encrypted, piece.macros, piece.problem],
        piece.text,
    )  # fmt: skip


def lengths(head: bytes, limits: Limits) -> tuple[bytes, int, int]:
    """Letter and lengths of the frame that begins so; raises `Nonsense`."""
    letter, fields, text = HEAD.unpack(head)
    if letter not in (READY, PIECE, DONE, END, REFUSED) or fields > _MAX_JSON or text > 4 * limits.text + 1024:
        raise Nonsense("frame")
    return letter, fields, text


def value(fields: bytes) -> Any:
    """The JSON of a frame; raises `Nonsense`."""
    try:
        return json.loads(fields) if fields else None
    except (ValueError, RecursionError) as error:
        raise Nonsense("JSON") from error


def piece(fields: bytes, text: bytes, of: File) -> Piece:
    """The piece of file `of` in a frame; raises `Nonsense` where anything in it cannot be."""
    match value(fields):
        case [str(part), str(name), str(declared), str(kind), int(size), str(sha256), bool(read), bool(encrypted),
              bool(macros), problem] if (
            (part == of.part or re.fullmatch(r"(?:/[1-9][0-9]{0,5}){1,64}", part.removeprefix(of.part)))
            and part.startswith(of.part)
            and kind in KINDS
            and 0 <= size < _MAX_SIZE
            and _SHA256.fullmatch(sha256)
            and _CONTENT_TYPE.fullmatch(declared)
            and (problem is None or problem in REASONS)
        ):  # fmt: skip
            found = text.decode("utf-8", "replace") if read else None
            return Piece(part, name, declared, kind, size, sha256, found, encrypted, macros, problem)
    raise Nonsense("piece")
