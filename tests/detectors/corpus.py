"""Every value of every detector, disguised, in every carrier, read as a mail is read; what was found."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.common.ids import TenantId
from services.common.testing.extraction import InProcessExtractor
from services.policy.core.detectors import CONFIDENCES, Detector
from services.policy.core.detectors.scanner import Scanner, find
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.extract import extracted
from services.policy.core.facts import MailFacts
from services.policy.core.message import Message
from services.policy.core.mime import DEFAULT, inspect
from services.policy.core.text import normalise
from tests.detectors.carriers import CARRIERS, PASSWORD, Carrier, Text
from tests.detectors.disguises import DISGUISES, applies
from tests.unit.policy.builders import transaction

_TENANT = TenantId.new()
_BATCH = 40


@dataclass(frozen=True, slots=True)
class Value:
    """A text that a detector must catch, with the value in it. `found` is the value as hits name it."""

    detector: Detector
    text: Text
    found: str


@dataclass(slots=True)
class Tally:
    """How many values were carried, and how many of them found, by carrier and disguise, with what was missed."""

    carried: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[tuple[str, str, str, str]] = field(default_factory=list)

    def share(self, carrier: str) -> float:
        """Of the values in a carrier, the part that was found."""
        carried = sum(n for (c, _), n in self.carried.items() if c == carrier)
        return sum(n for (c, _), n in self.found.items() if c == carrier) / carried if carried else 1.0


def values(per_detector: int = 100) -> Iterator[Value]:
    """The first `per_detector` texts of each detector."""
    for detector in DETECTORS.values():
        for text in detector.catches[:per_detector]:
            hits = [h for h in find(detector, normalise(text)) if h.confidence != "low"]
            if normalise(text) != text or not hits:
                text = normalise(text)
            hit = hits[0]
            yield Value(detector, Text(text[: hit.start], text[hit.start : hit.end], text[hit.end :]), hit.value)


def read(raw: bytes) -> Message:
    """The mail as the decider reads it, with its files read in this process."""
    found = inspect(raw, DEFAULT)
    if not found.files:
        return found.message
    pieces = asyncio.run(InProcessExtractor()(_TENANT, found.files, passwords=[PASSWORD], timeout=60))
    return extracted(found, pieces, DEFAULT)


def run(chosen: Sequence[Value], carriers: Sequence[Carrier] = CARRIERS) -> Tally:
    """Carry all values in all disguises in all carriers."""
    scanner = Scanner(tuple(DETECTORS.values()), floor="medium")
    tally = Tally()
    for carrier in carriers:
        for disguise, change in DISGUISES.items():
            carried = [
                (value, text)
                for value in chosen
                if applies(value.detector, disguise, value.text.value)
                and carrier.takes(text := Text(value.text.before, change(value.text.value), value.text.after))
            ]
            size = 1 if carrier.single else _BATCH
            for start in range(0, len(carried), size):
                batch = carried[start : start + size]
                facts = MailFacts(
                    read(carrier.build([t for _, t in batch])), transaction(), lambda _: frozenset(), scanner=scanner
                )
                for value, _ in batch:
                    tally.carried[carrier.name, disguise] += 1
                    if _is_found(value, facts):
                        tally.found[carrier.name, disguise] += 1
                    else:
                        tally.missed.append((carrier.name, disguise, value.detector.name, value.text.whole))
    return tally


def _is_found(value: Value, facts: MailFacts) -> bool:
    plain = _bare(value.found)
    return any(
        bool(value.detector.words) or _bare(hit.value) == plain
        for _, hit in facts.hits(value.detector.name)
        if CONFIDENCES.index(hit.confidence) >= 1
    )


def _bare(value: str) -> str:
    return "".join(c for c in value if c.isalnum())


def wrong_checksums(seed: int = 0) -> tuple[int, list[tuple[str, str]]]:
    """How many values with one character changed were tried that have no valid checksum, and which were found."""
    tried, found = 0, []
    for value in values():
        checks = [s.check for s in value.detector.shapes if s.check is not None]
        if not value.detector.checksum or not checks:
            continue
        for place, character in enumerate(value.text.value):
            if not character.isdigit():
                continue
            other = str((int(character) + 1 + (seed + place) % 9) % 10)
            changed = value.text.value[:place] + other + value.text.value[place + 1 :]
            if _valid(value.detector, changed):
                continue
            tried += 1
            text = f"{value.text.before}{changed}{value.text.after}"
            if any(h.confidence != "low" and _bare(h.value) == _bare(changed) for h in find(value.detector, text)):
                found.append((value.detector.name, text))
    return tried, found


def _valid(detector: Detector, value: str) -> bool:
    """Whether the strictest of a detector's checks takes it."""
    for shape in detector.shapes:
        try:
            if shape.check is not None and shape.check(_bare(value) if shape.compact else value):
                return True
        except (ValueError, IndexError, KeyError):
            continue
    return False
