"""What the filters beside us said about a mail: an anti-spam engine and an anti-virus.

What no filter said is unknown, not clean: a rule that needs it fails, and its `on_error` says what that means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

type Field = Literal["spam", "malware", "phishing", "spf", "dkim", "dmarc", "arc"]

FLAGS: tuple[Field, ...] = ("malware", "phishing")
RESULTS: tuple[Field, ...] = ("spf", "dkim", "dmarc", "arc")
FIELDS: tuple[Field, ...] = ("spam", *FLAGS, *RESULTS)

AUTHENTICATION: frozenset[str] = frozenset({
    "pass", "fail", "softfail", "neutral", "none", "policy", "temperror", "permerror",
})  # fmt: skip
"""Results of RFC 8601 that a rule may ask for."""


class VerdictUnknown(Exception):
    """A rule asked for what no filter said."""


@dataclass(frozen=True, slots=True)
class FilterVerdict:
    """None is unknown. `signature` names the malware that was found."""

    spam: float | None = None
    malware: bool | None = None
    phishing: bool | None = None
    spf: str | None = None
    dkim: str | None = None
    dmarc: str | None = None
    arc: str | None = None
    signature: str = ""

    def joined(self, other: FilterVerdict) -> FilterVerdict:
        """Both together; what either calls malware is malware."""
        malware = None if self.malware is None and other.malware is None else bool(self.malware or other.malware)
        return FilterVerdict(
            spam=self.spam if self.spam is not None else other.spam,
            malware=malware,
            phishing=self.phishing if self.phishing is not None else other.phishing,
            spf=self.spf or other.spf,
            dkim=self.dkim or other.dkim,
            dmarc=self.dmarc or other.dmarc,
            arc=self.arc or other.arc,
            signature=self.signature or other.signature,
        )


UNKNOWN = FilterVerdict()
