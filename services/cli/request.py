"""Values to a request: each argument says which field it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.cli.command import Argument, Command, Usage
from services.common.ids import MailId


def fill(request: Message, command: Command, values: Mapping[str, Any], *, tenant: str) -> None:
    """Set the fields of `request` that were given; raises `Usage` for a value that does not fit."""
    fields = request.DESCRIPTOR.fields_by_name
    if tenant and "tenant" in fields and fields["tenant"].message_type is None:
        request.tenant = tenant  # type: ignore[attr-defined]
    changed: set[str] = set()
    for argument in command.arguments:
        if argument.key not in values or not argument.path:
            continue
        _needs(argument, command, values)
        _assign(request, argument, read(argument, values[argument.key]))
        top, _, part = argument.path.partition(".")
        if command.update and top == command.update:
            changed.add(part.partition(".")[0])
    if command.update:
        if not changed:
            raise Usage(f"nothing to change was given (see: letterlock {command.name} --help)")
        request.update_mask.paths.extend(sorted(changed))  # type: ignore[attr-defined]
    if command.request_id:
        request.request_id = MailId.new()  # type: ignore[attr-defined]


def _needs(argument: Argument, command: Command, values: Mapping[str, Any]) -> None:
    """A route is changed as a whole: its TLS alone would take its address away."""
    way, _, last = argument.path.rpartition(".")
    if last == "tls" and way:
        address = next(a for a in command.arguments if a.path == f"{way}.address")
        if not values.get(address.key):
            raise Usage(f"{argument.name} needs {address.name}")


def read(argument: Argument, value: Any) -> Any:
    """The value as its kind means it; raises `Usage` for a file that cannot be read."""
    match argument.kind:
        case "list":
            return [part.strip() for item in value for part in item.split(",") if part.strip()]
        case "pair":
            pairs = [item.partition("=") for item in value]
            try:
                return {name: int(number) for name, _, number in pairs}
            except ValueError:
                raise Usage(f"{argument.name}: expected NAME=NUMBER") from None
        case "bytes":
            return contents(value)
        case "content" | "secret":
            try:
                text = contents(value).decode()
            except UnicodeDecodeError:
                raise Usage(f"{value}: not UTF-8 text") from None
            return text if argument.kind == "content" else text.split("\n")[0].rstrip("\r")
    return value


def contents(name: str) -> bytes:
    """The bytes of a file, or of stdin for `-`; raises `Usage`."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Usage(f"{name}: {error.strerror}") from None


def _assign(request: Message, argument: Argument, value: Any) -> None:
    target: Any = request
    *way, last = argument.path.split(".")
    if value == "" and len(way) > 1:
        # An empty part of a part takes the part away: absent, and named by the mask.
        return
    for step in way:
        target = getattr(target, step)
    descriptor = target.DESCRIPTOR.fields_by_name[last]
    try:
        if isinstance(value, list):
            getattr(target, last).extend(value)
        elif isinstance(value, dict):
            getattr(target, last).update(value)
        elif descriptor.enum_type is not None:
            setattr(target, last, _enum(descriptor.enum_type, value))
        elif descriptor.message_type is Timestamp.DESCRIPTOR:
            getattr(target, last).FromJsonString(value)
        else:
            setattr(target, last, value)
    except (ValueError, TypeError):
        raise Usage(f"{argument.name}: {value!r} does not fit") from None


def _enum(enum: Any, word: str) -> int:
    """The number of an enum's value by its short name."""
    return int(next(v.number for v in enum.values if v.name.endswith(f"_{word.upper()}")))
