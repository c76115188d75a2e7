"""One Vectorscan pass over all texts of a mail for all wanted detectors; checks and context only on candidates.

Patterns work on bytes without Unicode classes: beside a Han character, whose bytes are no letters or digits,
everything matches. Hyperscan says where a match ends; `re` on the few bytes before it says where it begins, which
costs less than to let Hyperscan follow every start. Every end offset of a match is reported, so a find must begin
behind the one before.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import hyperscan

from services.policy.core.detectors import CONFIDENCES, Confidence, Detector, Hit, Shape
from services.policy.core.detectors.buffer import Buffer
from services.policy.core.detectors.engine import compiled

MAX_HITS = 100_000
"""Of one detector in one mail: as many as a policy can ask for."""

_BEFORE, _AFTER = 120, 60
"""Bytes around a candidate in which a context word counts: about 40 Han characters before and 20 after."""
_PASSAGE = 6000
"""Bytes within which a dictionary's words are summed up."""
# Exact in `re`; for Hyperscan a class that holds all of it, with far fewer states.
_GAP = rb"(?:[ \t]{1,2}|[ \t]?[-._/][ \t]?|[ \t]?\r?\n[ \t]?|\xe2\x80[\x90-\x95]|\xe2\x88\x92|\xc2\xb7)?"
_LOOSE_GAP = rb"[ \t\r\n._/\-\x80-\xff]{0,3}"
_SEPARATORS = re.compile(r"[\s\-‐-―−._/·()]+")
_SHORT = 4
_CLUSTER, _MARGIN = 96, 320
_RUN_BEFORE = re.compile(rb"[0-9 \t\r\n._/\-\x80-\xff]*\Z")
_MAX_SUMMED = 200_000


class Scanner:
    """Finds what the wanted detectors and `extra` ones describe. Build it off the event loop: it compiles.

    `extra` are detectors that are not built in, a tenant's own: they share the database and the pass. Raises ValueError
    when an expression is none. May be used by several threads at once.
    """

    def __init__(self, wanted: Collection[Detector], extra: Sequence[Detector] = ()) -> None:
        self._detectors = (*wanted, *extra)
        self._forms = [tuple(_Form.of(s) for s in d.shapes) for d in self._detectors]
        self._contexts = [_Context(d) for d in self._detectors]
        self._users: list[list[tuple[int, int]]] = []
        expressions: dict[tuple[bytes, int], int] = {}
        for number, detector in enumerate(self._detectors):
            for index, expression in enumerate(_expressions(detector)):
                place = expressions.setdefault(expression, len(expressions))
                if place == len(self._users):
                    self._users.append([])
                self._users[place].append((number, index))
        self._database = compiled(tuple(expressions)) if expressions else None

    @property
    def names(self) -> frozenset[str]:
        """The detectors that it looks for."""
        return frozenset(d.name for d in self._detectors)

    def scan(self, texts: Sequence[str]) -> Mapping[str, tuple[tuple[int, Hit], ...]]:
        """By detector: (number of the text, find), in order. `texts` are normalised."""
        found: dict[str, list[tuple[int, Hit]]] = {d.name: [] for d in self._detectors}
        buffer = Buffer(texts)
        confirmed: list[list[_Candidate]] = [[] for _ in self._detectors]
        regions: dict[int, list[list[int]]] = {}
        events: dict[int, list[tuple[int, int]]] = {}
        for expression, end in self._database.scan(buffer.data) if self._database and texts else ():
            for number, index in self._users[expression]:
                detector = self._detectors[number]
                if detector.words:
                    events.setdefault(number, []).append((index, end))
                elif detector.find is not None:
                    spans = regions.setdefault(number, [])
                    if spans and end - spans[-1][1] <= _CLUSTER and buffer.data.find(b"\0", spans[-1][1], end) < 0:
                        spans[-1][1] = end
                    else:
                        spans.append([end, end])
                elif len(confirmed[number]) < MAX_HITS:
                    self._take(confirmed[number], buffer, number, index, end)
        for number, candidates in enumerate(confirmed):
            detector = self._detectors[number]
            found[detector.name] += (c.hit(buffer, detector.keep) for c in candidates)
        for number, spans in regions.items():
            detector = self._detectors[number]
            found[detector.name] = _find(detector, buffer, spans)
        for number, seen in events.items():
            detector = self._detectors[number]
            found[detector.name] = _sum(detector, buffer, seen[:_MAX_SUMMED])
        return {name: tuple(hits) for name, hits in found.items()}

    def _take(self, taken: list[_Candidate], buffer: Buffer, number: int, index: int, end: int) -> None:
        """Add the candidate that ends here; where it overlaps with the one before, the surer one stays."""
        last = taken[-1] if taken else None
        if last is not None and last.confidence != "high":
            better = self._confirm(buffer, number, index, taken[-2].end if len(taken) > 1 else 0, end)
            if better is None:
                return
            if better.start >= last.end:
                taken.append(better)
                return
            if _rank(better) > _rank(last):
                taken[-1] = better
                return
        candidate = self._confirm(buffer, number, index, last.end if last else 0, end)
        if candidate is not None:
            taken.append(candidate)

    def _confirm(self, buffer: Buffer, number: int, index: int, floor: int, end: int) -> _Candidate | None:
        form = self._forms[number][index]
        shape = form.shape
        if shape.right:
            end -= 1
        match = form.pattern.search(buffer.data, max(floor, end - shape.width), end)
        if match is None:
            return None
        start, value = match.start(), match.group().decode("utf-8", "ignore")
        if shape.compact:
            value = _SEPARATORS.sub("", value)
        context = self._contexts[number]
        # Where nothing is found without a context word, the word is cheaper to look for than a checksum to work out.
        if shape.bare is None and not context.near(buffer, start, end):
            return None
        if shape.check is not None and not shape.check(value):
            return None
        confidence = shape.near
        if shape.bare is not None and shape.bare != shape.near and not context.near(buffer, start, end):
            confidence = shape.bare
        return _Candidate(start, end, value, confidence)


