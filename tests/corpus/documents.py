"""Makes files of every type that extraction reads, with the words that must be found in them; nothing is stored."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

WORD = "4111 1111 1111 1111"
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_P = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
_O = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'


def zipped(members: Mapping[str, bytes | str], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, method)
    return out.getvalue()


def aes_zipped(members: Mapping[str, bytes], password: str) -> bytes:
    """A ZIP of these under AES-256."""
    import pyzipper

    out = io.BytesIO()
    with pyzipper.AESZipFile(out, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def archived(members: Mapping[str, bytes], form: str, *, options: str = "", password: str = "") -> bytes:
    """An archive of libarchive's: `7zip`, `gnutar`, `zip`, `iso9660`."""
    import libarchive

    out = io.BytesIO()

    def write(block: bytes) -> int:
        return out.write(block)

    with libarchive.custom_writer(write, form, options=options, passphrase=password or None) as archive:
        for name, data in members.items():
            archive.add_file_from_memory(name, len(data), data)
    return out.getvalue()


def _types(main: str) -> str:
    return f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/x" ContentType="{main}"/></Types>'


def docx(text: str = WORD, *, macros: bool = False, more: Mapping[str, bytes | str] | None = None) -> bytes:
    """A Word file; the number is split over runs, as Word does it."""
    kind = "application/vnd.ms-word.document.macroEnabled.main+xml" if macros else (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml")  # fmt: skip
    half = len(text) // 2
    runs = "".join(
        f'<w:r><w:rPr><w:b/></w:rPr><w:t xml:space="preserve">{t}</w:t></w:r>' for t in (text[:half], text[half:])
    )
    return zipped({
        "[Content_Types].xml": _types(kind),
        "word/document.xml": f'<?xml version="1.0"?><w:document {_W}><w:body><w:p>{runs}</w:p><w:p><w:r><w:t>second</w:t></w:r></w:p></w:body></w:document>',
        "word/comments.xml": f"<w:comments {_W}><w:comment><w:p><w:r><w:t>in a comment</w:t></w:r></w:p></w:comment></w:comments>",
        "word/_rels/document.xml.rels": '<Relationships><Relationship Id="r1" TargetMode="External" Target="https://evil.example/x"/></Relationships>',
        "docProps/core.xml": "<cp:coreProperties xmlns:cp='x' xmlns:dc='y'><dc:title>the title</dc:title></cp:coreProperties>",
        **({"word/vbaProject.bin": b"\xd0\xcf\x11\xe0 macros"} if macros else {}),
        **(more or {}),
    })  # fmt: skip


def xlsx(*, macros: bool = False) -> bytes:
    """A workbook with shared, inline and numeric cells, a hidden sheet, a string that no cell shows."""
    kind = "application/vnd.ms-excel.sheet.macroEnabled.main+xml" if macros else (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml")  # fmt: skip
    return zipped({
        "[Content_Types].xml": _types(kind),
        "xl/workbook.xml": f'<workbook {_S}><sheets><sheet name="a" state="hidden"/></sheets></workbook>',
        "xl/sharedStrings.xml": f"<sst {_S}><si><t>Chen</t></si><si><r><t>4111 1111</t></r><r><t> 1111 1111</t></r></si><si><t>never shown</t></si></sst>",
        "xl/worksheets/sheet1.xml": f'<worksheet {_S}><sheetData><row><c t="s"><v>0</v></c><c t="s"><v>1</v></c><c><v>4.111111111111111E15</v></c></row>'
                                    f'<row><c t="inlineStr"><is><t>inline</t></is></c><c><f>SUM(A1)</f><v>7</v></c></row></sheetData></worksheet>',
        **({"xl/vbaProject.bin": b"macros"} if macros else {}),
    })  # fmt: skip


def pptx() -> bytes:
    """A slide with notes."""
    return zipped({
        "[Content_Types].xml": _types("application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"),
        "ppt/slides/slide1.xml": f"<p:sld {_P}><a:p><a:r><a:t>4111 1111 </a:t></a:r><a:r><a:t>1111 1111</a:t></a:r></a:p></p:sld>",
        "ppt/notesSlides/notesSlide1.xml": f"<p:notes {_P}><a:p><a:r><a:t>in the notes</a:t></a:r></a:p></p:notes>",
    })  # fmt: skip


def odf(kind: str = "text") -> bytes:
    """An OpenDocument file."""
    return zipped({
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {_O}><text:p>4111 1111<text:span> 1111 1111</text:span></text:p><text:p>second</text:p></office:document-content>",
        "META-INF/manifest.xml": "<manifest/>",
    })  # fmt: skip


def epub() -> bytes:
    """A book of a page."""
    return zipped({"mimetype": "application/epub+zip", "p1.xhtml": f"<html><body><p>{WORD}</p></body></html>"})


def pdf(text: str = WORD, *, password: str = "", attachment: bytes = b"", pages: int = 1) -> bytes:
    """A PDF with a comment on its page."""
    import pikepdf
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out)
    for _ in range(pages):
        canvas.drawString(72, 700, text)
        canvas.textAnnotation("in an annotation", Rect=[72, 600, 100, 620])
        canvas.showPage()
    canvas.save()
    with pikepdf.open(io.BytesIO(out.getvalue())) as document:
        if attachment:
            document.attachments["inside.docx"] = attachment
        end = io.BytesIO()
        if password:
            document.save(end, encryption=pikepdf.Encryption(owner=password, user=password, R=6), static_id=False)
        else:
            document.save(end, static_id=True)
    return end.getvalue()


def cfb(streams: Mapping[str, bytes]) -> bytes:
    """A compound file (MS-CFB, version 3) of streams; `a/b` is a stream in a storage. No mini stream."""
    sector = 512
    names = sorted(
        {p for path in streams for p in ("/".join(path.split("/")[:i]) for i in range(1, path.count("/") + 2))}
    )
    entries: list[tuple[str, int, bytes]] = [(n, 2 if n in streams else 1, streams.get(n, b"")) for n in names]
    # Streams below 4096 bytes belong into the mini stream: padded, none is.
    bodies = [e[2].ljust(4096, b"\0") if e[1] == 2 else b"" for e in entries]
    counts = [-(-len(b) // sector) for b in bodies]
    directory_sectors = -(-(len(entries) + 1) // 4)
    total = sum(counts) + directory_sectors
    fat_sectors = 1
    while fat_sectors * 128 < total + fat_sectors:
        fat_sectors += 1
    fat: list[int] = [0xFFFFFFFD] * fat_sectors

    def chain(count: int) -> int:
        start = len(fat)
        fat.extend([*range(start + 1, start + count), 0xFFFFFFFE] if count else [])
        return start if count else 0xFFFFFFFE

    first_directory = chain(directory_sectors)
    starts = [chain(c) for c in counts]
    fat += [0xFFFFFFFF] * (fat_sectors * 128 - len(fat))

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        wide = name.encode("utf-16-le")
        return (wide.ljust(64, b"\0") + struct.pack("<HBBIII", len(wide) + 2, kind, 1, 0xFFFFFFFF, right, child)
                + bytes(16) + struct.pack("<IQQIQ", 0, 0, 0, start, size))  # fmt: skip

    def children(of: str) -> list[int]:
        return [i + 1 for i, (n, _, _) in enumerate(entries) if (n.rpartition("/")[0] if "/" in n else "") == of]

    after: dict[int, int] = {}
    for parent in ["", *names]:
        group = children(parent)
        after.update(zip(group, [*group[1:], 0xFFFFFFFF], strict=False))
    nothing = 0xFFFFFFFF
    directory = entry("Root Entry", 5, nothing, (children("") or [nothing])[0], 0xFFFFFFFE, 0)
    for i, (name, kind, _) in enumerate(entries):
        child = (children(name) or [nothing])[0] if kind == 1 else nothing
        directory += entry(name.rpartition("/")[2], kind, after[i + 1], child, starts[i], len(bodies[i]))
    directory = directory.ljust(directory_sectors * sector, b"\0")
    header = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
              + struct.pack("<IIIIIIIII", 0, fat_sectors, first_directory, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
              + b"".join(struct.pack("<I", i if i < fat_sectors else nothing) for i in range(109)))  # fmt: skip
    body = b"".join(b.ljust(c * sector, b"\0") for b, c in zip(bodies, counts, strict=True))
    return header + struct.pack(f"<{len(fat)}I", *fat) + directory + body


def doc(text: str = WORD, *, encrypted: bool = False, macros: bool = False) -> bytes:
    """A Word 97 file of two pieces, one of each width."""
    half = len(text) // 2
    first, second = text[:half], text[half:] + "\r機密\r"
    main = bytearray(4096)
    struct.pack_into("<HHHHHH", main, 0, 0xA5EC, 0xC1, 0, 0, 0, 0x0200 | (0x0100 if encrypted else 0))
    main[2048 : 2048 + len(first)] = first.encode("cp1252")
    wide = second.encode("utf-16-le")
    main[3072 : 3072 + len(wide)] = wide
    plc = struct.pack("<III", 0, len(first), len(first) + len(second))
    plc += struct.pack("<HIH", 0, 0x40000000 | 2048 * 2, 0) + struct.pack("<HIH", 0, 3072, 0)
    clx = b"\x02" + struct.pack("<I", len(plc)) + plc
    struct.pack_into("<II", main, 0x01A2, 0, len(clx))
    return cfb({"WordDocument": bytes(main), "1Table": clx, **({"Macros/VBA/dir": b"x"} if macros else {})})


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def xls(*, encrypted: bool = False) -> bytes:
    """An Excel 97 workbook; a shared string goes on in the next record under another width."""
    if encrypted:
        return cfb({"Workbook": _record(0x809, bytes(16)) + _record(0x2F, bytes(54))})
    one = struct.pack("<HB", 4, 0) + b"Chen"
    two = struct.pack("<HB", len(WORD), 0) + WORD[:9].encode()
    rest = b"\x01" + WORD[9:].encode("utf-16-le")
    book = _record(0x809, bytes(16)) + _record(0x85, bytes(6) + b"\x07\0Payroll")
    book += _record(0xFC, struct.pack("<II", 2, 2) + one + two) + _record(0x3C, rest)
    book += _record(0xFD, struct.pack("<HHHI", 0, 0, 0, 0)) + _record(0xFD, struct.pack("<HHHI", 0, 1, 0, 1))
    book += _record(0x203, struct.pack("<HHHd", 1, 0, 0, 4111111111111111.0)) + _record(0x0A, b"")
    return cfb({"Workbook": book})


def ppt() -> bytes:
    """A PowerPoint 97 file: a slide's text and a note's."""

    def atom(kind: int, body: bytes) -> bytes:
        return struct.pack("<HHI", 0, kind, len(body)) + body

    inside = atom(0x0FA0, WORD.encode("utf-16-le")) + atom(0x0FA8, b"narrow text")
    return cfb(
        {"PowerPoint Document": struct.pack("<HHI", 0xF, 0x03E8, len(inside)) + inside, "Current User": bytes(20)}
    )


def msg(attachment: bytes = b"inside") -> bytes:
    """An Outlook mail with an attachment."""
    return cfb({
        "__properties_version1.0": bytes(32),
        "__substg1.0_0037001F": "the subject 機密".encode("utf-16-le"),
        "__substg1.0_1000001F": WORD.encode("utf-16-le"),
        "__attach_version1.0_#00000000/__substg1.0_37010102": attachment.ljust(4096, b"\n"),
        "__attach_version1.0_#00000000/__substg1.0_3707001F": "list.txt".encode("utf-16-le"),
    })  # fmt: skip


def tnef(attachment: bytes = b"4111 1111 1111 1111") -> bytes:
    """winmail.dat with a file."""

    def attribute(level: int, name: int, kind: int, data: bytes) -> bytes:
        return struct.pack("<BHHI", level, name, kind, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    return (struct.pack("<IH", 0x223E9F78, 1) + attribute(1, 0x9006, 8, struct.pack("<I", 0x10000))
            + attribute(1, 0x9007, 6, struct.pack("<II", 1252, 0)) + attribute(1, 0x8004, 1, b"the subject\0")
            + attribute(2, 0x9002, 6, bytes(14)) + attribute(2, 0x8010, 1, b"list.txt\0")
            + attribute(2, 0x800F, 6, attachment))  # fmt: skip


def eml(attachment: bytes = b"", inner: bytes = b"") -> bytes:
    """A mail with a text, and an attachment or a mail in it."""
    import base64

    parts = [b"Content-Type: text/plain; charset=big5\r\n\r\n" + "機密 4111 1111 1111 1111".encode("big5")]
    if attachment:
        parts.append(b'Content-Type: application/octet-stream; name="a.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
                     + base64.encodebytes(attachment))  # fmt: skip
    if inner:
        parts.append(b"Content-Type: message/rfc822\r\n\r\n" + inner)
    # A mail in a mail must have a boundary of its own.
    mark = b"--b%d" % len(b"".join(parts))
    body = b"".join(mark + b"\r\n" + p + b"\r\n" for p in parts) + mark + b"--\r\n"
    return (b"From: a@acme.example\r\nTo: b@acme.example\r\nSubject: =?utf-8?b?5qmf5a+G?=\r\nMIME-Version: 1.0\r\n"
            b'Content-Type: multipart/mixed; boundary="' + mark[2:] + b'"\r\n\r\n' + body)  # fmt: skip


def rtf() -> bytes:
    """RTF with a number split by formatting, a Chinese word both ways, hidden text."""
    return (rb"{\rtf1\ansi\ansicpg950{\fonttbl{\f0 Arial;}}\pard 4111 1111{\b  1111 1111}\par \u27231?\u23494? \'be\'f7\'b1\'4b"
            rb"{\v hidden words}\par}")  # fmt: skip


def cab(name: str, data: bytes) -> bytes:
    """A cabinet of one stored file (MS-CAB)."""
    entry = struct.pack("<IIHHHH", len(data), 0, 0, 0, 0, 0x20) + name.encode() + b"\0"
    files, folder = 36 + 8, struct.pack("<IHH", 36 + 8 + len(entry), 1, 0)
    block = struct.pack("<IHH", 0, len(data), len(data)) + data
    size = files + len(entry) + len(block)
    return b"MSCF" + struct.pack("<IIIIIBBHHHHH", 0, size, 0, files, 0, 3, 1, 1, 1, 0, 0, 0) + folder + entry + block


def rar(name: str, data: bytes) -> bytes:
    """A RAR 4 archive of one stored file (technote of UnRAR)."""

    def block(kind: int, flags: int, body: bytes) -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head

    file = struct.pack("<IIBIIBBHI", len(data), len(data), 3, zlib.crc32(data), 0x5A210000, 20, 0x30, len(name), 0x81A4)
    return (
        b"Rar!\x1a\x07\0"
        + block(0x73, 0, bytes(6))
        + block(0x74, 0x8000, file + name.encode())
        + data
        + block(0x7B, 0x4000, b"")
    )


def xlsb() -> bytes:
    """A binary workbook (MS-XLSB) with a shared string, a text and two numbers in a row."""

    def record(kind: int, body: bytes) -> bytes:
        return (bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])) + bytes([len(body)]) + body

    def wide(text: str) -> bytes:
        return struct.pack("<I", len(text)) + text.encode("utf-16-le")

    cell = bytes(8)
    sheet = record(0, bytes(16)) + record(7, cell + struct.pack("<I", 0)) + record(6, cell + wide("Chen"))
    sheet += record(5, cell + struct.pack("<d", 4111111111111111.0)) + record(2, cell + struct.pack("<I", 42 << 2 | 2))
    return zipped({
        "[Content_Types].xml": _types("application/vnd.ms-excel.sheet.binary.macroEnabled.main"),
        "xl/sharedStrings.bin": record(159, bytes(8)) + record(19, b"\0" + wide(WORD)),
        "xl/worksheets/sheet1.bin": sheet,
    })  # fmt: skip


def deflated(data: bytes) -> bytes:
    """A raw deflate stream."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def agile(content: bytes, password: str) -> bytes:
    """A file as Office 2010 and later lock it (MS-OFFCRYPTO, agile), with few rounds."""
    import base64
    import hashlib

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    salt, secret, nonce, rounds = bytes(range(16)), bytes(range(32)), bytes(range(16, 32)), 100

    def lock(key: bytes, vector: bytes, data: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
        return encryptor.update(data + bytes(-len(data) % 16)) + encryptor.finalize()

    digest = hashlib.sha512(salt + password.encode("utf-16-le")).digest()
    for spin in range(rounds):
        digest = hashlib.sha512(struct.pack("<I", spin) + digest).digest()

    def under(block: str, data: bytes) -> str:
        key = hashlib.sha512(digest + bytes.fromhex(block)).digest()[:32]
        return base64.b64encode(lock(key, salt, data)).decode()

    told = base64.b64encode(salt).decode()
    common = f'saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512" saltValue="{told}"'
    info = (
        '<?xml version="1.0"?><encryption xmlns="http://schemas.microsoft.com/office/2006/encryption" '
        'xmlns:p="http://schemas.microsoft.com/office/2006/keyEncryptor/password">'
        f'<keyData {common}/><keyEncryptors><keyEncryptor uri="p"><p:encryptedKey spinCount="{rounds}" {common} '
        f'encryptedVerifierHashInput="{under("fea7d2763b4b9e79", nonce)}" '
        f'encryptedVerifierHashValue="{under("d7aa0f6d3061344e", hashlib.sha512(nonce).digest())}" '
        f'encryptedKeyValue="{under("146e0be7abacd0d6", secret)}"/></keyEncryptor></keyEncryptors></encryption>'
    )
    package = struct.pack("<Q", len(content))
    for index, start in enumerate(range(0, len(content), 4096)):
        vector = hashlib.sha512(salt + struct.pack("<I", index)).digest()[:16]
        package += lock(secret, vector, content[start : start + 4096])
    streams = {"EncryptionInfo": b"\x04\0\x04\0\x40\0\0\0" + info.encode(), "EncryptedPackage": package}
    return cfb(streams)
