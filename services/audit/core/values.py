"""An entry's personal side: commitments and a pseudonym in the leaf, values and salts encrypted beside it."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.audit.core.batch import Row
from services.common.audit_entries import AuditEntry
from services.common.errors import Corrupt, InvalidInput, TooLarge
from services.common.tlog import entry

_NONCE = 12


@dataclass(frozen=True, slots=True)
class Made:
    """One entry, ready to append."""

    id: str
    row: Row
    opening: bytes


class Values:
    """Works under one log's key (32 bytes). Without the key nothing that was written here can be read again."""

    def __init__(self, tenant: str, key: bytes) -> None:
        self._tenant = str(tenant)
        self._cipher = AESGCM(hmac.digest(key, b"letterlock.log/values", "sha256"))
        self._ids = hmac.digest(key, b"letterlock.log/ids", "sha256")
        self._actors = hmac.digest(key, b"letterlock.log/actors", "sha256")

    def id_of(self, told: bytes) -> str:
        """The id of an entry as it was told: a keyed hash, since its content could be guessed."""
        return hmac.digest(self._ids, told, "sha256").hex()[:32]

    def make(self, told: bytes, found: AuditEntry, service: str) -> Made:
        """The leaf with its values; raises `InvalidInput`, or `TooLarge` for one that no log takes."""
        if found.at is None or found.at.tzinfo is None:
            raise InvalidInput("an entry has a time with its zone", field="time")
        opening = entry.Opening(found.actor, found.detail, os.urandom(16).hex(), os.urandom(16).hex())
        made = self.id_of(told)
        try:
            values = opening.dump()
            actor, detail = opening.commitments
            leaf = entry.Leaf(
                id=made,
                tenant=self._tenant,
                time=entry.time_of(found.at),
                service=service,
                who=hmac.digest(self._actors, found.actor.encode(), "sha256").hex()[:32],
                actor=actor,
                action=found.action,
                outcome=found.outcome,
                detail=detail,
                case_id=found.case_id,
                grant_id=found.grant_id,
                mail_ids=tuple(map(str, found.mail_ids)),
                facts=found.facts,
                late=found.late,
            ).dump()
        except ValueError as error:
            if "at most" in str(error):
                raise TooLarge(str(error), public=str(error)) from error
            raise InvalidInput(f"not an entry: {error}", field="entry") from error
        nonce = os.urandom(_NONCE)
        return Made(made, Row(leaf, nonce + self._cipher.encrypt(nonce, values, made.encode())), values)

    def open(self, row: Row) -> entry.Opening | None:
        """The values of a row; None once they are erased. Raises `Corrupt` for what was changed."""
        if not row.sealed:
            return None
        try:
            leaf = entry.load(row.leaf)
            plain = self._cipher.decrypt(row.sealed[:_NONCE], row.sealed[_NONCE:], leaf.id.encode())
            opening = entry.Opening.load(plain)
        except (InvalidTag, ValueError) as error:
            raise Corrupt("the values of an entry were changed") from error
        if not opening.opens(leaf):
            raise Corrupt("the values of an entry are another's")
        return opening
