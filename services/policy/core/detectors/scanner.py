"""One Vectorscan pass over all texts of a mail for all wanted detectors; checks and context only on candidates.

Patterns work on bytes without Unicode classes: beside a Han character, whose bytes are no letters or digits,
everything matches. Hyperscan says where a match ends; `re` on the few bytes before it says where it begins, which
costs less than to let Hyperscan follow every start. Every end offset of a match is reported, so a find must begin
behind the one before.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass

import hyperscan

from services.policy.core.detectors import CONFIDENCES, Confidence, Detector, Hit, Shape
from services.policy.core.detectors.buffer import Buffer
from services.policy.core.detectors.engine import Database, compiled
from services.policy.core.own import Budget, OwnDetector

MAX_HITS = 100_000
"""Of one detector in one mail: as many as a policy can ask for."""

MAX_CANDIDATES = 500_000
"""Looked at in one mail: seconds of work. No mail that people write has so many."""

_BEFORE, _AFTER = 120, 60
"""Bytes around a candidate in which a context word counts: about 40 Han characters before and 20 after."""
_PASSAGE = 6000
"""Bytes within which a dictionary's words are summed up."""
# Exact in `re`; for Hyperscan a class that holds all of it, with far fewer states.
_GAP = rb"(?:[ \t]{1,2}|[ \t]?[-._/][ \t]?|[ \t]?\r?\n[ \t]?|\xe2\x80[\x90-\x95]|\xe2\x88\x92|\xc2\xb7)?"
_LOOSE_GAP = rb"[ \t\r\n._/\-\x80-\xff]{0,3}"
_SEPARATORS = re.compile(r"[\s\-‐-―−._/·()]+")
_SHORT = 4
_EVERY_BYTE = bytes(range(256))
# Most numbers have this, and most text does not: their many patterns read only what is around it.
_RUN = b"[0-9](?:" + _LOOSE_GAP + b"[0-9]){6}[^0-9]"
_RUN_MARGIN = 64
_RUN_WIDTH = 56
_MANY = 12
_CLUSTER, _MARGIN = 96, 320
_RUN_BEFORE = re.compile(rb"[0-9 \t\r\n._/\-\x80-\xff]*\Z")
_MAX_SUMMED = 200_000


class TooManyCandidates(Exception):
    """The texts are made of things that look like finds: it is not known what is in them."""


