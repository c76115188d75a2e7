"""Whether a held mail may go by what the engines and the policy of today say of it."""

from __future__ import annotations

from letterlock.mail.v1 import mail_pb2

from services.common.errors import InvalidInput, NotFound, Rejected
from services.common.ids import MailId, TenantId
from services.quarantine.onward import leg_of
from services.quarantine.ports import Held, Inspector

_STRONGER = frozenset({mail_pb2.DISPOSITION_RETURN, mail_pb2.DISPOSITION_REFUSE, mail_pb2.DISPOSITION_DELETE})
_MALWARE = "it is malware by the engines of today"


class Fitness:
    """Asks policy again before anything is released."""

    def __init__(self, inspect: Inspector) -> None:
        self._inspect = inspect

    async def check(self, tenant: TenantId, held: Held, note: str, *, force: bool) -> None:
        """Return when this leg may go, or a reviewer who gives a reason may force it; malware nobody can.

        Raises `Rejected`, `InvalidInput` (forced without a note) or `Unavailable`.
        """
        if force and not note:
            raise InvalidInput("say why it is to go although the engines say no", field="note")
        verdict = await self.verdict(tenant, held)
        if verdict == _MALWARE:
            raise Rejected("malware", public=f"{verdict}: it cannot leave", hold=held.hold.id)
        if verdict and not force:
            text = f"{verdict}: force it with a note, or decide otherwise"
            raise Rejected("judged worse", public=text, hold=held.hold.id)

    async def verdict(self, tenant: TenantId, held: Held) -> str:
        """What keeps it, in words for people; empty when nothing does. Raises `Unavailable`."""
        try:
            found = await self._inspect(tenant, MailId.parse(held.hold.mail_id))
        except NotFound:
            return "it cannot be inspected again"
        if found.malware:
            return _MALWARE
        mine = {held.trace.decision.recipients[p].address for p in leg_of(held).recipients}
        for leg in found.decision.legs:
            theirs = {found.decision.recipients[p].address for p in leg.recipients}
            if leg.disposition in _STRONGER and mine & theirs:
                name = mail_pb2.Disposition.Name(leg.disposition).removeprefix("DISPOSITION_").lower()
                return f"the policy of today says {name} (rule {leg.rule})"
        return ""
