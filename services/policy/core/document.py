"""A policy document: from text to rules, checked whole.

What a rule would silently not do is a mistake: unknown keys, unknown
detectors, patterns that RE2 does not take, outcomes that are not yet
available, rules that can never match. Every mistake has its line.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from services.policy.core import never, outcomes, predicates
from services.policy.core.known import Known
from services.policy.core.message import Direction
from services.policy.core.rules import DEFAULT_DOUBT, CelIs, Doubt, Mode, Policy, Rule, Schedule, TextHas, walk
from services.policy.core.tree import Bad, Mistake, Notes, Value, load

MAX_RULES = 500
MAX_PATTERNS = 1000
MAX_PATTERN_TEXT = 64 * 1024
MAX_EXPRESSIONS = 10_000
"""Characters of all expressions of a document."""
_DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound", "internal")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_CANARY = re.compile(r"canary\s*[:(]?\s*(\d{1,3})\s*%?\s*\)?")


@dataclass(frozen=True, slots=True)
class Checked:
    """The policy, or None and why it cannot be one."""

    policy: Policy | None
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()
    """What is doubtful in a policy that may be applied (`lint.py`)."""


def parse(text: str, known: Known | None = None) -> Checked:
    """Read and check a document against what is known of the tenant; never raises."""
    notes = Notes()
    policy = None
    try:
        tree = load(text, notes)
        policy = _document(tree, known or Known()) if tree is not None else None
    except Bad:
        pass
    except RecursionError:
        notes.add(0, 0, "", "nested too deep")
    if notes.mistakes or policy is None:
        found = sorted(notes.mistakes, key=lambda m: (m.line, m.column))
        return Checked(None, tuple(found) or (Mistake(0, 0, "", "not a policy document"),))
    return Checked(policy)


def _document(tree: Value, known: Known) -> Policy:
    keys = tree.mapping()
    for key, value in keys.items():
        if key not in ("version", "on_doubt", "match", "rules"):
            value.mistake(f"unknown key {key!r}; known are match, on_doubt, rules, version")
    if "version" not in keys:
        tree.mistake("needs `version: 1`")
    elif keys["version"].plain != 1 or isinstance(keys["version"].plain, bool):
        keys["version"].mistake("the only version is 1")
    on_doubt = dict(DEFAULT_DOUBT)
    first_match = False
    try:
        if "on_doubt" in keys:
            for direction, value in keys["on_doubt"].mapping(*_DIRECTIONS).items():
                choice: Doubt = value.one_of("hold", "tempfail", "pass")
                on_doubt[next(d for d in _DIRECTIONS if d == direction)] = choice
                if direction == "outbound" and "internal" not in keys["on_doubt"].plain:
                    on_doubt["internal"] = choice
        if "match" in keys:
            first_match = keys["match"].one_of("all", "first") == "first"
    except Bad:
        pass
    if "rules" not in keys:
        raise tree.mistake("needs rules (an empty list is one)")
    listed = keys["rules"]
    if not isinstance(listed.plain, list):
        raise listed.mistake("expected a list of rules")
    if len(listed.plain) > MAX_RULES:
        raise listed.mistake(f"more than {MAX_RULES} rules")
    rules: list[Rule] = []
    seen: dict[str, int] = {}
    for order, item in enumerate(listed.plain):
        try:
            rule = _rule(item, order, known)
        except Bad:
            continue
        if rule.id in seen:
            item.mistake(f"the id {rule.id!r} is already taken by the rule in line {seen[rule.id]}")
        seen.setdefault(rule.id, rule.line)
        if reason := never.reason(rule):
            item.mistake(f"the rule {rule.id!r} can never match: {reason}")
        rules.append(rule)
    _check_budget(listed, rules)
    ordered = sorted(rules, key=lambda r: (-r.priority, r.order))
    return Policy(tuple(ordered), on_doubt, first_match)


def _check_budget(listed: Value, rules: list[Rule]) -> None:
    """One tenant's patterns and expressions may cost only so much of every mail."""
    leaves = [p for r in rules for p in (*walk(r.when), *walk(r.unless))]
    patterns = [s for p in leaves if isinstance(p, TextHas) for s in p.sources]
    expressions = sum(len(p.source) for p in leaves if isinstance(p, CelIs))
    if len(patterns) > MAX_PATTERNS or sum(map(len, patterns)) > MAX_PATTERN_TEXT:
        listed.mistake(f"more than {MAX_PATTERNS:,} patterns, or more than {MAX_PATTERN_TEXT // 1024} KiB of them")
    if expressions > MAX_EXPRESSIONS:
        listed.mistake(f"more than {MAX_EXPRESSIONS:,} characters of expressions")


