"""Reads `when` and `unless`: every predicate of the contract, checked as it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import re2

from services.policy.core.detectors import CONFIDENCES, LATER
from services.policy.core.detectors.table import DETECTORS
from services.policy.core.message import REASONS
from services.policy.core.rules import (
    AddressIs,
    All,
    AnyOf,
    AttachmentIs,
    Detected,
    Not,
    NotInspectedFor,
    Predicate,
    RecipientsAre,
    SizeIs,
    TextHas,
    TlsIs,
)  # fmt: skip
from services.policy.core.text import normalise
from services.policy.core.tree import Bad, Value

_LATER = ("fingerprint", "exact_data", "verdict", "cel")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_UNITS = {
    "": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3,
    "k": 1024, "m": 1024**2, "g": 1024**3,
}  # fmt: skip


def read(value: Value, groups: frozenset[str] | None) -> Predicate:
    """One predicate, a mapping with one key; `groups` are the tenant's, None when unknown. Raises `Bad`."""
    known = value.mapping(*_READERS, later=_LATER)
    if len(known) != 1:
        raise value.mistake("a predicate has exactly one key; nest several under all or any")
    ((name, settings),) = known.items()
    return _READERS[name](settings, groups)


def read_all(value: Value, groups: frozenset[str] | None) -> Predicate:
    """`when`: one predicate, or a list of which all must hold."""
    return _joined(value, groups, All)


def read_any(value: Value, groups: frozenset[str] | None) -> Predicate:
    """`unless`: one predicate, or a list of which one is enough."""
    return _joined(value, groups, AnyOf)


def _joined(value: Value, groups: frozenset[str] | None, join: type[All] | type[AnyOf]) -> Predicate:
    if isinstance(value.plain, list):
        return join(value.path, value.each(lambda v: read(v, groups)))
    return read(value, groups)


def size(value: Value) -> int:
    """Bytes, as a number or `10MB`."""
    match = _SIZE.fullmatch(str(value.plain).strip()) if isinstance(value.plain, str | int) else None
    if isinstance(value.plain, bool) or not match or match[2].lower() not in _UNITS:
        raise value.mistake("expected a size such as 10MB, 512KiB or 1000000")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def glob(value: Value) -> str:
    """A glob over addresses, domains or file names, lower-case."""
    return normalise(value.text(limit=320)).lower().strip()


def domain_glob(value: Value) -> str:
    """A glob over domains."""
    text = glob(value).removeprefix("@")
    if "@" in text or re.search(r"\s", text):
        raise value.mistake("expected a domain, without @ or spaces")
    return text


def address_glob(value: Value) -> str:
    """A glob over addresses; one that no address can match is a mistake. `<>` is the null sender."""
    text = glob(value)
    if text != "<>" and "@" not in text and "*" not in text:
        raise value.mistake("no address can match this: it has no @")
    return text


