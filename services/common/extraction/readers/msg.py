"""Outlook .msg (MS-OXMSG): every text property of the mail, its recipients and the mails in it; attachments."""

from __future__ import annotations

from services.common.extraction.readers import ole as compound
from services.common.extraction.readers import rtf
from services.common.extraction.walk import Reading

_PREFIX = "__substg1.0_"
_HTML, _RTF, _DATA = "10130102", "10090102", "37010102"
_LONG_NAME, _NAME = ("3707001F", "3707001E"), ("3704001F", "3704001E", "3001001F")


def read_msg(content: bytes, reading: Reading) -> None:
    """Headers, bodies, attachments."""
    with compound.opened(content) as ole:
        attachments: list[list[str]] = []
        for path in ole.listdir(streams=True, storages=False):
            reading.budget.check()
            tag = path[-1].removeprefix(_PREFIX).upper()
            if not path[-1].startswith(_PREFIX):
                continue
            if tag == _DATA:
                attachments.append(path)
            elif tag == _HTML:
                reading.member("body.html", compound.stream(ole, path, reading))
            elif tag == _RTF:
                reading.member("body.rtf", rtf.decompressed(compound.stream(ole, path, reading)))
            elif tag.endswith("001F"):
                reading.text(compound.stream(ole, path, reading).decode("utf-16-le", "replace").rstrip("\0"))
            elif tag.endswith("001E"):
                reading.text(compound.stream(ole, path, reading).decode("cp1252", "replace").rstrip("\0"))
        for path in attachments:
            name = ""
            for tag in (*_LONG_NAME, *_NAME):
                beside = [*path[:-1], _PREFIX + tag]
                if not name and ole.exists(beside):
                    encoding = "utf-16-le" if tag.endswith("F") else "cp1252"
                    name = compound.stream(ole, beside, reading).decode(encoding, "replace").rstrip("\0")
            reading.member(name, compound.stream(ole, path, reading))
