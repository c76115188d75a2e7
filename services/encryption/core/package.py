"""What goes into a sealed attachment and under which names, and the mail around it. Pure.

Names in an archive's directory are in clear, so they are neutral; an index
page inside says the true ones.
"""

from __future__ import annotations

import base64
import html as html_module
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.encryption.core.parts import File, Mail, is_encrypted
from services.encryption.core.settings import BLOCKED, NESTED, Settings

_KEPT_HEADERS = frozenset(
    b"from sender to cc reply-to date message-id in-reply-to references importance auto-submitted".split()
)
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\r\n]*(?:\r\n|\n|\Z)(?:[ \t][^\r\n]*(?:\r\n|\n|\Z))*")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to be put into the archive: its name there, and its bytes."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Package:
    """What is sealed, and what stays beside it."""

    sealed: tuple[Entry, ...]
    beside: tuple[File, ...]
    renamed: tuple[str, ...] = ()
    """Neutral names that lost their extension for Google."""

    def manifest(self) -> dict[str, object]:
        """How much was sealed and what was not, without names."""
        return {
            "sealed": [{"name": e.name, "size": len(e.content)} for e in self.sealed],
            "beside": len(self.beside),
            "renamed": list(self.renamed),
        }


def arrange(mail: Mail, raw: bytes, settings: Settings, *, google: bool) -> Package:
    """Sort a mail's parts. With `google`, archives and programs inside lose their extensions, which Google refuses."""
    sealed: list[Entry] = []
    rows: list[tuple[str, str, int, bool]] = []
    renamed: list[str] = []
    if mail.html:
        sealed.append(Entry("1.html", _page(mail).encode()))
        rows.append(("1.html", "", len(sealed[-1].content), False))
    if mail.text or not mail.html:
        sealed.append(Entry("1.txt", _plain(mail).encode()))
        rows.append(("1.txt", "", len(sealed[-1].content), False))
    beside = tuple(f for f in mail.files if settings.keeps(f.name) or is_encrypted(f))
    inside = [f for f in mail.files if f not in beside]
    if mail.whole:
        inside.append(File("signed.eml", "message/rfc822", raw))
    for number, file in enumerate(inside, start=2):
        extension = file.extension or "dat"
        refused = google and _refused(extension, file.content)
        name = f"{number}.{'dat' if refused else extension}"
        if refused:
            renamed.append(name)
        sealed.append(Entry(name, file.content))
        rows.append((name, file.name, len(file.content), refused))
    return Package((Entry("index.html", _index(mail, rows).encode()), *sealed), beside, tuple(renamed))


_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_DOCUMENTS = frozenset(["docx", "xlsx", "pptx", "dotx", "xltx", "potx", "odt", "ods", "odp", "epub"])
"""Begin like ZIP archives; Google takes them."""


def _refused(extension: str, content: bytes) -> bool:
    return extension in NESTED | BLOCKED or (content.startswith(_ARCHIVES) and extension not in _DOCUMENTS)


def cover(
    raw: bytes,
    *,
    words: tuple[str, str, str],
    attachment: bytes,
    file: str,
    type: str,
    beside: Sequence[File],
    hide_subject: bool,
    boundary: str,
) -> bytes:
    """The mail that carries the sealed attachment; `words` are subject, text and HTML of the cover.

    The headers by which people and programs recognise the mail stay byte for byte; all others are gone.
    """
    subject, text, html = words
    head = bytearray()
    for match in _FIELD.finditer(_head(raw)):
        name = match[1].lower()
        if name in _KEPT_HEADERS or (name == b"subject" and not hide_subject):
            head += match[0].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if hide_subject:
        head += f"Subject: {subject}\r\n".encode()
    head += b"MIME-Version: 1.0\r\nX-Letterlock-Sealed: yes\r\n"
    head += f'Content-Type: multipart/mixed;\r\n\tboundary="{boundary}"\r\n\r\n'.encode()
    inner = f"{boundary}=a"
    out = [
        bytes(head),
        f'--{boundary}\r\nContent-Type: multipart/alternative;\r\n\tboundary="{inner}"\r\n\r\n'.encode(),
        f"--{inner}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode(),
        _base64(text.replace("\r\n", "\n").replace("\n", "\r\n").encode()),
        f"--{inner}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode(),
        _base64(html.encode()),
        f"--{inner}--\r\n".encode(),
        *_attached(boundary, file, type, attachment),
    ]
    for one in beside:
        out += _attached(boundary, one.name, one.type, one.content)
    out.append(f"--{boundary}--\r\n".encode())
    return b"".join(out)