def pattern(value: Value) -> Any:
    """A compiled RE2 pattern: linear in time, whatever is written."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 4 << 20
    source = value.text(limit=2000)
    try:
        return re2.compile(source, options)
    except re2.error as error:
        said = (
            error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        raise value.mistake(f"not a safe (RE2) pattern: {said}") from error


def _address(of: Literal["sender", "header_from", "recipient"]) -> Callable[[Value, frozenset[str] | None], Predicate]:
    def reader(value: Value, groups: frozenset[str] | None) -> Predicate:
        keys = value.mapping("address", "domain", "group")
        if not keys:
            raise value.mistake("is empty; give an address, a domain or a group")
        named = keys["group"].each(lambda v: group(v, groups)) if "group" in keys else ()
        return AddressIs(
            value.path,
            of,
            addresses=keys["address"].each(address_glob) if "address" in keys else (),
            domains=keys["domain"].each(domain_glob) if "domain" in keys else (),
            groups=named,
        )

    return reader


def group(value: Value, groups: frozenset[str] | None) -> str:
    """The name of a group of the tenant."""
    name = value.text(limit=200)
    if groups is not None and name not in groups:
        raise value.mistake(f"there is no group {name!r}")
    return name


def _words(value: Value) -> str:
    return normalise(value.text(limit=500)).casefold()


def _text(of: Literal["subject", "text", "any_text", "header"]) -> Callable[[Value, frozenset[str] | None], Predicate]:
    def reader(value: Value, groups: frozenset[str] | None) -> Predicate:
        allowed = ("contains", "matches", "name") if of == "header" else ("contains", "matches")
        keys = value.mapping(*allowed)
        name = ""
        if of == "header":
            if "name" not in keys:
                raise value.mistake("needs the header's name")
            name = keys["name"].text(limit=200).strip().lower().rstrip(":")
            if not re.fullmatch(r"[!-9;-~]+", name):
                raise keys["name"].mistake("not a header name")
        if "contains" not in keys and "matches" not in keys and of != "header":
            raise value.mistake("needs contains or matches")
        compiled = keys["matches"].each(pattern) if "matches" in keys else ()
        return TextHas(
            value.path,
            of,
            words=keys["contains"].each(_words) if "contains" in keys else (),
            patterns=compiled,
            sources=tuple(str(p.pattern) for p in compiled),
            header=name,
        )

    return reader


def _recipients(value: Value, groups: frozenset[str] | None) -> Predicate:
    keys = value.mapping("more_than", "any_external")
    if not keys:
        raise value.mistake("is empty; give more_than or any_external")
    return RecipientsAre(
        value.path,
        more_than=keys["more_than"].number(0, 100_000) if "more_than" in keys else None,
        any_external=keys["any_external"].flag() if "any_external" in keys else None,
    )


def _attachment(quantifier: Literal["one", "all", "no"]) -> Callable[[Value, frozenset[str] | None], Predicate]:
    def reader(value: Value, groups: frozenset[str] | None) -> Predicate:
        keys = value.mapping("name", "type", "larger_than", later=("true_type", "encrypted", "macros"))
        return AttachmentIs(
            value.path,
            quantifier,
            names=keys["name"].each(glob) if "name" in keys else (),
            types=keys["type"].each(glob) if "type" in keys else (),
            larger_than=size(keys["larger_than"]) if "larger_than" in keys else None,
        )

    return reader


def _detector(value: Value, groups: frozenset[str] | None) -> Predicate:
    keys = value.mapping("name", "at_least", "confidence", "unique")
    if "name" not in keys:
        raise value.mistake("needs the detector's name")
    name = keys["name"].text()
    if name in LATER:
        raise keys["name"].mistake(f"the detector {name} is not yet available")
    if name not in DETECTORS:
        raise keys["name"].mistake(f"unknown detector {name!r}; known are {', '.join(sorted(DETECTORS))}")
    return Detected(
        value.path,
        name,
        at_least=keys["at_least"].number(1, 100_000) if "at_least" in keys else 1,
        confidence=keys["confidence"].one_of(*CONFIDENCES) if "confidence" in keys else "medium",
        unique=keys["unique"].flag() if "unique" in keys else False,
    )


def _size(value: Value, groups: frozenset[str] | None) -> Predicate:
    keys = value.mapping("larger_than", "smaller_than")
    if not keys:
        raise value.mistake("is empty; give larger_than or smaller_than")
    low = size(keys["larger_than"]) if "larger_than" in keys else None
    high = size(keys["smaller_than"]) if "smaller_than" in keys else None
    if low is not None and high is not None and high <= low + 1:
        raise value.mistake("can never match: nothing is larger and smaller than these")
    return SizeIs(value.path, larger_than=low, smaller_than=high)


def _not_inspected(value: Value, groups: frozenset[str] | None) -> Predicate:
    if value.plain == "any":
        return NotInspectedFor(value.path, REASONS)
    return NotInspectedFor(value.path, frozenset(value.each(lambda v: v.one_of("any", *sorted(REASONS)))))


def _all(value: Value, groups: frozenset[str] | None) -> Predicate:
    return All(value.path, value.each(lambda v: read(v, groups)))


def _any(value: Value, groups: frozenset[str] | None) -> Predicate:
    return AnyOf(value.path, value.each(lambda v: read(v, groups)))


def _not(value: Value, groups: frozenset[str] | None) -> Predicate:
    return Not(value.path, _joined(value, groups, All))


def _tls(value: Value, groups: frozenset[str] | None) -> Predicate:
    return TlsIs(value.path, value.flag())


_READERS: Mapping[str, Callable[[Value, frozenset[str] | None], Predicate]] = {
    "all": _all,
    "any": _any,
    "not": _not,
    "sender": _address("sender"),
    "header_from": _address("header_from"),
    "recipient": _address("recipient"),
    "recipients": _recipients,
    "subject": _text("subject"),
    "text": _text("text"),
    "any_text": _text("any_text"),
    "header": _text("header"),
    "attachment": _attachment("one"),
    "all_attachments": _attachment("all"),
    "no_attachment": _attachment("no"),
    "detector": _detector,
    "size": _size,
    "tls": _tls,
    "not_inspected": _not_inspected,
}

__all__ = ["Bad", "address_glob", "group", "read", "read_all", "read_any", "size"]
