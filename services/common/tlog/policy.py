"""C2SP tlog-policy: which logs and witnesses are known, and how many must have cosigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.common.tlog import note

_MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Witness:
    """One witness: its key and, for those who ask it, its submission prefix."""

    key: note.Key
    url: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to believe. `quorum` is empty when no witness is asked for."""

    logs: tuple[note.Key, ...] = ()
    witnesses: Mapping[str, Witness] = field(default_factory=dict)
    groups: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = ""

    def satisfied(self, signed: note.Note) -> bool:
        """Whether enough witnesses cosigned; raises `ValueError` when a known one's line does not verify."""
        seen = {name for name, w in self.witnesses.items() if signed.cosigned_at(w.key) is not None}
        return bool(self.quorum) and self._met(self.quorum, seen)

    def _met(self, name: str, seen: set[str]) -> bool:
        if name in self.witnesses:
            return name in seen
        threshold, members = self.groups[name]
        return sum(self._met(m, seen) for m in members) >= threshold


def parse(text: str) -> Policy:
    """The policy of a file; raises `ValueError` that names the line."""
    logs: list[note.Key] = []
    witnesses: dict[str, Witness] = {}
    groups: dict[str, tuple[int, tuple[str, ...]]] = {}
    quorum: str | None = None
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        raise ValueError(f"a policy has at most {_MOST_LINES} lines")
    for number, line in enumerate(lines, 1):
        words = line.replace("\t", " ").split(" ")
        words = [w for w in words if w]
        if not words or words[0].startswith("#"):
            continue
        try:
            match words:
                case ["log", vkey, *url] if len(url) <= 1:
                    logs.append(_key(vkey, note.ED25519, {k.public for k in logs}))
                case ["witness", name, vkey, *url] if len(url) <= 1:
                    _new(name, witnesses, groups)
                    known = {w.key.public for w in witnesses.values()}
                    witnesses[name] = Witness(_key(vkey, note.COSIGNATURE, known), url[0].rstrip("/") if url else "")
                case ["group", name, threshold, *members] if members:
                    _new(name, witnesses, groups)
                    if len(set(members)) < len(members) or any(m not in witnesses and m not in groups for m in members):
                        raise ValueError("a group has known members, each once")
                    needed = {"any": 1, "all": len(members)}.get(threshold) or int(threshold)
                    if not 1 <= needed <= len(members):
                        raise ValueError("a threshold is at least 1 and at most the number of members")
                    groups[name] = needed, tuple(members)
                case ["quorum", name] if quorum is None:
                    if name != "none" and name not in witnesses and name not in groups:
                        raise ValueError("the quorum is none, or a witness or group that is defined above it")
                    quorum = "" if name == "none" else name
                case _:
                    raise ValueError("expected log, witness, group or one quorum")
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    if quorum is None:
        raise ValueError("a policy says its quorum")
    return Policy(tuple(logs), witnesses, groups, quorum)


def _key(vkey: str, kind: int, known: set[bytes]) -> note.Key:
    key = note.Key.parse(vkey)
    if key.kind != kind:
        raise ValueError("a key of another kind is expected here")
    if key.public in known:
        raise ValueError("this key is there already")
    return key


def _new(name: str, *spaces: Mapping[str, object]) -> None:
    if name == "none" or any(name in space for space in spaces):
        raise ValueError("this name is taken")
