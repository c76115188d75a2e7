"""Log a person in: their address and their password or an API key of theirs, for a session of a short time.

A person who does not exist costs as long as one who does. Failures are throttled by account and by peer before the
hash is computed; who guesses at an account does not lock its owner out, since a peer that has logged in as them
before may go on. Good log-ins are bounded too. Each is an entry `login` of the tenant's audit log.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.common import auth, sessions
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.auth import Principal
from services.common.control import Control
from services.common.directory import Directory, Person
from services.common.errors import Busy, Unauthenticated
from services.common.sealing.writers import Signer
from services.common.sessions import Session
from services.common.throttle import Throttle

_ACCOUNT_FAILURES, _PEER_FAILURES, _GOOD = 20, 50, 60
_WINDOW = 600.0
_WAITING = 64
"""Checks that may wait at once; each costs tens of milliseconds and some MiB."""
_REMEMBERED = 20_000
_LONGEST = 512


class LogIn:
    """Makes and ends sessions. `lasts` is how long one is good."""

    def __init__(
        self,
        control: Control,
        signer: Signer,
        trail: AuditTrail,
        *,
        lasts: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control, self._signer, self._trail = control, signer, trail
        self._lasts, self._now, self._clock = lasts, now, clock
        self._accounts, self._peers = Throttle(_ACCOUNT_FAILURES, _WINDOW), Throttle(_PEER_FAILURES, _WINDOW)
        self._good, self._noted = Throttle(_GOOD, _WINDOW), Throttle(3, _WINDOW)
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._waiting = 0

    async def begin(self, address: str, secret: str, peer: str, *, through: str) -> tuple[str, datetime]:
        """The token of a new session and its end. Raises `Unauthenticated` or `Busy`; `through` says who asks."""
        account = address.strip().lower()
        self._check_rate(account, peer)
        view = self._control.directory
        person = view.person(account) if 0 < len(account) <= _LONGEST else None
        person = person if person is not None and _active(view, person) else None
        self._waiting += 1
        try:
            credential = await _credential(view, person, secret)
        finally:
            self._waiting -= 1
        if person is None or not credential:
            self._failed(account, peer, person, through)
            raise Unauthenticated("wrong address or secret", public="not logged in")
        self._peers.succeed(peer)
        self._good.fail(account, self._clock())
        self._remember(peer, account)
        self._note(person, through, "done")
        issued = max(_micros(self._now()), view.logged_out.get(person.address, 0) + 1)
        expires = issued + int(self._lasts.total_seconds() * 1_000_000)
        token = sessions.issue(Session(person.address, credential, issued, expires), self._signer)
        return token, datetime.fromtimestamp(expires / 1_000_000, UTC)

    async def end(self, caller: Principal) -> None:
        """Every session that a person has begun is over. Raises `Unavailable`."""
        if caller.kind != "person" or caller.tenant is None:
            return
        until = {"until": _micros(self._now())}
        await self._control.put(caller.tenant, "logout", caller.address, until, expected=None, actor=caller.address)

    def whose(self, caller: Principal) -> tuple[str, str]:
        """Name and language of a caller's tenant; empty for who has none."""
        tenant = self._control.directory.tenant(caller.tenant) if caller.tenant is not None else None
        return (tenant.name, tenant.language) if tenant is not None else ("", "")

    def _check_rate(self, account: str, peer: str) -> None:
        now = self._clock()
        guessed_at = self._accounts.blocked(account, now) and (peer, account) not in self._welcome
        if guessed_at or (peer and self._peers.blocked(peer, now)) or self._good.blocked(account, now):
            raise Busy("too many log-ins", public="too many attempts, try again later")
        if self._waiting >= _WAITING:
            raise Busy("too many log-ins at once")

    def _failed(self, account: str, peer: str, person: Person | None, through: str) -> None:
        now = self._clock()
        self._accounts.fail(account, now)
        if peer:
            self._peers.fail(peer, now)
        # The log has that somebody guesses, not each guess.
        if person is not None and not self._noted.blocked(account, now):
            self._noted.fail(account, now)
            self._note(person, through, "denied")

    def _note(self, person: Person, through: str, outcome: str) -> None:
        detail = {"service": through}
        self._trail.record(AuditEntry(person.tenant, "login", person.address, detail, outcome=outcome))

    def _remember(self, peer: str, account: str) -> None:
        if not peer:
            return
        self._welcome[peer, account] = None
        self._welcome.move_to_end((peer, account))
        while len(self._welcome) > _REMEMBERED:
            self._welcome.popitem(last=False)


def _active(view: Directory, person: Person) -> bool:
    tenant = view.tenant(person.tenant)
    return person.active and tenant is not None and not tenant.suspended


async def _credential(view: Directory, person: Person | None, secret: str) -> str:
    """Which credential of the person the secret is; empty when it is none."""
    if not secret or len(secret.encode("utf-8", "surrogateescape")) > _LONGEST:
        return ""
    digest = auth.token_digest(secret)
    key = view.api_keys.get(digest)
    good = await auth.verify_password(person.password_hash if person is not None else "", secret)
    if person is None:
        return ""
    if key is not None and not key.operator and (key.owner, key.tenant) == (person.address, person.tenant):
        return sessions.credential_of_key(digest)
    return sessions.credential_of_password(person) if good else ""


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
