"""Answers to plain values: proto names, numbers as numbers, enums by their short names, times as RFC 3339.

protobuf's own JSON writes 64-bit integers as strings and enums with their type's name, which scripts and people
would have to undo; otherwise this is that form, with every field present.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.message import Message

_TIMESTAMP = "google.protobuf.Timestamp"
_JSON_BYTES = frozenset({"letterlock.mail.v1.Transform.settings"})
"""Bytes that hold JSON."""


def plain(message: Message) -> dict[str, Any]:
    """A message as a dict; an absent message is null, an absent optional field too."""
    return {f.name: _field(message, f) for f in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        item = field.message_type.fields_by_name["value"]
        return {str(key): _value(value[key], item) for key in sorted(value)}
    if field.is_repeated:
        return [_value(item, field) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:
    if isinstance(value, Message):
        return value.ToJsonString() if field.message_type.full_name == _TIMESTAMP else plain(value)  # type: ignore[attr-defined]
    if field.enum_type is not None:
        return enum_name(field.enum_type, value)
    if isinstance(value, bytes):
        if field.full_name in _JSON_BYTES and value:
            return json.loads(value)
        return base64.b64encode(value).decode()
    return value


def enum_name(enum: Any, number: int) -> str:
    """The short name of an enum's value: `DIRECTION_INBOUND` is `inbound`, the unspecified one empty."""
    found = enum.values_by_number.get(number)
    if found is None:
        return str(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    name = str(found.name.removeprefix(prefix)).lower()
    return "" if name == "unspecified" else name
