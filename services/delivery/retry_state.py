"""The state of a leg between attempts, as it is read."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import DecodeError
from letterlock.delivery.v1 import delivery_pb2

from services.common.errors import Corrupt


def next_attempt(state: delivery_pb2.RetryState) -> datetime:
    """The earliest next attempt of a leg."""
    return min(r.next_attempt_at.ToDatetime(UTC) for r in state.recipients)


def parse(data: bytes) -> delivery_pb2.RetryState:
    """A retry's state; raises `Corrupt`."""
    try:
        return delivery_pb2.RetryState.FromString(data)
    except DecodeError as error:
        raise Corrupt("retry state is malformed") from error
