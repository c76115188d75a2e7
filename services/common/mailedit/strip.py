"""Attachments taken out by name, each replaced by a note that says what was there and why it is not."""

from __future__ import annotations

import fnmatch
import unicodedata
from collections.abc import Sequence

from services.common.mailedit.banner import Left, note
from services.common.mailedit.draft import Span
from services.common.mailedit.parts import Part

_WHY = "An attachment was removed by a rule of the organisation."
_HIDDEN = ("Cf", "Cc", "Mn")


def take_out(content: bytes, root: Part, globs: Sequence[str], why: str) -> tuple[list[Span], list[str], list[Left]]:
    """The edits, the parts that they replace, and what is left alone."""
    spans: list[Span] = []
    changed: list[str] = []
    left: list[Left] = []

    def visit(part: Part, protection: str) -> None:
        inside = protection or part.protection
        if part.problem == "too_complex" or (part.problem and part.type.startswith("multipart/")):
            left.append((part.path, part.problem))
        if _is_attachment(part) and _matches(part, globs):
            if inside:
                left.append((part.path, inside))
            elif part.message and part.body == part.head_end:
                left.append((part.path, "broken"))
            else:
                spans.extend(_replaced(content, part, why))
                changed.append(part.path)
                return
        for child in part.children:
            visit(child, inside)

    visit(root, "")
    return spans, changed, left


def _is_attachment(part: Part) -> bool:
    """Whether it is a file to its reader: a part with a name, or one that is neither text nor a list of parts."""
    if part.names or part.attached:
        return True
    return not part.is_text and not part.children and not part.type.startswith("multipart/")


def _matches(part: Part, globs: Sequence[str]) -> bool:
    names = part.names or ("",)
    return any(fnmatch.fnmatchcase(_folded(name), _folded(glob)) for name in names for glob in globs)


def _folded(name: str) -> str:
    """A name as rules compare it: compatibility forms, case, and what nobody sees left aside."""
    kept = "".join(c for c in unicodedata.normalize("NFKC", name[:1000]) if unicodedata.category(c) not in _HIDDEN)
    return kept.casefold().strip(" .")[:300]


def _replaced(content: bytes, part: Part, why: str) -> list[Span]:
    name = part.names[0] if part.names else "(no name)"
    size = part.end - part.body
    said = note(f"{why.strip() or _WHY}\n\nRemoved: {name[:200]} ({part.type}, {size} bytes as sent)")
    if not part.message:
        return [Span(part.start, part.end, said.removesuffix(b"\r\n"))]
    head, _, body = said.partition(b"\r\n\r\n")
    fields = [f for f in part.fields if f.name.startswith(b"content-")]
    spans = [Span(f.start, f.end, b"" if i else head + b"\r\n") for i, f in enumerate(fields)]
    return [*spans, Span(part.body, part.end, body)]
