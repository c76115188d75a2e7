"""What a next hop's reply means (RFC 5321 4.2, RFC 3463), and the result for a recipient."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

type Fate = Literal["delivered", "deferred", "failed"]


@dataclass(frozen=True, slots=True)
class Reply:
    """An SMTP reply; continuation lines are joined by newlines."""

    code: int
    text: str = ""

    @property
    def enhanced(self) -> str:
        """The enhanced status code when the reply has one of its own class, else a general one (RFC 3463)."""
        match = _ENHANCED.match(self.text)
        if match and match[1] == str(self.code)[0]:
            return match[0]
        return {2: "2.0.0", 5: "5.0.0"}.get(self.code // 100, "4.0.0")

    @property
    def detail(self) -> str:
        """The reply on one line of printable characters, at most 500."""
        return f"{self.code} {_UNPRINTABLE.sub(' ', self.text).strip()}"[:500].rstrip()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attempt for one recipient. `code` is for machines, `status` is RFC 3463, `remote` host:port."""

    fate: Fate
    code: str
    status: str
    detail: str = ""
    remote: str = ""
    reply_code: str = ""
    dsn_passed_on: bool = False

    @property
    def too_many(self) -> bool:
        """Whether the host only wants this recipient in another transaction (RFC 5321 4.5.3.1.10)."""
        return self.fate == "deferred" and self.status == "4.5.3"


def classify(reply: Reply, *, remote: str, dsn_passed_on: bool = False) -> Result:
    """The result of a final reply: 2xx delivered, 5xx failed, all else is tried again."""
    fate: Fate = {2: "delivered", 5: "failed"}.get(reply.code // 100, "deferred")  # type: ignore[assignment]
    code = {"delivered": "delivered", "failed": "remote_refused", "deferred": "remote_deferred"}[fate]
    return Result(fate, code, reply.enhanced, reply.detail, remote, reply.enhanced, dsn_passed_on)


def classify_recipient(reply: Reply, *, remote: str, accepted_before: int) -> Result:
    """The result of a refusal at RCPT: a 552 after accepted recipients means too many (RFC 5321 4.5.3.1.10)."""
    result = classify(reply, remote=remote)
    if reply.code in (452, 552) and accepted_before and result.status in ("4.0.0", "5.0.0", "4.5.3", "5.5.3"):
        return Result("deferred", "remote_deferred", "4.5.3", reply.detail, remote, "4.5.3")
    return result


def deferred(code: str, status: str, detail: str, *, remote: str = "") -> Result:
    """A failure that passes: nobody answered, or not as SMTP."""
    return Result("deferred", code, status, detail[:500], remote)


def failed(code: str, status: str, detail: str, *, remote: str = "") -> Result:
    """A failure that stays, found by us."""
    return Result("failed", code, status, detail[:500], remote)
