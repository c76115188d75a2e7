"""Links in notices that act: bound to a person, a thing, an action and a time, and signed.

Pure: the token and its proof. That a link acts once is for who carries it out, by a create-only object under
`used_key`, made after the action and looked for before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from services.common.errors import InvalidInput, NotFound
from services.common.ids import TenantId

KEY_BYTES = 32
_LONGEST = 2000
_DOMAIN = b"letterlock/v1/action-link\0"


@dataclass(frozen=True, slots=True)
class Link:
    """Who may do what to which thing until when. `nonce` makes two links for the same different."""

    tenant: TenantId
    person: str
    thing: str
    action: str
    expires_at: datetime
    nonce: str


def sign(link: Link, key: bytes) -> str:
    """The token of a link, for a URL."""
    payload = orjson.dumps(
        [
            1,
            str(link.tenant),
            link.person,
            link.thing,
            link.action,
            int(link.expires_at.timestamp()),
            link.nonce,
        ]
    )
    return f"{_encode(payload)}.{_encode(_mac(payload, key))}"


def tenant_of(token: str) -> TenantId:
    """Whose key verifies a token; nothing else in it is believed yet. Raises `NotFound` when it is none."""
    return _parse(_split(token)[0]).tenant


def verify(token: str, key: bytes, *, now: datetime) -> Link:
    """The link of a token that `key` signed and whose time is not over; raises `NotFound` for any other."""
    payload, mac = _split(token)
    if not hmac.compare_digest(_mac(payload, key), mac):
        raise _none()
    link = _parse(payload)
    if now >= link.expires_at:
        raise _none()
    return link


def used_key(link: Link) -> str:
    """The object that says that a link has acted."""
    digest = hashlib.sha256(f"{link.thing}\0{link.person}\0{link.action}\0{link.nonce}".encode()).hexdigest()
    return f"{link.tenant}/used-link/{digest}"


def _mac(payload: bytes, key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"a key has {KEY_BYTES} bytes", field="key")
    return hmac.digest(key, _DOMAIN + payload, "sha256")


def _split(token: str) -> tuple[bytes, bytes]:
    payload, dot, mac = token.partition(".")
    if not dot or len(token) > _LONGEST:
        raise _none()
    return _decode(payload), _decode(mac)


def _parse(payload: bytes) -> Link:
    try:
        version, tenant, person, thing, action, expires, nonce = orjson.loads(payload)
        if version != 1 or not all(isinstance(v, str) for v in (tenant, person, thing, action, nonce)):
            raise _none()
        return Link(TenantId.parse(tenant), person, thing, action, datetime.fromtimestamp(int(expires), UTC), nonce)
    except (ValueError, TypeError, OverflowError, OSError, InvalidInput) as error:
        raise _none() from error


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _none() from error


def _none() -> NotFound:
    return NotFound("no such link", public="this link is not valid, is over, or was used")
