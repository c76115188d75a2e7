"""Plain text in its charset."""

from __future__ import annotations

import codecs

import charset_normalizer

from services.common.extraction.walk import Reading

_SAMPLE = 64 * 1024
_LIKELY = ["utf_8", "big5", "gb18030", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1251"]
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ALIASES = {"big5": "cp950", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "ks_c_5601-1987": "cp949",
            "iso-8859-1": "cp1252", "us-ascii": "utf-8"}  # fmt: skip
"""What writes these labels writes the larger set (WHATWG Encoding)."""


def read_text(content: bytes, reading: Reading) -> None:
    """All of it, in one charset: the same digits in several readings would be counted several times."""
    reading.text(decode(content, reading.charset))


def decode(content: bytes, charset: str = "") -> str:
    """Text of bytes: by byte order mark, as UTF-8, as declared, as it looks; what fits nowhere is U+FFFD."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            return content.decode(name, "replace")
    label = _ALIASES.get(charset.lower(), charset)
    if b"\x1b$" in content or b"\x1b(" in content:
        label = label or "iso2022_jp_2"
    for name in ("utf-8", label) if not label.startswith(("iso-2022", "iso2022", "utf-7", "hz")) else (label, "utf-8"):
        if name:
            try:
                return content.decode(name)
            except (UnicodeDecodeError, LookupError, ValueError):
                continue
    if label:
        try:
            text = content.decode(label, "replace")
            if text.count("\ufffd") * 20 < len(text):
                return text
        except (LookupError, ValueError):
            pass
    return content.decode(_guess(content), "replace")


def _guess(content: bytes) -> str:
    found = charset_normalizer.from_bytes(content[:_SAMPLE], cp_isolation=_LIKELY, steps=3, chunk_size=512).best()
    name = found.encoding if found is not None else "utf_8"
    return {"big5": "cp950", "shift_jis": "cp932"}.get(name, name)
