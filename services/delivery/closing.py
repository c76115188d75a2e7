"""The end of a leg that is not delivered: what policy, or a reviewer, does not let go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry
from services.delivery.core.replies import failed
from services.delivery.fate_report import Mail, Reporter, Told

_log = log.get(__name__)

CODES = {
    mail_pb2.DISPOSITION_RETURN: "policy_returned",
    mail_pb2.DISPOSITION_REFUSE: "policy_refused",
    mail_pb2.DISPOSITION_DELETE: "policy_deleted",
}
"""What ends a leg, and the code that its recipients' outcomes bear."""
_EVENTS = {
    mail_pb2.STATE_RETURNED: "returned",
    mail_pb2.STATE_REFUSED: "refused",
    mail_pb2.STATE_DELETED: "deleted",
}


async def close(
    reporter: Reporter,
    mail: Mail,
    leg: mail_pb2.Leg,
    positions: Sequence[int],
    content: Callable[[], Awaitable[bytes | None]],
) -> None:
    """End what policy, or a reviewer, does not let go: return it to its sender, refuse it silently, or drop it."""
    result = failed(CODES[leg.disposition], "5.7.1", leg.text or "not accepted by policy")
    told = {p: Told((p,), result, 0) for p in positions}
    states: dict[mail_pb2.State, list[Told]] = {}
    for position, one in told.items():
        inbound = mail.decision.recipients[position].direction == mail_pb2.DIRECTION_INBOUND
        if leg.disposition == mail_pb2.DISPOSITION_DELETE:
            state: mail_pb2.State = mail_pb2.STATE_DELETED
        elif inbound:
            state = mail_pb2.STATE_REFUSED
        else:
            state = mail_pb2.STATE_RETURNED
        states.setdefault(state, []).append(one)
    returned = states.get(mail_pb2.STATE_RETURNED, [])
    if reporter.due(mail, "failed", returned):
        raw = await content()
        await reporter.notify(mail, leg.number, "failed", returned, raw or b"")
    for state, group in states.items():
        await reporter.outcome(mail, leg.number, state, group)
        telemetry.count("delivery", _EVENTS[state], mail.tenant, len(group))
    _log.info("delivery.closed", leg=leg.number, code=result.code, number=len(positions))
