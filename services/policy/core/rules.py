"""A policy document as values: rules, predicates, outcomes. `document.py` makes them from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import TYPE_CHECKING, Any, Literal, Protocol
from zoneinfo import ZoneInfo

from services.policy.core.filters import Field
from services.policy.core.message import Direction

if TYPE_CHECKING:
    from services.policy.core.facts import MailFacts

type Mode = Literal["draft", "shadow", "canary", "enforce"]
type Doubt = Literal["hold", "tempfail", "pass"]
type Disposition = Literal["deliver", "delay", "hold", "return", "refuse", "delete"]

DISPOSITIONS: tuple[Disposition, ...] = ("deliver", "delay", "hold", "return", "refuse", "delete")
"""Weakest first: where several match, the later one wins."""


@dataclass(frozen=True, slots=True)
class All:
    """True when every one is."""

    path: str
    of: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one is."""

    path: str
    of: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when it is not."""

    path: str
    of: Predicate


@dataclass(frozen=True, slots=True)
class AddressIs:
    """An address is like one of the globs, or in one of the groups. The null sender is `<>`."""

    path: str
    of: Literal["sender", "header_from", "recipient"]
    addresses: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipientsAre:
    """About all envelope recipients together; both that are given must hold."""

    path: str
    more_than: int | None = None
    any_external: bool | None = None


@dataclass(frozen=True, slots=True)
class TextHas:
    """One of the words (normalised, caseless) or one of the RE2 patterns is in it."""

    path: str
    of: Literal["subject", "text", "any_text", "header"]
    words: tuple[str, ...] = ()
    patterns: tuple[Any, ...] = field(default=(), compare=False)
    sources: tuple[str, ...] = ()
    header: str = ""
    automaton: Any = field(default=None, compare=False)
    """Finds any of many words in one pass; None for a few."""
    screens: tuple[tuple[Any, tuple[Any, ...]], ...] = field(default=(), compare=False)
    """The patterns in groups, each with one that matches wherever any of the group does, or None: ask each."""


@dataclass(frozen=True, slots=True)
class AttachmentIs:
    """`one`, `all` (of at least one) or `no` attachment meets everything given."""

    path: str
    quantifier: Literal["one", "all", "no"]
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    larger_than: int | None = None
    true_types: tuple[str, ...] = ()
    encrypted: bool | None = None
    macros: bool | None = None


@dataclass(frozen=True, slots=True)
class Detected:
    """A detector has at least so many hits of this confidence; `unique` counts different values."""

    path: str
    detector: str
    at_least: int = 1
    confidence: Literal["low", "medium", "high"] = "medium"
    unique: bool = False


@dataclass(frozen=True, slots=True)
class ExactData:
    """One text holds at least so many cells of one registered row, the primary one among them."""

    path: str
    set: str
    columns: int = 1


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One text holds at least this share of a registered document."""

    path: str
    set: str
    at_least: float


@dataclass(frozen=True, slots=True)
class SizeIs:
    """The mail is larger, or smaller, than so many bytes."""

    path: str
    larger_than: int | None = None
    smaller_than: int | None = None


@dataclass(frozen=True, slots=True)
class TlsIs:
    """Whether the mail came by TLS."""

    path: str
    used: bool


@dataclass(frozen=True, slots=True)
class NotInspectedFor:
    """Some part could not be inspected for one of the reasons."""

    path: str
    reasons: frozenset[str]


@dataclass(frozen=True, slots=True)
class VerdictIs:
    """What the filters said meets everything given. `spam` is a comparison with the score."""

    path: str
    spam: tuple[Literal[">=", ">", "<=", "<"], float] | None = None
    flags: tuple[tuple[Field, bool], ...] = ()
    results: tuple[tuple[Field, frozenset[str]], ...] = ()


class Program(Protocol):
    """A compiled expression."""

    @property
    def personal(self) -> bool:
        """Whether it asks about the recipient at hand."""

    @property
    def asks_filters(self) -> bool:
        """Whether it needs what the filters said."""

    @property
    def detectors(self) -> frozenset[str]:
        """Names of the detectors it needs."""

    def __call__(self, facts: MailFacts, recipient: str) -> bool:
        """Its truth; raises when it fails, never another value."""


@dataclass(frozen=True, slots=True)
class CelIs:
    """An expression over the message model is true."""

    path: str
    source: str
    program: Program = field(compare=False)


type Predicate = (
    All
    | AnyOf
    | Not
    | AddressIs
    | RecipientsAre
    | TextHas
    | AttachmentIs
    | Detected
    | ExactData
    | Fingerprint
    | SizeIs
    | TlsIs
    | NotInspectedFor
    | VerdictIs
    | CelIs
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule is in force, in its own time zone. Days count from Monday 0; `hours` may pass midnight."""

    timezone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))
    hours: tuple[tuple[time, time], ...] = ()
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Transform:
    """A change or accompaniment; `settings` are plain JSON values."""

    kind: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A disposition with its settings; seconds are a delay's or a hold's."""

    disposition: Disposition
    text: str = ""
    seconds: int = 0
    reviewers: tuple[str, ...] = ()
    on_expiry: str = ""
    levels: int = 1
    """A hold's reviewers, one after the other."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. No `when` matches every mail."""

    id: str
    line: int
    order: int
    mode: Mode = "enforce"
    percent: int = 100
    directions: frozenset[Direction] = frozenset({"inbound", "outbound", "internal"})
    priority: int = 0
    schedule: Schedule | None = None
    when: Predicate | None = None
    unless: Predicate | None = None
    per: Literal["recipient", "mail"] = "recipient"
    dispositions: tuple[Outcome, ...] = ()
    transforms: tuple[Transform, ...] = ()
    bcc: tuple[str, ...] = ()
    redirect: tuple[str, ...] = ()
    on_error: Doubt | None = None


DEFAULT_DOUBT: Mapping[Direction, Doubt] = {"inbound": "tempfail", "outbound": "hold", "internal": "hold"}


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole document; the empty one is what a tenant without a policy has."""

    rules: tuple[Rule, ...] = ()
    on_doubt: Mapping[Direction, Doubt] = field(default_factory=lambda: dict(DEFAULT_DOUBT))
    first_match: bool = False

    @property
    def asks_filters(self) -> bool:
        """Whether a rule that is evaluated needs what the filters say."""
        return any(
            isinstance(p, VerdictIs) or (isinstance(p, CelIs) and p.program.asks_filters)
            for rule in self.rules
            if rule.mode != "draft"
            for p in (*walk(rule.when), *walk(rule.unless))
        )


def walk(predicate: Predicate | None) -> list[Predicate]:
    """The predicate and everything below it."""
    match predicate:
        case None:
            return []
        case All(of=inner) | AnyOf(of=inner):
            return [predicate, *(p for i in inner for p in walk(i))]
        case Not(of=one):
            return [predicate, *walk(one)]
        case _:
            return [predicate]
