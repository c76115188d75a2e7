"""PDF by PDFium: pages, annotations, form values, metadata; attached files as members."""

from __future__ import annotations

import ctypes
from typing import Any

import pypdfium2
import pypdfium2.raw as raw

from services.common.extraction.budget import Stop
from services.common.extraction.walk import Reading

_MAX_ANNOTATIONS = 2000
_MAX_ATTACHMENTS = 200
_METADATA = ("Title", "Author", "Subject", "Keywords")
_ANNOTATION_KEYS = (b"Contents", b"V", b"T", b"RC")


def read_pdf(content: bytes, reading: Reading) -> None:
    """All pages, within the bounds."""
    document = _open(content, reading)
    if document is None:
        return
    try:
        reading.text("\n".join(v for v in (document.get_metadata_value(k) for k in _METADATA) if v))
        reading.macros = raw.FPDFDoc_GetJavaScriptActionCount(document) > 0
        for index in range(len(document)):
            reading.budget.check()
            if reading.full:
                reading.trouble("too_large")
                break
            try:
                reading.text(_page(document, index))
            except pypdfium2.PdfiumError:
                reading.trouble("broken")
        _attachments(document, reading)
    finally:
        document.close()


def _open(content: bytes, reading: Reading) -> Any:
    """The document, by the first password that opens it; None, and the reading says why, when nothing does."""
    for password in (None, *reading.passwords):
        reading.budget.check()
        try:
            document = pypdfium2.PdfDocument(content, password=password)
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) != raw.FPDF_ERR_PASSWORD:
                reading.trouble("broken")
                return None
            reading.encrypted = True
            continue
        if raw.FPDF_GetSecurityHandlerRevision(document) >= 0:
            reading.encrypted = True
        return document
    reading.trouble("encrypted")
    return None


def _page(document: Any, index: int) -> str:
    page = document[index]
    try:
        area = page.get_textpage()
        try:
            found = [area.get_text_range()]
        finally:
            area.close()
        found += _annotations(page)
        return "\n".join(found)
    finally:
        page.close()


def _annotations(page: Any) -> list[str]:
    found: list[str] = []
    for index in range(min(raw.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            for key in _ANNOTATION_KEYS:
                size = raw.FPDFAnnot_GetStringValue(annotation, key, None, 0)
                if size > 2:
                    buffer = ctypes.create_string_buffer(size)
                    raw.FPDFAnnot_GetStringValue(
                        annotation, key, ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size
                    )
                    found.append(buffer.raw[: size - 2].decode("utf-16-le", "replace"))
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return found


def _attachments(document: Any, reading: Reading) -> None:
    count = document.count_attachments()
    if count > _MAX_ATTACHMENTS:
        reading.trouble("too_large")
    for index in range(min(count, _MAX_ATTACHMENTS)):
        try:
            attachment = document.get_attachment(index)
            name, data = attachment.get_name(), bytes(attachment.get_data())
        except pypdfium2.PdfiumError:
            reading.trouble("broken")
            continue
        if len(data) > reading.budget.limits.member:
            raise Stop("too_large")
        reading.budget.unpacked(len(data))
        reading.member(name, data)
