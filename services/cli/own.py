"""What a tenant adds to the detectors: the verbs of `detector` that change, and the noun `dataset`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from letterlock.policy.v1 import dataset_pb2

from services.cli import views
from services.cli.command import Argument, Command, Usage
from services.cli.plain import plain
from services.cli.request import contents, fill
from services.cli.result import Result
from services.cli.session import Session
from services.common.ids import MailId

_PART = 5000
"""Rows of one call."""
_MAX_CALL = 2 * 1024 * 1024
_DETECTORS, _SETS = "policy.OwnDetectorService", "policy.DataSetService"
_COLUMNS = ("name", "kind", "columns", "rows", "document_count", "revision")


def put_detector(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Make or replace a detector of the patterns or words in a file, one a line."""
    request: Any = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    if ("patterns" in values) == ("words" in values):
        raise Usage("give --patterns or --words")
    detector, threshold = request.detector, values.get("threshold", 0)
    lines = [line.strip("\r\n") for line in _text(values.get("patterns") or values["words"]).splitlines()]
    if "patterns" in values:
        detector.patterns.patterns.extend(line for line in lines if line and not line.startswith("#"))
        detector.patterns.ignore_case = bool(values.get("ignore_case"))
        detector.patterns.context.extend(_listed(values, "context"))
        detector.patterns.threshold = threshold
    else:
        for number, line in enumerate(lines, 1):
            word, _, weight = line.partition("\t")
            if not word.strip() or word.startswith("#"):
                continue
            try:
                detector.words.words.add(word=word, weight=int(weight or 1))
            except ValueError:
                raise Usage(f"line {number}: expected a word, a tab and its weight") from None
        detector.words.threshold = threshold
    return Result(_told(plain(session.call(command.rpc, request))["detector"]), views.fields)


