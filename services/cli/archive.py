"""Archived mail: searched, opened and exported inside a grant."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any, BinaryIO

from services.cli.command import Argument, Command, Usage
from services.cli.plain import plain
from services.cli.request import fill
from services.cli.result import Result
from services.cli.session import Failure, Session
from services.cli.views import printable

_SEARCH = "archive.SearchService"
_GRANT = Argument("--grant", "grant_id", "the grant it is allowed by", required=True, metavar="GRANT")
_SHOWN = ("from", "to", "cc", "subject", "date", "message-id")
_TEXT = 200_000
_UNSHOWN = re.compile(r"(?is)<(script|style)\b.*?</\1>|<(?:br|/p|/div)\b")
_TAG = re.compile(r"<[^>]*>")
_REMEMBER = 100
"""Mails after which the manifest is written again."""


def search(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """The answer to the grant's own question, as one document."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    items: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    for message in session.stream(command.rpc, request):
        part = plain(message)
        items += part["items"]
        summary = part["summary"] or summary
    if not summary:
        raise Failure("the answer ended early: search again", 5)
    return Result({"items": items, **summary}, found)


def found(document: Mapping[str, Any]) -> str:
    """A result for people."""
    lines = [
        f"{i['received']}  {i['mail_id']}  {printable(i['from'])} → {printable(', '.join(i['to']))}\n"
        f"    {printable(i['subject'])}  ({i['size']} bytes, {i['direction']}, {i['verdict']})\n"
        for i in document["items"]
    ]
    complete = document["completeness"]
    missing = [f"{m['count']} {m['reason']}{' on ' + m['day'] if m['day'] else ''}" for m in complete["unsearchable"]]
    lines.append(f"{document['total']} found; {complete['indexed']} of {complete['in_scope']} mails were looked into\n")
    if missing:
        lines.append(f"not looked into: {', '.join(missing)}\n")
    lines.append(f"commitment: {document['commitment']}\n")
    return "".join(lines)


