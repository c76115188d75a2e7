"""Words with `{fields}`: checked when they are set, and filled in as subject, text and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from services.common.errors import InvalidInput
from services.common.notices import en, ja, zh_hant
from services.common.notices.catalogue import CATALOGUE, DEFAULT_LANGUAGE, Kind

_PLACEHOLDER = re.compile(r"\{([^{}\n]{0,60})\}")
_NAME = re.compile(r"[a-z][a-z_]*")
_URL = re.compile(r"https://[^\s<>\"']{1,2000}")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MAX_SUBJECT = 200
MAX_TEXT = 20_000
_MAX_FIELD = 20_000
_MAX_IN_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Template:
    """The words of a notice: a subject of one line, and paragraphs apart by empty lines."""

    subject: str
    text: str


class Rendered(NamedTuple):
    """A notice's words, filled in; `html` is a whole document."""

    subject: str
    text: str
    html: str


_WORDS: Mapping[str, Mapping[str, tuple[str, str]]] = {"en": en.WORDS, "ja": ja.WORDS, "zh-Hant": zh_hant.WORDS}


def kind_of(name: str) -> Kind:
    """What the catalogue says of a notice; raises `InvalidInput` for a name it does not have."""
    kind = CATALOGUE.get(name)
    if kind is None:
        raise InvalidInput("there is no such notice", field="name")
    return kind


def language_of(wanted: str) -> str:
    """The language nearest to a tag (RFC 5646): `zh-TW` is zh-Hant, what is not spoken here is the default."""
    low = wanted.strip().lower().replace("_", "-")
    if low.split("-")[0] == "zh":
        return "zh-Hant"
    return low.split("-")[0] if low.split("-")[0] in _WORDS else DEFAULT_LANGUAGE


def built_in(name: str, language: str) -> Template:
    """The words that come with the system; raises `InvalidInput` for an unknown name."""
    kind_of(name)
    return Template(*_WORDS[language_of(language)][name])


def check(name: str, template: Template) -> None:
    """Return when these words may stand for a notice; raises `InvalidInput` naming the field and the reason."""
    fields = kind_of(name).fields
    if not template.subject.strip() or not template.text.strip():
        raise InvalidInput("a notice has a subject and a text", field="text" if template.subject.strip() else "subject")
    if len(template.subject) > MAX_SUBJECT or _CONTROLS.search(template.subject) or "\n" in template.subject:
        raise InvalidInput(f"a subject is one line of at most {MAX_SUBJECT} characters", field="subject")
    if len(template.text) > MAX_TEXT or _CONTROLS.search(template.text.replace("\r\n", "\n")):
        raise InvalidInput(f"a text has at most {MAX_TEXT} characters and no control characters", field="text")
    for field, words in (("subject", template.subject), ("text", template.text)):
        for found in _PLACEHOLDER.finditer(words):
            if found[1] not in fields:
                known = ", ".join(sorted(fields))
                raise InvalidInput(f"{{{found[1]}}} is not a field of this notice; it has {known}", field=field)


def render(name: str, language: str, fields: Mapping[str, str], template: Template | None = None) -> Rendered:
    """The words of a notice with its fields; `template` in place of those that come with the system.

    A field that is not given is empty, and a line that holds nothing but an empty field falls out. Raises
    `InvalidInput` for an unknown name or a field that the notice has not.
    """
    unknown = fields.keys() - kind_of(name).fields.keys()
    if unknown:
        raise InvalidInput("not a field of this notice", field=sorted(unknown)[0])
    words = template or built_in(name, language)
    values = {key: _plain(value) for key, value in fields.items()}
    subject = " ".join(_fill(words.subject, {k: v[:_MAX_IN_SUBJECT] for k, v in values.items()}).split())
    lines = []
    for line in words.text.replace("\r\n", "\n").strip().split("\n"):
        named = [f[1] for f in _PLACEHOLDER.finditer(line) if _NAME.fullmatch(f[1])]
        if named and not any(values.get(n) for n in named):
            continue
        lines.append(_fill(line, values))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
    return Rendered(subject[:500], text, _html(subject, text, language_of(language)))


def _fill(words: str, values: Mapping[str, str]) -> str:
    # One pass: what a field holds is never looked at as words again.
    return _PLACEHOLDER.sub(lambda m: values.get(m[1], ""), words)


def _plain(value: str) -> str:
    # Bidirectional controls could make a stranger's address read as another.
    return _CONTROLS.sub("", value.replace("\r\n", "\n").replace("\t", " "))[:_MAX_FIELD].strip()


def _html(subject: str, text: str, language: str) -> str:
    paragraphs = [
        "<p>" + "<br>\n".join(_linked(line) for line in paragraph.split("\n")) + "</p>"
        for paragraph in text.strip().split("\n\n")
    ]
    head = f'<meta charset="utf-8"><title>{html.escape(subject)}</title>'
    body = "\n".join(paragraphs)
    return f'<!DOCTYPE html>\n<html lang="{language}"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _linked(line: str) -> str:
    out, at = [], 0
    for found in _URL.finditer(line):
        url = html.escape(found[0])
        out += [html.escape(line[at : found.start()]), f'<a href="{url}">{url}</a>']
        at = found.end()
    return "".join([*out, html.escape(line[at:])])
