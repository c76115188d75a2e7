"""Header blocks as programs differ about them: what is odd in one, and every reading of its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.header import decode_header
from urllib.parse import unquote_to_bytes

from services.common.charsets import decode

ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
BLANK = re.compile(rb"\r?\n\r?\n")
_NO_HEADER = re.compile(rb"^(?![!-9;-~]+[ \t]*:|[ \t]|\r?$)", re.MULTILINE)
_CONTENT = re.compile(
    rb"^content-(type|transfer-encoding|disposition)([ \t]*):((?:[^\n]|\n[ \t])*)", re.IGNORECASE | re.MULTILINE
)
_LOOSE_CONTENT = re.compile(rb"content[-_ ]*(?:type|transfer|disposition)", re.IGNORECASE)
_MISSPELT = re.compile(
    rb"^[ \t\xa0\x00]*content[-_ ]*(?:type|transfer[-_ ]*encoding|disposition)\b"
    rb"(?<!content-type)(?<!content-transfer-encoding)(?<!content-disposition)",
    re.IGNORECASE | re.MULTILINE,
)
# One that is not closed is one too: to fail at its end, and try again at the next quote, would cost the square.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]|\r(?!\n)|\n[ \t]+\r?(?:\n|$)")
_PARAMETER = re.compile(
    r"""(?<![\w-])(?P<name>boundary|charset|filename|name)(?P<at>\*\d{1,3})?(?P<coded>\*)?\s*=\s*"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<bare>[^;\r\n]*))""",
    re.IGNORECASE | re.DOTALL,
)
_ONE_BOUNDARY = re.compile(r"boundary\s*(?:\*0?\*?)?\s*=")
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_COMMENT = re.compile(r"\([^()]*\)")
_MAX_VALUE = 20_000
_MAX_READINGS = 12


def odd_header(block: bytes) -> bool:
    """Whether a header block has a line that is none: some programs end the header there, others go on."""
    end = BLANK.search(block)
    header = block[: end.start()] if end else block[:65536]
    if end is None and b":" not in block[:1000]:
        return False
    return _NO_HEADER.search(header) is not None


def oddities(block: bytes) -> set[str]:
    """Codes of what programs read differently in the Content fields of one header block (without its blank line)."""
    found: set[str] = set()
    if _CONTROL.search(block):
        found.add("header-odd")
    fields = _CONTENT.findall(block)
    if len(fields) != len(_LOOSE_CONTENT.findall(block)) and _loose(block):
        found.add("header-odd")
    counts: dict[bytes, int] = {}
    for name, space, raw in fields:
        field = name.lower()
        counts[field] = counts.get(field, 0) + 1
        value = raw[:_MAX_VALUE].decode("utf-8", "replace")
        bare = _QUOTED.sub(lambda quoted: '""' if len(quoted[0]) > 1 and quoted[0][-1] == '"' else '"', value)
        if space or bare.count('"') % 2:
            found.add("header-odd")
        if "(" in bare:
            found.add("header-comment")
        if field == b"transfer-encoding":
            if "\n" in value.strip(" \t\r") and value.strip():
                found.add("header-folded")
            if value.strip().lower() not in ENCODINGS:
                found.add("encoding-unknown")
        elif field == b"type":
            if "/" not in bare.partition(";")[0]:
                found.add("type-odd")
            lowered = bare.lower()
            if len(_ONE_BOUNDARY.findall(lowered)) > 1:
                found.add("boundary-repeated")
            if lowered.count("charset") > 1:
                found.add("charset-repeated")
    for field, code in ((b"type", "type-repeated"), (b"transfer-encoding", "encoding-repeated"),
                        (b"disposition", "disposition-repeated")):  # fmt: skip
        if counts.get(field, 0) > 1:
            found.add(code)
    return found


def _loose(block: bytes) -> bool:
    """Whether a line looks like a Content field and is not spelt like one (`Content_Type`, a space in it)."""
    return _MISSPELT.search(block) is not None


def without_comments(value: str) -> str:
    """A structured field without its comments (RFC 5322 §3.2.2); quoted strings stay whole."""
    kept: list[str] = []
    position = 0
    for quoted in _QUOTED.finditer(value):
        kept += [_uncommented(value[position : quoted.start()]), quoted[0]]
        position = quoted.end()
    return "".join([*kept, _uncommented(value[position:])])


def _uncommented(value: str) -> str:
    for _ in range(5):
        shorter = _COMMENT.sub("", value)
        if shorter == value:
            break
        value = shorter
    return value


def readings(values: Iterable[str], *names: str) -> tuple[str, ...]:
    """Every value that programs may take for a parameter called one of `names`, the usual one first.

    Repeated parameters, RFC 2231 continuations in both orders and with or without percent decoding, encoded
    words (RFC 2047 §5 forbids them there; all use them), quoted pairs, comments, unquoted spaces.
    """
    found: dict[str, None] = {}
    for value in values:
        for form in dict.fromkeys((value[:_MAX_VALUE], without_comments(value[:_MAX_VALUE]))):
            plain: list[tuple[str, bool]] = []
            pieces: list[tuple[int, bool, str]] = []
            for match in _PARAMETER.finditer(form):
                if match["name"].lower() not in names:
                    continue
                text = match["quoted"] if match["quoted"] is not None else match["bare"].strip()
                if match["at"] is not None:
                    pieces.append((int(match["at"][1:]), match["coded"] is not None, text))
                elif match["coded"]:
                    plain.insert(0, (_coded(text), True))
                    if text.count("'") < 2:
                        plain.append((text, True))
                else:
                    plain.append((text, match["quoted"] is not None))
            for text in _continued(pieces):
                _add(found, text, whole=True)
            for text, quoted in plain:
                _add(found, text, whole=quoted)
    return tuple(found)[:_MAX_READINGS]


def _add(found: dict[str, None], text: str, *, whole: bool) -> None:
    unfolded = re.sub(r"\r?\n[ \t]*", "", text)
    forms = [_words(_PAIR.sub(r"\1", unfolded))]
    if not whole and " " in text and "=?" not in text:
        forms.append(text.split()[0] if text.split() else "")
    if "%" in text:
        forms.append(_coded(unfolded))
    for form in forms:
        if form.strip():
            found.setdefault(form.strip())


def _continued(pieces: Sequence[tuple[int, bool, str]]) -> list[str]:
    if not pieces:
        return []
    ordered = sorted(pieces, key=lambda p: p[0])
    label = ordered[0][2].partition("'")[0] if ordered[0][1] and ordered[0][2].count("'") >= 2 else ""
    raw = b"".join(
        unquote_to_bytes(text.split("'", 2)[-1] if not n and label else text)
        if coded
        else text.encode("utf-8", "replace")
        for n, coded, text in ordered
    )
    found = [decode(raw, label)[0]]
    if [p[0] for p in pieces] != list(range(len(pieces))):
        # Out of order, or with gaps and repeats: some go by the number, some by the place.
        found.append("".join(p[2] for p in pieces))
    return found


def _coded(text: str) -> str:
    label, mark, rest = text.partition("'")
    raw = rest.partition("'")[2] if mark and "'" in rest else text
    return decode(unquote_to_bytes(raw), label if mark else "")[0]


def _words(text: str) -> str:
    if "=?" not in text:
        return text
    try:
        return "".join(w if isinstance(w, str) else decode(w, label or "")[0] for w, label in decode_header(text))
    except Exception:
        return text
