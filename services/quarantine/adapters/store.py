"""Holds as control documents: who, to whom and why is sealed to the tenant's trace key; state and times are not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from letterlock.mail.v1 import mail_pb2

from services.common.control_store import ControlStore, Document
from services.common.errors import Corrupt
from services.common.ids import TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age
from services.common.sealing.keys import Identities, PublicKeys
from services.quarantine.core.holds import Hold, Step
from services.quarantine.ports import Held

_KIND = "hold"


class StoredHolds:
    """`Holds` over the object store. Keeps opened holds in memory, so that listing reads only what is new."""

    def __init__(self, objects: ObjectStore, public: PublicKeys, identities: Identities) -> None:
        self._store = ControlStore(objects)
        self._public, self._identities = public, identities
        self._known: dict[TenantId, dict[str, Held]] = {}

    async def get(self, tenant: TenantId, hold_id: str) -> Held | None:
        """See the port."""
        document = await self._store.get(tenant, _KIND, hold_id)
        if document is None or document.value is None:
            return None
        known = self._known.get(tenant, {}).get(hold_id)
        if known is not None and known.hold.revision == document.revision:
            return known
        return self._remember(tenant, await self._open(tenant, document))

    async def put(self, tenant: TenantId, held: Held, *, actor: str) -> Held:
        """See the port."""
        hold = held.hold
        plain = orjson.dumps(
            {
                "reviewers": list(hold.reviewers),
                "sender": hold.sender,
                "decided_by": hold.decided_by,
                "note": hold.note,
                "claimed_by": hold.claimed_by,
                "target": hold.target,
                "steps": [_step(step) for step in hold.steps],
                "trace": base64.b64encode(held.trace.SerializeToString()).decode(),
            }
        )
        value = {
            "mail_id": hold.mail_id,
            "leg": hold.leg,
            "state": hold.state,
            "held_at": hold.held_at.isoformat(),
            "expires_at": _text(hold.expires_at),
            "on_expiry": hold.on_expiry,
            "decided_at": _text(hold.decided_at),
            "decision": hold.decision,
            "told": hold.told,
            "kind": hold.kind,
            "levels": hold.levels,
            "noticed": hold.noticed,
            "escalated_at": _text(hold.escalated_at),
            "claimed_until": _text(hold.claimed_until),
            "sealed": base64.b64encode(age.encrypt(plain, [await self._public.trace(tenant)])).decode(),
        }
        # Who decided is inside the seal; in clear stands only which part of the system wrote it.
        named = actor if actor.startswith("service:") or "@" not in actor else "person"
        document = await self._store.put(tenant, _KIND, hold.id, value, expected=hold.revision, actor=named)
        return self._remember(tenant, replace(held, hold=replace(hold, revision=document.revision)))

    async def all(self, tenant: TenantId) -> list[Held]:
        """See the port."""
        known = self._known.setdefault(tenant, {})
        revisions = await self._store.revisions(tenant, _KIND)
        newer = {k: n for k, n in revisions.items() if k not in known or known[k].hold.revision < n}
        for document in await self._store.read(tenant, _KIND, newer):
            if document.value is not None:
                self._remember(tenant, await self._open(tenant, document))
        return [known[key] for key in sorted(known, reverse=True)]

    async def _open(self, tenant: TenantId, document: Document) -> Held:
        value: Mapping[str, Any] = document.value or {}
        try:
            box = base64.b64decode(value["sealed"], validate=True)
            try:
                plain = age.decrypt(box, await self._identities.trace(tenant))
            except age.NoKey:
                plain = age.decrypt(box, await self._identities.trace(tenant, newer=True))
            secret = orjson.loads(plain)
            trace = mail_pb2.Trace.FromString(base64.b64decode(secret["trace"]))
            hold = Hold(
                mail_id=str(value["mail_id"]),
                leg=int(value["leg"]),
                held_at=datetime.fromisoformat(value["held_at"]),
                expires_at=_time(value["expires_at"]),
                on_expiry=str(value["on_expiry"]),
                reviewers=tuple(secret["reviewers"]),
                sender=str(secret["sender"]),
                state=value["state"],
                decided_by=str(secret["decided_by"]),
                decided_at=_time(value["decided_at"]),
                note=str(secret["note"]),
                decision=int(value["decision"]),
                told=bool(value["told"]),
                revision=document.revision,
                # What holds had not at first.
                kind=value.get("kind", "hold"),
                levels=int(value.get("levels", 1)),
                # What was held before there were notices is no news.
                noticed=int(value.get("noticed", 1 + len(secret.get("steps", ())))),
                escalated_at=_time(value.get("escalated_at", "")),
                claimed_by=str(secret.get("claimed_by", "")),
                claimed_until=_time(value.get("claimed_until", "")),
                target=str(secret.get("target", "")),
                steps=tuple(_read_step(step) for step in secret.get("steps", ())),
            )
        except (KeyError, TypeError, ValueError, DecodeError) as error:
            raise Corrupt("a hold cannot be read") from error
        if hold.id != document.key or (trace.HasField("envelope") and trace.envelope.tenant != tenant):
            raise Corrupt("a hold stands in another's place")
        return Held(hold, trace)

    def _remember(self, tenant: TenantId, held: Held) -> Held:
        self._known.setdefault(tenant, {})[held.hold.id] = held
        return held


def _step(step: Step) -> dict[str, Any]:
    return {
        "at": step.at.isoformat(),
        "by": step.by,
        "what": step.what,
        "note": step.note,
        "level": step.level,
        "acting_for": step.acting_for,
        "detail": step.detail,
        "forced": step.forced,
    }


def _read_step(value: Mapping[str, Any]) -> Step:
    return Step(
        datetime.fromisoformat(value["at"]),
        str(value["by"]),
        str(value["what"]),
        str(value["note"]),
        int(value["level"]),
        str(value["acting_for"]),
        str(value["detail"]),
        bool(value["forced"]),
    )


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
