"""Changing mail honestly: banners, taken-out attachments, tags, each the smallest edit of the raw bytes.

Everything outside the edited spans is byte for byte what came in. What is
signed or encrypted, or has two readings, is left alone, and the reason is
told. The manifest that comes with a changed mail brings the original back
(`rebuild`). Pure; never raises for what a mail is like. A large mail takes
milliseconds per MB: off the loop with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.common import newlines
from services.common.mailedit import banner, headers, manifest, parts, strip
from services.common.mailedit.bodies import Where
from services.common.mailedit.draft import Draft, Span
from services.common.mailedit.manifest import rebuild

__all__ = ["CHANGES", "Change", "Edited", "LeftAlone", "Wish", "apply_transforms", "read", "rebuild"]

CHANGES = frozenset({"tag", "banner", "strip"})
"""Transforms that change a mail's bytes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A transform of a leg: its kind, the rule it is from, its settings."""

    kind: str
    rule: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What was done: "header", "subject_prefix", "banner" or "strip", by which rule, in which parts (`1.2`)."""

    kind: str
    rule: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What was not done, in which part, and why.

    `reason` is "signed", "encrypted", "ambiguous", "broken", "too_complex", "charset", "encoding", "boundary",
    "no_text_body", "nothing_to_do" (the settings name nothing that can be done).
    """

    kind: str
    rule: str
    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A mail as it leaves, what was changed, what was left alone, and the way back; `normalised`: newlines too."""

    content: bytes
    differs: bool
    normalised: bool = False
    changes: tuple[Change, ...] = ()
    left: tuple[LeftAlone, ...] = ()
    manifest: bytes = b""

    @property
    def summary(self) -> str:
        """One line for people: "changed: banner; left alone: strip (signed)"; empty when there is nothing to tell."""
        done = ", ".join(dict.fromkeys(c.kind for c in self.changes))
        left = ", ".join(dict.fromkeys(f"{one.kind} ({one.reason})" for one in self.left))
        said = [f"changed: {done}" if done else "", f"left alone: {left}" if left else ""]
        return "; ".join(s for s in said if s)


@dataclass
class _Job:
    draft: Draft
    changes: list[Change] = field(default_factory=list)
    left: list[LeftAlone] = field(default_factory=list)

    def done(self, wish: Wish, kind: str, spans: Sequence[Span], changed: Iterable[str] = ()) -> None:
        if spans:
            self.draft.edit(spans)
            self.changes.append(Change(kind, wish.rule, tuple(changed)))

    def refused(self, wish: Wish, left: Iterable[tuple[str, str]]) -> None:
        self.left += [LeftAlone(wish.kind, wish.rule, part, reason) for part, reason in left]


def read(kind: str, rule: str, settings: bytes) -> Wish:
    """A wish from its stored form; settings that are no JSON object count as none."""
    try:
        value = json.loads(settings or b"{}")
    except ValueError:
        value = {}
    return Wish(kind, rule, value if isinstance(value, dict) else {})


def apply_transforms(raw: bytes, wishes: Iterable[Wish]) -> Edited:
    """The mail with clean newlines and with every change that its wishes ask for; wishes of other kinds are not ours.

    Attachments go first, then banners come, then tags, so that no edit meets another's traces.
    """
    wanted = list(wishes)
    clean = raw if newlines.is_clean(raw) else newlines.normalise(raw)
    job = _Job(Draft(clean))
    for kind, work in (("strip", _strip), ("banner", _banner), ("tag", _tag)):
        for wish in wanted:
            if wish.kind == kind:
                work(job, wish)
    differs = bool(job.changes) or clean is not raw
    changes, left = tuple(job.changes), tuple(job.left)
    document = b""
    if differs:
        document = manifest.build(
            raw,
            clean,
            job.draft.content,
            job.draft.replaced(),
            [{"kind": c.kind, "rule": c.rule, "parts": list(c.parts)} for c in changes],
            [{"kind": o.kind, "rule": o.rule, "part": o.part, "reason": o.reason} for o in left],
        )
    return Edited(job.draft.content, differs, clean is not raw, changes, left, document)


def _strip(job: _Job, wish: Wish) -> None:
    said, why = wish.settings.get("attachments"), wish.settings.get("why", "")
    globs = [g for g in ([said] if isinstance(said, str) else said or []) if isinstance(g, str)]
    if not globs:
        job.refused(wish, [("", "nothing_to_do")])
        return
    content = job.draft.content
    spans, changed, left = strip.take_out(content, parts.read(content), globs, why if isinstance(why, str) else "")
    job.refused(wish, left)
    job.done(wish, "strip", spans, changed)


def _banner(job: _Job, wish: Wish) -> None:
    text = wish.settings.get("text")
    if not isinstance(text, str) or not text.strip():
        job.refused(wish, [("", "nothing_to_do")])
        return
    where: Where = "after" if wish.settings.get("position") in ("after", "bottom", "end") else "before"
    content = job.draft.content
    spans, changed, left = banner.add(content, parts.read(content), text, where)
    job.refused(wish, left)
    job.done(wish, "banner", spans, changed)


def _tag(job: _Job, wish: Wish) -> None:
    header, prefix = wish.settings.get("header"), wish.settings.get("subject_prefix")
    if isinstance(prefix, str) and prefix.strip():
        job.done(wish, "subject_prefix", headers.prefix_subject(job.draft.content, prefix))
    if isinstance(header, dict) and isinstance(header.get("name"), str):
        job.done(wish, "header", headers.add_header(header["name"], str(header.get("value", ""))))
