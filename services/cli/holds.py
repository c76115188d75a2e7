"""The noun `hold` and what belongs to it: one row each, and the commands that are more than one call."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.cli import views
from services.cli.command import Argument, Command, Usage
from services.cli.plain import plain
from services.cli.request import fill
from services.cli.result import Result
from services.cli.session import Failure, Session

_RENAME = {"id": "hold_id"}
_LISTED = ("hold_id", "state", "level", "direction", "sender", "recipients", "rule", "held_at", "expires_at")
_DECIDED = ("hold_id", "state", "level", "decided_by", "decided_at", "note")
_TOLD = ("hold_id", "state", "level", "error")
_ID = Argument("hold", "id", "the hold's id, or the mail's", required=True, metavar="HOLD")
_IDS = Argument("hold", "id", "the holds' ids, or the mails'", "list", metavar="HOLD")
_NOTE = Argument("--note", "note", "why, kept with the record")
_FORCE = Argument("--force", "force", "although the engines of today say worse; needs a note", "flag")
_BULK = (
    Argument("--rule", "", "all that this rule holds from you; with --all"),
    Argument("--all", "", "do it to all of them", "flag"),
)


def _decide(verb: str, help: str, *more: Argument) -> Command:
    return Command(
        "hold", verb, help, f"quarantine.HoldService.{verb.title()}Hold", (_IDS, _NOTE, *more, *_BULK),
        one="hold", rename=_RENAME, columns=_DECIDED, run="decide",
    )  # fmt: skip


ROWS = (
    Command("hold", "list", "mail that waits for you", "quarantine.HoldService.ListHolds",
            (Argument("--all", "include_decided", "decided ones too", "flag"),
             Argument("--rule", "rule", "only those that this rule holds")),
            items="holds", rename=_RENAME, columns=_LISTED),
    Command("hold", "show", "one hold: who, why, what was found, and what was done with it",
            "quarantine.HoldService.GetHold",
            (_ID, Argument("--content", "", "the mail itself; the audit log has it first", "flag"),
             Argument("--purpose", "", "why it is read, for the audit log")),
            one="hold", rename=_RENAME, view=views.fields, run="show"),
    _decide("release", "let the mail go on its way", _FORCE),
    _decide("delete", "drop the mail"),
    _decide("return", "give the mail back to its sender, with the note"),
    _decide("forward", "send the mail to another address instead",
            Argument("--to", "to", "the address", required=True, metavar="ADDRESS"), _FORCE),
    _decide("seal", "let the mail go encrypted",
            Argument("--format", "format", "as what", "choice", ("zip", "pdf")),
            Argument("--password", "password", "which one: a new one for the sender, or the agreed one", "choice",
                     ("random", "agreed")), _FORCE),
    _decide("cancel", "take your own mail back, while a rule delays it or leaves it to you"),
    Command("hold", "claim", "keep the others from deciding it for a while", "quarantine.HoldService.ClaimHold",
            (_ID, Argument("--seconds", "seconds", "how long; by default 900", "number"),
             Argument("--take-over", "take_over", "although another has claimed it", "flag")),
            one="hold", rename=_RENAME, columns=("hold_id", "state", "claimed_by", "claimed_until")),
    Command("hold", "unclaim", "let the others decide it again", "quarantine.HoldService.UnclaimHold",
            (_ID,), one="hold", rename=_RENAME, columns=("hold_id", "state", "claimed_by", "claimed_until")),
    Command("hold", "note", "leave it pending, with a note", "quarantine.HoldService.NoteHold",
            (_ID, _NOTE, Argument("--notify", "notify", "who is told of it: sender, or an address of your own")),
            one="hold", rename=_RENAME, columns=("hold_id", "state", "level")),
    Command("hold", "request", "ask the reviewers for a mail that is held from you",
            "quarantine.HoldService.RequestRelease",
            (Argument("mail_id", "mail_id", "the mail's id", required=True, metavar="MAILID"), _NOTE),
            columns=("asked",)),
    Command("hold", "sender", "allow or block the sender of a hold, or neither", "quarantine.HoldService.SetSender",
            (_ID, Argument("--verdict", "verdict", "what", "choice", ("allow", "block", "unspecified"), required=True),
             _NOTE), one="sender", columns=("address", "verdict", "by", "at", "note")),
    Command("hold", "senders", "senders that reviewers allowed or blocked", "quarantine.HoldService.ListSenders",
            view=lambda d: views.table(d["senders"], ("address", "verdict", "by", "at", "note"))),
    Command("deputy", "list", "who stands in for you, and for whom you do", "quarantine.HoldService.ListDeputies",
            view=lambda d: views.table(d["deputies"], ("reviewer", "deputy", "until"))),
    Command("deputy", "set", "name the reviewer who stands in for you", "quarantine.HoldService.SetDeputy",
            (Argument("deputy", "deputy", "their address", required=True, metavar="ADDRESS"),
             Argument("--until", "until", "until then, such as 2026-12-24T09:00:00Z")),
            one="deputy", columns=("reviewer", "deputy", "until")),
    Command("deputy", "clear", "nobody stands in for you any more", "quarantine.HoldService.ClearDeputy",
            view=lambda _: "cleared\n"),
    Command("notice", "list", "the words of every notice", "quarantine.NoticeService.ListTemplates",
            view=lambda d: views.table(d["templates"], ("name", "language", "subject", "revision", "fields"))),
    Command("notice", "get", "the words of one", "quarantine.NoticeService.GetTemplate",
            (Argument("name", "name", "which", required=True, metavar="NAME"),
             Argument("--language", "language", "en, ja or zh-Hant; by default the tenant's")),
            one="template", view=views.fields),
    Command("notice", "set", "put your own words in force", "quarantine.NoticeService.SetTemplate",
            (Argument("name", "name", "which", required=True, metavar="NAME"),
             Argument("--language", "language", "en, ja or zh-Hant; by default the tenant's"),
             Argument("--subject", "subject", "one line; {fields} are filled in", required=True),
             Argument("--file", "text", "the text (-: stdin)", "content", short="-f", required=True, metavar="FILE")),
            one="template", view=views.fields),
    Command("notice", "reset", "go back to the words that come with the system",
            "quarantine.NoticeService.ResetTemplate",
            (Argument("name", "name", "which", required=True, metavar="NAME"),
             Argument("--language", "language", "en, ja or zh-Hant; by default the tenant's")),
            one="template", view=views.fields),
)  # fmt: skip


def decide(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Decide one hold, or several: then each one's result is told, and one failure does not keep the others."""
    ids = [part for word in values.get("hold") or () for part in word.split(",") if part]
    if bool(values.get("rule")) != bool(values.get("all")) or bool(ids) == bool(values.get("all")):
        raise Usage(f"name holds, or give --rule RULE --all (see: letterlock {command.name} --help)")
    single = len(ids) == 1
    if values.get("all"):
        ids = _held_by(session, str(values["rule"]))
    one = replace(command, arguments=(_ID, *(a for a in command.arguments if a.path and a is not _IDS)))
    told: list[dict[str, Any]] = []
    statuses = []
    for hold in ids:
        request = session.request(command.rpc)
        fill(request, one, {**values, "hold": hold}, tenant=session.where.tenant)
        try:
            told.append({**_renamed(plain(session.call(command.rpc, request))["hold"] or {}), "error": ""})
        except Failure as failure:
            if single:
                raise
            told.append({"hold_id": hold, "state": "", "level": 0, "error": str(failure)})
            statuses.append(failure.status)
    if single:
        del told[0]["error"]
        return Result(told[0], lambda document: views.table([document], _DECIDED))
    error = f"{len(statuses)} of {len(ids)} were not done" if statuses else ""
    return Result({"items": told}, _table, max(statuses, default=0), error)