class Scanner:
    """Finds what the wanted detectors and `extra` ones describe. Build it off the event loop: it compiles.

    `extra` are a tenant's own: what screens them shares the database and the pass. Finds below `floor` are not
    looked for. Raises ValueError when an expression is none. May be used by several threads at once.
    """

    def __init__(
        self, wanted: Collection[Detector], extra: Sequence[OwnDetector] = (), *, floor: Confidence = "low"
    ) -> None:
        self._detectors, self._extra = tuple(wanted), tuple(extra)
        self._forms = [tuple(_Form.of(s, floor) for s in d.shapes) for d in self._detectors]
        whole, runs, self._words = _Expressions(), _Expressions(), _Expressions()
        numbers = sum(s.run for d in self._detectors for s in d.shapes)
        for number, detector in enumerate(self._detectors):
            for index, word in enumerate(detector.words):
                whole.add(_bounded(word.expression), caseless=True, user=(number, index))
            for index, form in enumerate(self._forms[number]):
                if form.wanted:
                    place = runs if form.shape.run and numbers >= _MANY else whole
                    place.add(form.candidate, caseless=form.shape.caseless, user=(number, index))
            if any(f.wanted and f.bare != f.shape.near for f in self._forms[number]):
                for context in {w.lower() for words in detector.context.values() for w in words}:
                    self._words.add(_context(context), caseless=True, user=(number, 0))
        self._whole, self._runs = whole.users, runs.users
        both = [*whole.listed, *self._words.listed, *([(_RUN, 0)] if runs.listed else [])]
        self._own_places: list[tuple[int, int]] = []
        self._own_from = len(both)
        for number, own in enumerate(self._extra):
            for index, screen in enumerate(own.screens):
                if screen is not None:
                    both.append(screen)
                    self._own_places.append((number, index))
        self._first = compiled(tuple(both)) if both else None
        self._second = compiled(tuple(runs.listed)) if runs.listed else None

    @property
    def names(self) -> frozenset[str]:
        """The detectors that it looks for."""
        return frozenset([*(d.name for d in self._detectors), *(d.name for d in self._extra)])

    def scan(self, texts: Sequence[str], budget: Budget | None = None) -> Mapping[str, tuple[tuple[int, Hit], ...]]:
        """By detector: (number of the text, find), in order. `texts` are normalised.

        Raises `TooManyCandidates`, or `OwnBudgetSpent` where the tenant's own would read more than `budget` has.
        """
        found: dict[str, list[tuple[int, Hit]]] = {name: [] for name in self.names}
        if not texts:
            return dict.fromkeys(found, ())
        buffer = Buffer(texts)
        reports = self._first.scan(buffer.data) if self._first is not None else []
        self._ask_own(found, texts, reports, budget)
        candidates, context, runs = self._sorted(reports)
        if runs and self._second is not None:
            candidates += self._in_runs(self._second, buffer.data, runs, context)
            candidates.sort()
        if len(candidates) > MAX_CANDIDATES:
            raise TooManyCandidates
        confirmed: list[list[_Candidate]] = [[] for _ in self._detectors]
        regions: dict[int, list[list[int]]] = {}
        events: dict[int, list[tuple[int, int]]] = {}
        for end, number, index in candidates:
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
                self._take(confirmed[number], buffer, context.get(number, ()), self._forms[number][index], end)
        for number, taken in enumerate(confirmed):
            detector = self._detectors[number]
            found[detector.name] += (c.hit(buffer, detector.keep) for c in taken)
        for number, spans in regions.items():
            detector = self._detectors[number]
            found[detector.name] = _find(detector, buffer, spans)
        for number, seen in events.items():
            detector = self._detectors[number]
            found[detector.name] = _sum(detector, buffer, seen[:_MAX_SUMMED])
        return {name: tuple(hits) for name, hits in found.items()}

    def _ask_own(
        self,
        found: dict[str, list[tuple[int, Hit]]],
        texts: Sequence[str],
        reports: Sequence[tuple[int, int]],
        budget: Budget | None,
    ) -> None:
        """What the tenant's own detectors find, each asked for the patterns that may be there."""
        if not self._extra:
            return
        there = {place - self._own_from for _, place in reports if place >= self._own_from}
        possible: dict[int, list[int]] = {}
        for place in there:
            number, index = self._own_places[place]
            possible.setdefault(number, []).append(index)
        for number, own in enumerate(self._extra):
            always = [i for i, screen in enumerate(own.screens) if screen is None]
            asked = sorted([*always, *possible.get(number, ())])
            found[own.name] = own.find(texts, asked, budget or Budget())

    def _sorted(
        self, reports: Sequence[tuple[int, int]]
    ) -> tuple[list[tuple[int, int, int]], dict[int, list[int]], list[int]]:
        """Candidates as (end, detector, shape), ends of context words by detector, ends of runs of digits."""
        candidates: list[tuple[int, int, int]] = []
        context: dict[int, list[int]] = {}
        runs: list[int] = []
        whole, words = len(self._whole), len(self._whole) + len(self._words.users)
        first: list[tuple[int, int]] = []
        for report in reports:
            end, place = report
            if place < whole:
                first.append(report)
            elif place < words:
                for number, _ in self._words.users[place - whole]:
                    context.setdefault(number, []).append(end)
            elif place < self._own_from:
                runs.append(end)
        users: dict[int, list[tuple[int, int]]] = {}
        for end, place in first:
            of = users.get(place)
            if of is None:
                of = users[place] = self._possible(self._whole[place], context)
            for number, index in of:
                candidates.append((end, number, index))
        return candidates, context, runs

    def _possible(self, users: Sequence[tuple[int, int]], context: Container[int]) -> list[tuple[int, int]]:
        """Those of the shapes that may be a find: what needs a context word is none where the mail has no such word."""
        return [(n, i) for n, i in users if self._detectors[n].words or self._forms[n][i].bare or n in context]

    def _in_runs(
        self, database: Database, data: bytes, ends: Sequence[int], context: Container[int]
    ) -> list[tuple[int, int, int]]:
        """Candidates in the runs of digits and what stands around them, which are a small part of the text."""
        spans: list[list[int]] = []
        for end in ends:
            low, high = max(end - _RUN_MARGIN, 0), min(end + _RUN_MARGIN, len(data))
            if spans and low <= spans[-1][1]:
                spans[-1][1] = high
            else:
                spans.append([low, high])
        starts, at = [], 0
        for low, high in spans:
            starts.append(at + 1)
            at += high - low + 2
        pieces = b"\n".join(b"\n" + data[low:high] for low, high in spans) + b"\n"
        candidates: list[tuple[int, int, int]] = []
        users: dict[int, list[tuple[int, int]]] = {}
        span, shift, following = 0, spans[0][0] - starts[0], [*starts[1:], len(pieces) + 1]
        for end, place in database.scan(pieces):
            of = users.get(place)
            if of is None:
                of = users[place] = self._possible(self._runs[place], context)
            if of:
                while end >= following[span]:
                    span += 1
                    shift = spans[span][0] - starts[span]
                for number, index in of:
                    candidates.append((end + shift, number, index))
        return candidates

    def _take(self, taken: list[_Candidate], buffer: Buffer, context: Sequence[int], form: _Form, end: int) -> None:
        """Add the candidate that ends here; where it overlaps with the one before, the surer or longer one stays."""
        last = taken[-1] if taken else None
        if last is None or end - last.end >= form.width:
            floor = last.end if last else 0
        else:
            floor = taken[-2].end if len(taken) > 1 else 0
        candidate = form.confirm(buffer, context, floor, end)
        if candidate is None:
            return
        if last is None or candidate.start >= last.end:
            taken.append(candidate)
        elif (candidate.rank, -candidate.start) >= (last.rank, -last.start):
            taken[-1] = candidate


