"""Encryption's verb: seal the legs that a rule asks for, and let only the sender learn the password.

The order makes every step safe to repeat: the plan with its passwords is
durable first, then the content that was made with them, then the sender's
notice, then the outcome, then the fact that lets delivery go on. A second try
after a crash finds the plan and the content, and seals nothing anew. Content
never leaves unsealed because sealing failed: what cannot be sealed is returned.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import orjson
from letterlock.mail.v1 import mail_pb2

from services.common import legs, log, mailedit, telemetry, tracing
from services.common.bus import Later, Message
from services.common.directory import Directory
from services.common.errors import AlreadyExists, Corrupt, Error, Rejected, Unavailable
from services.common.facts import Facts, OpenFact
from services.common.mailedit import Wish
from services.encryption.core import passwords
from services.encryption.core.settings import Group, Settings, grouped, partner_matches, tls_is_certain
from services.encryption.ports import Agreed, Book, Contents, Notices, Packer, Plan, Sealing, Secret

_log = log.get(__name__)
REQUIRE_TLS = "require_tls"
"""The transform by which delivery learns that a leg may go by verified TLS only."""


class Seal:
    """Takes decided and released mails; returns when what follows from them is durable."""

    def __init__(
        self,
        *,
        facts: Facts,
        book: Book,
        contents: Contents,
        packer: Packer,
        notices: Notices,
        directory: Callable[[], Directory],
        now: Callable[[], datetime],
    ) -> None:
        self._facts, self._book, self._contents = facts, book, contents
        self._packer, self._notices = packer, notices
        self._directory, self._now = directory, now

    async def fact(self, message: Message) -> None:
        """Seal the legs of a fact that are to be sealed. Raises `Later` when a part of ours is away."""
        with _patient(), telemetry.stage("encryption", "fact", headers=message.headers):
            fact = await self._facts.open(message)
            if not fact.trace.HasField("decision"):
                raise Rejected("a fact for encryption without a decision")
            if message.subject.split(".")[1] != fact.kind:
                raise Corrupt("a fact of another kind than its subject")
            with tracing.mail(fact.tenant, fact.mail_id):
                for leg in fact.trace.decision.legs:
                    if _is_ours(leg, fact):
                        await self._leg(fact, leg, suffix=_suffix(message, fact))

    async def _leg(self, fact: OpenFact, leg: mail_pb2.Leg, *, suffix: str) -> None:
        settings = _settings(leg)
        recipients = _recipients(fact.trace.decision, leg)
        if settings.unless_tls and tls_is_certain(self._directory(), fact.tenant, list(recipients.values())):
            await self._go_on(fact, _plainly(leg, REQUIRE_TLS), suffix)
            _log.info("seal.tls_instead", leg=leg.number, number=len(recipients))
            return
        plan = await self._known(fact, leg)
        if plan is None and await self._packer.is_encrypted(await _raw(fact)):
            await self._go_on(fact, _plainly(leg), suffix)
            _log.info("seal.encrypted_already", leg=leg.number, number=len(recipients))
            return
        plan = plan or await self._plan(fact, leg, settings, recipients)
        if plan is None:
            await self._go_on(fact, _given_back(leg, "it cannot be sealed: nobody could be told the password"), suffix)
            _log.warning("seal.nobody_to_tell", leg=leg.number)
            return
        try:
            await self._seal(fact, leg, settings, plan)
        except (Corrupt, Rejected) as error:
            _log.error("seal.failed", leg=leg.number, code=error.code)
            await self._go_on(fact, _given_back(leg, "it cannot be sealed"), suffix)
            return
        await self._tell(fact, plan, settings)
        await self._outcome(fact, leg, plan, settings)
        await self._go_on(fact, leg, suffix)
        telemetry.count("encryption", "sealed", fact.tenant, len(leg.recipients))
        _log.info("seal.sealed", leg=leg.number, number=len(recipients), variants=len(plan.secrets))

    async def _known(self, fact: OpenFact, leg: mail_pb2.Leg) -> Plan | None:
        """The plan of an earlier try."""
        plans = await self._book.plans(fact.tenant, [fact.trace.envelope.sender], mail_id=fact.mail_id)
        return next((p for p in plans if p.leg == leg.number), None)

    async def _plan(
        self, fact: OpenFact, leg: mail_pb2.Leg, settings: Settings, recipients: Mapping[int, str]
    ) -> Plan | None:
        """The passwords of a leg, durable; None when one is to be made and there is nobody to tell it to."""
        envelope = fact.trace.envelope
        agreed = {a.id: a for a in await self._book.agreed(fact.tenant)} if settings.password == "agreed" else {}
        now = self._now()
        groups = grouped(recipients, settings, lambda address: best(agreed.values(), address, now))
        if leg.redirect and len(groups) > 1:
            groups = (Group(tuple(recipients)),)  # all of it goes to others, as one
        if any(not g.agreed for g in groups) and not _may_be_told(fact.trace, leg):
            return None
        secrets = tuple(
            Secret(
                g.positions,
                tuple(recipients[p] for p in g.positions),
                agreed[g.agreed].password if g.agreed else passwords.made(os.urandom(128)),
                g.agreed,
            )
            for g in groups
        )
        return await self._book.add(Plan(fact.tenant, fact.mail_id, leg.number, envelope.sender, now, secrets))

    async def _seal(self, fact: OpenFact, leg: mail_pb2.Leg, settings: Settings, plan: Plan) -> None:
        """Make every content of a leg that is not there yet."""
        missing = [n for n in range(len(plan.secrets)) if not await self._contents.exists(plan, n)]
        if not missing:
            return
        raw = await _raw(fact)
        for number in missing:
            secret = plan.secrets[number]
            with telemetry.stage("encryption", "seal"):
                made = await self._packer.pack(
                    Sealing(
                        tenant=fact.tenant,
                        mail_id=fact.mail_id,
                        leg=leg.number,
                        variant=number,
                        raw=raw,
                        envelope=fact.trace.envelope,
                        changes=_changes(leg),
                        settings=settings,
                        secret=secret,
                    )
                )
            header = mail_pb2.ContentHeader(
                tenant=fact.tenant,
                mail_id=fact.mail_id,
                leg=leg.number,
                kind="pdf" if settings.format == "pdf" else "sealed",
                reason=made.reason,
                rules=_rules(leg),
                manifest=orjson.dumps(made.manifest, option=orjson.OPT_SORT_KEYS),
                recipients=[p for p in secret.positions if p >= 0],
                variant=number,
                variants=len(plan.secrets),
            )
            try:
                await self._contents.create(header, made.content)
            except AlreadyExists:
                _log.debug("seal.content_known", leg=leg.number)

    async def _tell(self, fact: OpenFact, plan: Plan, settings: Settings) -> None:
        """Tell the sender, and nobody else, the passwords that were made for this leg; once."""
        if all(s.agreed for s in plan.secrets) or await self._book.told(plan):
            return
        await self._notices.password(plan, fact.trace.envelope, settings)
        await self._book.set_told(plan)

    async def _outcome(self, fact: OpenFact, leg: mail_pb2.Leg, plan: Plan, settings: Settings) -> None:
        agreed = all(s.agreed for s in plan.secrets)
        outcome = mail_pb2.Outcome(
            tenant=fact.tenant,
            mail_id=fact.mail_id,
            leg=leg.number,
            recipients=leg.recipients,
            state=mail_pb2.STATE_SEALED,
            code=f"sealed_{settings.format}",
            detail=f"sealed as {settings.format.upper()} with "
            + ("the agreed password" if agreed else "a password that the sender has"),
            service="encryption",
        )
        outcome.at.FromDatetime(max(self._now(), plan.at))
        await self._facts.outcome(None, outcome)

    async def _go_on(self, fact: OpenFact, leg: mail_pb2.Leg, suffix: str) -> None:
        """Let delivery have the leg, as it is now."""
        trace = mail_pb2.Trace()
        trace.CopyFrom(fact.trace)
        trace.ClearField("outcome")
        del trace.legs[:]
        trace.legs.append(leg.number)
        for one in trace.decision.legs:
            if one.number == leg.number:
                one.CopyFrom(leg)
        msg_id = f"{fact.mail_id}:{leg.number}:s:{suffix}"
        await self._facts.publish("sealed", trace, raw=None, msg_id=msg_id)


async def _raw(fact: OpenFact) -> bytes:
    raw = await fact.content()
    if raw is None:
        raise Unavailable("the content cannot be opened")
    return raw


def best(agreed: Iterable[Agreed], address: str, now: datetime) -> str:
    """The id of the password that seals for an address: a person's before a domain's, then the newest; or nothing."""
    fitting = [(partner_matches(a.partner, address), a.created_at, a.id) for a in agreed if a.in_force(now)]
    return max((f for f in fitting if f[0]), default=(0, now, ""))[2]


def _is_ours(leg: mail_pb2.Leg, fact: OpenFact) -> bool:
    if fact.trace.legs and leg.number not in fact.trace.legs:
        return False
    waits = legs.waits(leg, released=fact.kind == "released")
    return legs.needs_sealing(leg) and not waits


def _settings(leg: mail_pb2.Leg) -> Settings:
    """Those of the first rule that seals: transforms stand in the order of their rules' priority."""
    for transform in leg.transforms:
        if transform.kind == "seal":
            try:
                value = orjson.loads(transform.settings or b"{}")
            except ValueError:
                value = {}
            return Settings.read(value if isinstance(value, dict) else {})
    return Settings()


