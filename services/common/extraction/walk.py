"""Reads files and what is in them: type by content, the reader of that type, then each member the same way.

No exception of a reader leaves here: it makes the file `broken`, and what was found before it counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from services.common.extraction.budget import Budget, Stop, Unpacking
from services.common.extraction.kinds import LOCAL_HEADER, SILENT, content_type, hides_zip, true_type
from services.common.extraction.model import File, Piece, Reason

type Emit = Callable[[Piece], None]
type Reader = Callable[[bytes, Reading], None]

_MAX_NAME = 1000
_MAX_DECLARED = 300
_WORST: tuple[Reason, ...] = ("unsupported", "broken", "too_large", "encrypted", "timeout")
"""Of several problems of one file the later one is told."""


class Reading:
    """One file while it is read: where its reader puts what it finds."""

    def __init__(
        self,
        walk: Walk,
        part: str,
        depth: int,
        *,
        charset: str = "",
        declared: str = "",
    ) -> None:
        self._walk, self._part, self._depth = walk, part, depth
        self._texts: list[str] = []
        self._room = walk.budget.limits.text
        self._members = 0
        self.charset = charset
        """As the mail around it declares; a hint."""
        self.declared = declared
        self.read_text = False
        """Whether this type has text at all, even when there is none."""
        self.encrypted = False
        self.macros = False
        self.problem: Reason | None = None

    @property
    def budget(self) -> Budget:
        """What is left to spend."""
        return self._walk.budget

    @property
    def passwords(self) -> Sequence[str]:
        """Those worth trying."""
        return self._walk.passwords

    def text(self, text: str) -> None:
        """Text found; what is beyond the bounds is cut off, which is a problem of the file."""
        self.read_text = True
        if not text:
            return
        room = self.budget.text(min(len(text), self._room))
        self._room -= room
        if room < len(text):
            self.trouble("too_large")
        if room:
            self._texts.append(text[:room])
        self.budget.check()

    @property
    def full(self) -> bool:
        """Whether more text would be cut off."""
        return self._room <= 0

    def trouble(self, reason: Reason) -> None:
        """Part of it was not read, and why; the worst is told."""
        if self.problem is None or _WORST.index(reason) > _WORST.index(self.problem):
            self.problem = reason

    def unpacking(self, packed: int) -> Unpacking:
        """The account of what comes out of this file of `packed` bytes."""
        return Unpacking(self.budget, packed)

    def member(
        self, name: str, content: bytes, *, encrypted: bool = False, charset: str = "", declared: str = ""
    ) -> None:
        """A file found in it; it is read at once. Raises `Stop` when the mail's bounds are reached."""
        self._members += 1
        file = File(f"{self._part}/{self._members}", name, declared, content)
        self._walk.file(file, self._depth + 1, encrypted=encrypted, charset=charset, member=True)

    def unread(self, name: str, size: int, problem: Reason, *, encrypted: bool = False) -> None:
        """A file in it whose bytes were not to be had."""
        self._members += 1
        self.budget.file()
        part = f"{self._part}/{self._members}"
        self._walk.emit(
            Piece(part, _name(name), "application/octet-stream", "unknown", size, "", None, encrypted, False, problem)
        )

    def piece(self, file: File, kind: str, declared: str) -> Piece:
        """What is known when the reader is done."""
        text = "\n".join(self._texts) if self.read_text else None
        return Piece(
            file.part, _name(file.name), declared, kind, len(file.content),
            hashlib.sha256(file.content, usedforsecurity=False).hexdigest(), text,
            self.encrypted, self.macros, self.problem,
        )  # fmt: skip


class Walk:
    """One mail's files, read with one budget; `emit` gets each piece as soon as it is whole, members first."""

    def __init__(self, budget: Budget, passwords: Iterable[str], emit: Emit) -> None:
        self.budget = budget
        self.passwords = tuple(dict.fromkeys(passwords))
        self.emit = emit
        self._spent: Reason | None = None

    def top(self, file: File) -> None:
        """Read one of the files that were given; emits at least its own piece, and raises nothing."""
        try:
            self.file(file, 1, charset=_charset(file.content_type))
        except Stop:
            return
        except (MemoryError, RecursionError):
            # Inside `file` all is caught; this is the last net, when even that had no room.
            self._emit_unread(file, "too_large")

    def file(self, file: File, depth: int, *, encrypted: bool = False, charset: str = "", member: bool = False) -> None:
        """Read a file; emits its piece in any case. Raises `Stop` only where the whole mail's bounds are reached."""
        if self._spent is not None:
            self._emit_unread(file, self._spent)
            raise Stop(self._spent, whole=True)
        reading = Reading(self, file.part, depth, charset=charset, declared=file.content_type)
        kind, stop = "unknown", None
        try:
            self.budget.file()
            kind = true_type(file.content)
            if depth > self.budget.limits.depth and kind not in SILENT:
                raise Stop("too_large")
            self._read(kind, file.content, reading)
        except Stop as reached:
            reading.trouble(reached.reason)
            if reached.whole:
                self._spent, stop = reached.reason, reached
        except MemoryError:
            reading.trouble("too_large")
        except Exception:
            # A stranger's file and other people's parsers: whatever they raise, the file is broken, no more.
            reading.trouble("broken")
        reading.encrypted = reading.encrypted or encrypted
        declared = content_type(kind) if member or not file.content_type else _line(file.content_type)
        self.emit(reading.piece(file, kind, declared))
        if stop is not None:
            raise stop

    def _read(self, kind: str, content: bytes, reading: Reading) -> None:
        from services.common.extraction.readers import reader_of  # the readers know `Reading`

        reader = reader_of(kind)
        if reader is not None:
            reader(content, reading)
        elif content:
            reading.trouble("unsupported")
        if kind != "zip" and hides_zip(content, kind):
            # A program that unpacks itself, a picture with an archive behind it: two readings, both are inspected.
            reading.member("", content[content.find(LOCAL_HEADER) :])

    def _emit_unread(self, file: File, reason: Reason) -> None:
        reading = Reading(self, file.part, 0)
        reading.trouble(reason)
        self.emit(reading.piece(file, "unknown", _line(file.content_type) or "application/octet-stream"))


def order(piece: Piece) -> tuple[int, ...]:
    """Sorts the pieces of one file: itself, then its members, each before its own."""
    return tuple(int(n) for n in piece.part.split("/")[1:])


def _name(name: str) -> str:
    return name[:_MAX_NAME].encode("utf-8", "replace").decode("utf-8")


def _line(declared: str) -> str:
    return "".join(c for c in declared[:_MAX_DECLARED] if " " <= c <= "~")


def _charset(declared: str) -> str:
    _, _, rest = declared.lower().partition("charset=")
    return rest.strip(" \"'").split(";")[0].strip(" \"'")[:40]
