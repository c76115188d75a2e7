"""Reads `then`: transforms and dispositions with their settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.common.notices.catalogue import LANGUAGES
from services.policy.core.known import Known
from services.policy.core.predicates import glob
from services.policy.core.rules import Outcome, Transform
from services.policy.core.tree import Bad, Value

MAX_LEVELS = 5
"""Reviewers of one hold, one after the other."""

_LATER = ("link",)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ADDRESS = re.compile(r"[^\s@<>,;\"\x00-\x1f]{1,64}@[^\s@<>,;\"\x00-\x1f]{1,255}")
_HEADER = re.compile(r"X-[!-9;-~]{1,70}", re.IGNORECASE)
_OURS = re.compile(r"x-letterlock-", re.IGNORECASE)


@dataclass(slots=True)
class Then:
    """What a rule does, as far as read."""

    dispositions: list[Outcome] = field(default_factory=list)
    transforms: list[Transform] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    redirect: list[str] = field(default_factory=list)


def read(value: Value, known: Known) -> Then:
    """The outcomes, a list of mappings with one key each (or one such mapping). Raises `Bad`."""
    then = Then()
    bad = False
    for item in value.items():
        try:
            named = item.mapping(*_READERS, later=_LATER)
            if not named:
                raise item.mistake("is empty; name an outcome")
            for name, settings in named.items():
                _READERS[name](settings, known, then)
        except Bad:
            bad = True
    if bad:
        raise Bad
    if not then.dispositions and not then.transforms and not then.bcc and not then.redirect:
        raise value.mistake("is empty: the rule would do nothing; write `pass: {}` if that is meant")
    return then


def duration(value: Value, *, low: int = 1, high: int = 366 * 86400) -> int:
    """Seconds, as `10m`, `2h`, `3d`."""
    match = _DURATION.fullmatch(str(value.plain).strip()) if isinstance(value.plain, str) else None
    if not match:
        raise value.mistake("expected a duration such as 10m, 2h or 3d")
    seconds = int(float(match[1]) * _SECONDS[match[2]])
    if not low <= seconds <= high:
        raise value.mistake(f"must be from {low} s to {high // 86400} d")
    return seconds


def address(value: Value) -> str:
    """An address as it goes into RCPT TO."""
    text = value.text(limit=320).strip()
    if not _ADDRESS.fullmatch(text):
        raise value.mistake("not an address")
    return text


def line(value: Value, limit: int = 400) -> str:
    """A text for a reply or a header: one line, no control characters."""
    text = value.text(limit=limit).strip()
    if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", text):
        raise value.mistake("must be one line without control characters")
    return text


def _settings(value: Value, *known: str) -> Mapping[str, Value]:
    return {} if value.plain is None else value.mapping(*known)


def _empty(value: Value) -> None:
    if value.plain not in (None, {}):
        raise value.mistake("takes no settings; write {}")


def _pass(value: Value, known: Known, then: Then) -> None:
    _empty(value)
    then.dispositions.append(Outcome("deliver"))


def _delete(value: Value, known: Known, then: Then) -> None:
    _empty(value)
    then.dispositions.append(Outcome("delete"))


def _delay(value: Value, known: Known, then: Then) -> None:
    keys = value.mapping("for")
    if "for" not in keys:
        raise value.mistake("needs for: how long")
    then.dispositions.append(Outcome("delay", seconds=duration(keys["for"], high=30 * 86400)))


def _hold(value: Value, known: Known, then: Then) -> None:
    keys = _settings(value, "reviewers", "levels", "expires", "on_expiry")
    levels = keys["levels"].number(1, MAX_LEVELS) if "levels" in keys else 1
    expires = duration(keys["expires"]) if "expires" in keys else 0
    on_expiry = keys["on_expiry"].one_of("escalate", "return", "release") if "on_expiry" in keys else ""
    if on_expiry and not expires:
        raise keys["on_expiry"].mistake("needs expires, else it can never happen")
    then.dispositions.append(
        Outcome(
            "hold",
            seconds=expires,
            reviewers=keys["reviewers"].each(lambda v: _reviewer(v, known)) if "reviewers" in keys else (),
            on_expiry=on_expiry or ("escalate" if expires else ""),
            levels=levels,
        )
    )


def _reviewer(value: Value, known: Known) -> str:
    name = value.text(limit=320).strip()
    if name == "sender" or "@" in name or known.groups is None or name in known.groups:
        return name
    raise value.mistake(f"there is no group {name!r}; reviewers are a group, an address, or sender")


def _said(disposition: str) -> Callable[[Value, Known, Then], None]:
    def reader(value: Value, known: Known, then: Then) -> None:
        keys = _settings(value, "text")
        said = line(keys["text"]) if "text" in keys else ""
        then.dispositions.append(Outcome("return" if disposition == "return" else "refuse", text=said))

    return reader


def _tag(value: Value, known: Known, then: Then) -> None:
    keys = value.mapping("header", "subject_prefix")
    settings: dict[str, Any] = {}
    if "header" in keys:
        header = keys["header"].mapping("name", "value")
        if "name" not in header:
            raise keys["header"].mistake("needs a name")
        name = header["name"].text(limit=76)
        if not _HEADER.fullmatch(name) or _OURS.match(name):
            raise header["name"].mistake("a tag's header begins with X-, and not with X-Letterlock-")
        settings["header"] = {"name": name, "value": line(header["value"]) if "value" in header else "yes"}
    if "subject_prefix" in keys:
        settings["subject_prefix"] = line(keys["subject_prefix"], limit=100)
    if not settings:
        raise value.mistake("is empty; give header or subject_prefix")
    then.transforms.append(Transform("tag", settings))


def _banner(value: Value, known: Known, then: Then) -> None:
    keys = value.mapping("text")
    if "text" not in keys:
        raise value.mistake("needs text: what it says")
    said = keys["text"].text(limit=2000).strip()
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said):
        raise keys["text"].mistake("must not have control characters")
    then.transforms.append(Transform("banner", {"text": said}))


def _strip(value: Value, known: Known, then: Then) -> None:
    keys = value.mapping("attachments", "why")
    if "attachments" not in keys:
        raise value.mistake("needs attachments: a glob over their names, or a list of globs")
    settings: dict[str, Any] = {"attachments": list(keys["attachments"].each(glob))}
    settings["why"] = line(keys["why"]) if "why" in keys else ""
    then.transforms.append(Transform("strip", settings))


def _seal(value: Value, known: Known, then: Then) -> None:
    keys = _settings(value, "format", "password", "unless_tls", "keep", "per", "subject", "language")
    more = {
        name: keys[name].one_of(*words)
        for name, words in (("per", ("mail", "recipient")), ("subject", ("keep", "hide")), ("language", LANGUAGES))
        if name in keys
    }
    then.transforms.append(
        Transform(
            "seal",
            {
                "format": keys["format"].one_of("zip", "pdf") if "format" in keys else "zip",
                "password": keys["password"].one_of("agreed", "random") if "password" in keys else "random",
                "unless_tls": keys["unless_tls"].flag() if "unless_tls" in keys else False,
                "keep": list(keys["keep"].each(glob, empty=True)) if "keep" in keys else [],
                **more,
            },
        )
    )


def _notify(value: Value, known: Known, then: Then) -> None:
    keys = value.mapping("to", "template")
    if "to" not in keys:
        raise value.mistake("needs to: whom")
    settings: dict[str, Any] = {"to": list(keys["to"].each(lambda v: _notified(v, known)))}
    if "template" in keys:
        settings["template"] = keys["template"].text(limit=4000)
    then.transforms.append(Transform("notify", settings))


def _notified(value: Value, known: Known) -> str:
    name = value.text(limit=320).strip()
    if name in ("sender", "recipient") or (known.groups is not None and name in known.groups):
        return name
    if "@" not in name and known.groups is None:
        return name
    return address(value)


def _bcc(value: Value, known: Known, then: Then) -> None:
    then.bcc += value.each(address)


def _redirect(value: Value, known: Known, then: Then) -> None:
    then.redirect += value.each(address)


_READERS: Mapping[str, Callable[[Value, Known, Then], None]] = {
    "pass": _pass,
    "delay": _delay,
    "hold": _hold,
    "return": _said("return"),
    "refuse": _said("refuse"),
    "delete": _delete,
    "tag": _tag,
    "notify": _notify,
    "banner": _banner,
    "strip": _strip,
    "seal": _seal,
    "bcc": _bcc,
    "redirect": _redirect,
}
