"""Bytes to text: the label, its usual meaning in mail, and what to do when the label lies.

A strict decode under the label is believed, except that Latin labels decode
anything, so UTF-8 and then statistics are asked first. A few stray bytes are
what the reader's own program shows as replacement characters too; many mean
that we do not know what the reader will see.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

from charset_normalizer import from_bytes

_MEANT = {
    "gb2312": "gb18030", "gbk": "gb18030", "hz": "hz", "big5": "cp950", "big5hkscs": "big5hkscs", "shift_jis": "cp932",
    "iso8859-1": "cp1252", "ascii": "utf-8", "euc_kr": "cp949", "iso8859-9": "cp1254", "tis-620": "cp874",
    "iso8859-11": "cp874", "iso2022_jp": "iso2022_jp_3",
}  # fmt: skip
_ALIASES = {
    "x-big5": "big5", "cn-big5": "big5", "x-gbk": "gbk", "gb_2312-80": "gb18030", "cn-gb": "gb18030", "x-sjis": "cp932",
    "x-euc-jp": "euc_jp", "ks_c_5601-1987": "cp949", "ksc5601": "cp949", "windows-31j": "cp932", "windows-874": "cp874",
    "unicode-1-1-utf-7": "utf-7", "unicode-1-1-utf-8": "utf-8", "utf8mb4": "utf-8", "iso-2022-cn": "", "x-unknown": "",
    "unknown-8bit": "", "default": "", "x-user-defined": "", "iso-8859-8-i": "iso8859-8",
}  # fmt: skip
_TEXT = re.compile(r"(utf|iso8859|cp\d|koi8|mac|big5|gb|shift_jis|euc_|iso2022|johab|hz|tis|ascii|kz1048|ptcp154)")
_LATIN = re.compile(r"ascii|utf-8|cp125[0247]|iso8859-(?:1|2|3|4|9|1[03456])|mac.(?:roman|latin2|turkish|iceland)")
_META = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_SAMPLE = 8 * 1024
_PLAUSIBLE = [
    "big5", "gb18030", "cp932", "euc_jp", "cp949", "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255",
    "cp1256", "cp874", "utf_16_le", "utf_16_be",
]  # fmt: skip
_STRAY = 0.01
_WIDE, _NARROW = re.compile("[\u0100-\uff60]"), re.compile("[\uff61-\uff9f]")
_SYLLABLES = re.compile("[\u3041-\u3096\u30a1-\u30fa]")


@lru_cache(512)
def codec(label: str) -> str | None:
    """The Python codec a label means in mail; None when unknown (or not one of text: no `zlib`, no `rot13`)."""
    label = label.strip().strip("\"'").lower()
    label = _ALIASES.get(label, label)
    try:
        name = codecs.lookup(label).name if label and len(label) <= 40 else ""
    except (LookupError, ValueError):
        return None
    return _MEANT.get(name, name) if _TEXT.match(name) else None


def decode(data: bytes, label: str, *, html: bool = False) -> tuple[str, bool]:
    """The text, and whether it can be relied on to be what the reader sees."""
    if data.isascii():
        if b"\x1b$" not in data and b"\x1b(" not in data and b"~{" not in data and b"+" not in data:
            return data.decode("ascii"), True
        declared = codec(label)
        if declared and declared.startswith(("iso2022", "hz", "utf-7")):
            return _strict_or_replaced(data, declared)
        if b"\x1b$" in data:
            return _strict_or_replaced(data, "iso2022_kr" if b"\x1b$)C" in data else "iso2022_jp_3")
        return data.decode("ascii"), True
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return _strict_or_replaced(data, name)
    declared = codec(label) if label else None
    if declared is None and html and (meta := _META.search(data[:4096])):
        declared = codec(meta[1].decode("ascii", "replace"))
    if declared is not None and not _LATIN.fullmatch(declared):
        try:
            return data.decode(declared), True
        except (UnicodeError, ValueError):
            pass
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        pass
    if declared is not None:
        text, fine = _strict_or_replaced(data, declared)
        if fine and (declared == "utf-8" or not _LATIN.fullmatch(declared)):
            return text, True
        if fine and _western(text):
            return text, True
    guess = _guess(data)
    if guess is not None:
        return _strict_or_replaced(data, guess)
    return _strict_or_replaced(data, declared or "utf-8")


def _strict_or_replaced(data: bytes, name: str) -> tuple[str, bool]:
    try:
        return data.decode(name), True
    except (UnicodeError, ValueError, LookupError):
        text = data.decode(name, "replace")
        return text, text.count("\ufffd") <= max(1, len(text) * _STRAY)


def _western(text: str) -> bool:
    """Whether high characters stand alone among letters, as accents do, not in runs, as mislabelled CJK does."""
    return not re.search(r"[\x80-\U0010ffff]{4}", text)


def _shift_jis(data: bytes) -> bool:
    """Whether it is full of the syllables of Japanese: other charsets, so labelled, show half-width ones instead."""
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError:
        return False
    wide, narrow, syllables = len(_WIDE.findall(text)), len(_NARROW.findall(text)), len(_SYLLABLES.findall(text))
    return syllables * 6 >= wide > narrow * 20


def _guess(data: bytes) -> str | None:
    # Around the first high byte: a long ASCII head says nothing.
    first = next((i for i in range(0, len(data), 4096) if not data[i : i + 4096].isascii()), 0)
    if _shift_jis(data[first : data.rfind(b"\n", first, first + _SAMPLE) + 1] or data[first : first + _SAMPLE]):
        return "cp932"
    best = from_bytes(
        data[first : first + _SAMPLE], steps=3, cp_isolation=_PLAUSIBLE, preemptive_behaviour=False
    ).best()
    return codec(best.encoding) if best is not None else None
