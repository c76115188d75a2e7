"""Parse, ask, print: one run of the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from services.cli import views
from services.cli.command import Command, Usage
from services.cli.parser import Help, Parsed, parse
from services.cli.plain import plain
from services.cli.request import fill
from services.cli.result import Result
from services.cli.session import Failure, Session, target
from services.cli.special import RUN
from services.common.errors import Error

_PAGE_SIZE = 1000


def run(argv: Sequence[str], environment: Mapping[str, str] | None = None, session: Session | None = None) -> int:
    """See `main.run`; `session` is for tests."""
    try:
        parsed = parse(argv)
        if isinstance(parsed, Help):
            return _out(parsed.text)
        with session or Session(
            target(parsed.options, os.environ if environment is None else environment)
        ) as open_session:
            result = execute(open_session, parsed)
        status = _out(_render(result, parsed)) or result.status
    except Usage as error:
        return _error(str(error), 2)
    except Failure as error:
        return _error(str(error), error.status)
    except Error as error:
        return _error(str(error), 5 if error.retry else 1)
    if result.error:
        return _error(result.error, status)
    return status


def execute(session: Session, parsed: Parsed) -> Result:
    """Call what the command calls; raises `Usage` and `Failure`."""
    command, values = parsed.command, parsed.values
    if command.run:
        return RUN[command.run](session, command, values)
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    if command.items:
        return Result({"items": [_renamed(item, command) for item in _pages(session, command, request)]})
    document = plain(session.call(command.rpc, request))
    if command.shape is not None:
        return Result(command.shape(document, values))
    return Result(_renamed((document[command.one] or {}) if command.one else document, command))


def _pages(session: Session, command: Command, request: Any) -> list[dict[str, Any]]:
    """All items of all pages."""
    found: list[dict[str, Any]] = []
    request.page_size = _PAGE_SIZE
    while True:
        answer = plain(session.call(command.rpc, request))
        found += answer[command.items]
        if not answer["next_page_token"]:
            return found
        request.page_token = answer["next_page_token"]


def _renamed(document: dict[str, Any], command: Command) -> dict[str, Any]:
    return {command.rename.get(key, key): value for key, value in document.items()}


def _render(result: Result, parsed: Parsed) -> str:
    if result.document is None:
        return ""
    match parsed.options.get("output"):
        case "json":
            return views.as_json(result.document)
        case "yaml":
            return views.as_yaml(result.document)
    view = result.view or parsed.command.view
    if view is not None:
        return view(result.document)
    rows = result.document["items"] if parsed.command.items else [result.document]
    return views.table(rows, parsed.command.columns)


def _out(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _error(message: str, status: int) -> int:
    line = " ".join(message.splitlines())
    sys.stderr.write(f"error: {line}\n")
    return status