def find(detector: Detector, text: str) -> list[Hit]:
    """Every find of one detector in one normalised text."""
    return [hit for _, hit in Scanner((detector,)).scan((text,))[detector.name]]


class _Expressions:
    """Expressions for one database, each once, with the shapes that use it."""

    def __init__(self) -> None:
        self.listed: list[tuple[bytes, int]] = []
        self.users: list[list[tuple[int, int]]] = []
        self._places: dict[tuple[bytes, int], int] = {}

    def add(self, expression: bytes, *, caseless: bool, user: tuple[int, int]) -> None:
        """Look for it on behalf of `user`."""
        key = (expression, hyperscan.HS_FLAG_CASELESS if caseless else 0)
        place = self._places.setdefault(key, len(self.listed))
        if place == len(self.listed):
            self.listed.append(key)
            self.users.append([])
        self.users[place].append(user)


@dataclass(frozen=True, slots=True)
class _Form:
    """A shape ready for use: `bare` is None where it is below the floor, `wanted` whether it can make a find at all."""

    shape: Shape
    pattern: re.Pattern[bytes]
    beside: frozenset[int]
    bare: Confidence | None
    wanted: bool
    width: int

    @classmethod
    def of(cls, shape: Shape, floor: Confidence) -> _Form:
        left = f"(?<![{shape.left}])".encode() if shape.left else b""
        exact = shape.expression.encode().replace(b"~", _GAP)
        flags = re.IGNORECASE if shape.caseless else 0
        least = CONFIDENCES.index(floor)
        beside = (
            frozenset(b"".join(re.findall(f"[{shape.right}]".encode(), _EVERY_BYTE))) if shape.right else frozenset()
        )
        try:
            pattern = re.compile(left + b"(?:" + exact + rb")\Z", flags)
        except re.error as error:
            raise ValueError(f"a pattern that cannot be compiled: {error}") from error
        return cls(
            shape,
            pattern,
            beside,
            shape.bare if shape.bare is not None and CONFIDENCES.index(shape.bare) >= least else None,
            CONFIDENCES.index(shape.near) >= least,
            # Room for 28 digits one by one: what a search costs grows with the square of it.
            min(shape.width, _RUN_WIDTH) if shape.run else shape.width,
        )

    @property
    def candidate(self) -> bytes:
        """What Hyperscan looks for: at least all that `pattern` takes."""
        left = f"[^{self.shape.left}]" if self.shape.left and not self.shape.hint else ""
        right = f"[^{self.shape.right}]" if self.shape.right else ""
        core = (self.shape.hint or self.shape.expression).encode().replace(b"~", _LOOSE_GAP)
        return left.encode() + b"(?:" + core + b")" + right.encode()

    def confirm(self, buffer: Buffer, context: Sequence[int], floor: int, end: int) -> _Candidate | None:
        """The find that ends at `end`, with its boundary where it has one, and begins at `floor` or later."""
        shape, data = self.shape, buffer.data
        if shape.right:
            end -= 1
            if end < len(data) and data[end] in self.beside:
                return None
        # Where nothing is found without a context word, the word is cheaper to look for than anything else.
        if self.bare is None and not _near(buffer, context, end - self.width, end):
            return None
        match = self.pattern.search(data, max(floor, end - self.width, 0), end)
        if match is None:
            return None
        start, value = match.start(), match.group().decode("utf-8", "ignore")
        if shape.compact:
            value = _SEPARATORS.sub("", value)
        near = self.bare != shape.near and _near(buffer, context, start, end)
        if (self.bare is None and not near) or (shape.check is not None and not shape.check(value)):
            return None
        return _Candidate(start, end, value, shape.near if near or self.bare is None else self.bare)


