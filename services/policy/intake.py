"""What policy hears: the hot question under a deadline, and mails that were committed undecided."""

from __future__ import annotations

import asyncio
from collections import Counter

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry, tracing
from services.common.bus import Message
from services.common.errors import AlreadyExists, Error, NotFound, Unavailable
from services.common.facts import Facts, OpenFact, Question
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.common.objects import ObjectStore
from services.common.sealing import mailobject
from services.common.sealing.keys import PublicKeys
from services.common.sealing.writers import Signer
from services.policy.config import PolicyConfig
from services.policy.decide import Decider

_log = log.get(__name__)
_INLINE = 512 * 1024


class Questions:
    """Answers the hot question, or says busy at once."""

    def __init__(self, facts: Facts, decider: Decider, config: PolicyConfig) -> None:
        self._facts, self._decider, self._config = facts, decider, config
        self._waiting: Counter[str] = Counter()
        self._large = asyncio.Semaphore(config.large_at_once)

    async def answer(self, message: Message) -> bytes:
        """The sealed decision. What we cannot do now is `busy`: the asker tries another member, then goes on."""
        with telemetry.stage("policy", "decide", headers=message.headers):
            question = await self._facts.open_question(message)
            with tracing.mail(question.tenant, question.mail_id):
                return await self._answer(question)

    async def _answer(self, question: Question) -> bytes:
        tenant = question.tenant
        if self._waiting.total() >= self._config.waiting or self._waiting[tenant] >= self._config.waiting_per_tenant:
            telemetry.count("policy", "busy", tenant)
            return self._facts.busy_answer()
        self._waiting[tenant] += 1
        try:
            if question.envelope.size > _INLINE:
                async with self._large:
                    decision = await self._decide(question.envelope, await question.content())
            else:
                decision = await self._decide(question.envelope, await question.content())
        except Error as error:
            _log.warning("policy.cannot_answer", code=error.code)
            return self._facts.busy_answer()
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]
        telemetry.count("policy", "decided", tenant)
        return await self._facts.seal_answer(question, decision)

    async def _decide(self, envelope: mail_pb2.Envelope, raw: bytes) -> mail_pb2.Decision:
        timeout = self._config.decide_timeout.total_seconds()
        return await self._decider(envelope, raw, queued=False, timeout=timeout)


class Latecomers:
    """Decides mails that were committed undecided: once, durably, then told as decided."""

    def __init__(
        self,
        facts: Facts,
        reader: MailReader,
        objects: ObjectStore,
        public: PublicKeys,
        signer: Signer,
        decider: Decider,
        config: PolicyConfig,
    ) -> None:
        self._facts, self._reader, self._objects = facts, reader, objects
        self._public, self._signer, self._decider = public, signer, decider
        self._timeout = config.queue_timeout.total_seconds()
        self._large = asyncio.Semaphore(config.large_at_once)

    async def handle(self, message: Message) -> None:
        """Take one `mail.accepted`; done when its decision is durable and told."""
        with telemetry.stage("policy", "decide_late", headers=message.headers):
            fact = await self._facts.open(message)
            with tracing.mail(fact.tenant, fact.mail_id):
                await self._handle(fact, message)

    async def _handle(self, fact: OpenFact, message: Message) -> None:
        trace = fact.trace
        if trace.HasField("decision"):
            await self._tell(trace, None, message)
        elif trace.envelope.size > _INLINE:
            async with self._large:
                await self._decide_and_tell(trace, await fact.content(), message)
        else:
            await self._decide_and_tell(trace, await fact.content(), message)

    async def _decide_and_tell(self, trace: mail_pb2.Trace, raw: bytes | None, message: Message) -> None:
        tenant, mail_id = TenantId.parse(trace.envelope.tenant), MailId.parse(trace.envelope.mail_id)
        decision = await self._reader.decision(tenant, mail_id)
        if decision is None:
            if raw is None:
                raise Unavailable("the mail cannot be read now")
            made = await self._decider(trace.envelope, raw, queued=True, timeout=self._timeout)
            decision = await self._keep(tenant, mail_id, made)
        trace.decision.CopyFrom(decision)
        telemetry.count("policy", "decided_late", tenant)
        await self._tell(trace, raw, message)

    async def _keep(self, tenant: TenantId, mail_id: MailId, decision: mail_pb2.Decision) -> mail_pb2.Decision:
        recipients = [await self._public.archive(tenant), await self._public.trace(tenant)]
        sealed = mailobject.seal_decision(decision, recipients, self._signer)
        try:
            await self._objects.create(mailobject.decision_key(tenant, mail_id), sealed)
        except AlreadyExists:
            # Another member was faster; the first decision is the decision.
            first = await self._reader.decision(tenant, mail_id)
            if first is None:
                raise NotFound("a decision vanished") from None
            return first
        return decision

    async def _tell(self, trace: mail_pb2.Trace, raw: bytes | None, message: Message) -> None:
        # A sweep's second try of the question is a second try of the answer too.
        attempt = message.headers.get("Nats-Msg-Id", "").rpartition(":")[2]
        number = int(attempt) if attempt.isdigit() else 0
        await self._facts.publish("decided", trace, raw=raw, msg_id=f"{trace.envelope.mail_id}:d:{number}")
