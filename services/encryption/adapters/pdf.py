"""A mail as one encrypted PDF: its text as pages, its attachments inside. AES-256 (ISO 32000-2, revision 6).

Chinese and Japanese use the fonts that PDF readers bring (the CID fonts of the PDF reference), so nothing is embedded.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from io import BytesIO
from xml.sax.saxutils import escape

import pikepdf
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

from services.common.errors import Rejected
from services.encryption.core.package import Entry

_FONTS = {"zh-Hant": "MSung-Light", "ja": "HeiseiMin-W3", "en": "MSung-Light"}
_LINES, _LINE = 20_000, 5_000


def write(
    fields: Sequence[tuple[str, str]], text: str, files: Sequence[Entry], password: str, *, language: str
) -> bytes:
    """The document; whoever has the password may do anything with it. Raises `Rejected` for a text without end."""
    lines = text.splitlines()
    if len(lines) > _LINES or any(len(line) > _LINE * 20 for line in lines):
        raise Rejected("the text is too long for a PDF", public="the text is too long for a PDF")
    font = _FONTS.get(language, "MSung-Light")
    pdfmetrics.registerFont(UnicodeCIDFont(font))
    plain = ParagraphStyle("plain", fontName=font, fontSize=10, leading=14, wordWrap="CJK")
    story: list[object] = [
        Paragraph(f"{escape(_shown(name))}: {escape(_shown(value))}", plain) for name, value in fields if value
    ]
    story.append(Spacer(1, 6 * mm))
    for line in lines:
        for start in range(0, max(len(line), 1), _LINE):
            piece = _shown(line[start : start + _LINE])
            story.append(Paragraph(escape(piece), plain) if piece.strip() else Spacer(1, 4 * mm))
    page = BytesIO()
    margin = 20 * mm
    SimpleDocTemplate(
        page, pagesize=A4, leftMargin=margin, rightMargin=margin, topMargin=margin, bottomMargin=margin, invariant=1
    ).build(story)
    return _encrypted(page, files, password)


def _encrypted(page: BytesIO, files: Sequence[Entry], password: str) -> bytes:
    page.seek(0)
    out = BytesIO()
    with pikepdf.open(page) as document:
        for entry in files:
            document.attachments[entry.name] = pikepdf.AttachedFileSpec(document, entry.content, filename=entry.name)
        # The owner's password unlocks as the user's does, so it is one that nobody has.
        owner = secrets.token_urlsafe(32)
        document.save(out, encryption=pikepdf.Encryption(owner=owner, user=password, R=6, aes=True, metadata=True))
    return out.getvalue()


def _shown(text: str) -> str:
    """What the fonts can show: the basic plane without controls."""
    return "".join(c if c.isprintable() and ord(c) <= 0xFFFF else ("\u25a1" if ord(c) > 0xFFFF else " ") for c in text)
