"""What became of a mail's recipients so far: outcomes still on the broker, then the archive's records."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError
from letterlock.archive.v1 import archive_pb2
from letterlock.mail.v1 import mail_pb2

from services.common import tracing
from services.common.bus import Bus
from services.common.errors import Corrupt
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.delivery.ports import TERMINAL, Fate

SUBJECT = "archive.fates"


class RecordedFates:
    """Asks both; what is recorded last counts, and an end is an end."""

    def __init__(self, bus: Bus, facts: Facts, *, timeout: float = 5.0) -> None:
        self._bus, self._facts, self._timeout = bus, facts, timeout

    async def of(self, tenant: TenantId, mail_id: MailId) -> dict[int, Fate]:
        """The last state by position in the decision; raises `Unavailable`: then nothing may be sent."""
        # The broker first: what the archive takes from it between the two questions is then seen twice, never missed.
        waiting = [
            (await self._facts.open(message)).trace.outcome
            for message in await self._bus.pending(f"mail.outcome.{tenant}.{mail_id}")
        ]
        request = archive_pb2.FatesRequest(tenant=tenant, mail_id=mail_id)
        answer = await self._bus.request(
            SUBJECT, request.SerializeToString(), timeout=self._timeout, headers=tracing.inject()
        )
        try:
            recorded = archive_pb2.FatesResponse.FromString(answer)
        except DecodeError as error:
            raise Corrupt("fates are malformed") from error
        return merge([*recorded.outcomes, *waiting])


def merge(outcomes: Iterable[mail_pb2.Outcome]) -> dict[int, Fate]:
    """The last state of each position: a terminal one wins, then more attempts, then the later."""
    best: dict[int, tuple[tuple[bool, int, int], Fate]] = {}
    for outcome in outcomes:
        rank = (outcome.state in TERMINAL, outcome.attempts, outcome.at.ToMilliseconds())
        for position in outcome.recipients:
            known = best.get(position)
            if known is None or rank >= known[0]:
                best[position] = rank, Fate(outcome.state, outcome.attempts)
    return {position: fate for position, (_, fate) in best.items()}
