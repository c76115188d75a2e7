"""What a leaf says: canonical JSON (RFC 8785), in which everything personal is a salted commitment.

`actor` and `detail` are SHA-256(salt ‖ value); values and salts are encrypted
beside the log (`Opening`). `who` is a pseudonym, the same for one actor
throughout one log, so that a verifier without the values can still tell one
person from another. What stands in clear names no person: ids, an action, a
time, counts and hashes. Erasing the values leaves every leaf as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import rfc8785

from services.common.tlog.tiles import MAX_ENTRY

ACTIONS = frozenset(
    {
        "case.created", "case.closed", "access.requested", "access.approved", "access.refused", "access.revoked",
        "archive.searched", "archive.opened", "archive.exported", "archive.disposed", "hold.viewed", "hold.decided",
        "password.viewed", "password.changed", "policy.applied", "directory.changed", "key.rotated", "key.destroyed",
        "retention.changed", "consent.given", "rpc.refused", "login", "ingest.sealed",
    }
)  # fmt: skip
"""What an entry may be about."""
OUTCOMES = frozenset({"done", "denied"})
MAX_MAILS = 1000
MAX_VALUES = 256 * 1024
"""Bytes of one entry's values."""

_FIELDS = frozenset(
    {
        "v", "id", "tenant", "time", "service", "who", "actor", "action", "outcome", "case_id", "grant_id",
        "mail_ids", "detail", "facts", "late",
    }
)  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_HEX = re.compile(r"[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"[!-~]{0,128}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FACT = 512
_FACTS = 64
_LIST = 256

type Fact = str | int | Sequence[str]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry as the log holds it. `id` (keyed hash of what was told) makes telling it twice harmless."""

    id: str
    tenant: str
    time: str
    service: str
    who: str
    actor: str
    action: str
    outcome: str
    detail: str
    case_id: str = ""
    grant_id: str = ""
    mail_ids: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    late: bool = False

    def dump(self) -> bytes:
        """Canonical JSON; raises `ValueError` when it is no entry, or longer than a log takes."""
        document = {name: getattr(self, name) for name in _FIELDS - {"v"}} | {"v": 1}
        document |= {"mail_ids": list(self.mail_ids), "facts": _plain(self.facts)}
        data = rfc8785.dumps(document)
        if len(data) > MAX_ENTRY:
            raise ValueError(f"an entry has at most {MAX_ENTRY} bytes")
        _check(document)
        return data


@dataclass(frozen=True, slots=True)
class Opening:
    """The values behind a leaf's commitments, with their salts (hex, 16 bytes)."""

    actor: str
    detail: Mapping[str, Any]
    actor_salt: str
    detail_salt: str

    def dump(self) -> bytes:
        """Canonical JSON; raises `ValueError` for values that JSON has not, or that are too large."""
        data = rfc8785.dumps(
            {
                "actor": self.actor,
                "detail": dict(self.detail),
                "actor_salt": self.actor_salt,
                "detail_salt": self.detail_salt,
            }
        )
        if len(data) > MAX_VALUES:
            raise ValueError(f"the values of an entry have at most {MAX_VALUES} bytes")
        return data

    @classmethod
    def load(cls, data: bytes) -> Opening:
        """The opening in bytes; raises `ValueError`."""
        found = orjson.loads(data)
        try:
            return cls(str(found["actor"]), dict(found["detail"]), str(found["actor_salt"]), str(found["detail_salt"]))
        except (KeyError, TypeError) as error:
            raise ValueError("not an opening") from error

    @property
    def commitments(self) -> tuple[str, str]:
        """Of actor and detail, as a leaf has them."""
        return (
            commitment(self.actor_salt, self.actor.encode()),
            commitment(self.detail_salt, rfc8785.dumps(dict(self.detail))),
        )

    def opens(self, leaf: Leaf) -> bool:
        """Whether these are the values that the leaf commits to."""
        return self.commitments == (leaf.actor, leaf.detail)


def commitment(salt: str, value: bytes) -> str:
    """Hex SHA-256(salt ‖ value); raises `ValueError` for a salt that is not 32 hex digits."""
    if not _SHORT.fullmatch(salt):
        raise ValueError("not a salt")
    return hashlib.sha256(bytes.fromhex(salt) + value).hexdigest()


def load(data: bytes) -> Leaf:
    """The leaf in canonical bytes; raises `ValueError` that says what is wrong."""
    document = orjson.loads(data)
    if not isinstance(document, dict) or document.keys() != _FIELDS:
        raise ValueError("not the fields of an entry")
    if document.pop("v") != 1:
        raise ValueError("an entry of another version")
    _check(document)
    # For these values (ASCII keys, integers, strings) orjson's sorted form is the canonical one, and fast.
    if orjson.dumps({**document, "v": 1}, option=orjson.OPT_SORT_KEYS) != data:
        raise ValueError("not canonical JSON")
    document["mail_ids"] = tuple(document["mail_ids"])
    return Leaf(**document)


def scan(data: bytes) -> Mapping[str, str] | None:
    """`id`, `action`, `outcome` and `tenant` of a leaf, checked as `load` checks it but several times as fast.

    None where only `load` can tell what it is, or what is wrong with it.
    """
    found = _SHAPE.fullmatch(data)
    if found is None or len(data) > MAX_ENTRY:
        return None
    facts, action = found["facts"], found["action"].decode()
    if facts != b"{}":
        try:
            values = orjson.loads(facts)
        except orjson.JSONDecodeError:
            return None
        if type(values) is not dict or len(values) > _FACTS or orjson.dumps(values, option=_SORTED) != facts:
            return None
        if not all(_NAME.fullmatch(name) and _is_fact(value) for name, value in values.items()):
            return None
    if action not in ACTIONS or found["mails"].count(b",") >= MAX_MAILS:
        return None
    return {
        "id": found["id"].decode(),
        "action": action,
        "outcome": found["outcome"].decode(),
        "tenant": found["tenant"].decode(),
    }


_SORTED = orjson.OPT_SORT_KEYS
_SHAPE = re.compile(
    rb'\{"action":"(?P<action>[a-z.]+)","actor":"[0-9a-f]{64}","case_id":"[!#-\[\]-~]{0,128}","detail":"[0-9a-f]{64}",'
    rb'"facts":(?P<facts>\{.*?\}),"grant_id":"[!#-\[\]-~]{0,128}","id":"(?P<id>[0-9a-f]{32})","late":(?:true|false),'
    rb'"mail_ids":\[(?P<mails>(?:"[0-9A-Z]{26}"(?:,"[0-9A-Z]{26}")*)?)\],"outcome":"(?P<outcome>done|denied)",'
    rb'"service":"[a-z_]{1,32}","tenant":"(?P<tenant>[0-9A-Z]{26})",'
    rb'"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","v":1,"who":"[0-9a-f]{32}"\}'
)


def time_of(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: always of one length, so that it sorts as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(facts: Mapping[str, Fact]) -> dict[str, Any]:
    return {k: v if isinstance(v, str | int) else list(v) for k, v in facts.items()}


def _check(document: Mapping[str, Any]) -> None:
    text = ("id", "tenant", "time", "service", "who", "actor", "action", "outcome", "detail", "case_id", "grant_id")
    for name in text:
        if type(document[name]) is not str:
            raise ValueError(f"{name} is not text")
    if document["action"] not in ACTIONS:
        raise ValueError("an unknown action")
    if document["outcome"] not in OUTCOMES:
        raise ValueError("an unknown outcome")
    if not _TIME.fullmatch(document["time"]):
        raise ValueError("not a time")
    if not (_HEX.fullmatch(document["actor"]) and _HEX.fullmatch(document["detail"])):
        raise ValueError("not a commitment")
    if not (_SHORT.fullmatch(document["id"]) and _SHORT.fullmatch(document["who"])):
        raise ValueError("not a pseudonym or id")
    if not (_ID.fullmatch(document["case_id"]) and _ID.fullmatch(document["grant_id"])):
        raise ValueError("not a case or grant")
    if type(document["late"]) is not bool:
        raise ValueError("late is true or false")
    mails, facts = document["mail_ids"], document["facts"]
    if type(mails) is not list or len(mails) > MAX_MAILS or not all(type(m) is str and len(m) == 26 for m in mails):
        raise ValueError("mail_ids are at most 1,000 mail ids")
    if type(facts) is not dict or len(facts) > _FACTS:
        raise ValueError("facts are at most 64 named values")
    for name, value in facts.items():
        if not _NAME.fullmatch(name) or not _is_fact(value):
            raise ValueError("a fact is text, an integer or a list of texts")


def _is_fact(value: object) -> bool:
    if type(value) is int:
        return abs(value) < 1 << 53
    if type(value) is str:
        return len(value) <= _FACT
    return type(value) is list and len(value) <= _LIST and all(type(v) is str and len(v) <= _FACT for v in value)
