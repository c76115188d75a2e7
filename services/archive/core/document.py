"""A mail's state as a document of the index, and back.

The searchable fields are derived; `detail` alone is read back, so that a
changed mapping never changes what is known. Codes and ids only: there is no
field that a word, an address, a subject or a remote reply could be put in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.archive.core.fold import TERMINAL, Decided, Event, Leg, MailState

_CODE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")


def code(text: str) -> str:
    """`text` if it is an enumerated code, `other` if it is anything else, and nothing stays nothing."""
    return text if not text or _CODE.fullmatch(text) else "other"


def to_document(state: MailState, *, made: datetime) -> dict[str, Any]:
    """What the index stores of a mail; `made` is the time in its id."""
    current = [state.state(p) for p in range(state.positions or 0)]
    latest = list(state.latest.values())
    document: dict[str, Any] = {
        "tenant": state.tenant,
        "mail_id": state.mail_id,
        "day": made.date().isoformat(),
        "final": state.final,
        "states": sorted(set(current)),
        "fates": [f"{position}:{value}" for position, value in enumerate(current)],
        "codes": sorted({e.code for e in latest if e.code}),
        "attempts": max((e.attempts for e in latest), default=0),
        "segments": sorted(state.segments),
        "detail": {"events": [_event(e) for e in state.events]},
    }
    if state.events:
        document["changed"] = max(e.at for e in state.events)
    if state.final and latest:
        document["finished"] = max(e.at for e in latest if e.state in TERMINAL)
    if state.decided is not None:
        document |= _facts(state.decided, state.direction)
        document["detail"]["decided"] = _decided(state.decided)
    return document


def from_document(document: Mapping[str, Any]) -> MailState:
    """The state a document was made of."""
    detail = document["detail"]
    decided = detail.get("decided")
    return MailState(
        tenant=document["tenant"],
        mail_id=document["mail_id"],
        decided=None if decided is None else _to_decided(decided),
        events=tuple(sorted(Event(**{**e, "recipients": tuple(e["recipients"])}) for e in detail["events"])),
        segments=frozenset(document["segments"]),
    )


def _facts(decided: Decided, direction: str) -> dict[str, Any]:
    return {
        "received": decided.received,
        "decided": decided.decided,
        "size": decided.size,
        "direction": direction,
        "directions": sorted(set(decided.directions)),
        "recipients": len(decided.directions),
        "origin": decided.origin,
        "revision": decided.revision,
        "decision_origin": decided.decision_origin,
        "dispositions": sorted({leg.disposition for leg in decided.legs}),
        "transforms": sorted({t for leg in decided.legs for t in leg.transforms}),
        "rules": sorted(decided.rules),
        "inspected": decided.inspected,
        "not_inspected": sorted(decided.not_inspected),
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": event.at,
        "leg": event.leg,
        "recipients": list(event.recipients),
        "state": event.state,
        "n": event.n,
        "code": event.code,
        "service": event.service,
        "attempts": event.attempts,
    }


def _decided(decided: Decided) -> dict[str, Any]:
    return {
        "decided": decided.decided,
        "received": decided.received,
        "size": decided.size,
        "directions": list(decided.directions),
        "legs": [
            {
                "number": leg.number,
                "recipients": list(leg.recipients),
                "disposition": leg.disposition,
                "rule": leg.rule,
                "seconds": leg.seconds,
                "transforms": list(leg.transforms),
            }
            for leg in decided.legs
        ],
        "origin": decided.origin,
        "blob": decided.blob,
        "revision": decided.revision,
        "decision_origin": decided.decision_origin,
        "rules": list(decided.rules),
        "inspected": decided.inspected,
        "not_inspected": list(decided.not_inspected),
    }


def _to_decided(detail: Mapping[str, Any]) -> Decided:
    legs = tuple(
        Leg(**{**leg, "recipients": tuple(leg["recipients"]), "transforms": tuple(leg["transforms"])})
        for leg in detail["legs"]
    )
    lists = {name: tuple(detail[name]) for name in ("directions", "rules", "not_inspected")}
    return Decided(**{**detail, **lists, "legs": legs})