def get_detector(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """One detector whole."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    return Result(plain(session.call(command.rpc, request))["detector"], views.fields)


def upload(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Replace a set's rows by those of a CSV file; its first line names the columns."""
    reader = csv.reader(io.StringIO(_text(values["file"])))
    names = [n.strip() for n in next(reader, [])]
    columns = list(dict.fromkeys(_listed(values, "column") or names))
    missing = [c for c in columns if c not in names]
    if missing or not columns:
        raise Usage(f"the first line names no column {missing[0]!r}" if missing else "the file is empty")
    places = [names.index(c) for c in columns]
    identity, parts = MailId.new(), 0
    try:
        for batch in _parts(enumerate(reader, 2), places, len(names)):
            request = dataset_pb2.UploadRowsRequest(
                tenant=session.where.tenant, set=values["name"], upload=identity, part=parts, columns=columns,
                line=batch[0][0], rows=[dataset_pb2.Row(cells=cells) for _, cells in batch],
            )  # fmt: skip
            session.call(f"{_SETS}.UploadRows", request)
            parts += 1
    except csv.Error as error:
        raise Usage(f"{values['file']}: not CSV: {error}") from None
    if not parts:
        raise Usage("the file has no rows")
    commit = dataset_pb2.CommitRowsRequest(
        tenant=session.where.tenant, set=values["name"], upload=identity, parts=parts
    )
    return Result(plain(session.call(command.rpc, commit))["set"], views.fields)


def add(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Register a document by its file, under its name or another one."""
    request: Any = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    request.name = values.get("as") or Path(values["file"]).name
    return Result(plain(session.call(command.rpc, request))["set"], views.fields)


def _parts(
    rows: Iterator[tuple[int, list[str]]], places: Sequence[int], width: int
) -> Iterator[Sequence[tuple[int, list[str]]]]:
    """Rows with the number of their line, as many as a call takes."""
    for batch in batched(_picked(rows, places, width), _PART, strict=False):
        pending, size = list[tuple[int, list[str]]](), 0
        for row in batch:
            length = sum(len(c.encode()) + 4 for c in row[1])
            if pending and size + length > _MAX_CALL:
                yield pending
                pending, size = [], 0
            pending.append(row)
            size += length
        yield pending


def _picked(
    rows: Iterator[tuple[int, list[str]]], places: Sequence[int], width: int
) -> Iterator[tuple[int, list[str]]]:
    for number, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != width:
            raise Usage(f"row {number}: {len(row)} columns, not {width}")
        yield number, [row[p] for p in places]


def _listed(values: Mapping[str, Any], key: str) -> list[str]:
    return [part.strip() for item in values.get(key, ()) for part in item.split(",") if part.strip()]


def _text(name: str) -> str:
    try:
        return contents(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Usage(f"{name}: not UTF-8 text") from None


def _told(detector: dict[str, Any]) -> dict[str, Any]:
    """What was made, without its thousand lines."""
    short = {k: v for k, v in detector.items() if k not in ("patterns", "words")}
    for kind in ("patterns", "words"):
        if detector.get(kind):
            short[kind] = len(detector[kind][kind])
    return short


_NAME = Argument("name", "name", "its name", required=True, metavar="NAME")
_SET = Argument("name", "set", "the set's name", required=True, metavar="NAME")
_DETECTOR = (
    Argument("name", "detector.name", "its name, for rules", required=True, metavar="NAME"),
    Argument("--patterns", "", "a file of RE2 patterns, one a line (-: stdin)", metavar="FILE"),
    Argument("--words", "", "a file of words, one a line, each with a tab and its weight", metavar="FILE"),
    Argument("--about", "detector.about", "what it finds"),
    Argument("--context", "", "a word beside which a find is surer; may be repeated", "list"),
    Argument("--threshold", "", "finds a mail must have, or weight of words a text must have", "number"),
    Argument("--ignore-case", "", "for patterns", "flag"),
)
ROWS = (
    Command("detector", "create", "make one of your own: patterns or weighted words", f"{_DETECTORS}.CreateOwnDetector",
            _DETECTOR, run="own_put"),
    Command("detector", "update", "replace one of your own", f"{_DETECTORS}.UpdateOwnDetector",
            (*_DETECTOR, Argument("--revision", "revision", "only if this is still the newest revision", "number")),
            run="own_put"),
    Command("detector", "get", "one of your own, whole", f"{_DETECTORS}.GetOwnDetector", (_NAME,), run="own_get"),
    Command("detector", "delete", "remove one of your own that no rule asks for", f"{_DETECTORS}.DeleteOwnDetector",
            (_NAME, Argument("--revision", "revision", "only if this is still the newest revision", "number")),
            shape=lambda answer, values: {"deleted": values["name"]}, view=lambda document: "deleted\n"),
    Command("dataset", "list", "all of them", f"{_SETS}.ListSets", items="sets", columns=_COLUMNS),
    Command("dataset", "get", "one of them, with the names of its documents", f"{_SETS}.GetSet", (_NAME,), one="set",
            columns=(*_COLUMNS, "documents")),
    Command("dataset", "create", "make an empty one", f"{_SETS}.CreateSet",
            (_NAME, Argument("--kind", "kind", "rows of a table, or documents", "choice", ("exact_data", "fingerprint"),
                             required=True)),
            one="set", columns=_COLUMNS),
    Command("dataset", "delete", "remove one that no rule asks for", f"{_SETS}.DeleteSet", (_NAME,),
            shape=lambda answer, values: {"deleted": values["name"]}, view=lambda document: "deleted\n"),
    Command("dataset", "upload", "replace the rows of one by those of a CSV file; only keyed digests are kept",
            f"{_SETS}.CommitRows",
            (_SET, Argument("file", "", "UTF-8, the first line names the columns (-: stdin)", required=True,
                            metavar="FILE.csv"),
             Argument("--column", "", "take this column, the primary one first; may be repeated", "list")),
            run="own_upload"),
    Command("dataset", "add", "register a document by its file; only a fingerprint is kept", f"{_SETS}.AddDocument",
            (_SET, Argument("file", "file", "read as an attachment is (-: stdin)", "bytes", required=True,
                            metavar="FILE"),
             Argument("--as", "", "the document's name, by default the file's")),
            run="own_add"),
    Command("dataset", "remove", "forget a registered document", f"{_SETS}.RemoveDocument",
            (_SET, Argument("document", "name", "its name", required=True, metavar="DOCUMENT")), one="set",
            columns=_COLUMNS),
)  # fmt: skip

RUN: dict[str, Callable[[Session, Command, Mapping[str, Any]], Result]] = {
    "own_put": put_detector,
    "own_get": get_detector,
    "own_upload": upload,
    "own_add": add,
}
