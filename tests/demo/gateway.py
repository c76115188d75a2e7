"""The demo's second part: what the gateway found, sealed and held, taken up by the people it concerns."""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pyzipper

from tests.harness import world
from tests.harness.installation import Installation
from tests.harness.sink import Received, Sink

SEALED = "sealed@partner.example"
_WITHIN = 30.0
_DOCUMENT = (
    '<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/'
    '2006/main"><w:body><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:body></w:document>'
)
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'wordprocessingml.document.main+xml"/></Types>'
)


def document_in_archive(text: str) -> bytes:
    """A ZIP file with a Word document that says `text`."""
    word, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(word, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", _TYPES)
        made.writestr("word/document.xml", _DOCUMENT.format(text))
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("names/staff.docx", word.getvalue())
    return outer.getvalue()


async def open_sealed(inside: Sink, outside: Sink) -> str:
    """How the recipient of the sealed mail opened it with the password that only the sender was told."""
    mail = await _first(outside, lambda m: SEALED in m.recipients)
    notice = await _first(inside, lambda m: b"Password:" in _text(m).encode())
    found = re.search(r"Password:\s*(\S+)", _text(notice))
    if found is None or notice.recipients != ("alice@acme.example",):
        raise RuntimeError("the sender was not told the password")
    attachment = next(iter(_message(mail).iter_attachments()))
    with tempfile.TemporaryDirectory(prefix="letterlock-sealed-") as folder:
        path = Path(folder) / "sealed.zip"
        path.write_bytes(attachment.get_content())
        program, names = await asyncio.to_thread(_open, path, found[1], Path(folder) / "open")
    return f"alice's notice said the password; {program} opened the sealed mail with it: {', '.join(names)}"


def _open(path: Path, password: str, target: Path) -> tuple[str, list[str]]:
    seven = shutil.which("7zz") or shutil.which("7z")
    if seven:
        subprocess.run([seven, "x", "-y", f"-p{password}", f"-o{target}", str(path)], check=True, capture_output=True)
        return "7-Zip", sorted(p.name for p in target.rglob("*") if p.is_file())
    with pyzipper.AESZipFile(path) as archive:
        archive.extractall(target, pwd=password.encode())
        return "pyzipper (7-Zip is not installed)", sorted(archive.namelist())


async def release(installation: Installation, outside: Sink, mail_id: str, recipient: str) -> str:
    """How the reviewer looked at a held mail's findings and let it go."""
    lin = world.ACME_REVIEWER
    listed = await installation.cli("hold", "list", "-o", "json", token=lin)
    hold = next(h for h in listed.json["items"] if h["mail_id"] == mail_id)
    name = hold.get("hold_id") or hold.get("id")
    done = await installation.cli("hold", "release", name, "--note", "known customer", token=lin)
    if done.status:
        raise RuntimeError(f"hold release: {done.err.strip()}")
    await _first(outside, lambda m: recipient in m.recipients)
    return f"lin released the held mail ({name}); the next hop has it"


async def _first(sink: Sink, wanted: object) -> Received:
    deadline = time.monotonic() + _WITHIN
    while time.monotonic() < deadline:
        for mail in sink.mails:
            if wanted(mail):  # type: ignore[operator]
                return mail
        await asyncio.sleep(0.1)
    raise RuntimeError("a mail did not arrive in time")


def _message(mail: Received) -> EmailMessage:
    parsed = email.message_from_bytes(mail.content, policy=email.policy.default)
    if not isinstance(parsed, EmailMessage):
        raise TypeError
    return parsed


def _text(mail: Received) -> str:
    body = _message(mail).get_body(("plain",))
    return str(body.get_content()) if body is not None else ""
