"""Every notice: its name, who reads it, and the fields that its words may use.

A new notice is a line here and words in each language; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LANGUAGES = ("en", "ja", "zh-Hant")
DEFAULT_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Kind:
    """One notice: for whom it is, and its fields by name with what each holds."""

    reader: str
    fields: Mapping[str, str]


_MAIL = {
    "mail_id": "the mail's id",
    "received": "when it was received",
    "sender": "its envelope sender",
    "recipients": "its recipients, one a line",
    "tenant": "the organisation's name",
}
_HELD = _MAIL | {
    "rule": "the rule that holds it",
    "reason": "what the rule says to people",
    "expires": "until when it waits",
    "at_expiry": "what happens then",
    "link": "where to look at it and decide; empty without a portal",
    "release_link": "releases it, after a question; empty without a portal",
    "delete_link": "deletes it, after a question; empty without a portal",
}
_DECIDED = _MAIL | {
    "rule": "the rule that held it",
    "outcome": "what was decided",
    "note": "what the reviewer wrote",
}
_SEALED = _MAIL | {"file": "name of the sealed attachment", "link": "where to open it; empty for a file"}

CATALOGUE: Mapping[str, Kind] = {
    "hold.notice.reviewer": Kind("a reviewer", _HELD | {"findings": "what was found, masked, one a line"}),
    "hold.notice.sender": Kind("the sender", _HELD),
    "hold.escalated": Kind("a reviewer", _HELD),
    "hold.requested": Kind("a reviewer", _HELD | {"requester": "the recipient who asks for it"}),
    "hold.note": Kind(
        "who a reviewer names", _HELD | {"requester": "the reviewer who wrote", "note": "what they wrote"}
    ),
    "hold.digest": Kind(
        "a reviewer", {"number": "how many wait", "items": "one line for each", "link": "where they are", "tenant": "…"}
    ),
    "hold.deleted": Kind("the sender", _DECIDED),
    "delay.notice": Kind("the sender", _HELD),
    "sealed.cover": Kind("a recipient", _SEALED | {"hint": "where the password comes from"}),
    "sealed.password": Kind("the sender", _SEALED | {"password": "the password"}),
    "returned": Kind("the sender", _MAIL | {"rule": "…", "reason": "what the rule says", "findings": "masked"}),
}
