"""Words as the index knows them: caseless, width-less, simplified and traditional alike, and with positions.

A text of letters and digits is cut into words. Chinese, Japanese and Korean write no spaces, so a run of their
characters becomes its pairs at consecutive positions: a phrase of pairs is an exact substring. One character has no
pair, so a second reading puts every character and every word at a position of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from operator import add

type Fold = Callable[[str], str]
"""Makes characters that differ only in how they are written alike."""

GAP = ""
"""Stands where two texts meet, so that no phrase reaches from one into the other."""

_CJK = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u3096\u3099-\u309f"
    "\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_ASCII = re.compile("[0-9a-z]+")
# Where a line ends between two such characters, a mail program has wrapped, not the writer.
_WRAPPED = re.compile(rf"(?<=[{_CJK}])[ \t]*\r?\n[ \t]*(?=[{_CJK}])")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e01ef]+"
)


@cache
def _simplified() -> dict[int, str]:
    # One by one: with whole texts the library looks at neighbours, and a part of a text would fold otherwise than
    # the text.
    from opencc import OpenCC

    blocks = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x2EE60))
    characters = [chr(code) for first, end in blocks for code in range(first, end)]
    converted = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {ord(a): b for a, b in zip(characters, converted, strict=True) if a != b}


def fold(text: str) -> str:
    """The normal form: NFKC, no case, no invisible characters, simplified Chinese, lines of CJK joined."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    # Case folding can take a text out of its normal form (Unicode 3.13, D146).
    text = unicodedata.normalize("NFKC", text)
    return _WRAPPED.sub("", text).translate(_simplified())


def words(text: str) -> list[str]:
    """The words of a text and the pairs of its CJK runs, one a position; a run of one character is itself."""
    found: list[str] = []
    for run in _WORD.findall(fold(text)):
        if len(run) > 1 and _IS_CJK.match(run):
            found.extend(a + b for a, b in pairwise(run))
        else:
            found.append(run)
    return found


def characters(text: str) -> list[str]:
    """The words of a text and each of its CJK characters, one a position: where a single character is sought."""
    return list(_characters(fold(text)))


def _characters(folded: str) -> Iterator[str]:
    for run in _WORD.findall(folded):
        if _IS_CJK.match(run):
            yield from run
        else:
            yield run


def readings(text: str) -> tuple[list[str], list[str]]:
    """`words` and `characters` of a text in one pass; the second is empty where the text has no CJK character."""
    if text.isascii():
        return _ASCII.findall(text.lower()), []
    found: list[str] = []
    single: list[str] = []
    any_cjk = False
    for run in _WORD.findall(fold(text)):
        if not _IS_CJK.match(run):
            found.append(run)
            single.append(run)
            continue
        any_cjk = True
        single.extend(run)
        if len(run) > 1:
            found.extend(map(add, run[:-1], run[1:]))
        else:
            found.append(run)
    return found, single if any_cjk else []


def needs_characters(text: str) -> bool:
    """Whether a sought text has a CJK run of one character: pairs cannot find it inside a longer run."""
    return any(len(run) == 1 and _IS_CJK.match(run) for run in _WORD.findall(fold(text)))


def address_terms(address: str) -> list[str]:
    """What an address is found by: the whole, its local part with `@`, its domain and each parent of it."""
    local, at, domain = fold(address.strip()).rpartition("@")
    if not at:
        return []
    labels = domain.strip(".").split(".")
    parents = [".".join(labels[start:]) for start in range(len(labels))]
    return [f"{local}@{domain}", f"{local}@", *(f"@{parent}" for parent in parents)]


def address_term(sought: str) -> str:
    """The term that an address of a question looks for: `a@b.c` the whole, `a@` the local part, else the domain."""
    sought = fold(sought.strip())
    local, at, domain = sought.rpartition("@")
    if local:
        return f"{local}@{domain.strip('.')}"
    return f"@{(domain if at else sought).strip('.')}"
