"""Sessions: tokens that `admin` signs for a person who has logged in, and that every service verifies by itself.

A token names the person, the credential it was given for, and its times; it is worth nothing once that credential is
changed or taken away, the person or tenant is switched off, the person has logged out since, or its time is over. The
signature is admin's as a writer (`writers.py`), so no service learns a secret to verify it, and none but admin can
make one. What the person may do is read from the directory at each call, never from the token.

A session administers nothing: pages have no such thing, so a stolen one cannot. And it reads or approves only for who
logged in by a key of their own: a password, like a limited key, is set by an administrator, who could otherwise act as
a person that others trust.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from services.common.auth import WATCHED_ROLES, Principal
from services.common.directory import Directory, Person
from services.common.errors import Corrupt
from services.common.sealing.writers import Signer, Writers, signed

PREFIX = "lls_"
_SIGNER = "admin"
_ADMINISTERS = "tenant_admin"
_LONGEST = 1200
_SKEW = 60_000_000
"""Microseconds that the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is, for which credential (a digest), and its times in microseconds since 1970."""

    person: str
    credential: str
    issued: int
    expires: int


def credential_of_password(person: Person) -> str:
    """Names the password that a person has now, without being of use to guess it: the salted hash's digest."""
    return "p:" + hashlib.sha256(f"{person.address}\0{person.password_hash}".encode()).hexdigest()


def credential_of_key(digest: str) -> str:
    """Names an API key by the digest that the directory knows."""
    return "k:" + digest


def issue(session: Session, signer: Signer) -> str:
    """The token of a session."""
    payload = orjson.dumps([1, session.person, session.credential, session.issued, session.expires])
    return f"{PREFIX}{_encode(payload)}.{_encode(signer.sign(signed('session', payload)))}"


class Sessions:
    """Verifies tokens against the trusted writers and the directory of the moment."""

    def __init__(self, writers: Writers, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._writers, self._now = writers, now

    def principal(self, directory: Directory, token: str) -> Principal | None:
        """Whose session this is; None when it is nobody's or no longer good."""
        session = self._verified(token)
        if session is None:
            return None
        person = directory.people.get(session.person)
        now = int(self._now().timestamp() * 1_000_000)
        if person is None or not session.issued - _SKEW <= now < session.expires:
            return None
        tenant = directory.tenant(person.tenant)
        if not person.active or tenant is None or tenant.suspended:
            return None
        if session.issued <= directory.logged_out.get(person.address, 0):
            return None
        roles = _roles(directory, person, session)
        return Principal("person", person.tenant, person.address, roles) if roles else None

    def _verified(self, token: str) -> Session | None:
        if not token.startswith(PREFIX) or len(token) > _LONGEST:
            return None
        payload, dot, proof = token.removeprefix(PREFIX).partition(".")
        try:
            data, signature = _decode(payload), _decode(proof)
            if not dot:
                return None
            self._writers.verify(_SIGNER, signature, signed("session", data), kind="session")
            version, person, credential, issued, expires = orjson.loads(data)
        except (Corrupt, ValueError, TypeError):
            return None
        return Session(str(person), str(credential), int(issued), int(expires)) if version == 1 else None


def _roles(directory: Directory, person: Person, session: Session) -> frozenset[str]:
    """What the session lets its person be; nothing when they no longer have what it was given for."""
    own = False
    if session.credential.startswith("k:"):
        key = directory.api_keys.get(session.credential[2:])
        if key is None or key.operator or (key.owner, key.tenant) != (person.address, person.tenant):
            return frozenset()
        own = not key.limited
    elif not person.password_hash or session.credential != credential_of_password(person):
        return frozenset()
    roles = person.roles - {_ADMINISTERS}
    # With nothing left, they are a person like any other, of their own mail.
    return (roles if own else roles - WATCHED_ROLES) or frozenset({"user"})


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