def find(detector: Detector, text: str) -> list[Hit]:
    """Every find of one detector in one normalised text."""
    return [hit for _, hit in Scanner((detector,)).scan((text,))[detector.name]]


@dataclass(frozen=True, slots=True)
class _Form:
    shape: Shape
    pattern: re.Pattern[bytes]

    @classmethod
    def of(cls, shape: Shape) -> _Form:
        left = f"(?<![{shape.left}])" if shape.left else ""
        exact = shape.expression.encode().replace(b"~", _GAP)
        flags = re.IGNORECASE if shape.caseless else 0
        return cls(shape, re.compile(left.encode() + b"(?:" + exact + rb")\Z", flags))


@dataclass(frozen=True, slots=True)
class _Candidate:
    start: int
    end: int
    value: str
    confidence: Confidence

    def hit(self, buffer: Buffer, keep: int) -> tuple[int, Hit]:
        text, start = buffer.position(self.start)
        _, end = buffer.position(self.end)
        return text, Hit(start, end, self.value, masked(self.value, keep), self.confidence)


def masked(value: str, keep: int) -> str:
    """A found value that may be shown: its first character and its last `keep`."""
    keep = min(keep, max(len(value) // 3, 0))
    hidden = min(max(len(value) - 1 - keep, 1), 24)
    return f"{value[:1]}{'•' * hidden}{value[len(value) - keep :] if keep else ''}"


def _rank(candidate: _Candidate) -> int:
    return CONFIDENCES.index(candidate.confidence)


class _Context:
    """The context words of a detector, sought in the bytes around a candidate."""

    def __init__(self, detector: Detector) -> None:
        words = {w.lower() for of in detector.context.values() for w in of}
        # A short Latin word is often a part of another one.
        short = sorted(w for w in words if w.isascii() and len(w) <= _SHORT)
        self._long = tuple(sorted((w.encode() for w in words if w not in short), key=len))
        joined = b"|".join(re.escape(w.encode()) for w in short)
        self._short = re.compile(rb"(?<![a-z])(?:" + joined + rb")(?![a-z])") if short else None

    def near(self, buffer: Buffer, start: int, end: int) -> bool:
        """Whether one of them stands beside the bytes from `start` to `end`, in the same text."""
        first, last = buffer.bounds(start)
        around = buffer.data[max(first, start - _BEFORE) : start].lower()
        after = buffer.data[end : min(last, end + _AFTER)].lower()
        return any(w in around or w in after for w in self._long) or (
            self._short is not None
            and (self._short.search(around) is not None or self._short.search(after) is not None)
        )


def _expressions(detector: Detector) -> list[tuple[bytes, int]]:
    """What Hyperscan looks for, by the number of the shape or word."""
    if detector.words:
        return [(_bounded(w.expression), hyperscan.HS_FLAG_CASELESS) for w in detector.words]
    listed = []
    for shape in detector.shapes:
        left = f"[^{shape.left}]" if shape.left else ""
        right = f"[^{shape.right}]" if shape.right else ""
        core = shape.expression.encode().replace(b"~", _LOOSE_GAP)
        flags = hyperscan.HS_FLAG_CASELESS if shape.caseless else 0
        listed.append((left.encode() + b"(?:" + core + b")" + right.encode(), flags))
    return listed


def _bounded(word: str) -> bytes:
    left = "[^0-9A-Za-z]" if re.match(r"[0-9A-Za-z]", word) else ""
    right = "[^0-9A-Za-z]" if re.search(r"[0-9A-Za-z]\Z", word) else ""
    return f"{left}(?:{word}){right}".encode()


def _find(detector: Detector, buffer: Buffer, spans: Sequence[Sequence[int]]) -> list[tuple[int, Hit]]:
    """What a detector's own `find` says about the regions with candidates, each with what stands around it."""
    assert detector.find is not None
    found: list[tuple[int, Hit]] = []
    floor = 0
    for first, last in spans:
        begin, stop = buffer.bounds(first)
        run = _RUN_BEFORE.search(buffer.data, max(begin, first - _MARGIN, floor), first)
        low = run.start() if run else first
        window = max(begin, low - _MARGIN)
        # Never cut inside a character, or the count of characters would be wrong.
        while window > begin and buffer.data[window] & 0xC0 == 0x80:
            window -= 1
        text = buffer.data[window : min(stop, last + _MARGIN)].decode("utf-8", "ignore")
        number, offset = buffer.position(window)
        ahead = len(buffer.data[window : max(low, floor)].decode("utf-8", "ignore"))
        for hit in detector.find(text):
            if hit.start >= ahead and len(found) < MAX_HITS:
                found.append((number, Hit(hit.start + offset, hit.end + offset, hit.value, hit.masked, hit.confidence)))
                floor = window + len(text[: hit.end].encode())
    return found


def _sum(detector: Detector, buffer: Buffer, events: Sequence[tuple[int, int]]) -> list[tuple[int, Hit]]:
    """At most one find in each text: the best passage whose words weigh enough."""
    best: dict[int, tuple[int, int, int]] = {}
    window: deque[tuple[int, int]] = deque()
    seen: Counter[int] = Counter()
    current, score = -1, 0
    for index, end in events:
        text = buffer.text_of(end - 1)
        if text != current:
            current, score = text, 0
            window.clear()
            seen.clear()
        window.append((index, end))
        seen[index] += 1
        if seen[index] <= detector.words[index].most:
            score += detector.words[index].weight
        while end - window[0][1] > _PASSAGE:
            old, _ = window.popleft()
            if seen[old] <= detector.words[old].most:
                score -= detector.words[old].weight
            seen[old] -= 1
        if score >= detector.threshold and score > best.get(text, (0, 0, 0))[0]:
            best[text] = (score, window[0][1], end)
    found = []
    for text, (score, first, last) in sorted(best.items()):
        begin, stop = buffer.bounds(last - 1)
        start, end = buffer.position(max(begin, first - 1))[1], buffer.position(min(last, stop))[1]
        confidence: Confidence = "high" if score * 2 >= detector.threshold * 3 else "medium"
        value = f"{detector.name} {text}"
        found.append((text, Hit(start, end, value, f"weight {score}", confidence)))
    return found


__all__ = ["MAX_HITS", "Scanner", "find", "masked"]