def open_mail(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """`--raw`: the bytes as received, on stdout; else headers, text and the list of attachments."""
    request = session.request(command.rpc)
    fill(request, command, values, tenant=session.where.tenant)
    digest, kept, told = hashlib.sha256(), bytearray(), None
    raw = bool(values.get("raw"))
    for message in session.stream(command.rpc, request):
        part: Any = message
        digest.update(part.chunk)
        if raw:
            sys.stdout.buffer.write(part.chunk)
        else:
            kept += part.chunk
        told = part.mail if part.HasField("mail") else told
    if raw:
        sys.stdout.buffer.flush()
    if told is None or digest.digest() != told.sha256:
        raise Failure("the mail came damaged or not whole: open it again", 5)
    return Result(None) if raw else Result({**plain(told), **rendered(bytes(kept))}, shown)


def rendered(raw: bytes) -> dict[str, Any]:
    """What of a mail can be shown anywhere: headers, plain text, and the names of what is attached."""
    mail = message_from_bytes(raw, policy=policy.default)
    if not isinstance(mail, EmailMessage):
        return {"headers": {}, "text": "", "attachments": []}
    return {
        "headers": {name: _header(mail, name) for name in _SHOWN if name in mail},
        "text": _body(mail),
        "attachments": [
            {"name": part.get_filename() or "", "type": part.get_content_type()} for part in mail.iter_attachments()
        ],
    }


def shown(document: Mapping[str, Any]) -> str:
    """A mail for people: nothing in it can command their terminal."""
    lines = [f"{name}: {printable(value)}\n" for name, value in document["headers"].items()]
    lines += ["\n", *(f"{printable(line)}\n" for line in document["text"].splitlines())]
    lines += [f"attachment: {printable(a['name'])} ({a['type']})\n" for a in document["attachments"]]
    return "".join(lines)


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return str(mail[name])
    except Exception:  # a header that the parser cannot take is shown as nothing, not as a failure
        return ""


def _body(mail: EmailMessage) -> str:
    from services.common.charsets import decode

    try:
        part = mail.get_body(("plain", "html"))
        data = part.get_payload(decode=True) if part is not None else None
    except Exception:
        return ""
    if part is None or not isinstance(data, bytes):
        return ""
    html = part.get_content_type() == "text/html"
    text, _ = decode(data, str(part.get_param("charset") or ""), html=html)
    if html:
        text = unescape(
            re.sub(r"<[^>]*>", "", re.sub(r"(?is)<(script|style)\b.*?</\1>|<(?:br|/p|/div)\b", "\n<", text))
        )
    return text[:_TEXT]


def export(session: Session, command: Command, values: Mapping[str, Any]) -> Result:
    """Files and a manifest in a folder; what is there and right is not asked for again."""
    folder = Path(values["directory"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = _Mbox(folder) if values["format"] == "mbox" else _Eml(folder)
        with target:
            return _export(session, command, values, target)
    except OSError as error:
        raise Usage(f"{folder}: {error.strerror}") from None


def _export(session: Session, command: Command, values: Mapping[str, Any], target: _Target) -> Result:
    request: Any = session.request(command.rpc)
    fill(request, command, {"grant": values["grant"]}, tenant=session.where.tenant)
    request.skip.extend(target.items)
    kept, written = len(target.items), 0
    digest = hashlib.sha256()
    writing = ""
    for message in session.stream(command.rpc, request):
        part: Any = message
        if part.mail_id != writing:
            writing, digest = part.mail_id, hashlib.sha256()
            target.begin(part.mail_id)
        digest.update(part.chunk)
        target.write(part.chunk)
        if not part.HasField("mail"):
            continue
        if digest.digest() != part.mail.sha256:
            raise Failure(f"{writing} came damaged: run it again, it goes on where it was", 5)
        target.end(plain(part.mail), digest.hexdigest())
        writing, written = "", written + 1
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{kept + written}/{part.total} mails ")
    if writing:
        raise Failure("the export ended early: run it again, it goes on where it was", 5)
    return Result({"exported": written, "already_there": kept, "manifest": str(target.manifest)})


class _Target:
    """A folder that is filled; `items` are the mails that are there and right, by id."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, folder / "manifest.json"
        self.items: dict[str, dict[str, Any]] = {}
        self._id = ""
        self._out: BinaryIO | None = None

    def __enter__(self) -> _Target:
        return self

    def __exit__(self, *_: object) -> None:
        if self._out is not None:
            self._out.close()
        self._save()

    def begin(self, mail_id: str) -> None:
        """The next mail."""
        raise NotImplementedError

    def write(self, chunk: bytes) -> None:
        """More of it."""
        if self._out is not None:
            self._out.write(chunk)

    def end(self, told: Mapping[str, Any], sha256: str) -> None:
        """It is whole."""
        self.items[self._id] = {
            "mail_id": self._id, "size": told["size"], "sha256": sha256, "received": told["received"],
            "sender": told["sender"], "recipients": told["recipients"],
        }  # fmt: skip
        if len(self.items) % _REMEMBER == 0:
            self._save()

    def _known(self) -> Iterator[dict[str, Any]]:
        try:
            document = json.loads(self.manifest.read_text())
            yield from (i for i in document["items"] if isinstance(i.get("mail_id"), str))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return

    def _save(self) -> None:
        part = self.manifest.with_suffix(".part")
        document = {"items": [self.items[key] for key in sorted(self.items)]}
        part.write_text(json.dumps(document, ensure_ascii=False, indent=1))
        part.replace(self.manifest)


class _Eml(_Target):
    """A file for each mail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for item in self._known():
            file = folder / f"{item['mail_id']}.eml"
            if item["mail_id"].isalnum() and file.is_file() and _sha256(file) == item.get("sha256"):
                self.items[item["mail_id"]] = item

    def begin(self, mail_id: str) -> None:
        """See `_Target`."""
        if not mail_id.isalnum():
            raise Failure("the server names a mail strangely", 1)
        self._id = mail_id
        self._out = (self.folder / f".{mail_id}.part").open("wb")

    def end(self, told: Mapping[str, Any], sha256: str) -> None:
        """See `_Target`."""
        if self._out is not None:
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
        (self.folder / f".{self._id}.part").replace(self.folder / f"{self._id}.eml")
        super().end(told, sha256)


class _Mbox(_Target):
    """One file in mboxrd form: lines that begin with `From ` (or `>From `) get one more `>`; line ends as received."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder / "export.mbox"
        size = self._file.stat().st_size if self._file.is_file() else 0
        for item in sorted(self._known(), key=lambda i: int(i.get("end", 0))):
            if 0 < int(item.get("end", 0)) <= size:
                self.items[item["mail_id"]] = item
        self._end = max((int(i["end"]) for i in self.items.values()), default=0)
        self._line = bytearray()

    def begin(self, mail_id: str) -> None:
        """See `_Target`."""
        if self._out is None:
            self._out = self._file.open("r+b" if self._file.exists() else "wb")
        self._out.truncate(self._end)
        self._out.seek(self._end)
        self._id, self._line = mail_id, bytearray()
        self._out.write(b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n")

    def write(self, chunk: bytes) -> None:
        """See `_Target`."""
        self._line += chunk
        *lines, rest = bytes(self._line).split(b"\n")
        self._line = bytearray(rest)
        for line in lines:
            self._put(line + b"\n")

    def end(self, told: Mapping[str, Any], sha256: str) -> None:
        """See `_Target`."""
        self._put(bytes(self._line))
        if self._out is not None:
            self._out.write(b"\n" if not self._line else b"\n\n")
            self._out.flush()
            os.fsync(self._out.fileno())
            self._end = self._out.tell()
        super().end(told, sha256)
        self.items[self._id]["end"] = self._end
        self._save()

    def _put(self, line: bytes) -> None:
        if self._out is not None and line:
            self._out.write((b">" if line.lstrip(b">").startswith(b"From ") else b"") + line)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


_MAIL = Argument("mail_id", "mail_id", "the mail's id, as the search said it", required=True, metavar="MAILID")

ROWS = (
    Command("archive", "search", "the approved query of a grant, and nothing else", f"{_SEARCH}.Search", (_GRANT,),
            run="archive_search"),
    Command("archive", "open", "one mail that the search found", f"{_SEARCH}.Open",
            (_GRANT, _MAIL, Argument("--raw", "", "byte for byte as it was received, on stdout", "flag")),
            run="archive_open"),
    Command("archive", "export", "every mail that the search found, with a manifest; goes on where it was",
            f"{_SEARCH}.Export",
            (_GRANT,
             Argument("--format", "", "a file for each, or one mbox", "choice", ("eml", "mbox"), required=True),
             Argument("--directory", "", "where the files go", short="-d", required=True, metavar="DIR")),
            run="archive_export"),
)  # fmt: skip

RUN = {"archive_search": search, "archive_open": open_mail, "archive_export": export}
