"""What the broker says to a message that is to be stored, in our errors."""

from __future__ import annotations

import json
from dataclasses import dataclass

from services.common.errors import Busy, Conflict, TooLarge, Unavailable

_FULL = frozenset({10023, 10047, 10077, 10122})
"""No resources, no storage, a limit of the stream or the subject, too many in flight (nats-server's errors.json)."""
_MOVED = frozenset({10071, 10164})
_LARGE = frozenset({10054})


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a message is kept; `duplicate`: it already was."""

    stream: str
    sequence: int
    duplicate: bool


def check_ack(data: bytes) -> Stored:
    """Read a PubAck.

    Raises `Busy` when the stream or the subject is full, `Conflict` when an expected revision has passed,
    `TooLarge`, and `Unavailable` for whatever else the broker could not do.
    """
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise Unavailable("the broker's answer cannot be read") from error
    if problem := answer.get("error"):
        number = problem.get("err_code", 0)
        if number in _FULL:
            raise Busy("the stream is full", err_code=number)
        if number in _MOVED:
            raise Conflict("changed meanwhile", err_code=number)
        if number in _LARGE:
            raise TooLarge("larger than the stream takes", err_code=number)
        raise Unavailable("the broker did not store it", err_code=number)
    return Stored(str(answer["stream"]), int(answer["seq"]), bool(answer.get("duplicate")))
