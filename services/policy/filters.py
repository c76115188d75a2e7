"""Asks the filters beside us about a mail, all at once and only as long as the decision may take.

What does not answer in time is unknown, and a rule that needs it fails as its `on_error` says: never "clean".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.common import log
from services.common.errors import Error
from services.common.ids import TenantId
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.ports import Engine, Question

_log = log.get(__name__)


class Filters:
    """The configured engines; `always` asks them also where no rule does, so that the decision records it."""

    def __init__(self, engines: Sequence[Engine], *, always: bool = False) -> None:
        self._engines = tuple(engines)
        self._always = always and bool(self._engines)

    @property
    def answers(self) -> frozenset[str]:
        """What they can be asked, of `core.filters.FIELDS`."""
        return frozenset(f for e in self._engines for f in e.answers)

    def wanted(self, asked: bool) -> bool:
        """Whether to ask about a mail whose rules ask, or do not."""
        return bool(self._engines) and (asked or self._always)

    async def __call__(self, tenant: TenantId, question: Question, *, timeout: float) -> FilterVerdict:
        """What they say within `timeout` seconds; never raises."""
        said = await asyncio.gather(*(self._ask(tenant, engine, question, timeout) for engine in self._engines))
        verdict = UNKNOWN
        for one in said:
            verdict = verdict.joined(one)
        return verdict

    async def close(self) -> None:
        """Let go of the engines' connections."""
        for engine in self._engines:
            await engine.close()

    async def _ask(self, tenant: TenantId, engine: Engine, question: Question, timeout: float) -> FilterVerdict:
        reason = "deadline_exceeded"
        try:
            async with asyncio.timeout(timeout):
                return await engine.ask(question)
        except TimeoutError:
            pass
        except Error as error:
            reason = error.code
        _log.warning(
            "policy.filter_unavailable",
            tenant=tenant,
            mail_id=question.mail_id,
            filter=type(engine).__name__,
            code=reason,
        )
        return UNKNOWN
