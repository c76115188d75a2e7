"""From parts to the message model: charset, HTML, and what only the sandbox reads."""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import getaddresses

from services.common.charsets import codec, decode
from services.common.extraction.kinds import content_type as usual_type
from services.common.extraction.kinds import true_type
from services.common.extraction.model import File, Piece
from services.policy.core.base64s import base64_of
from services.policy.core.carried import carried
from services.policy.core.content import MEDIA, is_pgp, looks_encrypted, reading, starts_like_a_file, tail
from services.policy.core.headers import readings
from services.policy.core.html import read_html, too_deep, without_tags
from services.policy.core.message import Attachment, Message, NotInspected, Reason
from services.policy.core.text import normalise, reversed_runs

_META = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>,;:\"()]{1,64}@[^\s<>,;:\"()]{1,255}")
_LATIN_HIGH = re.compile(r"[\x80-\xff]{2}")
_WORD = re.compile(r"=\?([^?\s]{0,40})\?([bBqQ])\?([^?]{0,4000})\?=")
_MAX_HEADER = 20_000
_PLAIN_TYPES = frozenset({"", "text/plain", "text/html", "text/enriched", "text/markdown", "application/xhtml+xml"})
_PLAIN_KINDS = frozenset({"text", "html", "csv", "script"})
"""True types whose text is the content itself: read here, where the charset of the label is known."""


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
    """A part as a parser hands it over, transfer-decoded; `headers` are those of an embedded mail.

    `names` are what other programs call it.
    """

    path: str
    content_type: str
    header: str
    name: str
    attachment: bool
    content: bytes
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    embedded: bool = False
    doubt: Reason | None = None
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Reading:
    """What a parser found. `between` is text outside the parts, `odd` the codes of what it stumbled over."""

    headers: Mapping[str, tuple[str, ...]]
    leaves: list[Leaf] = field(default_factory=list)
    doubts: list[NotInspected] = field(default_factory=list)
    between: str = ""
    odd: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was read in this process, and the files that only the sandbox may read.

    `places` says which attachment of the message each file is.
    """

    message: Message
    files: tuple[File, ...] = ()
    places: tuple[int, ...] = ()


def inspection_of(found: Reading, limits: Limits) -> Inspection:
    """The inspection of a reading; text beyond `max_text` is not inspected, and said so."""
    return _Inspecting(found, limits).result()


def extracted(
    inspection: Inspection, pieces: Sequence[Piece] | None, limits: Limits, *, failed: Reason = "broken"
) -> Message:
    """The message with what the sandbox found in its files; None: it found nothing, because it `failed`.

    A file that no piece answers for is broken: silence of the sandbox is never clean.
    """
    message = inspection.message
    doubts = list(message.not_inspected)
    replaced: dict[int, list[Attachment]] = {}
    originals = dict(message.originals)
    if pieces is None:
        doubts += [NotInspected(_place(f.part), failed) for f in inspection.files]
    else:
        answers: dict[str, list[Piece]] = {f.part: [] for f in inspection.files}
        for piece in pieces:
            answers.setdefault(piece.part.partition("/")[0], []).append(piece)
        room = limits.max_text
        for file, index in zip(inspection.files, inspection.places, strict=True):
            if not answers[file.part]:
                doubts.append(NotInspected(_place(file.part), "broken"))
            replaced[index] = made = []
            for piece in answers[file.part]:
                place = _place(piece.part)
                own = message.attachments[index] if piece.part == file.part else None
                raw = piece.text
                if raw is not None and len(raw) > room:
                    raw = raw[:room]
                    doubts.append(NotInspected(place, "too_large"))
                room -= len(raw or "")
                made.append(_of_piece(piece, place, own, raw, originals))
                if piece.problem is not None:
                    doubts.append(NotInspected(place, piece.problem))
    attachments = [a for i, one in enumerate(message.attachments) for a in replaced.get(i) or [one]]
    return replace(
        message,
        attachments=tuple(attachments),
        not_inspected=tuple(dict.fromkeys(doubts)),
        originals=originals,
    )


def _normal(text: str, originals: dict[str, str]) -> str:
    normal = normalise(text)
    if normal is not text and normal != text:
        originals[normal] = text
    return normal


def _of_piece(
    piece: Piece, place: str, own: Attachment | None, raw: str | None, originals: dict[str, str]
) -> Attachment:
    text = _normal(raw, originals) if raw is not None else None
    if own is not None and own.text is not None and (text is None or piece.true_type in _PLAIN_KINDS):
        text = own.text
    return Attachment(
        part=place,
        name=own.name if own is not None else normalise(piece.name),
        content_type=own.content_type if own is not None else piece.content_type,
        size=piece.size,
        text=text,
        true_type=piece.true_type,
        encrypted=piece.encrypted,
        macros=piece.macros,
        sha256=piece.sha256 or (own.sha256 if own is not None else ""),
    )


def _place(part: str) -> str:
    """The place in the mail: the same file under another reading has the same one."""
    first, slash, rest = part.partition("/")
    return first.partition("~")[0] + slash + rest


class _Inspecting:
    def __init__(self, found: Reading, limits: Limits) -> None:
        self._found, self._limits = found, limits
        self._room = limits.max_text
        self._doubts = list(found.doubts)
        self._odd = set(found.odd)
        self._bodies: list[str] = []
        self._hidden: list[str] = []
        self._attachments: list[Attachment] = []
        self._files: list[File] = []
        self._places: list[int] = []
        self._taken: set[str] = set()
        self._originals: dict[str, str] = {}

    def result(self) -> Inspection:
        """Read all leaves."""
        found = self._found
        headers = {name: tuple(_header(v) for v in values) for name, values in found.headers.items()}
        for leaf in found.leaves:
            self._leaf(leaf)
        if found.between.strip():
            self._hide(found.between)
        message = Message(
            headers=headers,
            subject=" ".join(headers.get("subject", ())),
            header_from=addresses(headers.get("from", ())),
            bodies=tuple(self._bodies),
            attachments=tuple(self._attachments),
            parts=len(found.leaves),
            not_inspected=tuple(dict.fromkeys(self._doubts)),
            ambiguities=tuple(sorted(self._odd)),
            hidden=tuple(self._hidden),
            originals=self._originals,
        )
        return Inspection(message, tuple(self._files), tuple(self._places))

    def _leaf(self, leaf: Leaf) -> None:
        if leaf.doubt is not None:
            self._doubt(leaf, leaf.doubt)
        if leaf.embedded:
            named = [_header(v) for values in leaf.headers.values() for v in values]
            self._attach(leaf, "\n".join(named), "eml")
            return
        content = leaf.content
        if not content:
            self._keep(leaf, "", "")
            return
        if looks_encrypted(leaf.content_type, leaf.header, content):
            self._doubt(leaf, "encrypted")
            self._attach(leaf, None, "", encrypted=True)
            return
        labels = (
            [codec(label) for label in readings([leaf.header], "charset")] if "charset" in leaf.header.lower() else []
        )
        how = reading(leaf.content_type, content, wide=any((c or "").startswith(("utf-16", "utf-32")) for c in labels))
        text = None
        if how != "none":
            text = self._text(leaf, how)
            if is_pgp(content):
                self._doubt(leaf, "encrypted")
        if text is not None and self._is_plain(leaf):
            self._keep(leaf, text, how)
            self._carry_all(leaf)
            return
        shown = leaf.content_type.startswith("text/") and not leaf.attachment
        if shown and how == "none" and not content.startswith(b"{\\rtf"):
            # A body that is shown as text and is none is not just a type we do not know.
            self._doubt(leaf, "broken")
        kind = true_type(content) if leaf.content_type.startswith(MEDIA) else ""
        if kind and usual_type(kind).startswith(MEDIA) and kind != "svg":
            self._doubt(leaf, "unsupported")
            self._attach(leaf, None, kind)
            behind = tail(content)
            if behind is not None:
                self._carry(leaf, leaf.name, behind, "polyglot", whole=True)
            return
        self._attach(leaf, text, "")
        self._file(leaf, leaf.name, content, len(self._attachments) - 1 - len(leaf.names))
        if text is not None:
            self._carry_all(leaf)

    def _is_plain(self, leaf: Leaf) -> bool:
        if leaf.content_type in _PLAIN_TYPES or leaf.content_type.startswith("message/"):
            return true_type(leaf.content) in _PLAIN_KINDS if leaf.attachment else not starts_like_a_file(leaf.content)
        return False

    def _doubt(self, leaf: Leaf, reason: Reason) -> None:
        self._doubts.append(NotInspected(leaf.path, reason))

    def _keep(self, leaf: Leaf, text: str, how: str) -> None:
        if leaf.attachment:
            self._attach(leaf, text, "html" if how == "html" else "text")
        else:
            self._bodies.append(text)

    def _attach(self, leaf: Leaf, text: str | None, kind: str, *, encrypted: bool = False) -> None:
        digest = hashlib.sha256(leaf.content).hexdigest()
        for number, name in enumerate((leaf.name, *leaf.names)):
            self._attachments.append(
                Attachment(
                    leaf.path,
                    normalise(_header(name)),
                    leaf.content_type,
                    len(leaf.content),
                    text if number == 0 else None,
                    kind,
                    encrypted,
                    sha256=digest,
                )
            )

    def _carry_all(self, leaf: Leaf) -> None:
        for file in carried(leaf.content):
            self._carry(leaf, file.name, file.content, file.kind, whole=file.whole)

    def _carry(self, leaf: Leaf, name: str, content: bytes, kind: str, *, whole: bool) -> None:
        """A file that stands inside of a part's bytes."""
        self._odd.add(kind)
        if not whole:
            self._doubt(leaf, "broken")
        digest = hashlib.sha256(content).hexdigest()
        self._attachments.append(
            Attachment(leaf.path, normalise(_header(name)), "application/octet-stream", len(content), sha256=digest)
        )
        self._file(leaf, name, content, len(self._attachments) - 1)

    def _file(self, leaf: Leaf, name: str, content: bytes, place: int) -> None:
        part, number = leaf.path, 1
        while part in self._taken:
            number += 1
            part = f"{leaf.path}~{number}"
        self._taken.add(part)
        self._files.append(File(part, name, leaf.content_type, content))
        self._places.append(place)

    def _hide(self, text: str) -> None:
        """Text that no reader is shown; it counts against the same bound."""
        if len(text) > self._room:
            self._doubts.append(NotInspected("", "too_large"))
        if self._room > 0 and text.strip():
            self._hidden.append(_normal(text[: self._room], self._originals))
            self._room -= len(text)

    def _text(self, leaf: Leaf, how: str) -> str | None:
        """The normalised text of a part; None when there is no room for it. What else is read goes to `hidden`."""
        content = leaf.content
        if self._room <= 0:
            self._doubt(leaf, "too_large")
            return None
        if len(content) > self._room:
            content = content[: self._room]
            self._doubt(leaf, "too_large")
        self._room -= len(content)
        labels = readings([leaf.header], "charset") if "charset" in leaf.header.lower() else ()
        text, sure = decode(content, labels[0] if labels else "", html=how == "html")
        if not sure:
            self._doubt(leaf, "broken")
        for other in self._other_charsets(content, labels, how):
            again = decode(content, other)[0]
            if again != text:
                self._odd.add("charset-repeated")
                self._hide(without_tags(again) if how == "html" else again)
        if turned := reversed_runs(text):
            self._hide(turned)
        if how != "html":
            return _normal(text, self._originals)
        if too_deep(text):
            self._doubt(leaf, "too_large")
            return _normal(without_tags(text), self._originals)
        page = read_html(text)
        for hidden in page.hidden:
            self._hide(hidden)
        return _normal(page.visible, self._originals)

    def _other_charsets(self, content: bytes, labels: Sequence[str], how: str) -> list[str]:
        """Charsets that some program goes by, other than the first label."""
        others = [*labels[1:]]
        if how == "html" and (meta := _META.search(content[:4096])):
            label = meta[1].decode("ascii", "replace")
            # Without a label the page's own was believed already, but for those that look like ASCII.
            if (labels and not content.isascii()) or (codec(label) or "").startswith(("utf-7", "hz", "iso2022")):
                others.append(label)
        first = codec(labels[0]) if labels else None
        return [o for o in others if codec(o) not in (None, first)][:3]


def addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    """The addresses in address headers, lower-case; found by shape where the header is malformed."""
    joined = [v[:_MAX_HEADER] for v in values]
    found = [a.lower() for _, a in getaddresses(joined) if "@" in a]
    if not found:
        found = [a.lower() for v in joined for a in _ADDRESS.findall(v)]
    return tuple(dict.fromkeys(found))


def _header(value: str) -> str:
    # Raw eight-bit headers come as Latin-1 characters: they are bytes of some other charset.
    if not value.isascii() and _LATIN_HIGH.search(value):
        with suppress(UnicodeEncodeError):
            value = decode(value.encode("latin-1"), "")[0]
    if "=?" in value:
        # The parser leaves words that some programs decode: with spaces, without padding, in the middle of others.
        decoded = _WORD.sub(_decoded_word, value[:_MAX_HEADER])
        value = value if decoded == value else f"{value} {decoded}"
    return normalise(value)


def _decoded_word(word: re.Match[str]) -> str:
    label, kind, text = word.groups()
    raw = text.encode("utf-8", "replace")
    raw = base64_of(raw)[0] if kind in "bB" else binascii.a2b_qp(raw, header=True)
    return decode(raw, label.partition("*")[0])[0]
