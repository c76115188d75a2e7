"""From parts to the message model: charset, HTML, and what has no text we can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import getaddresses

from services.policy.core.archives import members
from services.policy.core.charsets import codec, decode
from services.policy.core.content import looks_encrypted, reading
from services.policy.core.message import Attachment, Message, NotInspected, Reason
from services.policy.core.text import from_html, normalise, too_deep, without_tags

_CHARSET = re.compile(r"""charset\s*\*?=\s*(?:"([^"]*)"|([^\s;"]+))""", re.IGNORECASE)
_UU = re.compile(r"^begin [0-7]{3,4} \S[^\n]*\n[\x20-\x60]{2,61}\r?\n", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>,;:\"()]{1,64}@[^\s<>,;:\"()]{1,255}")
_LATIN_HIGH = re.compile(r"[\x80-\xff]{2}")
_MAX_HEADER = 20_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read: bytes of the mail, of text and by the slow path; parts; depth of mails in mails."""

    max_bytes: int = 128 * 1024 * 1024
    max_text: int = 16 * 1024 * 1024
    max_slow: int = 8 * 1024 * 1024
    max_parts: int = 1000
    max_depth: int = 12


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part as a parser hands it over, transfer-decoded; `headers` are those of an embedded mail."""

    path: str
    content_type: str
    header: str
    name: str
    attachment: bool
    content: bytes
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embedded: bool = False
    doubt: Reason | None = None


@dataclass(slots=True)
class Reading:
    """What a parser found. `between` is text outside the parts."""

    headers: Mapping[str, tuple[str, ...]]
    leaves: list[Leaf] = field(default_factory=list)
    doubts: list[NotInspected] = field(default_factory=list)
    between: str = ""


def message_of(found: Reading, limits: Limits) -> Message:
    """The message model of a reading; text beyond `max_text` is not inspected, and said so."""
    doubts = list(found.doubts)
    headers = {name: tuple(_header(v) for v in values) for name, values in found.headers.items()}
    bodies: list[str] = []
    attachments: list[Attachment] = []
    room = limits.max_text
    for leaf in found.leaves:
        if leaf.doubt is not None:
            doubts.append(NotInspected(leaf.path, leaf.doubt))
        if leaf.embedded:
            named = [_header(v) for values in leaf.headers.values() for v in values]
            attachments.append(_attachment(leaf, "\n".join(named)))
            continue
        text, reason = _text(leaf, room)
        if reason is not None:
            doubts.append(NotInspected(leaf.path, reason))
        room -= len(leaf.content) if text is not None else 0
        if leaf.attachment or text is None:
            attachments.append(_attachment(leaf, text))
            attachments.extend(
                Attachment(f"{leaf.path}/{n}", normalise(m.name), m.content_type, m.size)
                for n, m in enumerate(members(leaf.content), 1)
            )
        else:
            bodies.append(text)
    if found.between:
        bodies.append(normalise(found.between[:room]))
    return Message(
        headers=headers,
        subject=" ".join(headers.get("subject", ())),
        header_from=addresses(headers.get("from", ())),
        bodies=tuple(bodies),
        attachments=tuple(attachments),
        parts=len(found.leaves),
        not_inspected=tuple(dict.fromkeys(doubts)),
    )


def addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    """The addresses in address headers, lower-case; found by shape where the header is malformed."""
    joined = [v[:_MAX_HEADER] for v in values]
    found = [a.lower() for _, a in getaddresses(joined) if "@" in a]
    if not found:
        found = [a.lower() for v in joined for a in _ADDRESS.findall(v)]
    return tuple(dict.fromkeys(found))


def _attachment(leaf: Leaf, text: str | None) -> Attachment:
    return Attachment(leaf.path, normalise(_header(leaf.name)), leaf.content_type, len(leaf.content), text)


def _header(value: str) -> str:
    # Raw eight-bit headers come as Latin-1 characters: they are bytes of some other charset.
    if not value.isascii():
        if _LATIN_HIGH.search(value):
            with suppress(UnicodeEncodeError):
                value = decode(value.encode("latin-1"), "")[0]
        value = normalise(value)
    return value


def _text(leaf: Leaf, room: int) -> tuple[str | None, Reason | None]:
    """The normalised text of a part, and why it was not, or not wholly, inspected."""
    content = leaf.content
    if not content:
        return "", None
    if looks_encrypted(leaf.content_type, leaf.header, content):
        return None, "encrypted"
    found = _CHARSET.search(leaf.header)
    label = (found[1] or found[2] or "") if found else ""
    how = reading(leaf.content_type, content, wide=(codec(label) or "").startswith(("utf-16", "utf-32")))
    if how == "none":
        # A body that is shown as text and is none is not just a type we do not know.
        shown = not leaf.attachment and leaf.content_type.startswith("text/")
        return None, "broken" if shown and not content.startswith(b"{\\rtf") else "unsupported"
    if room <= 0:
        return None, "too_large"
    reason: Reason | None = None
    if len(content) > room:
        content, reason = content[:room], "too_large"
    text, sure = decode(content, label, html=how == "html")
    if not sure:
        reason = reason or "broken"
    if how == "html":
        if too_deep(text):
            reason = reason or "too_large"
            text = without_tags(text)
        else:
            text = from_html(text)
    elif "begin " in text and _UU.search(text):
        reason = reason or "unsupported"
    return normalise(text), reason
