"""The commands that are more than one call."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from services.cli import access, archive, audit, holds, keep, own, views, world
from services.cli.command import Command, Usage
from services.cli.plain import plain
from services.cli.request import contents, fill
from services.cli.result import Result
from services.cli.session import Failure, Session
from services.cli.unplain import unplain


def check(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Every mistake of a policy document; failed when there is one."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    answer = plain(session.call(command.rpc, request))
    document = {"items": answer["mistakes"], "rules": answer["rules"]}
    return Result(document, views.mistakes, *_count(answer["mistakes"], "the policy document"))


def trace(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """What would be decided for a mail; a draft that cannot be used is told like `check`."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    answer = plain(session.call(command.rpc, request))
    if answer["mistakes"]:
        document = {"items": answer["mistakes"], "rules": 0}
        return Result(document, views.mistakes, *_count(answer["mistakes"], "the draft"))
    return Result({"decision": answer["decision"]}, views.decision)


def detector_test(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """What is found in a text or a file; the file's name is sent with it."""
    if ("text" in values) == ("file" in values):
        raise Usage("give --text or --file")
    request: Any = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    name = values.get("file", "-")
    request.file_name = "" if name == "-" else Path(name).name
    answer = plain(session.call(command.rpc, request))
    document = {"items": answer["hits"], "truncated": answer["truncated"], "not_read": answer["not_read"]}
    return Result(document, views.detected)


def lint(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """What is doubtful in a document; a document that cannot be applied is told like `check`. Doubts fail nothing."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    answer = plain(session.call(command.rpc, request))
    if answer["mistakes"]:
        document = {"items": answer["mistakes"], "rules": 0}
        return Result(document, views.mistakes, *_count(answer["mistakes"], "the policy document"))
    return Result({"items": answer["findings"]}, views.findings)


def replay_why(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Whether a decision follows from its own reasons; failed when it does not."""
    request: Any = session.request(command.rpc)
    fill(request, command, {}, tenant=session.where.tenant)
    try:
        certificate = json.loads(contents(values["file"]))
        if isinstance(certificate, dict) and "decision" in certificate:
            certificate = certificate["decision"]
        unplain(request.decision, certificate)
    except (ValueError, RecursionError) as error:
        raise Usage(f"{values['file']}: not a certificate as `mail why -o json` prints it: {error}") from None
    answer = plain(session.call(command.rpc, request))
    number = len(answer["differences"])
    if answer["same"]:
        return Result(answer, views.replayed)
    return Result(answer, views.replayed, 1, f"the decision does not follow from its reasons: {number} differences")


def _count(mistakes: list[dict[str, Any]], what: str) -> tuple[int, str]:
    if not mistakes:
        return 0, ""
    number = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    first = views.place(mistakes[0]) + views.printable(mistakes[0]["reason"])
    return 1, f"{what} has {number}; {first}"


def reindex(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Replay all segments; progress goes to stderr when it is a terminal."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    document: dict[str, Any] = {}
    for message in session.stream(command.rpc, request):
        document = plain(message)
        if sys.stderr.isatty():
            sys.stderr.write(
                f"\r{document['segments_done']}/{document['segments']} segments, {document['mails']} mails "
            )
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    if not document.get("done"):
        raise Failure("the reindex ended early: run it again, it goes on where it was", 5)
    return Result(document)


def health(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """The standard gRPC health answer; unavailable when it is not `serving`."""
    status = session.serving()
    document = {"status": status, "server": session.where.server}
    if status == "serving":
        return Result(document)
    return Result(document, status=5, error=f"{session.where.server} is {status}: ask again, or see letterlock status")


def version(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Of this command, and of the server when it answers."""
    try:
        answer = plain(session.call(command.rpc, session.request(command.rpc), timeout=3))
        server = answer["version"]
    except Failure:
        server = None
    return Result({"version": own_version(), "server": server})


def own_version() -> str:
    """The version of the installed package."""
    try:
        return metadata.version("letterlock")
    except metadata.PackageNotFoundError:
        return "unknown"


def apply(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Send the world file with the files it names; the difference comes back."""
    name = values["file"]
    text = world.resolve(contents("-").decode(), Path()) if name == "-" else world.read_world(Path(name))
    request = session.request(command.rpc)
    fill(request, command, {**values, "file": text}, tenant="")
    answer = plain(session.call(command.rpc, request))
    document = {"items": answer["changes"], "warnings": answer["warnings"], "dry_run": bool(values.get("dry_run"))}
    return Result(document)


RUN: dict[str, Callable[[Session, Command, Mapping[str, Any]], Result]] = {
    "apply": apply,
    "approve": access.approve,
    "enrol": access.enrol,
    "sod_report": access.sod_report,
    "audit_export": audit.export_log,
    "audit_list": audit.list_entries,
    "audit_proof": audit.get_proof,
    "audit_verify": audit.verify_file,
    "lint": lint,
    "replay_why": replay_why,
    "check": check,
    "detector_test": detector_test,
    "decide": holds.decide,
    "health": health,
    "reindex": reindex,
    "show": holds.show,
    "trace": trace,
    "version": version,
    **archive.RUN,
    **own.RUN,
    **keep.RUN,
}
