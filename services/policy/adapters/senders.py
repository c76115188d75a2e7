"""Senders that a tenant's reviewers allowed or blocked: read from control documents of kind `senderlist`.

A block refuses inbound mail of the sender. An allowance lets inbound mail go that a rule would hold; never what an
engine calls malware, what could not be inspected, or what is not proved to be the sender's by SPF or DMARC.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import orjson
from letterlock.mail.v1 import mail_pb2

from services.common import log
from services.common.control_store import ControlStore
from services.common.errors import Corrupt, Error
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age
from services.common.sealing.keys import Identities
from services.policy.core.filters import FilterVerdict

KIND = "senderlist"
RULE = "sender-list"
_FRESH_SECONDS = 15.0
_TENANTS = 1000
_WAITING = frozenset({mail_pb2.DISPOSITION_DELIVER, mail_pb2.DISPOSITION_DELAY, mail_pb2.DISPOSITION_HOLD})
_log = log.get(__name__)


@dataclass
class _Known:
    read_at: float
    revisions: dict[str, int]
    verdicts: dict[tuple[str, int], str] = field(default_factory=dict)


class SenderLists:
    """Answers from memory; a tenant's list is listed again when it is older than 15 s."""

    def __init__(self, objects: ObjectStore, identities: Identities) -> None:
        self._store, self._identities = ControlStore(objects), identities
        self._known: OrderedDict[TenantId, _Known] = OrderedDict()

    async def verdict(self, tenant: TenantId, address: str) -> str:
        """`allow`, `block` or nothing. Without the store, what was last known."""
        if not address:
            return ""
        try:
            known = await self._list(tenant)
            key = hashlib.sha256(f"{tenant}\0{address.lower()}".encode()).hexdigest()[:40]
            revision = known.revisions.get(key, 0)
            if not revision:
                return ""
            if (key, revision) not in known.verdicts:
                known.verdicts[key, revision] = await self._read(tenant, key, revision, address.lower())
            return known.verdicts[key, revision]
        except Error as error:
            _log.warning("policy.sender_list_away", tenant=tenant, code=error.code)
            return ""

    async def _list(self, tenant: TenantId) -> _Known:
        known = self._known.get(tenant)
        if known is not None and time.monotonic() - known.read_at < _FRESH_SECONDS:
            return known
        try:
            revisions = await self._store.revisions(tenant, KIND)
        except Error as error:
            if known is None:
                raise
            _log.warning("policy.sender_list_away", tenant=tenant, code=error.code)
            revisions = known.revisions
        fresh = _Known(time.monotonic(), revisions, known.verdicts if known is not None else {})
        self._known[tenant] = fresh
        while len(self._known) > _TENANTS:
            self._known.popitem(last=False)
        return fresh

    async def _read(self, tenant: TenantId, key: str, revision: int, address: str) -> str:
        document = await self._store.get(tenant, KIND, key, revision)
        if document is None or document.value is None:
            return ""
        try:
            box = base64.b64decode(document.value["sealed"], validate=True)
            try:
                plain = age.decrypt(box, await self._identities.trace(tenant))
            except age.NoKey:
                plain = age.decrypt(box, await self._identities.trace(tenant, newer=True))
            value: dict[str, Any] = orjson.loads(plain)
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt("a sender list cannot be read") from error
        if (value.get("tenant"), value.get("kind"), value.get("address")) != (tenant, KIND, address):
            raise Corrupt("a sender stands in another's place")
        return str(value.get("verdict", ""))


def apply(decision: mail_pb2.Decision, verdict: str, said: FilterVerdict) -> None:
    """Change the inbound legs of a decision as the tenant's reviewers want it for this sender."""
    if not verdict or any(r.direction != mail_pb2.DIRECTION_INBOUND for r in decision.recipients if not r.added):
        return
    for leg in decision.legs:
        if verdict == "block" and leg.disposition in _WAITING:
            leg.disposition, leg.rule, leg.text = mail_pb2.DISPOSITION_REFUSE, RULE, "the recipient blocks this sender"
        elif verdict == "allow" and leg.disposition == mail_pb2.DISPOSITION_HOLD and _may_go(decision, said):
            leg.disposition, leg.rule, leg.text = mail_pb2.DISPOSITION_DELIVER, RULE, ""
        else:
            continue
        leg.seconds, leg.levels, leg.on_expiry = 0, 0, ""
        del leg.reviewers[:]


def says_malware(decision: mail_pb2.Decision) -> bool:
    """Whether any rule, also one in shadow, asked the engines for malware and was told a signature."""
    predicates = (predicate for rule in decision.why for predicate in rule.predicates)
    return any(span.startswith("malware ") for predicate in predicates for span in predicate.spans)


def _may_go(decision: mail_pb2.Decision, said: FilterVerdict) -> bool:
    if said.malware or said.phishing or says_malware(decision) or not decision.coverage.complete:
        return False
    return "pass" in (said.dmarc, said.spf) and "fail" not in (said.dmarc, said.spf)
