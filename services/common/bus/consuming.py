"""What becomes of a message after its handler: one decision for the broker and its double."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from services.common.bus import Later, Message
from services.common.bus.streams import Consumer
from services.common.errors import Error, retryable


@dataclass(frozen=True, slots=True)
class Ack:
    """Done."""


@dataclass(frozen=True, slots=True)
class Again:
    """Deliver again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Dead:
    """Give up: to the dead-letter stream with this reason, then terminate."""

    reason: str


type Fate = Ack | Again | Dead


class Failures:
    """Counts failures per message for one consumer, for the newest 10,000 that failed."""

    _KEPT = 10_000

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._counts: OrderedDict[int, int] = OrderedDict()

    def judge(self, sequence: int, error: BaseException | None) -> Fate:
        """Decide after a handler returned (`error` is None) or raised.

        Failures are counted here and not by the broker, which would count `Later` and restarts too.
        """
        if error is None:
            self._counts.pop(sequence, None)
            return Ack()
        if isinstance(error, Later):
            return Again(max(0.0, error.seconds))
        count = self._counts.pop(sequence, 0) + 1
        if not retryable(error) or count >= self._consumer.max_deliver:
            return Dead(reason_of(error))
        self._counts[sequence] = count
        if len(self._counts) > self._KEPT:
            self._counts.popitem(last=False)
        return Again(self._consumer.backoff[min(count, len(self._consumer.backoff)) - 1])


def reason_of(error: BaseException) -> str:
    """The code of a failure, or the type of an unknown one; never its text, which may hold content."""
    return error.code if isinstance(error, Error) else type(error).__name__


def dead_letter(consumer: str, message: Message, reason: str) -> tuple[str, dict[str, str]]:
    """Subject and headers of the dead letter for a message: its own headers, and why it died."""
    headers: Mapping[str, str] = {k: v for k, v in message.headers.items() if not k.lower().startswith("nats-")}
    extra = {
        "Letterlock-Reason": reason,
        "Letterlock-Consumer": consumer,
        "Letterlock-Subject": message.subject,
        "Letterlock-Deliveries": str(message.deliveries),
        "Letterlock-Msg-Id": message.headers.get("Nats-Msg-Id", ""),
    }
    return f"dead.{consumer}.{message.subject}", {**headers, **extra}
