"""Passwords of a tenant, from the service that keeps them, for as long as a look into a sealed file takes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import grpc
from letterlock.encryption.v1 import encryption_pb2 as pb

from services.common import rpc
from services.common.errors import Unavailable
from services.common.ids import TenantId

_SECONDS = 2.0
"""For one question: the mail waits for it in the SMTP dialogue."""
_FRESH = 30.0
_KEPT = 500
_MOST = 64
"""Passwords tried for one mail: each is a key derivation of thousands of rounds for each file."""
_MAX_RECIPIENTS = 100

type _Place = tuple[TenantId, str, frozenset[str]]


class NoPasswords:
    """`Passwords` of an installation without a password book: only those that mails name are tried."""

    async def for_mail(self, tenant: TenantId, sender: str, recipients: Sequence[str]) -> Sequence[str]:
        """None."""
        return ()


class RemotePasswords:
    """`Passwords` from `encryption`; `book` is its stub. Answers are kept for half a minute, failures never."""

    def __init__(self, book: Any, *, seconds: float = _SECONDS) -> None:
        self._book, self._seconds = book, seconds
        self._known: OrderedDict[_Place, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._asking: dict[_Place, asyncio.Task[tuple[str, ...]]] = {}

    async def for_mail(self, tenant: TenantId, sender: str, recipients: Sequence[str]) -> Sequence[str]:
        """See the port. Mails that come together ask once."""
        asked = frozenset(r.lower() for r in list(recipients)[:_MAX_RECIPIENTS])
        place = (tenant, sender.lower(), asked)
        known = self._known.get(place)
        if known is not None and time.monotonic() - known[0] < _FRESH:
            self._known.move_to_end(place)
            return known[1]
        task = self._asking.get(place)
        if task is None:
            task = self._asking[place] = asyncio.create_task(self._ask(tenant, place[1], asked))
            task.add_done_callback(lambda done: self._asked(place, done))
        # One mail that gives up must not take the answer from the others.
        found = await asyncio.shield(task)
        self._known[place] = time.monotonic(), found
        self._known.move_to_end(place)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    def _asked(self, place: _Place, done: asyncio.Task[tuple[str, ...]]) -> None:
        self._asking.pop(place, None)
        if not done.cancelled():
            done.exception()  # those who waited were told; perhaps nobody waits any more

    async def _ask(self, tenant: TenantId, sender: str, recipients: frozenset[str]) -> tuple[str, ...]:
        request = pb.PasswordsForRequest(tenant=tenant, sender=sender, recipients=sorted(recipients))
        try:
            answer = await self._book.PasswordsFor(request, timeout=self._seconds)
        except grpc.RpcError as error:
            rpc.raise_for(error)
        except TimeoutError as error:
            raise Unavailable("the password book did not answer") from error
        return tuple(dict.fromkeys(p for p in answer.passwords if p))[:_MOST]
