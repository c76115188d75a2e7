"""Text as rules see it: one normal form, and the way back to where it stood.

NFKC turns full-width digits, superscripts and ligatures into the plain ones; digits of every other script
become ASCII; what cannot be seen (zero-width, bidi and other controls, soft hyphens, marks stuck on digits),
and splits words for machines only, is removed; a number that a full line breaks in two is one again.
"""

from __future__ import annotations

import re
import sys
import unicodedata

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u20e3\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f\U000e0100-\U000e01ef]+"
)
_CONTROLS = bytes([*range(9), *range(14, 32), 127])
_STUCK = re.compile("(?<=[0-9])[\u0300-\u036f\u0483-\u0489\u20d0-\u20dc\u20dd-\u20f0]+")
_BREAK = re.compile(r"[0-9]-?\r?\n(?=[0-9])")
_LEFT = re.compile(r"(?<![0-9-])[0-9]{1,11}-?\Z")
_RIGHT = re.compile(r"[0-9]{1,11}(?![0-9,;|\t]|[.][0-9])")
_GROUP_BEFORE = re.compile(r"[0-9][ -]\Z")
_GROUP_AFTER = re.compile(r"[ -][0-9]")
_FULL_LINE = 58
_REVERSED = re.compile("\u202e([^\u202c\u2069\n]{2,2000})")
_MAX_DIGITS = 19
_CHUNK = re.compile("(?s).{1,512}(?=[ -~\n\u4e00-\u9fff]|$)|.{1,512}")


def _digits() -> dict[int, str]:
    found = {}
    for point in range(0x80, sys.maxunicode + 1):
        sign = chr(point)
        digit = unicodedata.digit(sign, None)
        if digit is not None and unicodedata.normalize("NFKC", sign) == sign:
            found[point] = str(digit)
    return found


_DIGITS = _digits()
"""Digits that NFKC leaves alone: Arabic-Indic, Devanagari, Thai, circled on black, …"""
# Beyond the first plane in a class of its own: together they would be slow.
_ANY_DIGIT = re.compile("[" + "".join(chr(p) for p in _DIGITS if p < 0x10000) + "]+")
_HIGH = re.compile("[\U00010000-\U0010ffff]+")


def normalise(text: str) -> str:
    """The normal form."""
    if text.isascii():
        raw = text.encode()
        kept = raw.translate(None, _CONTROLS)
        text = text if len(kept) == len(raw) else kept.decode()
    else:
        text = _STUCK.sub("", _plain(text))
    for start, end in reversed(_breaks(text)):
        text = text[:start] + text[end:]
    return text


def original_span(original: str, start: int, end: int) -> tuple[int, int]:
    """Where `normalise(original)[start:end]` stands in `original`; whole combining sequences, never less."""
    plain = _STUCK.sub("", _plain(original))
    for cut, stop in _breaks(plain):
        start += stop - cut if cut <= start else 0
        end += stop - cut if cut < end else 0
    if plain == original:
        return min(start, len(original)), min(end, len(original))
    position, first = 0, None
    for chunk in _CHUNK.finditer(original):
        size = len(_STUCK.sub("", _plain(chunk[0])))
        if (first is None and position + size > start) or position + size >= end:
            for begin, stop, length in _sequences(chunk[0]):
                position += length
                if first is None and position > start:
                    first = chunk.start() + begin
                if position >= end:
                    return (chunk.start() + begin if first is None else first), chunk.start() + stop
        else:
            position += size
    return (len(original) if first is None else first), len(original)


def reversed_runs(text: str) -> str:
    """What a right-to-left override shows the other way round, as it is shown; a line each."""
    return "\n".join(run[::-1] for run in _REVERSED.findall(text)) if "\u202e" in text else ""


def _plain(text: str) -> str:
    # Invisible first: one between a letter and its accent would keep them apart.
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return _HIGH.sub(_ascii, _ANY_DIGIT.sub(_ascii, text))


def _ascii(run: re.Match[str]) -> str:
    return run[0].translate(_DIGITS)


def _breaks(text: str) -> list[tuple[int, int]]:
    """The line ends inside of a number: the line is full, and no half is long enough to be a number of its own.

    A column of numbers has short lines, and a row of a table goes on with a separator: neither is joined.
    """
    found: list[tuple[int, int]] = []
    if len(text) <= _FULL_LINE:
        return found
    for at in _BREAK.finditer(text):
        newline = at.end()
        end = at.start() + (2 if text[at.start() + 1] == "-" else 1)
        if end - (text.rfind("\n", 0, at.start()) + 1) < _FULL_LINE:
            continue
        left, right = _LEFT.search(text, max(0, end - 13), end), _RIGHT.match(text, newline)
        if left is None or right is None or len(left[0].rstrip("-")) + len(right[0]) > _MAX_DIGITS:
            continue
        # In a number of groups the line end stands for the separator: without it the groups would be others.
        grouped = _GROUP_BEFORE.search(text, max(0, left.start() - 2), left.start()) or _GROUP_AFTER.match(
            text, right.end()
        )
        if left[0].endswith("-") or not grouped:
            found.append((end, newline))
    return found


def _sequences(original: str) -> list[tuple[int, int, int]]:
    """Where each combining sequence stands, and how long it is once it is plain."""
    found: list[tuple[int, int, int]] = []
    index, before = 0, ""
    while index < len(original):
        stop = index + 1
        while stop < len(original) and (unicodedata.combining(original[stop]) or _INVISIBLE.match(original[stop])):
            stop += 1
        # A mark that a digit before it takes with it is no length of its own.
        plain = _STUCK.sub("", before + _plain(original[index:stop]))[len(before) :]
        found.append((index, stop, len(plain)))
        before = (plain or before)[-1:]
        before = before if before in "0123456789" else ""
        index = stop
    return found


def mask(value: str, *, keep: int = 0) -> str:
    """A matched value that may be shown: its first character, its last `keep` (or one), and its length."""
    value = " ".join(value.split())
    if len(value) <= 2:
        return "•" * len(value)
    if len(value) <= keep + 2:
        keep = 0
    return f"{value[0]}{'•' * min(len(value) - 1 - max(keep, 1), 12)}{value[-max(keep, 1) :]}"
