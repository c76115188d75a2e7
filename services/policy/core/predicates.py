"""Reads `when` and `unless`: every predicate of the contract, checked as it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from services.policy.core.detectors import CONFIDENCES
from services.policy.core.filters import AUTHENTICATION, FIELDS, FLAGS, RESULTS
from services.policy.core.known import MAX_EXPRESSION, BadExpression, Known
from services.policy.core.message import REASONS
from services.policy.core.own.rows import MAX_COLUMNS
from services.policy.core.patterns import automaton, pattern, screens
from services.policy.core.rules import (
    AddressIs,
    All,
    AnyOf,
    AttachmentIs,
    CelIs,
    Detected,
    ExactData,
    Fingerprint,
    Not,
    NotInspectedFor,
    Predicate,
    RecipientsAre,
    SizeIs,
    TextHas,
    TlsIs,
    VerdictIs,
)  # fmt: skip
from services.policy.core.text import normalise
from services.policy.core.tree import Bad, Value

_SPAM = re.compile(r"\s*(>=|>|<=|<)\s*(-?\d+(?:\.\d+)?)\s*")
_TRUE_TYPE = re.compile(r"[a-z0-9*?]{1,20}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_UNITS = {
    "": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3,
    "k": 1024, "m": 1024**2, "g": 1024**3,
}  # fmt: skip


def read(value: Value, known: Known) -> Predicate:
    """One predicate, a mapping with one key. Raises `Bad`."""
    keys = value.mapping(*_READERS)
    if len(keys) != 1:
        raise value.mistake("a predicate has exactly one key; nest several under all or any")
    ((name, settings),) = keys.items()
    return _READERS[name](settings, known)


def read_all(value: Value, known: Known) -> Predicate:
    """`when`: one predicate, or a list of which all must hold."""
    return _joined(value, known, All)


def read_any(value: Value, known: Known) -> Predicate:
    """`unless`: one predicate, or a list of which one is enough."""
    return _joined(value, known, AnyOf)


def _joined(value: Value, known: Known, join: type[All] | type[AnyOf]) -> Predicate:
    if isinstance(value.plain, list):
        return join(value.path, value.each(lambda v: read(v, known)))
    return read(value, known)


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


def _address(of: Literal["sender", "header_from", "recipient"]) -> Callable[[Value, Known], Predicate]:
    def reader(value: Value, known: Known) -> Predicate:
        keys = value.mapping("address", "domain", "group")
        if not keys:
            raise value.mistake("is empty; give an address, a domain or a group")
        named = keys["group"].each(lambda v: group(v, known)) if "group" in keys else ()
        return AddressIs(
            value.path,
            of,
            addresses=keys["address"].each(address_glob) if "address" in keys else (),
            domains=keys["domain"].each(domain_glob) if "domain" in keys else (),
            groups=named,
        )

    return reader


def group(value: Value, known: Known) -> str:
    """The name of a group of the tenant."""
    name = value.text(limit=200)
    if known.groups is not None and name not in known.groups:
        raise value.mistake(f"there is no group {name!r}")
    return name


def _words(value: Value) -> str:
    return normalise(value.text(limit=500)).casefold()


def _text(of: Literal["subject", "text", "any_text", "header"]) -> Callable[[Value, Known], Predicate]:
    def reader(value: Value, known: Known) -> Predicate:
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
        words = keys["contains"].each(_words) if "contains" in keys else ()
        return TextHas(
            value.path,
            of,
            words=words,
            patterns=compiled,
            sources=tuple(str(p.pattern) for p in compiled),
            header=name,
            screens=screens(compiled),
            automaton=automaton(words),
        )

    return reader


def _recipients(value: Value, known: Known) -> Predicate:
    keys = value.mapping("more_than", "any_external")
    if not keys:
        raise value.mistake("is empty; give more_than or any_external")
    return RecipientsAre(
        value.path,
        more_than=keys["more_than"].number(0, 100_000) if "more_than" in keys else None,
        any_external=keys["any_external"].flag() if "any_external" in keys else None,
    )


def _attachment(quantifier: Literal["one", "all", "no"]) -> Callable[[Value, Known], Predicate]:
    def reader(value: Value, known: Known) -> Predicate:
        keys = value.mapping("name", "type", "true_type", "larger_than", "encrypted", "macros")
        return AttachmentIs(
            value.path,
            quantifier,
            names=keys["name"].each(glob) if "name" in keys else (),
            types=keys["type"].each(glob) if "type" in keys else (),
            larger_than=size(keys["larger_than"]) if "larger_than" in keys else None,
            true_types=keys["true_type"].each(true_type) if "true_type" in keys else (),
            encrypted=keys["encrypted"].flag() if "encrypted" in keys else None,
            macros=keys["macros"].flag() if "macros" in keys else None,
        )

    return reader


def true_type(value: Value) -> str:
    """A glob over what a file is by content: `zip`, `docm`, `xls*`."""
    text = value.text(limit=20).strip().lower()
    if not _TRUE_TYPE.fullmatch(text):
        raise value.mistake("expected a type by content such as zip, pdf or docm; MIME types belong under type")
    return text


def _detector(value: Value, known: Known) -> Predicate:
    keys = value.mapping("name", "at_least", "confidence", "unique")
    if "name" not in keys:
        raise value.mistake("needs the detector's name")
    name = keys["name"].text()
    if known.detectors is not None and name not in known.detectors:
        raise keys["name"].mistake(f"unknown detector {name!r}; known are {', '.join(sorted(known.detectors))}")
    return Detected(
        value.path,
        name,
        at_least=keys["at_least"].number(1, 100_000) if "at_least" in keys else 1,
        confidence=keys["confidence"].one_of(*CONFIDENCES) if "confidence" in keys else "medium",
        unique=keys["unique"].flag() if "unique" in keys else False,
    )


def _exact_data(value: Value, known: Known) -> Predicate:
    keys = value.mapping("set", "columns")
    if "set" not in keys:
        raise value.mistake("needs the set's name")
    name = keys["set"].text(limit=64)
    most = MAX_COLUMNS
    if known.rows is not None:
        if name not in known.rows:
            raise keys["set"].mistake(_no_set("exact data", name, known.rows))
        most = known.rows[name]
    columns = keys["columns"].number(1, MAX_COLUMNS) if "columns" in keys else 1
    if columns > most:
        raise keys["columns"].mistake(f"can never match: the set {name!r} has {most} columns")
    return ExactData(value.path, name, columns)


def _fingerprint(value: Value, known: Known) -> Predicate:
    keys = value.mapping("set", "at_least")
    if "set" not in keys:
        raise value.mistake("needs the set's name")
    name = keys["set"].text(limit=64)
    if known.prints is not None and name not in known.prints:
        raise keys["set"].mistake(_no_set("fingerprints", name, known.prints))
    share = keys["at_least"].plain if "at_least" in keys else 0.5
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.1 <= share <= 1:
        raise keys["at_least"].mistake("expected a share of the document from 0.1 to 1")
    return Fingerprint(value.path, name, float(share))


def _no_set(of: str, name: str, known: Collection[str]) -> str:
    there = f"known are {', '.join(sorted(known))}" if known else "there is none yet"
    return f"unknown set of {of} {name!r}; {there}"


def _size(value: Value, known: Known) -> Predicate:
    keys = value.mapping("larger_than", "smaller_than")
    if not keys:
        raise value.mistake("is empty; give larger_than or smaller_than")
    low = size(keys["larger_than"]) if "larger_than" in keys else None
    high = size(keys["smaller_than"]) if "smaller_than" in keys else None
    if low is not None and high is not None and high <= low + 1:
        raise value.mistake("can never match: nothing is larger and smaller than these")
    return SizeIs(value.path, larger_than=low, smaller_than=high)


def _not_inspected(value: Value, known: Known) -> Predicate:
    if value.plain == "any":
        return NotInspectedFor(value.path, REASONS)
    return NotInspectedFor(value.path, frozenset(value.each(lambda v: v.one_of("any", *sorted(REASONS)))))


def _verdict(value: Value, known: Known) -> Predicate:
    keys = value.mapping(*FIELDS)
    if not keys:
        raise value.mistake(f"is empty; give one of {', '.join(FIELDS)}")
    for name, asked in keys.items():
        if known.filters is not None and name not in known.filters:
            raise asked.mistake(f"nobody answers this here: {_SETTING[name]} is not set")
    return VerdictIs(
        value.path,
        spam=_spam(keys["spam"]) if "spam" in keys else None,
        flags=tuple((f, keys[f].flag()) for f in FLAGS if f in keys),
        results=tuple((f, frozenset(keys[f].each(_result))) for f in RESULTS if f in keys),
    )


def _result(value: Value) -> str:
    return value.one_of(*sorted(AUTHENTICATION))


def _spam(value: Value) -> tuple[Literal[">=", ">", "<=", "<"], float]:
    found = _SPAM.fullmatch(value.plain) if isinstance(value.plain, str) else None
    if not found or abs(float(found[2])) > 10_000:
        raise value.mistake('expected a comparison with the score such as ">=6", in quotes')
    sign: Literal[">=", ">", "<=", "<"] = next(s for s in _SIGNS if s == found[1])
    return sign, float(found[2])


_SIGNS: tuple[Literal[">=", ">", "<=", "<"], ...] = (">=", ">", "<=", "<")
_SETTING: Mapping[str, str] = {
    "malware": "LETTERLOCK_POLICY__CLAMAV_ADDRESS",
    **{f: "LETTERLOCK_POLICY__RSPAMD_URL" for f in FIELDS if f != "malware"},
}


def _cel(value: Value, known: Known) -> Predicate:
    source = value.text(limit=MAX_EXPRESSION)
    try:
        program = known.compile(source)
    except BadExpression as error:
        raise value.mistake(str(error)) from error
    if program.asks_filters and known.filters is not None and not known.filters:
        raise value.mistake(f"nobody answers mail.verdict here: {_SETTING['spam']} is not set")
    for name in sorted(program.detectors):
        if known.detectors is not None and name not in known.detectors:
            raise value.mistake(f"unknown detector {name!r}; known are {', '.join(sorted(known.detectors))}")
    return CelIs(value.path, source, program)


def _all(value: Value, known: Known) -> Predicate:
    return All(value.path, value.each(lambda v: read(v, known)))


def _any(value: Value, known: Known) -> Predicate:
    return AnyOf(value.path, value.each(lambda v: read(v, known)))


def _not(value: Value, known: Known) -> Predicate:
    return Not(value.path, _joined(value, known, All))


def _tls(value: Value, known: Known) -> Predicate:
    return TlsIs(value.path, value.flag())


_READERS: Mapping[str, Callable[[Value, Known], Predicate]] = {
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
    "exact_data": _exact_data,
    "fingerprint": _fingerprint,
    "size": _size,
    "tls": _tls,
    "not_inspected": _not_inspected,
    "verdict": _verdict,
    "cel": _cel,
}

__all__ = ["Bad", "address_glob", "group", "read", "read_all", "read_any", "size"]
