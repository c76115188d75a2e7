"""An anti-spam engine that speaks rspamd's HTTP protocol: POST /checkv2, a JSON answer with symbols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from services.common.errors import Unavailable
from services.policy.core.filters import FilterVerdict
from services.policy.ports import Question

ANSWERS: frozenset[str] = frozenset({"spam", "phishing", "spf", "dkim", "dmarc", "arc"})
_MAX_ANSWER = 1 << 20
_PHISHING = ("PHISHING", "PHISHED_", "HACKED_WP_PHISHING", "DBL_PHISH", "URIBL_PHISH")

_SYMBOLS: Mapping[str, Mapping[str, str]] = {
    "spf": {
        "R_SPF_ALLOW": "pass", "R_SPF_FAIL": "fail", "R_SPF_SOFTFAIL": "softfail", "R_SPF_NEUTRAL": "neutral",
        "R_SPF_NA": "none", "R_SPF_DNSFAIL": "temperror", "R_SPF_PERMFAIL": "permerror",
    },
    "dkim": {
        "R_DKIM_ALLOW": "pass", "R_DKIM_REJECT": "fail", "R_DKIM_NA": "none", "R_DKIM_TEMPFAIL": "temperror",
        "R_DKIM_PERMFAIL": "permerror",
    },
    "dmarc": {
        "DMARC_POLICY_ALLOW": "pass", "DMARC_POLICY_ALLOW_WITH_FAILURES": "pass", "DMARC_POLICY_REJECT": "fail",
        "DMARC_POLICY_QUARANTINE": "fail", "DMARC_POLICY_SOFTFAIL": "fail", "DMARC_NA": "none",
        "DMARC_DNSFAIL": "temperror", "DMARC_BAD_POLICY": "permerror",
    },
    "arc": {
        "ARC_ALLOW": "pass", "ARC_REJECT": "fail", "ARC_INVALID": "fail", "ARC_NA": "none",
        "ARC_DNSFAIL": "temperror",
    },
}  # fmt: skip
"""Names of rspamd's modules spf, dkim, dmarc and arc, as results of RFC 8601. The first of a list that is there counts:
one good signature is a pass. Where the engine names none of them it did not check, which is "none"."""


class Rspamd:
    """Asks one rspamd. Use it from one event loop; `close` when done."""

    answers = ANSWERS

    def __init__(self, url: str, *, connections: int = 32) -> None:
        self._url = url.rstrip("/") + "/checkv2"
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: Question) -> FilterVerdict:
        """What it says; raises `Unavailable`, also for an answer that is none."""
        try:
            async with self._client().post(self._url, data=question.raw, headers=_headers(question)) as response:
                if response.status != 200:
                    raise Unavailable("the anti-spam engine refused the question")
                body = await _bounded(response)
            return read_answer(orjson.loads(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable("the anti-spam engine does not answer") from error

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self._session


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise Unavailable("the anti-spam engine's answer is too long")
    return bytes(body)


def _headers(question: Question) -> list[tuple[str, str]]:
    """The envelope, as the engine's protocol wants it; what cannot stand in a header is left out."""
    given = [
        ("From", question.sender),
        ("IP", question.address),
        ("Helo", question.helo),
        ("User", question.account),
        ("Queue-Id", question.mail_id),
        *(("Rcpt", r) for r in question.recipients[:100]),
    ]
    return [(name, value) for name, value in given if value and value.isascii() and value.isprintable()]


def read_answer(answer: Any) -> FilterVerdict:
    """The verdict in an answer; raises `ValueError` when it is none."""
    if not isinstance(answer, dict) or answer.get("is_skipped") is True:
        raise ValueError("not an answer")
    score, symbols = answer.get("score"), answer.get("symbols")
    if isinstance(score, bool) or not isinstance(score, int | float) or not isinstance(symbols, dict):
        raise ValueError("not an answer")
    results = {
        method: next((result for symbol, result in known.items() if symbol in symbols), "none")
        for method, known in _SYMBOLS.items()
    }
    return FilterVerdict(
        spam=float(score),
        phishing=any(str(s).startswith(_PHISHING) for s in symbols),
        spf=results["spf"],
        dkim=results["dkim"],
        dmarc=results["dmarc"],
        arc=results["arc"],
    )
