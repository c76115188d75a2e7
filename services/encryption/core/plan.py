"""Which keys there must be, and what is to be done for them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

DESTROY_AFTER = timedelta(days=2)
"""A day's key may be destroyed when the day began this long ago: late seals of its last minutes are in by then."""


@dataclass(frozen=True, slots=True)
class Make:
    """No half is there: make the pair, private first."""

    name: str


@dataclass(frozen=True, slots=True)
class Publish:
    """The private half is durable, the public is not there: a maker died in between. Publish it."""

    name: str


type Step = Make | Publish


def days(today: date) -> tuple[date, date]:
    """The days whose keys must be there: today's, and tomorrow's before midnight needs it."""
    return today, today + timedelta(days=1)


def steps(wanted: Iterable[str], private: Collection[str], public: Collection[str]) -> list[Step]:
    """What brings `wanted` names about. A name with a public half only was destroyed, and stays so."""
    found: list[Step] = []
    for name in wanted:
        if name in public:
            continue
        found.append(Publish(name) if name in private else Make(name))
    return found


def tenant_steps(prefix: str, private: Collection[str], public: Collection[str]) -> list[Step]:
    """As `steps`, for one tenant's key: every version is published, and there is at least one that can be opened."""
    found: list[Step] = [Publish(name) for name in sorted(private) if name not in public]
    if not private:
        found.append(Make(next_version(prefix, public)))
    return found


def next_version(prefix: str, names: Iterable[str]) -> str:
    """The name after the newest of `names`; versions are never used again, also not those destroyed."""
    return f"{prefix}{max((version(n) for n in names), default=0) + 1:08d}"


def version(name: str) -> int:
    """The version in a name; 0 when it has none."""
    last = name.rpartition("/")[2]
    return int(last) if last.isdigit() else 0


def may_destroy(day: date, today: date) -> bool:
    """Whether the key of `day` is old enough to be destroyed."""
    return today - day >= DESTROY_AFTER
