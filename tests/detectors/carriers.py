"""Mails that carry texts: in a header, in a body of any charset, in files and in files inside of files."""

from __future__ import annotations

import base64
import html
import io
import quopri
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.sax.saxutils import escape

import pyzipper
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

PASSWORD = "Zx81-Spectrum"
_FORBIDDEN = frozenset('/\\:*?"<>|\r\n\t')


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and where in it the value stands."""

    before: str
    value: str
    after: str

    @property
    def whole(self) -> str:
        """All of it."""
        return self.before + self.value + self.after


def _mail(body: bytes, *headers: str, subject: str = "report") -> bytes:
    head = ["From: a@acme.example", "To: b@world.example", f"Subject: {subject}", "MIME-Version: 1.0", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


_GAP = "\n" + "nothing to see in this line, it only keeps two of them apart from one another. " * 3 + "\n"


def _joined(texts: Sequence[Text]) -> str:
    return _GAP.join(t.whole for t in texts)


def subject(texts: Sequence[Text]) -> bytes:
    """RFC 2047, in encoded words that split the value."""
    (text,) = texts
    whole = text.whole
    words = [whole[i : i + 9] for i in range(0, len(whole), 9)]
    coded = "\r\n ".join(f"=?utf-8?B?{base64.b64encode(w.encode()).decode()}?=" for w in words)
    return _mail(b"hello\r\n", subject=coded)


def body(charset: str) -> Callable[[Sequence[Text]], bytes]:
    """Text in a charset, as base64 where it is not safe as it is."""

    def build(texts: Sequence[Text]) -> bytes:
        coded = _crlf(_joined(texts)).encode(charset)
        return _mail(
            base64.encodebytes(coded).replace(b"\n", b"\r\n"),
            f"Content-Type: text/plain; charset={charset}",
            "Content-Transfer-Encoding: base64",
        )

    return build


def eight_bit(texts: Sequence[Text]) -> bytes:
    """UTF-8 as it is."""
    return _mail(
        _crlf(_joined(texts)).encode(), "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"
    )


def quoted_printable(texts: Sequence[Text]) -> bytes:
    """Quoted-printable with a soft line break inside each value."""
    lines = []
    for text in texts:
        half = len(text.value) // 2
        for piece, end in (
            (text.before, b""),
            (text.value[:half], b"=\r\n"),
            (text.value[half:], b""),
            (text.after, b""),
        ):
            coded = b"\r\n".join(quopri.encodestring(p.encode(), quotetabs=True) for p in piece.split("\n"))
            lines.append(coded.replace(b"=\n", b"=\r\n") + end)
        lines.append(b"=\r\n\r\n" + _GAP.strip()[:70].encode() + b"\r\n" + (b"-" * 70 + b"\r\n") * 3)
    return _mail(
        b"".join(lines), "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"
    )


def tagged_html(texts: Sequence[Text]) -> bytes:
    """HTML with tags inside each value."""
    rows = []
    for text in texts:
        half = len(text.value) // 2
        inner = f"<b>{html.escape(text.value[:half])}</b><span style='x'>{html.escape(text.value[half:])}</span>"
        rows.append(f"<pre>{html.escape(text.before)}{inner}{html.escape(text.after)}</pre>")
    page = "<html><body>" + f"<p>{_GAP}</p>".join(rows) + "</body></html>"
    return _mail(
        base64.encodebytes(page.encode()).replace(b"\n", b"\r\n"),
        "Content-Type: text/html; charset=utf-8",
        "Content-Transfer-Encoding: base64",
    )


def attached(name: str, kind: str, content: bytes, *, disposition: str = "") -> bytes:
    """A mail with one file."""
    coded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    disposition = disposition or f'filename="{name}"'
    return _mail(
        b"--b\r\nContent-Type: text/plain\r\n\r\nsee the file\r\n--b\r\nContent-Type: "
        + f"{kind}\r\nContent-Disposition: attachment; {disposition}\r\n".encode()
        + b"Content-Transfer-Encoding: base64\r\n\r\n" + coded + b"\r\n--b--\r\n",
        'Content-Type: multipart/mixed; boundary="b"',
    )  # fmt: skip


def _zip(files: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/{part}" ContentType="{kind}"/></Types>'
)
_RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{of}" '
    'Target="{to}"/></Relationships>'
)
_OFFICE = "application/vnd.openxmlformats-officedocument."


def _lines(texts: Sequence[Text]) -> list[tuple[str, ...]]:
    """Every line as the pieces that stand in runs of their own: the value is in two."""
    lines: list[tuple[str, ...]] = []
    for text in texts:
        half = len(text.value) // 2
        pieces = [text.before, text.value[:half], text.value[half:], text.after]
        if "\n" in text.whole:
            lines += ((line,) for line in text.whole.split("\n"))
        else:
            lines.append(tuple(p for p in pieces if p))
        lines.append((_GAP.strip(),))
    return lines


def docx(texts: Sequence[Text]) -> bytes:
    """Word: the value in two runs."""
    rows = "".join(
        "<w:p>" + "".join(f'<w:r><w:t xml:space="preserve">{escape(p)}</w:t></w:r>' for p in line) + "</w:p>"
        for line in _lines(texts)
    )
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    kind = _OFFICE + "wordprocessingml.document"
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": _TYPES.format(part="word/document.xml", kind=f"{kind}.main+xml"),
        "_rels/.rels": _RELS.format(of="officeDocument", to="word/document.xml"),
        "word/document.xml": f'<?xml version="1.0"?><w:document xmlns:w="{space}"><w:body>{rows}</w:body></w:document>',
    }
    return attached("report.docx", kind, _zip(files))


def xlsx(texts: Sequence[Text]) -> bytes:
    """Excel: a row for each text, as a shared string in two runs."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    strings = "".join(
        "<si>" + "".join(f'<r><t xml:space="preserve">{escape(p)}</t></r>' for p in line) + "</si>"
        for line in _lines(texts)
    )
    count = len(_lines(texts))
    cells = "".join(f'<row r="{i + 1}"><c r="A{i + 1}" t="s"><v>{i}</v></c></row>' for i in range(count))
    kind = _OFFICE + "spreadsheetml.sheet"
    book = (
        f'<?xml version="1.0"?><workbook xmlns="{space}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
        'relationships"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    relations = _RELS.format(of="worksheet", to="worksheets/sheet1.xml").replace(
        "</Relationships>",
        '<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" '
        'Target="sharedStrings.xml"/></Relationships>',
    )
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": _TYPES.format(part="xl/workbook.xml", kind=f"{kind}.main+xml"),
        "_rels/.rels": _RELS.format(of="officeDocument", to="xl/workbook.xml"),
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": relations,
        "xl/sharedStrings.xml": f'<?xml version="1.0"?><sst xmlns="{space}">{strings}</sst>',
        "xl/worksheets/sheet1.xml": f'<?xml version="1.0"?><worksheet xmlns="{space}"><sheetData>{cells}</sheetData></worksheet>',
    }
    return attached("report.xlsx", kind, _zip(files))


