"""The part of an inspection that leaves this process: files go to the sandbox, with passwords to try.

No file makes it fail: a sandbox that is full, slow or dead is a file that was not inspected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from services.common import log, telemetry
from services.common.errors import Busy, Error
from services.common.extraction import Extractor, File, Piece
from services.common.ids import TenantId
from services.policy.core.extract import Inspection, Limits, extracted
from services.policy.core.message import Message, Reason
from services.policy.core.passwords import candidates
from services.policy.pool import FairPool
from services.policy.ports import Passwords

_log = log.get(__name__)
_LEAST = 0.05
"""Seconds below which nothing is begun any more."""
_MARGIN = 0.9
"""The share of the time left that the sandbox gets; the rest is for the decision."""


class Opener:
    """Has files read in the sandbox."""

    def __init__(self, extract: Extractor, passwords: Passwords, pool: FairPool, limits: Limits) -> None:
        self._extract, self._passwords, self._pool, self._limits = extract, passwords, pool, limits

    async def __call__(
        self, tenant: TenantId, inspection: Inspection, *, sender: str, recipients: Sequence[str], deadline: float
    ) -> Message:
        """The message with what is in its files. `deadline` is on the monotonic clock.

        What opens with a password that the mail names, or that the tenant has with its partners, is inspected.
        Raises `Busy` when the tenant's line in the pool is full.
        """
        message, files = inspection.message, inspection.files
        if not files:
            return message
        named = await self._pool.run(tenant, lambda: _named(message))
        pieces = await self._read(tenant, files, named, deadline)
        if isinstance(pieces, str):
            return extracted(inspection, None, self._limits, failed=pieces)
        locked = {p.part.partition("/")[0] for p in pieces if p.problem == "encrypted"}
        if locked and (known := await self._known(tenant, sender, recipients)):
            closed = [f for f in files if f.part in locked]
            again = await self._read(tenant, closed, (*known, *named), deadline)
            if not isinstance(again, str):
                pieces = [p for p in pieces if p.part.partition("/")[0] not in locked] + list(again)
        return await self._pool.run(tenant, lambda: extracted(inspection, pieces, self._limits))

    async def _read(
        self, tenant: TenantId, files: Sequence[File], passwords: Sequence[str], deadline: float
    ) -> Sequence[Piece] | Reason:
        left = deadline - time.monotonic()
        if left < _LEAST:
            return "timeout"
        began = time.perf_counter()
        try:
            async with asyncio.timeout(left):
                pieces = await self._extract(tenant, files, passwords=passwords, timeout=left * _MARGIN)
        except (TimeoutError, Busy):
            _log.warning("policy.extraction_late", tenant=tenant, files=len(files))
            telemetry.count("policy", "extraction_late", tenant)
            return "timeout"
        except Exception as error:
            # The file may be what broke it, so it is a fact about the mail.
            code = error.code if isinstance(error, Error) else type(error).__name__
            _log.warning("policy.extraction_failed", tenant=tenant, files=len(files), code=code)
            telemetry.count("policy", "extraction_failed", tenant)
            return "broken"
        telemetry.count("policy", "extracted", tenant)
        _log.debug("policy.extracted", tenant=tenant, files=len(files), pieces=len(pieces),
                   took_ms=round((time.perf_counter() - began) * 1000, 2))  # fmt: skip
        return pieces

    async def _known(self, tenant: TenantId, sender: str, recipients: Sequence[str]) -> Sequence[str]:
        try:
            return await self._passwords.for_mail(tenant, sender, recipients)
        except Error as error:
            # The file stays closed and is said to be encrypted, which is true.
            _log.warning("policy.passwords_unavailable", tenant=tenant, code=error.code)
            return ()


def _named(message: Message) -> Sequence[str]:
    texts = (message.subject, *message.bodies, *message.hidden, *(a.text for a in message.attachments if a.text))
    return candidates(texts, [a.name for a in message.attachments])