def _attached(boundary: str, name: str, type: str, content: bytes) -> list[bytes]:
    type = type.lower() if _TOKEN.fullmatch(type.lower()) else "application/octet-stream"
    if type.startswith(("multipart/", "message/")):
        type = "application/octet-stream"  # base64 is not allowed there (RFC 2046 5.2.1)
    return [
        f"--{boundary}\r\nContent-Type: {type}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n\t{_parameter('filename', name)}\r\n\r\n".encode("ascii"),
        _base64(content),
    ]


def _parameter(name: str, value: str) -> str:
    """A MIME parameter (RFC 2045), or in pieces of the extended form when it is not plain (RFC 2231)."""
    if value.isascii() and value.isprintable() and not set(value) & set('"\\') and len(value) <= 60:
        return f'{name}="{value}"'
    encoded = [f"%{b:02X}" if not (chr(b).isalnum() and b < 128) else chr(b) for b in value.encode()]
    pieces, line = [], "UTF-8''"
    for character in encoded:
        if len(line) + len(character) > 55:
            pieces.append(line)
            line = ""
        line += character
    pieces.append(line)
    if len(pieces) == 1:
        return f"{name}*={pieces[0]}"
    return ";\r\n\t".join(f"{name}*{i}*={piece}" for i, piece in enumerate(pieces))


def _base64(data: bytes) -> bytes:
    """Lines of 76 characters. Encoded in steps of whole lines, each joined at once."""
    encoded = base64.b64encode(data)
    return b"\r\n".join(encoded[i : i + 76] for i in range(0, len(encoded), 76)) + b"\r\n"


def _head(raw: bytes) -> bytes:
    if raw.startswith((b"\r\n", b"\n")):
        return b""
    ends = [e for e in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if e >= 0]
    return raw[: min(ends) + 2] if ends else raw


def _fields(mail: Mail) -> Mapping[str, str]:
    return {"From": mail.sender, "To": mail.to, "Date": mail.date, "Subject": mail.subject}


def _plain(mail: Mail) -> str:
    lines = [f"{name}: {value}" for name, value in _fields(mail).items() if value]
    return "\r\n".join([*lines, "", *mail.text.splitlines()]) + "\r\n"


def _page(mail: Mail) -> str:
    """The mail's own HTML, so that it looks as it did; nothing in it may run or be loaded."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
    rows = "".join(
        f"<div><b>{name}:</b> {html_module.escape(value)}</div>" for name, value in _fields(mail).items() if value
    )
    return (
        f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html_module.escape(mail.subject)}</title>{rows}<hr>\n{mail.html}\n"
    )


def _index(mail: Mail, rows: Sequence[tuple[str, str, int, bool]]) -> str:
    lines = []
    for name, true, size, renamed in rows:
        said = html_module.escape(true or mail.subject or name)
        hint = f" (save it as {html_module.escape(true)})" if renamed else ""
        lines.append(
            f'<tr><td><a href="{name}" download="{html_module.escape(true or name, quote=True)}">{name}</a></td>'
            f"<td>{said}{hint}</td><td>{size:,}</td></tr>"
        )
    return (
        '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{html_module.escape(mail.subject)}</title>"
        f"<table><tr><th></th><th>{html_module.escape(mail.subject)}</th><th></th></tr>{''.join(lines)}</table>\n"
    )
