"""Fingerprints of documents: how much of a registered document is in a text.

A document is its shingles (four words, or eight characters of a script without spaces), each a keyed hash; kept are the
smallest of them, a MinHash sketch. The share of a sketch that a text's shingles hold estimates the share of the
document that the text holds, within 0.07 for a sketch of 200. No word can be read from it.
"""

from __future__ import annotations

import array
import hmac
import json
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from services.policy.core.own import Budget
from services.policy.core.own.units import alone, units

MAX_DOCUMENTS = 2000
SKETCH = 200
LEAST = 20
"""Shingles that a document needs to be told apart."""
_WEIGHT = 8
_PRIME = (1 << 61) - 1
_MAGIC = b"LLPRINTS1\n"


class BadPrints(ValueError):
    """A text without enough words, or a file that is none."""


@dataclass(frozen=True)
class Prints:
    """The sketches of a set's documents, by name."""

    documents: Mapping[str, tuple[int, ...]]
    key: bytes

    @cached_property
    def _owners(self) -> Mapping[int, tuple[int, ...]]:
        owners: dict[int, tuple[int, ...]] = {}
        for number, sketch in enumerate(self.documents.values()):
            for one in sketch:
                owners[one] = (*owners.get(one, ()), number)
        return owners

    def best(self, text: str, budget: Budget) -> tuple[float, str]:
        """The largest share of a document that a normalised text holds, and which; (0, "") for nothing."""
        counts: Counter[int] = Counter()
        for one in _hashes(text, self.key, budget, self._owners):
            counts.update(self._owners[one])
        names, sketches = list(self.documents), list(self.documents.values())
        shares = [(count / len(sketches[n]), names[n]) for n, count in counts.items()]
        return max(shares, default=(0.0, ""))

    def with_document(self, name: str, texts: Sequence[str]) -> Prints:
        """The set with one more document; raises `BadPrints`."""
        if name not in self.documents and len(self.documents) >= MAX_DOCUMENTS:
            raise BadPrints(f"a set has at most {MAX_DOCUMENTS} documents")
        budget = Budget()
        found = {one for text in texts for one in _hashes(text, self.key, budget)}
        if len(found) < LEAST:
            raise BadPrints("too few words to be told apart")
        return Prints({**self.documents, name: tuple(sorted(found)[:SKETCH])}, self.key)

    def without(self, name: str) -> Prints:
        """The set without a document; raises KeyError."""
        kept = dict(self.documents)
        del kept[name]
        return Prints(kept, self.key)

    def dump(self) -> bytes:
        """As a file; the key is not in it."""
        return _MAGIC + json.dumps({n: [f"{h:016x}" for h in s] for n, s in self.documents.items()}).encode()


def load(file: bytes, key: bytes) -> Prints:
    """A file ready for use with its key. Raises `BadPrints` when it is none."""
    try:
        if not file.startswith(_MAGIC):
            raise ValueError("another kind")
        said = json.loads(file[len(_MAGIC) :])
        documents = {str(n): tuple(int(h, 16) for h in s) for n, s in said.items()}
        if not all(documents.values()):
            raise ValueError("an empty sketch")
        return Prints(documents, key)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadPrints("not a file of fingerprints") from error


def _hashes(text: str, key: bytes, budget: Budget, among: Container[int] | None = None) -> set[int]:
    """The shingles of a text, or those of them that are `among` some."""
    found: set[int] = set()
    budget.spend(read=len(text))
    parts = units(text)
    # One HMAC for each different unit; a shingle is a polynomial of them, with a secret base, modulo a prime.
    known = {unit: _number(key, unit) for unit in set(parts)}
    weigh = {unit: 1 if alone(unit) else 2 for unit in known}
    budget.spend(probes=len(known) + len(parts) // 8)
    base = _number(key, "")
    powers = [1]
    for _ in range(_WEIGHT):
        powers.append(powers[-1] * base % _PRIME)
    sums = array.array("Q", [0])
    for unit in parts:
        sums.append((sums[-1] * base + known[unit]) % _PRIME)
    weights = [weigh[unit] for unit in parts]
    end, weight, number = 0, 0, len(parts)
    for start in range(number):
        while end < number and weight < _WEIGHT:
            weight += weights[end]
            end += 1
        if weight < _WEIGHT:
            break
        one = (sums[end] - sums[start] * powers[end - start]) % _PRIME
        if among is None or one in among:
            found.add(one)
        weight -= weights[start]
    return found


def _number(key: bytes, unit: str) -> int:
    mac = hmac.digest(key, unit.encode("utf-8", "surrogatepass"), "sha256")
    return int.from_bytes(mac[:8]) % _PRIME
