"""Notices that a rule asks for: its words, and ids of the mail; never its subject or content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime

from letterlock.mail.v1 import mail_pb2

from services.common.directory import Directory
from services.common.ids import MailId
from services.common.mailedit import Wish
from services.common.systemmail import SystemMail
from services.delivery.core import dsn
from services.delivery.fate_report import Mail

_WHAT = {
    mail_pb2.DISPOSITION_DELIVER: "is delivered",
    mail_pb2.DISPOSITION_DELAY: "is delivered later",
    mail_pb2.DISPOSITION_HOLD: "is held for review",
    mail_pb2.DISPOSITION_RETURN: "is returned to its sender",
    mail_pb2.DISPOSITION_REFUSE: "is refused",
    mail_pb2.DISPOSITION_DELETE: "is deleted",
}


class Notices:
    """Sends what `notify` asks for, once per leg, rule and person."""

    def __init__(self, system: SystemMail, directory: Callable[[], Directory], *, hostname: str) -> None:
        self._system, self._directory, self._hostname = system, directory, hostname

    async def send(self, mail: Mail, leg: mail_pb2.Leg, wishes: Sequence[Wish]) -> None:
        """Send the notices of a leg; a repetition sends nothing new. Raises as `SystemMail.send`."""
        if mail.envelope.origin.startswith("system"):
            return
        for wish in wishes:
            if wish.kind != "notify":
                continue
            text = self._text(mail, leg, wish)
            for address in self._people(mail, leg, wish):
                await self._one(mail, leg, wish, address, text)

    async def _one(self, mail: Mail, leg: mail_pb2.Leg, wish: Wish, address: str, text: str) -> None:
        def build(own_id: MailId, now: datetime) -> bytes:
            return dsn.notice(
                own_id=own_id, hostname=self._hostname, to=[address], subject="Notice about a mail", text=text, now=now
            )

        what = hashlib.sha256(f"{wish.rule}\0{address}\0{text}".encode()).hexdigest()
        await self._system.send(mail.tenant, [address], build, seed=f"notice:{mail.mail_id}:{leg.number}:{what}")

    def _people(self, mail: Mail, leg: mail_pb2.Leg, wish: Wish) -> list[str]:
        """Addresses to tell, each once. Strangers are never told, so their addresses draw no mail."""
        found: dict[str, None] = {}
        names = wish.settings.get("to", [])
        for name in names if isinstance(names, list) else []:
            if not isinstance(name, str):
                continue
            if name == "sender":
                inbound = any(
                    mail.decision.recipients[p].direction == mail_pb2.DIRECTION_INBOUND for p in leg.recipients
                )
                if mail.envelope.sender and not inbound:
                    found[mail.envelope.sender] = None
            elif name == "recipient":
                found |= {
                    r.address: None
                    for r in (mail.decision.recipients[p] for p in leg.recipients)
                    if r.direction != mail_pb2.DIRECTION_OUTBOUND and not r.added
                }
            elif "@" in name:
                found[name] = None
            else:
                found |= dict.fromkeys(sorted(self._directory().group(mail.tenant, name)))
        return list(found)

    @staticmethod
    def _text(mail: Mail, leg: mail_pb2.Leg, wish: Wish) -> str:
        said = wish.settings.get("template")
        lines = [said.strip(), ""] if isinstance(said, str) and said.strip() else []
        lines += [
            f"A mail {_WHAT.get(leg.disposition, 'was judged')} by the rule {wish.rule}.",
            "",
            f"Mail id:    {mail.mail_id}",
            f"Received:   {mail.received_at:%Y-%m-%d %H:%M:%S} UTC",
            f"Sender:     {mail.envelope.sender or '<>'}",
            f"Recipients: {len([p for p in leg.recipients if not mail.decision.recipients[p].added])}",
        ]
        return "\r\n".join(line for text in lines for line in text.split("\n")) + "\r\n"