def _near(buffer: Buffer, context: Sequence[int], start: int, end: int) -> bool:
    """Whether a context word ends around the bytes from `start` to `end`, in the same text."""
    place = bisect_left(context, start - _BEFORE)
    if place == len(context) or context[place] > end + _AFTER:
        return False
    first, last = buffer.bounds(end - 1)
    place = bisect_left(context, max(first, start - _BEFORE))
    return place < len(context) and context[place] <= min(last, end + _AFTER)


@dataclass(frozen=True, slots=True)
class _Candidate:
    start: int
    end: int
    value: str
    confidence: Confidence

    @property
    def rank(self) -> int:
        """How sure it is, as a number."""
        return CONFIDENCES.index(self.confidence)

    def hit(self, buffer: Buffer, keep: int) -> tuple[int, Hit]:
        text, start = buffer.position(self.start)
        _, end = buffer.position(self.end)
        return text, Hit(start, end, self.value, masked(self.value, keep), self.confidence)


def masked(value: str, keep: int) -> str:
    """A found value that may be shown: its first character and its last `keep`."""
    keep = min(keep, max(len(value) // 3, 0))
    hidden = min(max(len(value) - 1 - keep, 1), 24)
    return f"{value[:1]}{'•' * hidden}{value[len(value) - keep :] if keep else ''}"


def _context(word: str) -> bytes:
    escaped = re.escape(word.encode())
    # A short Latin word is often a part of another one.
    return b"[^a-zA-Z]" + escaped + b"[^a-zA-Z]" if word.isascii() and len(word) <= _SHORT else escaped


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
