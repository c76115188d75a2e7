"""A mail as people see it: its text, its pictures, its attachments. Pure.

Every leaf is in exactly one place, so that nothing of a mail is lost when it
is sealed; what cannot be read as text is kept as a file.
"""

from __future__ import annotations

import email
import email.errors
import email.header
import re
import zipfile
from base64 import b64encode
from dataclasses import dataclass, field
from email.message import Message
from io import BytesIO

_DEPTH, _LEAVES = 30, 2000
_CID = re.compile(r"""cid:([^\s"'<>)]{1,300})""", re.IGNORECASE)
_SAFE = re.compile(r"[a-z0-9]{1,8}")
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})
_ENTRIES = 10_000
_AES = 99
_ENVELOPED = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
"""The object identifier of CMS enveloped data (RFC 5652 6), DER."""
_EXTENSIONS = {
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "message/rfc822": "eml",
    "text/calendar": "ics",
    "text/html": "html",
    "text/plain": "txt",
}


@dataclass(frozen=True, slots=True)
class File:
    """An attachment, transfer-decoded."""

    name: str
    type: str
    content: bytes = field(repr=False)

    @property
    def extension(self) -> str:
        """What its name ends in, if that is harmless to repeat, else what its type suggests; perhaps nothing."""
        _, dot, last = self.name.rpartition(".")
        if dot and _SAFE.fullmatch(last.lower()):
            return last.lower()
        return _EXTENSIONS.get(self.type, "")


@dataclass(frozen=True, slots=True)
class Mail:
    """What a mail says and brings. `whole`: its own form is evidence (signed), so it goes along as it is."""

    subject: str
    sender: str
    to: str
    date: str
    text: str
    html: str
    files: tuple[File, ...]
    whole: bool = False


@dataclass
class _Found:
    texts: list[str] = field(default_factory=list)
    htmls: list[str] = field(default_factory=list)
    pictures: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    leaves: int = 0


def read(raw: bytes) -> Mail:
    """The mail; never raises: what has no structure that can be read is one text, or one file."""
    message = email.message_from_bytes(raw)
    kind = message.get_content_type()
    found = _Found()
    _walk(message, found, 0, alternative=False)
    html, used = _with_pictures("\n<hr>\n".join(found.htmls), found.pictures)
    files = found.files + [
        File(f"{cid.partition('@')[0]}.{_EXTENSIONS.get(t, 'bin')}", t, content)
        for cid, (t, content) in found.pictures.items()
        if cid not in used
    ]
    return Mail(
        subject=header(message, "subject"),
        sender=header(message, "from"),
        to=header(message, "to"),
        date=header(message, "date"),
        text="\n\n".join(found.texts),
        html=html,
        files=tuple(files),
        whole=kind == "multipart/signed" or (_smime(message) and not _is_enveloped(message)),
    )


def is_encrypted_mail(raw: bytes) -> bool:
    """Whether a mail is encrypted as a whole, by its structure (RFC 3156, RFC 8551) and its content."""
    message = email.message_from_bytes(raw)
    if message.get_content_type() == "multipart/encrypted":
        children = message.get_payload()
        last = children[-1] if isinstance(children, list) and len(children) == 2 else None
        return isinstance(last, Message) and b"-----BEGIN PGP MESSAGE-----" in _decoded(last)[:256]
    return _is_enveloped(message) and _ENVELOPED in _decoded(message)[:64]


def header(message: Message, name: str) -> str:
    """A header's text, decoded; one line."""
    value = message.get(name)
    if value is None:
        return ""
    try:
        text = str(email.header.make_header(email.header.decode_header(str(value))))
    except (ValueError, LookupError, email.errors.HeaderParseError):
        text = str(value)
    return " ".join(text.encode("utf-8", "replace").decode().split())


def is_encrypted(file: File) -> bool:
    """Whether a file can be seen to be encrypted by its reader's own means; in doubt it is not.

    A ZIP counts when each of its files is AES-encrypted; PGP and S/MIME by their form. Office and PDF files do not:
    there the password may be the one that every program tries first.
    """
    if file.type in ("application/pgp-encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"):
        return file.type == "application/pgp-encrypted" or _ENVELOPED in file.content[:64]
    if file.content[:64].lstrip().startswith(b"-----BEGIN PGP MESSAGE-----"):
        return True
    if not file.content.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(BytesIO(file.content)) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, RuntimeError):
        return False
    if not 0 < len(members) <= _ENTRIES:
        return False
    return all(m.flag_bits & 1 and m.compress_type == _AES for m in members)


def _walk(part: Message, found: _Found, depth: int, *, alternative: bool) -> None:
    found.leaves += 1
    kind = part.get_content_type()
    if kind == "message/rfc822" or depth > _DEPTH or found.leaves > _LEAVES:
        found.files.append(File(_name(part) or "message.eml", "message/rfc822", _nested(part)))
        return
    if part.is_multipart():
        children = part.get_payload()
        for child in children if isinstance(children, list) else []:
            if isinstance(child, Message):
                _walk(child, found, depth + 1, alternative=alternative or kind == "multipart/alternative")
        return
    content = _decoded(part)
    name = _name(part)
    attached = part.get_content_disposition() == "attachment"
    cid = str(part.get("content-id") or "").strip().strip("<>")
    if kind in ("text/plain", "text/html") and not attached and not name:
        text = _text(part, content)
        (found.htmls if kind == "text/html" else found.texts).append(text)
    elif kind in _PICTURES and cid and not attached:
        found.pictures[cid] = (kind, content)
    elif content or name:
        found.files.append(File(name or f"attachment.{_EXTENSIONS.get(kind, 'bin')}", kind, content))


def _decoded(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _nested(part: Message) -> bytes:
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else part
    try:
        return inner.as_bytes() if isinstance(inner, Message) else _decoded(part)
    except (UnicodeError, LookupError, ValueError, KeyError):
        return _decoded(part)


def _text(part: Message, content: bytes) -> str:
    charset = part.get_content_charset() or "utf-8"
    for name in (charset, "utf-8"):
        try:
            return content.decode(name)
        except (LookupError, UnicodeError):
            continue
    return content.decode("latin-1")


def _name(part: Message) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError):
        name = None
    if not name:
        return ""
    try:
        name = str(email.header.make_header(email.header.decode_header(str(name))))
    except (ValueError, LookupError, email.errors.HeaderParseError):
        name = str(name)
    clean = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return clean.encode("utf-8", "replace").decode().strip(". ")[:200]


def _with_pictures(html: str, pictures: dict[str, tuple[str, bytes]]) -> tuple[str, set[str]]:
    used: set[str] = set()

    def inlined(match: re.Match[str]) -> str:
        picture = pictures.get(match[1])
        if picture is None:
            return match[0]
        used.add(match[1])
        return f"data:{picture[0]};base64,{b64encode(picture[1]).decode('ascii')}"

    return _CID.sub(inlined, html), used


def _smime(message: Message) -> bool:
    return message.get_content_type() in ("application/pkcs7-mime", "application/x-pkcs7-mime")


def _is_enveloped(message: Message) -> bool:
    kind = str(message.get_param("smime-type") or "").lower()
    return _smime(message) and kind in ("enveloped-data", "authenveloped-data")
