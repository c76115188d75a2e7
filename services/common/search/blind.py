"""Blind tokens: what the index stores in place of a word, so that who holds the index holds no word.

A token is a truncated HMAC-SHA-256 of a term under a key of its tenant, month and field. Equal words of one field and
month have equal tokens (that is how they are found), and of two fields, months or tenants nothing in common.
Keys are derived from the tenant's index root, which the key keeper holds; who indexes is given a month's keys only.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from datetime import date

from services.common.ids import MailId, TenantId

FIELDS = (
    "subject", "body", "attachment", "filename", "header", "from", "to", "recipient", "messageid", "rule",
)  # fmt: skip
"""What has tokens; each text field has a second one, `<field>.1`, for single characters."""
_BYTES = 10
"""Bytes of a token: two of a million terms of a month are alike with a chance of one in 10^12."""
GAP = "."
"""Between two texts of a field: no token, so that no phrase reaches across."""


def month_of(day: date) -> str:
    """The month whose keys a mail of this day is indexed under, `2026-11`."""
    return f"{day:%Y-%m}"


def month_key(root: bytes, tenant: TenantId, month: str) -> bytes:
    """The key from which a month's field keys follow."""
    return hmac.digest(root, f"letterlock-index-month-v1\0{tenant}\0{month}".encode(), "sha256")


def summary_key(root: bytes, tenant: TenantId, month: str) -> bytes:
    """The AES-256 key under which the summaries of a month's mails are sealed."""
    return hmac.digest(root, f"letterlock-index-summary-v1\0{tenant}\0{month}".encode(), "sha256")


def field_key(month: bytes, field: str) -> bytes:
    """The key of one field's tokens in a month."""
    return hmac.digest(month, f"letterlock-index-field-v1\0{field}".encode(), "sha256")


def document_id(month: bytes, mail_id: MailId) -> str:
    """The index's name for a mail: says nothing of the mail id to who lacks the key."""
    digest = hmac.digest(month, f"letterlock-index-document-v1\0{mail_id}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:18]).decode()


def token(key: bytes, term: str) -> str:
    """The token of one term, 16 characters of base 32's lower-case letters and digits."""
    digest = hmac.digest(key, term.encode("utf-8", "surrogatepass"), "sha256")
    return base64.b32encode(digest[:_BYTES]).decode().lower()


class Blinder:
    """Makes a month's tokens; remembers those of frequent terms, which are most of a text."""

    _MOST = 200_000

    def __init__(self, month: bytes) -> None:
        self._month = month
        self._keys: dict[str, bytes] = {}
        self._known: dict[str, dict[str, str]] = {}

    def tokens(self, field: str, terms: Iterable[str]) -> list[str]:
        """The tokens of terms in order; an empty term is a gap."""
        key = self._keys.get(field)
        if key is None:
            key = self._keys[field] = field_key(self._month, field)
        known = self._known.setdefault(field, {})
        found: list[str] = []
        for term in terms:
            if not term:
                found.append(GAP)
                continue
            made = known.get(term)
            if made is None:
                made = token(key, term)
                if len(known) >= self._MOST:
                    known.clear()
                known[term] = made
            found.append(made)
        return found

    def document_id(self, mail_id: MailId) -> str:
        """See `document_id`."""
        return document_id(self._month, mail_id)
