"""What a ZIP file lists: names and sizes, from its directory alone. Nothing is unpacked."""

from __future__ import annotations

import io
import mimetypes
import zipfile
from dataclasses import dataclass

_MAX_MEMBERS = 1000
_MAX_DIRECTORY = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive; the type is guessed from its name, the size is what the directory claims."""

    name: str
    content_type: str
    size: int


def members(content: bytes) -> list[Member]:
    """The files in a ZIP; none for other content, for Office documents, which are ZIPs inside, or a broken one."""
    if not content.startswith(b"PK\x03\x04"):
        return []
    end = content.rfind(b"PK\x05\x06")
    if end < 0 or int.from_bytes(content[end + 12 : end + 16], "little") > _MAX_DIRECTORY:
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, OverflowError):
        return []
    if any(i.filename in ("[Content_Types].xml", "mimetype") for i in listed):
        return []
    return [
        Member(
            i.filename.rpartition("/")[2],
            mimetypes.guess_type(i.filename)[0] or "application/octet-stream",
            i.file_size,
        )
        for i in listed[:_MAX_MEMBERS]
        if not i.is_dir()
    ]
