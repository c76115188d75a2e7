"""What a row of the table is made of: a command, its arguments, and where in the request they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from services.common.errors import Error

type Kind = Literal["text", "number", "list", "flag", "switch", "pair", "bytes", "content", "secret", "choice"]
"""How an option's words become a value.

`list` may be repeated and split by commas; `flag` is true when given; `switch` is `--x` or `--no-x`; `pair` is
NAME=NUMBER, repeated; `bytes` and `content` are a file's bytes or text (`-`: stdin); `secret` is the first line of a
file, so that no secret stands in the process list; `choice` is one of `choices`, sent as an enum where there is one.
"""


class Usage(Error):
    """The words cannot be a command: exit status 2."""

    code, retry = "usage", False


@dataclass(frozen=True, slots=True)
class Argument:
    """One word or option. `path` is the field of the request; in a list of fields, the ones an update changes."""

    name: str
    path: str
    help: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    short: str = ""
    required: bool = False
    metavar: str = ""

    @property
    def positional(self) -> bool:
        """Whether it is a word, not an option."""
        return not self.name.startswith("-")

    @property
    def flags(self) -> tuple[str, ...]:
        """Every spelling of an option."""
        return tuple(f for f in (self.short, self.name) if f)

    @property
    def takes_value(self) -> bool:
        """Whether the next word belongs to it."""
        return self.kind not in ("flag", "switch")

    @property
    def key(self) -> str:
        """Its name among the parsed values."""
        return self.name.lstrip("-").replace("-", "_")


type Row = Mapping[str, Any]
type Shape = Callable[[dict[str, Any], Mapping[str, Any]], Any]
"""(answer, parsed values) → the document that is printed."""


@dataclass(frozen=True, slots=True)
class Command:
    """`letterlock NOUN VERB`: the RPC it calls, what it takes, and what it prints.

    `rpc` is `area.Service.Method`; `items` names the repeated field of a paged answer; `one` the field of a single
    answer; `columns` what a table shows; `update` the field whose given parts make the update mask; `run` replaces
    the plain call for the few commands that are more than one.
    """

    noun: str
    verb: str
    help: str
    rpc: str = ""
    arguments: Sequence[Argument] = ()
    items: str = ""
    one: str = ""
    columns: Sequence[str] = ()
    update: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    shape: Shape | None = None
    view: Callable[[Any], str] | None = None
    """How people see the document; by default a table of `columns`."""
    run: str = ""
    """Name of a function of `special.py`."""
    request_id: bool = False
    """The request has a `request_id`: a repeated create answers the same."""

    @property
    def name(self) -> str:
        """Its words."""
        return f"{self.noun} {self.verb}".strip()
