"""Who logs in: AUTH PLAIN and LOGIN (RFC 4954, 4616), passwords by argon2id off the event loop.

Failures are throttled per peer and per account, before the hash is computed;
an account that does not exist costs the same time as one that does. Who guesses
at an account does not lock its owner out: a peer that has logged in before may.
"""

from __future__ import annotations

import asyncio
import binascii
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from services.common.directory import Connector, Directory, Person
from services.common.throttle import Throttle
from services.ingress.core.reply import Refusal, Reply

INVALID = Reply(535, "5.7.8", "authentication credentials invalid")
MALFORMED = Reply(501, "5.5.2", "malformed authentication data")
CANCELLED = Reply(501, "5.7.0", "authentication cancelled")
THROTTLED = Reply(454, "4.7.0", "too many failures, please try again later")
OVERLOADED = Reply(454, "4.7.0", "temporary authentication failure, please try again later")

_WAITING = 64
"""Checks that may wait for a thread; each costs tens of milliseconds and some MiB."""

_REMEMBERED = 20_000


class Authenticator:
    """Checks a login against the directory of the moment; `told` hears of each person's, and whether it was good."""

    def __init__(
        self,
        directory: Callable[[], Directory],
        *,
        peer_failures: int = 10,
        account_failures: int = 20,
        window: float = 600.0,
        threads: int = 2,
        clock: Callable[[], float] = time.monotonic,
        hasher: PasswordHasher | None = None,
        told: Callable[[Person, bool], None] | None = None,
    ) -> None:
        self._directory, self._clock = directory, clock
        self._peers, self._accounts = Throttle(peer_failures, window), Throttle(account_failures, window)
        self._hasher, self._told = hasher or PasswordHasher(), told
        self._nobody = ""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingress-auth")
        self._waiting = 0
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def check(self, peer: str, login: str, password: str) -> Connector | Person:
        """Who it is; raises `Refusal`."""
        account, now = login.lower(), self._clock()
        guessed_at = self._accounts.blocked(account, now) and (peer, account) not in self._welcome
        if guessed_at or self._peers.blocked(peer, now):
            raise Refusal(THROTTLED)
        if self._waiting >= _WAITING:
            raise Refusal(OVERLOADED)
        who = self._find(login)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            good = await loop.run_in_executor(self._pool, self._verify, who.password_hash if who else "", password)
        finally:
            self._waiting -= 1
        if self._told is not None and isinstance(who, Person):
            self._told(who, good)
        if who is None or not good:
            self._peers.fail(peer, self._clock())
            self._accounts.fail(account, self._clock())
            raise Refusal(INVALID)
        self._peers.succeed(peer)
        self._welcome[peer, account] = None
        self._welcome.move_to_end((peer, account))
        while len(self._welcome) > _REMEMBERED:
            self._welcome.popitem(last=False)
        return who

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _find(self, login: str) -> Connector | Person | None:
        directory = self._directory()
        who: Connector | Person | None = directory.connector_named(login)
        if who is None:
            person = directory.person(login)
            who = person if person is not None and person.active else None
        return who if who is not None and who.password_hash else None

    def _verify(self, stored: str, password: str) -> bool:
        if not stored:
            self._nobody = self._nobody or self._hasher.hash("nobody")
        try:
            return self._hasher.verify(stored or self._nobody, password) and bool(stored)
        except (Argon2Error, InvalidHashError):
            return False


def decode(text: bytes) -> bytes:
    """Base 64 of an AUTH exchange; raises `Refusal`. A lone `*` cancels (RFC 4954 §4)."""
    if text == b"*":
        raise Refusal(CANCELLED)
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refusal(MALFORMED) from error


def plain(message: bytes) -> tuple[str, str]:
    """User and password of a PLAIN message (RFC 4616 §2); raises `Refusal`. To act for another is not offered."""
    try:
        authorization, login, password = message.decode("utf-8").split("\0")
    except ValueError as error:
        raise Refusal(MALFORMED) from error
    if not login or (authorization and authorization != login):
        raise Refusal(INVALID)
    return login, password


def text(message: bytes) -> str:
    """A user name or password of LOGIN; raises `Refusal`."""
    try:
        return message.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(MALFORMED) from error
