"""What rules ask about one mail, each answer worked out once."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from services.policy.core.detectors import CONFIDENCES, Hit
from services.policy.core.detectors.scanner import Scanner, TooManyCandidates
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.meeting import MAX_SPANS, judged, possible, words
from services.policy.core.message import Attachment, Message, Transaction
from services.policy.core.own import NOTHING, Budget, Own, OwnBudgetSpent, OwnMissing
from services.policy.core.own.rows import Found
from services.policy.core.rules import (
    AddressIs,
    AttachmentIs,
    CelIs,
    Detected,
    ExactData,
    Fingerprint,
    NotInspectedFor,
    Predicate,
    RecipientsAre,
    SizeIs,
    TextHas,
    TlsIs,
    VerdictIs,
)  # fmt: skip
from services.policy.core.text import mask, original_span

type Groups = Callable[[str], frozenset[str]]

_MAX_PLACED = 1_000_000
MAX_PATTERN_BYTES = 2 << 30
"""Bytes that a policy's patterns and words may read of one mail, all together. They read in linear time, so this bounds
the time too."""


class BudgetSpent(Exception):
    """The mail is too large for so many patterns: the rules that were not asked fail."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether a predicate holds, with masked spans of what made it hold."""

    value: bool
    spans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text with its name in reports, and its forms."""

    name: str
    text: str
    folded: str
    utf8: bytes


def _corpus(name: str, text: str) -> Corpus:
    return Corpus(name, text, text.casefold(), text.encode("utf-8", "replace"))


class MailFacts:
    """One mail under evaluation. `groups` gives the lower-case addresses of a group of the tenant."""

    def __init__(
        self,
        message: Message,
        transaction: Transaction,
        groups: Groups,
        *,
        filters: FilterVerdict = UNKNOWN,
        scanner: Scanner | None = None,
        own: Own = NOTHING,
    ) -> None:
        self.message, self.transaction, self._groups, self.filters = message, transaction, groups, filters
        self.shared: dict[str, Any] = {}
        """What is worked out once for all expressions on this mail."""
        self._spent = 0
        self._known: dict[int, Truth] = {}
        self._hits: dict[str, tuple[tuple[str, Hit], ...]] = {}
        self._scanner = scanner
        self._flood: TooManyCandidates | OwnBudgetSpent | None = None
        self._own, self._budget = own, Budget()
        self._rows: dict[str, list[tuple[str, Found]]] = {}
        self._shares: dict[str, list[tuple[str, float, str]]] = {}

    def ask(self, predicate: Predicate, recipient: str) -> Truth:
        """The truth of a leaf predicate for the recipient at hand; those about the whole mail are remembered."""
        if isinstance(predicate, AddressIs) and predicate.of == "recipient":
            return self._address(predicate, (recipient,))
        if isinstance(predicate, CelIs) and predicate.program.personal:
            return Truth(predicate.program(self, recipient))
        known = self._known.get(id(predicate))
        if known is None:
            known = self._known[id(predicate)] = self._ask(predicate)
        return known

    def direction_of(self, recipient: str) -> str:
        """The direction of one of the envelope's recipients."""
        return next((r.direction for r in self.transaction.recipients if r.address == recipient), "outbound")

    def hits(self, detector: str) -> tuple[tuple[str, Hit], ...]:
        """What a detector finds in subject, texts, names and what no reader is shown, each with its text's name.

        The first question scans for all detectors of the policy at once.
        """
        if detector not in self._hits:
            scanner = self._scanner
            if scanner is None or detector not in scanner.names:
                if detector not in DETECTORS:
                    raise OwnMissing(detector)
                scanner = Scanner((DETECTORS[detector],))
            corpora = self._everything
            if self._flood is not None:
                raise self._flood
            try:
                found = scanner.scan([c.text for c in corpora], self._budget)
            except (TooManyCandidates, OwnBudgetSpent) as flood:
                self._flood = flood  # the next rule need not wait for the same answer
                raise
            for name, hits in found.items():
                self._hits[name] = tuple((corpora[number].name, hit) for number, hit in hits)
        return self._hits[detector]

    def _ask(self, predicate: Predicate) -> Truth:
        match predicate:
            case AddressIs(of="sender"):
                return self._address(predicate, (self.transaction.sender,))
            case AddressIs():
                return self._address(predicate, self.message.header_from)
            case RecipientsAre():
                return Truth(self._recipients(predicate))
            case TextHas():
                return self._has(predicate)
            case AttachmentIs():
                return self._attachments(predicate)
            case Detected():
                return self._detected(predicate)
            case ExactData():
                return self._exact(predicate)
            case Fingerprint():
                return self._resembles(predicate)
            case SizeIs(larger_than=low, smaller_than=high):
                size = self.transaction.size
                return Truth((low is None or size > low) and (high is None or size < high))
            case TlsIs(used=used):
                return Truth(self.transaction.tls == used)
            case NotInspectedFor(reasons=reasons):
                found = [n for n in self.message.not_inspected if n.reason in reasons]
                return Truth(bool(found), tuple(f"part {n.part or '0'}: {n.reason}" for n in found[:MAX_SPANS]))
            case VerdictIs():
                return Truth(*judged(predicate, self.filters))
            case CelIs(program=program):
                return Truth(program(self, ""))
            case _:
                raise TypeError(type(predicate).__name__)

    def _address(self, predicate: AddressIs, addresses: tuple[str, ...]) -> Truth:
        for address in addresses:
            address = address.lower() or "<>"
            domain = address.rpartition("@")[2] if "@" in address else ""
            if (
                any(_like(address, g) for g in predicate.addresses)
                or (domain and any(_like(domain, g) for g in predicate.domains))
                or any(address in self._groups(g) for g in predicate.groups)
            ):
                return Truth(True)
        return Truth(False)

    def _recipients(self, predicate: RecipientsAre) -> bool:
        recipients = self.transaction.recipients
        if predicate.more_than is not None and len(recipients) <= predicate.more_than:
            return False
        external = any(r.direction == "outbound" for r in recipients)
        return predicate.any_external is None or external == predicate.any_external

    def _has(self, predicate: TextHas) -> Truth:
        spans: list[str] = []
        for corpus in self._corpora(predicate):
            if predicate.of == "header" and not predicate.words and not predicate.patterns:
                return Truth(True)
            self._spend(
                len(corpus.utf8) * (len(predicate.patterns) + (1 if predicate.automaton else len(predicate.words)))
            )
            for at, word in words(predicate, corpus.folded):
                spans.append(f"{self._place(corpus.name, at, at + len(word))}: {mask(word)}")
            for pattern in possible(predicate, corpus.utf8):
                found = pattern.search(corpus.utf8)
                if found is not None:
                    start = len(corpus.utf8[: found.start()].decode("utf-8", "replace"))
                    matched = found.group().decode("utf-8", "replace")
                    spans.append(f"{self._place(corpus.name, start, start + len(matched))}: {mask(matched)}")
            if len(spans) >= MAX_SPANS:
                break
        return Truth(bool(spans), tuple(spans[:MAX_SPANS]))

    def _place(self, name: str, start: int, end: int) -> str:
        """Where a span of a text's normal form stands in the text as it was decoded; in a huge one, in the former."""
        corpora = (self._subject, *self._texts, *self._hidden) if self.message.originals else ()
        text = next((c.text for c in corpora if c.name == name), "")
        original = self.message.originals.get(text) if len(text) <= _MAX_PLACED else None
        if original is not None:
            start, end = original_span(original, start, end)
        return f"{name} {start}-{end}"

    def _spend(self, cost: int) -> None:
        """Count what patterns read of this mail, the same on every machine; raises `BudgetSpent`."""
        self._spent += cost
        if self._spent > MAX_PATTERN_BYTES:
            raise BudgetSpent("the rules' patterns would read more of this mail than they may")

    def _corpora(self, predicate: TextHas) -> tuple[Corpus, ...]:
        match predicate.of:
            case "subject":
                return (self._subject,)
            case "text":
                return self._texts
            case "any_text":
                return (self._subject, *self._texts, *self._hidden, *self._headers, *self._names)
            case "header":
                values = self.message.headers.get(predicate.header, ())
                return tuple(_corpus("header", v) for v in values)

    @cached_property
    def _everything(self) -> tuple[Corpus, ...]:
        return (self._subject, *self._texts, *self._names, *self._hidden)

    @cached_property
    def _subject(self) -> Corpus:
        return _corpus("subject", self.message.subject)

    @cached_property
    def _texts(self) -> tuple[Corpus, ...]:
        bodies = [_corpus(f"body {i}", t) for i, t in enumerate(self.message.bodies, 1)]
        inside = [_corpus(f"part {a.part}", a.text) for a in self.message.attachments if a.text]
        return (*bodies, *inside)

    @cached_property
    def _hidden(self) -> tuple[Corpus, ...]:
        return tuple(_corpus(f"hidden {i}", t) for i, t in enumerate(self.message.hidden, 1))

    @cached_property
    def _headers(self) -> tuple[Corpus, ...]:
        return (_corpus("header", "\n".join(v for values in self.message.headers.values() for v in values)),)

    @cached_property
    def _names(self) -> tuple[Corpus, ...]:
        return (_corpus("attachment name", "\n".join(a.name for a in self.message.attachments)),)

    def _attachments(self, predicate: AttachmentIs) -> Truth:
        def meets(a: Attachment) -> bool:
            return (
                (not predicate.names or any(_like(a.name.lower(), g) for g in predicate.names))
                and (not predicate.types or any(_like(a.content_type, g) for g in predicate.types))
                and (not predicate.true_types or any(_like(a.true_type, g) for g in predicate.true_types))
                and (predicate.larger_than is None or a.size > predicate.larger_than)
                and (predicate.encrypted is None or a.encrypted == predicate.encrypted)
                and (predicate.macros is None or a.macros == predicate.macros)
            )

        attachments = self.message.attachments
        met = [a for a in attachments if meets(a)]
        spans = tuple(f"part {a.part}" for a in met[:MAX_SPANS])
        match predicate.quantifier:
            case "one":
                return Truth(bool(met), spans)
            case "all":
                return Truth(bool(attachments) and len(met) == len(attachments), spans)
            case "no":
                return Truth(not met)

    def _detected(self, predicate: Detected) -> Truth:
        floor = CONFIDENCES.index(predicate.confidence)
        hits = [(n, h) for n, h in self.hits(predicate.detector) if CONFIDENCES.index(h.confidence) >= floor]
        count = len({h.value for _, h in hits}) if predicate.unique else len(hits)
        return Truth(
            count >= predicate.at_least,
            tuple(f"{self._place(n, h.start, h.end)}: {h.masked}" for n, h in hits[:MAX_SPANS]),
        )

    def _exact(self, predicate: ExactData) -> Truth:
        rows = self._own.rows.get(predicate.set)
        if rows is None:
            raise OwnMissing(predicate.set)
        if predicate.set not in self._rows:
            self._rows[predicate.set] = [(c.name, f) for c in self._everything for f in rows.find(c.text, self._budget)]
        found = [(n, f) for n, f in self._rows[predicate.set] if f.columns >= predicate.columns]
        spans = (f"{self._place(n, f.start, f.end)}: {mask(f.value)} and its row: {f.columns}" for n, f in found)
        return Truth(bool(found), tuple(islice(spans, MAX_SPANS)))

    def _resembles(self, predicate: Fingerprint) -> Truth:
        prints = self._own.prints.get(predicate.set)
        if prints is None:
            raise OwnMissing(predicate.set)
        if predicate.set not in self._shares:
            self._shares[predicate.set] = [(c.name, *prints.best(c.text, self._budget)) for c in self._everything]
        alike = [(n, share, what) for n, share, what in self._shares[predicate.set] if share >= predicate.at_least]
        return Truth(bool(alike), tuple(f"{n}: {share:.0%} of {what}" for n, share, what in alike[:MAX_SPANS]))


def _like(value: str, glob: str) -> bool:
    return value == glob or (any(c in glob for c in "*?[") and fnmatch.fnmatchcase(value, glob))