def _rule(item: Value, order: int, known: Known) -> Rule:
    allowed = (
        "id", "mode", "direction", "priority", "schedule", "when", "unless", "per", "then", "on_error", "description",
    )  # fmt: skip
    failed = False
    if not isinstance(item.plain, dict):
        raise item.mistake("a rule is a mapping")
    for key, value in item.plain.items():
        if key not in allowed:
            value.mistake(f"unknown key {key!r}; known are {', '.join(sorted(allowed))}")
            failed = True
    keys: dict[str, Value] = item.plain

    def attempt[T](key: str, read: object, default: T) -> T:
        nonlocal failed
        if key not in keys:
            return default
        try:
            return read(keys[key])  # type: ignore[operator, no-any-return]
        except Bad:
            failed = True
            return default

    if "id" not in keys:
        item.mistake("a rule needs an id")
        failed = True
    if "then" not in keys:
        item.mistake("a rule needs then: what it does")
        failed = True
    identity = attempt("id", _identity, "")
    enforced: tuple[Mode, int] = ("enforce", 100)
    mode, percent = attempt("mode", _mode, enforced)
    directions = attempt("direction", _directions, frozenset(_DIRECTIONS))
    priority = attempt("priority", lambda v: v.number(-1_000_000, 1_000_000), 0)
    schedule = attempt("schedule", _schedule, None)
    when = attempt("when", lambda v: predicates.read_all(v, known), None)
    unless = attempt("unless", lambda v: predicates.read_any(v, known), None)
    per = attempt("per", lambda v: v.one_of("recipient", "mail"), "recipient")
    on_error = attempt("on_error", lambda v: v.one_of("hold", "tempfail", "pass"), None)
    attempt("description", lambda v: v.text(limit=2000), "")
    then = attempt("then", lambda v: outcomes.read(v, known), outcomes.Then())
    if failed:
        raise Bad
    return Rule(
        id=identity,
        line=item.line,
        order=order,
        mode=mode,
        percent=percent,
        directions=directions,
        priority=priority,
        schedule=schedule,
        when=when,
        unless=unless,
        per="mail" if per == "mail" else "recipient",
        dispositions=tuple(then.dispositions),
        transforms=tuple(then.transforms),
        bcc=tuple(dict.fromkeys(then.bcc)),
        redirect=tuple(dict.fromkeys(then.redirect)),
        on_error=on_error,
    )


def _identity(value: Value) -> str:
    text = value.text(limit=80)
    if not _ID.fullmatch(text):
        raise value.mistake("an id is letters, digits, dots, dashes and underscores")
    if text == "on_doubt":
        raise value.mistake("on_doubt is the name of what happens to mails that could not be inspected")
    return text


def _mode(value: Value) -> tuple[Mode, int]:
    match value.plain:
        case "draft" | "shadow" | "enforce" as mode:
            return mode, 100
        case str() as text if found := _CANARY.fullmatch(text):
            percent = int(found[1])
        case dict() as share if set(share) == {"canary"}:
            found = re.fullmatch(r"(\d{1,3})\s*%?", str(share["canary"].plain))
            percent = int(found[1]) if found else 0
        case "canary":
            raise value.mistake("canary needs its share: `canary: 10%`")
        case _:
            raise value.mistake("expected draft, shadow, `canary: 10%` or enforce")
    if not 1 <= percent <= 100:
        raise value.mistake("a canary's share is from 1% to 100%")
    return "canary", percent


def _directions(value: Value) -> frozenset[Direction]:
    chosen: set[Direction] = set()
    for word in value.each(lambda v: v.one_of(*_DIRECTIONS, "any")):
        chosen |= {d for d in _DIRECTIONS if word in (d, "any")}
    return frozenset(chosen)


def _schedule(value: Value) -> Schedule:
    keys = value.mapping("timezone", "days", "hours", "from", "until")
    if not keys:
        raise value.mistake("is empty")
    zone = ZoneInfo("UTC")
    if "timezone" in keys:
        name = keys["timezone"].text(limit=80)
        try:
            zone = ZoneInfo(name)
        except (LookupError, ValueError, OSError) as error:
            raise keys["timezone"].mistake(f"unknown time zone {name!r}") from error
    days = (
        frozenset(d for group in keys["days"].each(_day_range) for d in group)
        if "days" in keys
        else frozenset(range(7))
    )
    hours = keys["hours"].each(_hour_range) if "hours" in keys else ()
    first = _date(keys["from"]) if "from" in keys else None
    last = _date(keys["until"]) if "until" in keys else None
    return Schedule(zone, days, hours, first, last)


def _day_range(value: Value) -> tuple[int, ...]:
    text = value.text(limit=20).lower()
    first, dash, last = text.partition("-")
    if first[:3] not in _DAYS or (dash and last[:3] not in _DAYS):
        raise value.mistake("expected a day (mon … sun) or a range such as mon-fri")
    start = _DAYS.index(first[:3])
    length = (_DAYS.index(last[:3]) - start) % 7 if dash else 0
    return tuple((start + i) % 7 for i in range(length + 1))


def _hour_range(value: Value) -> tuple[time, time]:
    found = _HOURS.fullmatch(str(value.plain).replace(" ", "")) if isinstance(value.plain, str) else None
    if not found:
        raise value.mistake('expected "09:00-18:00", in quotes')
    numbers = [int(n) for n in found.groups()]
    try:
        # 24:00 is the end of the day, not its beginning.
        end = time.max if numbers[2:] == [24, 0] else time(numbers[2], numbers[3])
        start = time(numbers[0], numbers[1])
    except ValueError as error:
        raise value.mistake("there is no such time of day") from error
    if start == end:
        raise value.mistake("can never match: it begins when it ends")
    return start, end


def _date(value: Value) -> date:
    match value.plain:
        case datetime():
            pass
        case date() as day:
            return day
        case str() as text:
            with suppress(ValueError):
                return date.fromisoformat(text)
    raise value.mistake("expected a date such as 2026-01-31")