def show(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """One hold, or with --content the mail as it was received, byte for byte."""
    request = session.request(command.rpc)
    if not values.get("content"):
        fill(request, command, values, tenant=session.where.tenant)
        return Result(_renamed(plain(session.call(command.rpc, request))["hold"] or {}))
    rpc = "quarantine.HoldService.ReadHold"
    reading = replace(command, arguments=(_ID, Argument("--purpose", "purpose", "")))
    request = session.request(rpc)
    fill(request, reading, values, tenant=session.where.tenant)
    for message in session.stream(rpc, request):
        sys.stdout.buffer.write(message.piece)  # type: ignore[attr-defined]
    sys.stdout.buffer.flush()
    return Result(None)


def _held_by(session: Session, rule: str) -> list[str]:
    """Every open hold of a rule that is routed to the caller."""
    rpc = "quarantine.HoldService.ListHolds"
    request: Any = session.request(rpc)
    request.rule, request.page_size = rule, 1000
    if session.where.tenant:
        request.tenant = session.where.tenant
    found: list[str] = []
    while True:
        answer = plain(session.call(rpc, request))
        found += [hold["id"] for hold in answer["holds"]]
        if not answer["next_page_token"]:
            return found
        request.page_token = answer["next_page_token"]


def _table(document: Mapping[str, Any]) -> str:
    items: Sequence[Mapping[str, Any]] = document["items"]
    return views.table(items, _TOLD)


def _renamed(document: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAME.get(key, key): value for key, value in document.items()}
