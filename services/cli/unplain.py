"""Plain values back to a message: the inverse of `plain.py`, for what a command printed and another one reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from services.cli.plain import enum_name

_TIMESTAMP = "google.protobuf.Timestamp"
_JSON_BYTES = frozenset({"letterlock.mail.v1.Transform.settings"})


def unplain(message: Message, values: Any) -> None:
    """Fill a message with what `plain` made of one; raises `ValueError` for anything else."""
    if not isinstance(values, Mapping):
        raise ValueError(f"expected an object for {message.DESCRIPTOR.name}")
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"{message.DESCRIPTOR.name} has no {name}")
        if value is not None:
            try:
                _fill(message, fields[name], value)
            except TypeError as error:
                raise ValueError(f"{name}: {value!r} does not fit") from error


def _fill(message: Message, field: Any, value: Any) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise TypeError(field.name)
        into = getattr(message, field.name)
        for item in value:
            if field.message_type is not None:
                unplain(into.add(), item)
            else:
                into.append(_scalar(field, item))
    elif field.message_type is not None and field.message_type.full_name == _TIMESTAMP:
        getattr(message, field.name).FromJsonString(value)
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
        unplain(getattr(message, field.name), value)
    else:
        setattr(message, field.name, _scalar(field, value))


def _scalar(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        for number in field.enum_type.values_by_number:
            if enum_name(field.enum_type, number) == value:
                return number
        raise ValueError(f"{field.name}: there is no {value!r}")
    if field.type == field.TYPE_BYTES:
        if field.full_name in _JSON_BYTES and not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        return base64.b64decode(value, validate=True)
    return value
