"""The noun `password`: one row for each verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.cli import views
from services.cli.command import Argument, Command

_SERVICE = "encryption.PasswordService"
_RENAME = {"id": "password_id"}
_COLUMNS = ("password_id", "kind", "recipients", "created_at", "valid_from", "valid_until", "note")


def _shown(answer: dict[str, Any], values: Mapping[str, Any]) -> Any:
    """What the server showed: `{"items": [{…, "password"}]}`."""
    found = answer.get("passwords", [])
    return {
        "items": [
            {
                "password_id": one["password"]["id"],
                "mail_id": one["password"].get("mail_id", ""),
                "kind": one["password"]["kind"],
                "recipients": one["password"].get("recipients", []),
                "password": one["secret"],
            }
            for one in found
        ]
    }


def _listing(document: Any) -> str:
    return views.table(document["items"], ("password_id", "kind", "recipients", "password"))


ROWS = (
    Command("password", "list", "of the sealed mails that you sent; an admin's agreed ones too",
            f"{_SERVICE}.ListPasswords", items="passwords", rename=_RENAME, columns=_COLUMNS),
    Command("password", "get", "the password of a mail that you sent, or an agreed one; the audit log records it",
            f"{_SERVICE}.GetPassword",
            (Argument("id", "id", "the mail's id, or the password's", required=True, metavar="ID"),),
            shape=_shown, view=_listing),
    Command("password", "set", "agree a password with a partner; without a file one is made",
            f"{_SERVICE}.SetAgreedPassword",
            (Argument("partner", "partner", "the partner's domain or address", required=True, metavar="PARTNER"),
             Argument("--password-file", "password", "a file with the password (-: stdin)", "secret"),
             Argument("--from", "valid_from", "from when it seals, such as 2026-12-01T00:00:00Z"),
             Argument("--until", "valid_until", "until when"),
             Argument("--note", "note", "for whoever reads the list")),
            one="password", rename=_RENAME, columns=_COLUMNS, request_id=True),
    Command("password", "delete", "seal nothing more with an agreed password", f"{_SERVICE}.DeleteAgreedPassword",
            (Argument("id", "id", "the password's id", required=True, metavar="ID"),),
            shape=lambda answer, values: {"deleted": values["id"]}, view=lambda document: "deleted\n"),
)  # fmt: skip