def pptx(texts: Sequence[Text]) -> bytes:
    """PowerPoint: a paragraph for each text on one slide."""
    draw = "http://schemas.openxmlformats.org/drawingml/2006/main"
    show = "http://schemas.openxmlformats.org/presentationml/2006/main"
    rows = "".join(
        "<a:p>" + "".join(f"<a:r><a:t>{escape(p)}</a:t></a:r>" for p in line) + "</a:p>" for line in _lines(texts)
    )
    slide = (
        f'<?xml version="1.0"?><p:sld xmlns:p="{show}" xmlns:a="{draw}"><p:cSld><p:spTree><p:sp><p:txBody>{rows}</p:txBody>'
        "</p:sp></p:spTree></p:cSld></p:sld>"
    )
    kind = _OFFICE + "presentationml.presentation"
    deck = (
        f'<?xml version="1.0"?><p:presentation xmlns:p="{show}" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006'
        '/relationships"><p:sldIdLst><p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>'
    )
    files: dict[str, str | bytes] = {
        "[Content_Types].xml": _TYPES.format(part="ppt/presentation.xml", kind=f"{kind}.main+xml"),
        "_rels/.rels": _RELS.format(of="officeDocument", to="ppt/presentation.xml"),
        "ppt/presentation.xml": deck,
        "ppt/_rels/presentation.xml.rels": _RELS.format(of="slide", to="slides/slide1.xml"),
        "ppt/slides/slide1.xml": slide,
    }
    return attached("report.pptx", kind, _zip(files))