def _changes(leg: mail_pb2.Leg) -> tuple[Wish, ...]:
    return tuple(mailedit.read(t.kind, t.rule, t.settings) for t in leg.transforms if t.kind in ("strip", "banner"))


def _rules(leg: mail_pb2.Leg) -> list[str]:
    return [t.rule for t in leg.transforms if t.kind in legs.SEALING]


def _recipients(decision: mail_pb2.Decision, leg: mail_pb2.Leg) -> dict[int, str]:
    """Who gets it, by position; of a redirected leg the addresses it goes to, from -1 down."""
    if leg.redirect:
        return {-1 - i: address for i, address in enumerate(leg.redirect)}
    return {p: decision.recipients[p].address for p in leg.recipients}


def _may_be_told(trace: mail_pb2.Trace, leg: mail_pb2.Leg) -> bool:
    """Whether there is a sender of this tenant. A stranger's address may be forged, and is never told a password."""
    inbound = any(trace.decision.recipients[p].direction == mail_pb2.DIRECTION_INBOUND for p in leg.recipients)
    return bool(trace.envelope.sender) and not inbound


def _plainly(leg: mail_pb2.Leg, demand: str = "") -> mail_pb2.Leg:
    """The leg as it goes unsealed: without its seal, and with what is demanded instead."""
    changed = mail_pb2.Leg()
    changed.CopyFrom(leg)
    rule = next((t.rule for t in leg.transforms if t.kind == "seal"), leg.rule)
    kept = [t for t in leg.transforms if t.kind not in legs.SEALING]
    del changed.transforms[:]
    changed.transforms.extend(kept)
    if demand:
        changed.transforms.add(kind=demand, rule=rule)
    return changed


def _given_back(leg: mail_pb2.Leg, why: str) -> mail_pb2.Leg:
    changed = mail_pb2.Leg()
    changed.CopyFrom(leg)
    changed.disposition = mail_pb2.DISPOSITION_RETURN
    changed.text = f"the mail is to go out sealed, but {why}"
    return changed


def _suffix(message: Message, fact: OpenFact) -> str:
    """Which publication it answers: a new one of the same mail is told on as a new one too."""
    own = message.headers.get("Nats-Msg-Id", "")
    return own.removeprefix(f"{fact.mail_id}:") or "d:0"


@contextmanager
def _patient() -> Iterator[None]:
    """Wait for parts of ours that are away: it is no failure of the mail."""
    try:
        yield
    except Unavailable as error:
        _log.info("seal.waits", code=error.code)
        raise Later(random.uniform(1.0, 3.0)) from error  # noqa: S311
    except Error as error:
        _log.warning("seal.fact_failed", code=error.code)
        raise
