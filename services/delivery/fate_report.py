"""What becomes known of recipients: outcomes for the record, notifications for the sender."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2

from services.common.directory import Directory
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.common.notices import Templates, language_of, render
from services.common.systemmail import SystemMail
from services.delivery.core import dsn, returned
from services.delivery.core.dsn import Action, Report, Reported
from services.delivery.core.replies import Result

_N = 1000
"""Outcome numbers: the first recipient's position times this, plus attempts; attempts stay far below."""


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail a leg is of."""

    tenant: TenantId
    mail_id: MailId
    envelope: mail_pb2.Envelope
    decision: mail_pb2.Decision

    @property
    def received_at(self) -> datetime:
        """When it was accepted."""
        return self.envelope.received_at.ToDatetime(UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """A recipient and what came of it. `positions` are those of the decision it stands for."""

    positions: tuple[int, ...]
    result: Result
    attempts: int


class Reporter:
    """Publishes outcomes and sends notifications."""

    def __init__(
        self,
        facts: Facts,
        system: SystemMail,
        templates: Templates,
        directory: Callable[[], Directory],
        *,
        hostname: str,
        whole_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        self._facts, self._system, self._now = facts, system, now
        self._templates, self._directory = templates, directory
        self._hostname, self._whole_bytes = hostname, whole_bytes

    async def outcome(
        self, mail: Mail, leg: int, state: mail_pb2.State, told: Sequence[Told], *, actor: str = ""
    ) -> None:
        """Record a state; recipients with the same result share an outcome."""
        groups: dict[tuple[Result, int], set[int]] = {}
        for one in told:
            groups.setdefault((one.result, one.attempts), set()).update(one.positions)
        for (result, attempts), positions in groups.items():
            outcome = mail_pb2.Outcome(
                tenant=mail.tenant,
                mail_id=mail.mail_id,
                leg=leg,
                recipients=sorted(positions),
                state=state,
                code=result.code,
                detail=result.detail,
                n=min(positions) * _N + min(attempts, _N - 1),
                service="delivery",
                actor=actor,
                remote=result.remote,
                attempts=attempts,
            )
            outcome.at.FromDatetime(self._now())
            await self._facts.outcome(None, outcome)

    def due(self, mail: Mail, action: Action, told: Sequence[Told]) -> list[tuple[int, Result]]:
        """The recipients of whom the sender is to be told."""
        return [
            (position, one.result)
            for one in told
            for position in one.positions
            if self._is_due(mail, action, mail.decision.recipients[position])
        ]

    def _is_due(self, mail: Mail, action: Action, recipient: mail_pb2.Recipient) -> bool:
        return dsn.is_due(
            action,
            sender="" if mail.envelope.origin.startswith("system") else mail.envelope.sender,
            stranger=recipient.direction == mail_pb2.DIRECTION_INBOUND or not self._vouched(mail),
            added=recipient.added,
            notify=recipient.notify,
        )

    async def notify(
        self,
        mail: Mail,
        leg: int,
        action: Action,
        told: Sequence[Told],
        content: bytes,
        *,
        retry_until: datetime | None = None,
    ) -> None:
        """Send the sender one notification of all recipients of whom one is due; none if there are none."""
        due = self.due(mail, action, told)
        if not due:
            return
        subject, text = await self._words(mail, leg, due)
        attempts = max(one.attempts for one in told)
        positions = ",".join(str(p) for p, _ in sorted(due, key=lambda d: d[0]))
        report = Report(
            action=action,
            mail_id=mail.mail_id,
            arrived_at=mail.received_at,
            attempted_at=self._now(),
            recipients=[self._reported(mail, p, r) for p, r in due],
            envid=mail.envelope.envid,
            retry_until=retry_until,
            subject=subject,
            text=text,
        )
        whole = action == "failed" and mail.envelope.ret == "FULL" and len(content) <= self._whole_bytes

        def build(own_id: MailId, now: datetime) -> bytes:
            return dsn.build(
                report,
                own_id=own_id,
                hostname=self._hostname,
                sender=mail.envelope.sender,
                content=content,
                whole=whole,
                now=now,
            )

        seed = f"dsn:{mail.mail_id}:{leg}:{action}:{attempts}:{positions}"
        await self._system.send(mail.tenant, [mail.envelope.sender], build, seed=seed)

    def _vouched(self, mail: Mail) -> bool:
        """Whether the tenant stands for the sender's address; one that is only claimed gets no mail of ours."""
        view, sender = self._directory(), mail.envelope.sender
        domain = view.domain_of(sender)
        came_by = mail.envelope.peer.connector
        senders = [s for c in view.connectors if (c.tenant, c.name) == (mail.tenant, came_by) for s in c.senders]
        return returned.vouched(sender, own=domain is not None and domain.tenant == mail.tenant, senders=senders)

    async def _words(self, mail: Mail, leg: int, due: Sequence[tuple[int, Result]]) -> tuple[str, str]:
        """Subject and text of what policy gave back: in the tenant's words and language, then in English.

        Empty for other reports, whose words are the mail system's own.
        """
        result = due[0][1]
        if not result.code.startswith(returned.POLICY):
            return "", ""
        decision = mail.decision
        rule = next((one.rule for one in decision.legs if one.number == leg), "")
        fired = [
            returned.Fired(w.rule, frozenset(w.recipients), [s for p in w.predicates if p.truth for s in p.spans])
            for w in decision.why
            if w.matched
        ]
        tenant = self._directory().tenant(mail.tenant)
        fields = {
            "mail_id": mail.mail_id,
            "received": f"{mail.received_at:%Y-%m-%d %H:%M:%S} UTC",
            "sender": mail.envelope.sender,
            "recipients": "\n".join(decision.recipients[p].address for p, _ in due),
            "tenant": tenant.name if tenant is not None else "",
            "rule": rule,
            "reason": result.detail,
            "findings": returned.findings(fired, rule, [p for p, _ in due]),
        }
        language = language_of(tenant.language if tenant is not None else "")
        said = await self._templates.render(mail.tenant, "returned", language, fields)
        if language == "en":
            return said.subject, said.text
        return said.subject, f"{said.text}\n{'-' * 40}\n\n{render('returned', 'en', fields).text}"

    @staticmethod
    def _reported(mail: Mail, position: int, result: Result) -> Reported:
        recipient = mail.decision.recipients[position]
        status = result.status
        if result.fate == "delivered":
            status = "2.0.0"
        return Reported(
            address=recipient.address,
            status=status,
            detail=result.detail,
            orcpt=recipient.orcpt,
            remote=result.remote.rpartition(":")[0].strip("[]"),
            smtp=bool(result.reply_code),
        )