def pdf(texts: Sequence[Text]) -> bytes:
    """PDF: a line for each line, on pages wide enough."""
    for font in ("MSung-Light", "STSong-Light", "HeiseiMin-W3", "HYSMyeongJo-Medium"):
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=(4000, 1000), pageCompression=1)
    for start in range(0, len(lines := _joined(texts).split("\n")), 60):
        for row, line in enumerate(lines[start : start + 60]):
            pen = page.beginText(20, 980 - 16 * row)
            pen.setFont(_font(line), 10)
            pen.textOut(line)
            page.drawText(pen)
        page.showPage()
    page.save()
    return attached("report.pdf", "application/pdf", out.getvalue())


def _font(line: str) -> str:
    """A font that has the characters of a line, Latin ones included."""
    if line.isascii():
        return "Helvetica"
    if any("\uac00" <= c <= "\ud7a3" for c in line):
        return "HYSMyeongJo-Medium"
    for charset, font in (("big5", "MSung-Light"), ("gb2312", "STSong-Light")):
        if _has(line, charset) and not any("\u3040" <= c <= "\u30ff" for c in line):
            return font
    return "HeiseiMin-W3"


def _has(text: str, charset: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def csv(texts: Sequence[Text]) -> bytes:
    """A table with quoted fields."""
    rows = ('"{}"\r\n'.format(t.whole.replace('"', '""')) + f'"{_GAP.strip()}"\r\n' for t in texts)
    return attached("report.csv", "text/csv; charset=utf-8", "".join(rows).encode())


def zip_in_zip(texts: Sequence[Text]) -> bytes:
    """A text in an archive in an archive."""
    inner = _zip({"inner.txt": _joined(texts).encode()})
    return attached("outer.zip", "application/zip", _zip({"inner.zip": inner}))


def aes_zip(texts: Sequence[Text]) -> bytes:
    """An archive with AES whose password is known."""
    out = io.BytesIO()
    with pyzipper.AESZipFile(out, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PASSWORD.encode())
        archive.writestr("inner.txt", _joined(texts).encode())
    return attached("sealed.zip", "application/zip", out.getvalue())


def mail_in_mail(texts: Sequence[Text]) -> bytes:
    """A mail that is attached to a mail that is attached to a mail."""
    inner = body("utf-8")(texts)
    for _ in range(2):
        inner = _mail(
            b"--m\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--m--\r\n",
            'Content-Type: multipart/mixed; boundary="m"',
        )
    return inner


def file_name(texts: Sequence[Text]) -> bytes:
    """The name of a file, in RFC 2231 form."""
    (text,) = texts
    return attached("", "image/png", b"\x89PNG\r\n", disposition=f"filename*=UTF-8''{quote(text.whole)}%20copy.png")


@dataclass(frozen=True, slots=True)
class Carrier:
    """How a mail carries texts; `charset` and `forbidden` say what it cannot carry, `single` that it takes one."""

    name: str
    build: Callable[[Sequence[Text]], bytes]
    charset: str = "utf-8"
    forbidden: frozenset[str] = frozenset()
    single: bool = False

    def takes(self, text: Text) -> bool:
        """Whether the text can be written in it."""
        try:
            text.whole.encode(self.charset)
        except UnicodeEncodeError:
            return False
        return not self.forbidden & set(text.whole)


CARRIERS = (
    Carrier("subject", subject, forbidden=frozenset("\r\n"), single=True),
    Carrier("body UTF-8", eight_bit),
    Carrier("body Big5", body("big5"), "big5"),
    Carrier("body GB18030", body("gb18030"), "gb18030"),
    Carrier("body Shift_JIS", body("shift_jis"), "shift_jis"),
    Carrier("body ISO-2022-JP", body("iso-2022-jp"), "iso-2022-jp"),
    Carrier("base64", body("utf-8")),
    Carrier("quoted-printable", quoted_printable),
    Carrier("HTML, tags inside", tagged_html),
    Carrier("docx", docx),
    Carrier("xlsx", xlsx),
    Carrier("pptx", pptx),
    Carrier("pdf", pdf, forbidden=frozenset("\u200b\u00ad\t<")),
    Carrier("csv", csv),
    Carrier("zip in zip", zip_in_zip),
    Carrier("AES zip", aes_zip),
    Carrier("eml in eml", mail_in_mail),
    Carrier("file name", file_name, forbidden=_FORBIDDEN, single=True),
)
