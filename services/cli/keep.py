"""That archived mail is what was accepted: proofs, checked off line, and the store compared with the ingest log."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from services.cli import views
from services.cli.command import Argument, Command, Usage
from services.cli.plain import plain
from services.cli.request import contents, fill
from services.cli.result import Result
from services.cli.session import Session
from services.common import ingestlog
from services.common.errors import Corrupt
from services.common.tlog import note

_KEEP = "archive.KeepService"


def proof(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """The proof as one JSON document, whatever the output format: it is a file for `archive check`."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    answer: Any = session.call(command.rpc, request)
    document = {"tenant_id": answer.tenant_id, "key": answer.key, "proof": json.loads(answer.proof)}
    return Result(document, lambda d: json.dumps(d, indent=1, sort_keys=True) + "\n")


def check(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Off line: whether the proof holds, and for the bytes of a mail where they are given; failed when it does not."""
    try:
        document = json.loads(contents(values["file"]))
        tenant, told = str(document["tenant_id"]), document["proof"]
        key = note.Key.parse(values.get("key") or str(document["key"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Usage(f"{values['file']}: not what `archive proof` writes, or --key is no verifier key") from None
    raw = contents(values["eml"]) if values.get("eml") else None
    try:
        if key.name != ingestlog.origin_of(tenant):
            raise Corrupt("the key is another log's")
        found = ingestlog.read_proof(told)
        root = ingestlog.check(found, tenant=tenant, public=key.public, raw=raw)
    except Corrupt as error:
        return Result({"holds": False, "reason": str(error)}, views.fields, 1, f"the proof does not hold: {error}")
    shown = {
        "holds": True,
        "mail_id": found.leaf.mail_id,
        "tree": root.name,
        "mails": root.size,
        "root": root.root.hex(),
        "sha256": found.opening.raw if found.opening else "",
        "until": found.leaf.until,
        "bytes_checked": raw is not None,
        "key": "given" if values.get("key") else "from the file: compare it with one that you trust",
    }
    return Result(shown, views.fields)


def verify(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Every difference; failed when there is one. Progress goes to stderr when it is a terminal."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    items: list[dict[str, Any]] = []
    checked = unsealed = 0
    last = values.get("after", "")
    for message in session.stream(command.rpc, request):
        part = plain(message)
        items += part["differences"]
        checked, unsealed, last = checked + part["checked"], unsealed + part["unsealed"], part["day"]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{last}: {checked} mails, {len(items)} differences ")
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    document = {"items": items, "checked": checked, "unsealed": unsealed, "last_day": last}
    if items:
        return Result(document, verified, 1, f"the store differs from the ingest log in {len(items)} places")
    return Result(document, verified)


def verified(document: Mapping[str, Any]) -> str:
    """A verification for people."""
    table = views.table(document["items"], ("kind", "what", "day", "detail")) if document["items"] else ""
    return (
        f"{table}{document['checked']} mails compared, {len(document['items'])} differences; "
        f"{document['unsealed']} of days that are not sealed yet; up to {document['last_day'] or 'nothing'}\n"
    )


ROWS = (
    Command("archive", "proof", "that a mail was accepted as it is, as a file for `archive check`", f"{_KEEP}.Prove",
            (Argument("mail_id", "mail_id", "the mail's id", required=True, metavar="MAILID"),), run="keep_proof"),
    Command("archive", "check", "check such a proof, off line", "",
            (Argument("file", "", "what archive proof wrote (-: stdin)", required=True, metavar="FILE"),
             Argument("--eml", "", "the mail's bytes as received", metavar="FILE"),
             Argument("--key", "", "the ingest log's verifier key, from where you trust it")), run="keep_check"),
    Command("archive", "verify", "hash the store again, and report every difference from the ingest log",
            f"{_KEEP}.Verify",
            (Argument("--after", "after", "go on behind this day, such as 2026-11-24", metavar="DAY"),),
            run="keep_verify"),
)  # fmt: skip

RUN = {"keep_proof": proof, "keep_check": check, "keep_verify": verify}
