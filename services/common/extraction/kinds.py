"""True types: what a file is by its content, whatever it is called."""

from __future__ import annotations

import io
import re
import zipfile

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"MSCF\x00\x00\x00\x00", "cab"),
    (b"\x78\x9f\x3e\x22", "tnef"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x7fELF", "elf"),
    (b"MZ", "exe"),
    (b"\xcf\xfa\xed\xfe", "macho"),
    (b"\xfe\xed\xfa\xcf", "macho"),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "lnk"),
    (b"ID3", "audio"),
    (b"OggS", "audio"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"age-encryption.org/v1", "age"),
    (b"-----BEGIN PGP MESSAGE", "pgp"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_CONTENT_TYPES: dict[str, str] = {
    "zip": "application/zip", "7z": "application/x-7z-compressed", "rar": "application/vnd.rar",
    "tar": "application/x-tar", "gz": "application/gzip", "bz2": "application/x-bzip2", "xz": "application/x-xz",
    "zstd": "application/zstd", "cab": "application/vnd.ms-cab-compressed", "iso": "application/x-iso9660-image",
    "pdf": "application/pdf", "ole": "application/x-ole-storage", "doc": "application/msword",
    "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint", "msg": "application/vnd.ms-outlook",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "docm": "application/vnd.ms-word.document.macroEnabled.12",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
    "xlsb": "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "pptm": "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation", "rtf": "application/rtf", "html": "text/html",
    "xml": "application/xml", "epub": "application/epub+zip", "eml": "message/rfc822",
    "tnef": "application/vnd.ms-tnef", "csv": "text/csv", "ics": "text/calendar", "vcf": "text/vcard",
    "text": "text/plain", "script": "text/x-script", "png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif",
    "bmp": "image/bmp", "tiff": "image/tiff", "webp": "image/webp", "exe": "application/x-msdownload",
    "elf": "application/x-executable", "macho": "application/x-mach-binary", "lnk": "application/x-ms-shortcut",
    "audio": "audio/mpeg", "video": "video/mp4", "sqlite": "application/vnd.sqlite3", "age": "application/x-age",
    "pgp": "application/pgp-encrypted", "svg": "image/svg+xml", "unknown": "application/octet-stream",
}  # fmt: skip
PICTURES = frozenset({"png", "jpeg", "gif", "bmp", "tiff", "webp", "svg"})
KINDS = frozenset(_CONTENT_TYPES)
"""Every true type there is."""
SILENT = frozenset(
    {"text", "csv", "ics", "vcf", "script", "html", "xml", "svg", "rtf", "png", "jpeg", "gif", "bmp", "tiff", "webp",
     "exe", "elf", "macho", "lnk", "audio", "video", "sqlite", "age", "pgp", "unknown"}
)  # fmt: skip
"""Types in which no other files are looked for: they cost no level."""
_HEADER = re.compile(rb"(?:[!-9;-~]+:[^\n]*\r?\n(?:[ \t][^\n]*\r?\n)*)+")
_MAIL = re.compile(
    rb"^(?:from|to|subject|date|message-id|received|mime-version|return-path|content-type):", re.I | re.M
)
_HTML = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|title|meta|table|div|p|br|span|font|a\s|script|style|h[1-6]|img|b|i|ul|ol)\b",
    re.I,
)
_NOT_TEXT = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")
_HEAD = 4096
LOCAL_HEADER = b"PK\x03\x04"
_MAX_COMMENT = 65535
_ZIP_INSIDE = frozenset({"tar", "iso", "7z", "rar", "cab", "ole", "doc", "xls", "ppt", "msg", "tnef", "pdf"})
"""Containers that keep a member as it is: a ZIP in one of them is found as that member."""
_MAX_ENTRIES = 20_000


def content_type(kind: str) -> str:
    """The MIME type that says the same."""
    return _CONTENT_TYPES[kind]


def true_type(content: bytes) -> str:
    """One of `KINDS`; `unknown` is an answer."""
    head = content[:_HEAD]
    if head.startswith(_ZIP):
        return _zip(content)
    if head.startswith(_OLE):
        return _ole(content)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            if kind in ("bmp", "exe", "bz2") and not _plausible(kind, head):
                continue
            return kind
    if head.startswith(b"RIFF"):
        return "webp" if head[8:12] == b"WEBP" else "video" if head[8:12] == b"AVI " else "audio"
    if head[4:8] == b"ftyp":
        return "video"
    # Readers take a PDF that begins within the first 1024 bytes (ISO 32000-1, annex H.3.4.1).
    if b"%PDF-" in content[:1029]:
        return "pdf"
    if content[257:262] == b"ustar" or _old_tar(content):
        return "tar"
    if content[32769:32774] == b"CD001":
        return "iso"
    return _text(head, content)


