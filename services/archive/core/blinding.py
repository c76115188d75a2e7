"""A mail as the content index holds it: keyed tokens, plain codes, and a sealed summary.

There is no field that a word, an address, a subject or a mail id could be put in. What a mail has beyond
`MOST_TOKENS` is not found, and its document says so.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.archive.core.reading import Read
from services.common.errors import Corrupt
from services.common.ids import MailId, TenantId
from services.common.search import terms, words
from services.common.search.blind import FIELDS, GAP, Blinder, month_of

VERSION = 1
MOST_TOKENS = 200_000
_MOST_SUBJECT, _MOST_TO, _MOST_ADDRESS = 500, 20, 320
_VERDICTS = ("deliver", "delay", "hold", "return", "refuse", "delete")
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a mail without reading it. `directions` and `verdicts` are of its recipients."""

    tenant: TenantId
    mail_id: MailId
    received: int
    size: int
    sender: str
    recipients: tuple[str, ...]
    direction: str
    directions: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def field_of(name: str) -> str:
    """A token field's name in the index; a dot would be a path there."""
    return name.replace(".", "_")


TOKEN_FIELDS = tuple(field_of(f"{name}{reading}") for name in FIELDS for reading in ("", terms.SINGLE))


def document(facts: Facts, read: Read, blinder: Blinder, summary_key: bytes) -> dict[str, Any]:
    """What the index stores, `id` included. About a millisecond of CPU for 4 KB of text that is new to `blinder`."""
    made = blinder.document_id(facts.mail_id)
    filling = _Filling(blinder)
    filling.keys("from", (term for a in (facts.sender, *read.senders) for term in words.address_terms(a)))
    filling.keys("recipient", (term for a in facts.recipients for term in words.address_terms(a)))
    filling.keys("to", (term for a in read.to for term in words.address_terms(a)))
    filling.keys("rule", facts.rules)
    if read.message_id:
        filling.keys("messageid", (terms.message_id_term(read.message_id),))
    filling.texts("subject", (read.subject,))
    filling.headers(read.headers)
    filling.texts("filename", read.filenames)
    filling.texts("body", read.bodies)
    filling.texts("attachment", read.attachments)
    reasons = read.reasons | ({"too_big"} if filling.full else set())
    day: date = facts.mail_id.day
    return {
        "id": made,
        "tenant": str(facts.tenant),
        "month": month_of(day),
        "day": day.isoformat(),
        "received": facts.received,
        "size": facts.size,
        "direction": facts.direction,
        "directions": sorted(set(facts.directions)),
        "verdict": max(facts.verdicts, key=_VERDICTS.index, default=""),
        "verdicts": sorted(set(facts.verdicts)),
        "flags": sorted(set(facts.flags)),
        "unsearchable": sorted(reasons),
        "summary": seal_summary(summary_key, made, summary_of(facts, read)),
        **{field_of(name): " ".join(tokens) for name, tokens in filling.fields.items() if tokens},
    }


def summary_of(facts: Facts, read: Read) -> dict[str, Any]:
    """What a list of results shows of a mail."""
    return {
        "mail_id": str(facts.mail_id),
        "from": (read.senders[0] if read.senders else facts.sender)[:_MOST_ADDRESS],
        "to": [a[:_MOST_ADDRESS] for a in (read.to or facts.recipients)[:_MOST_TO]],
        "subject": read.subject[:_MOST_SUBJECT].encode("utf-8", "replace").decode(),
    }


def seal_summary(key: bytes, document_id: str, summary: Mapping[str, Any]) -> str:
    """AES-256-GCM under the month's summary key, bound to the document: base64 of nonce and box."""
    nonce = os.urandom(_NONCE)
    box = AESGCM(key).encrypt(nonce, orjson.dumps(dict(summary)), document_id.encode())
    return base64.b64encode(nonce + box).decode()


def open_summary(key: bytes, document_id: str, sealed: str) -> dict[str, Any]:
    """The summary; raises `Corrupt` for one that was changed, or is another document's."""
    try:
        data = base64.b64decode(sealed, validate=True)
        plain = AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], document_id.encode())
        return dict(orjson.loads(plain))
    except (InvalidTag, ValueError) as error:
        raise Corrupt("a summary is not what was sealed for its document") from error


class _Filling:
    """Tokens by field, as long as there is room."""

    def __init__(self, blinder: Blinder) -> None:
        self._blinder, self._room = blinder, MOST_TOKENS
        self.fields: dict[str, list[str]] = {}
        self.full = False

    def keys(self, field: str, found: Iterable[str]) -> None:
        """Terms each of which is looked for alone."""
        self._add(field, list(dict.fromkeys(found)), apart=False)

    def texts(self, field: str, texts: Sequence[str]) -> None:
        """Texts in both readings; one that repeats another word for word (HTML beside its plain text) once."""
        seen: set[tuple[str, ...]] = set()
        for text in texts:
            if self._room <= 0:
                self.full = True
                return
            # No word is shorter than a character: what is beyond is not even folded.
            found, single = words.readings(text[: self._room * 64])
            if (key := tuple(found)) in seen:
                continue
            seen.add(key)
            self._add(field, found)
            if single:
                self._add(field + terms.SINGLE, single)

    def headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """Words of headers, which differ by the header's name."""
        for name, text in headers:
            found, single = words.readings(text)
            self._add("header", list(map(terms.header_term, repeat(name), found)))
            if single:
                self._add("header" + terms.SINGLE, list(map(terms.header_term, repeat(name), single)))

    def _add(self, field: str, found: list[str], *, apart: bool = True) -> None:
        if len(found) > self._room:
            self.full = True
            found = found[: self._room]
        if not found:
            return
        tokens = self.fields.setdefault(field, [])
        if apart and tokens:
            tokens.append(GAP)
        tokens += self._blinder.tokens(field, found)
        self._room -= len(found)