def hides_zip(content: bytes, kind: str) -> bool:
    """Whether a file that is something else ends as a ZIP does, so that whoever opens it as one finds files."""
    if kind in _ZIP_INSIDE or content.startswith(_ZIP):
        return False
    end = content.rfind(b"PK\x05\x06", max(0, len(content) - _MAX_COMMENT - 22))
    return end >= 0 and content.find(LOCAL_HEADER) in range(end)


def _plausible(kind: str, head: bytes) -> bool:
    """Whether two letters that also begin words are the start of what they stand for."""
    if kind == "bz2":
        return head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")
    return bool(_NOT_TEXT.search(head[:64]))


def _old_tar(content: bytes) -> bool:
    """A tar header of before POSIX has no magic, but a checksum over its 512 bytes."""
    header = content[:512]
    if len(header) < 512 or not header[0]:
        return False
    try:
        told = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return told == sum(header[:148]) + 8 * 32 + sum(header[156:])


def _zip(content: bytes) -> str:
    if content.count(b"PK\x01\x02") > _MAX_ENTRIES:
        return "zip"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {i.filename: i for i in archive.infolist()[:5000]}
            if (info := names.get("mimetype")) and info.file_size < 200 and not info.flag_bits & 1:
                with archive.open(info) as stream:
                    declared = stream.read(200).strip().decode("ascii", "replace")
                for kind in ("odt", "ods", "odp", "epub"):
                    if declared.startswith(_CONTENT_TYPES[kind]):
                        return kind
            if info := names.get("[Content_Types].xml"):
                with archive.open(info) as stream:
                    return _ooxml(stream.read(1_000_000), names.keys())
    except Exception:
        # Whatever is wrong with it, it begins as a ZIP, and its reader will say.
        return "zip"
    return "zip"


def _ooxml(types: bytes, names: object) -> str:
    macro = b"macroenabled" in types.lower() or b"vbaproject" in types.lower()
    if b"sheet.binary" in types.lower():
        return "xlsb"
    if b"wordprocessingml" in types or b"ms-word" in types:
        return "docm" if macro else "docx"
    if b"spreadsheetml" in types or b"ms-excel" in types:
        return "xlsm" if macro else "xlsx"
    if b"presentationml" in types or b"ms-powerpoint" in types:
        return "pptm" if macro else "pptx"
    return "zip"


def _ole(content: bytes) -> str:
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(content)) as ole:
            for stream, kind in (
                ("__properties_version1.0", "msg"),
                ("WordDocument", "doc"),
                ("Workbook", "xls"),
                ("Book", "xls"),
                ("PowerPoint Document", "ppt"),
            ):
                if ole.exists(stream):
                    return kind
    except Exception:
        # Whatever is wrong with it, it begins as OLE, and its reader will say.
        return "ole"
    return "ole"


def _text(head: bytes, content: bytes) -> str:
    if not content:
        return "text"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    elif head.startswith(b"\xef\xbb\xbf"):
        head = head[3:]
    # ISO-2022 escapes are text; any other control is not.
    elif _NOT_TEXT.search(head.replace(b"\x1b$", b"").replace(b"\x1b(", b"")) or _NOT_TEXT.search(content[-_HEAD:]):
        return "unknown"
    start = head.lstrip().lower()
    if start.startswith(b"#!"):
        return "script"
    if start.startswith(b"begin:vcalendar"):
        return "ics"
    if start.startswith(b"begin:vcard"):
        return "vcf"
    if start.startswith((b"<?xml", b"<svg")):
        if b"<html" in start:
            return "html"
        return "svg" if b"<svg" in start else "xml"
    if _HTML.search(head) and (start.startswith(b"<") or len(_HTML.findall(head)) >= 3):
        return "html"
    if (found := _HEADER.match(head)) and len(_MAIL.findall(found[0])) >= 2:
        return "eml"
    return "csv" if _table(head) else "text"


def _table(head: bytes) -> bool:
    lines = [line for line in head.split(b"\n")[:20] if line.strip()]
    if len(head) == _HEAD:
        lines = lines[:-1]
    if len(lines) < 2:
        return False
    return any(lines[0].count(s) >= 1 and len({line.count(s) for line in lines}) == 1 for s in (b",", b";", b"\t"))
