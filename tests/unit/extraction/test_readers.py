"""What is found in files of every type, the same inside the sandbox and outside."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import subprocess
from pathlib import Path

import pytest
import zstandard

from services.common.extraction import Piece
from services.common.extraction.kinds import true_type
from services.common.extraction.readers.rtf import decompressed
from tests.corpus import documents
from tests.corpus.documents import WORD
from tests.unit.extraction.conftest import Read

TEXT = WORD.encode()
HTML = b"<html><body><p>4111<b> 1111</b> 1111 1111<!-- a comment --><img alt='a picture'><i hidden>hidden</i></p></body></html>"

WITH_TEXT = {
    "docx": (documents.docx(), ("second", "in a comment", "the title", "https://evil.example/x")),
    "docm": (documents.docx(macros=True), ("second",)),
    "xlsx": (documents.xlsx(), ("Chen\t4111 1111 1111 1111\t4111111111111111", "inline\t7", "never shown")),
    "xlsm": (documents.xlsx(macros=True), ("inline",)),
    "xlsb": (documents.xlsb(), (f"{WORD}\tChen\t4111111111111111\t42",)),
    "pptx": (documents.pptx(), ("in the notes",)),
    "odt": (documents.odf(), ("second",)),
    "ods": (documents.odf("spreadsheet"), ()),
    "odp": (documents.odf("presentation"), ()),
    "epub": (documents.epub(), ()),
    "pdf": (documents.pdf(), ("in an annotation",)),
    "doc": (documents.doc(), ("機密",)),
    "xls": (documents.xls(), ("Payroll", "Chen\t4111 1111 1111 1111", "4111111111111111")),
    "ppt": (documents.ppt(), ("narrow text",)),
    "msg": (documents.msg(), ("the subject 機密",)),
    "rtf": (documents.rtf(), ("機密 機密", "hidden words")),
    "html": (HTML, ("a comment", "a picture", "hidden")),
    "csv": (f"name,card\nChen,{WORD}\nLin,none\n".encode(), ()),
    "ics": (f"BEGIN:VCALENDAR\r\nSUMMARY:{WORD}\r\nEND:VCALENDAR\r\n".encode(), ()),
    "vcf": (f"BEGIN:VCARD\r\nNOTE:{WORD}\r\nEND:VCARD\r\n".encode(), ()),
    "xml": (f"<?xml version='1.0'?><a b='in an attribute'><![CDATA[{WORD}]]></a>".encode(), ("in an attribute",)),
    "svg": (f"<svg xmlns='http://www.w3.org/2000/svg'><text>{WORD}</text></svg>".encode(), ()),
    "text": (TEXT, ()),
    "script": (b"#!/bin/sh\necho " + TEXT, ()),
}
WITH_MEMBERS = {
    "zip": documents.zipped({"a.txt": TEXT}),
    "7z": documents.archived({"a.txt": TEXT}, "7zip"),
    "rar": documents.rar("a.txt", TEXT),
    "tar": documents.archived({"a.txt": TEXT}, "gnutar"),
    "iso": documents.archived({"a.txt": TEXT}, "iso9660"),
    "cab": documents.cab("a.txt", TEXT),
    "gz": gzip.compress(TEXT),
    "bz2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "tnef": documents.tnef(),
    "eml": documents.eml(),
}


@pytest.mark.parametrize("kind", WITH_TEXT)
def test_text_of_every_type_is_found_whatever_the_file_is_called(read: Read, kind: str) -> None:
    content, words = WITH_TEXT[kind]
    piece = read(content)[0]
    assert (piece.true_type, piece.problem) == (kind, None)
    assert piece.size == len(content)
    assert piece.sha256 == hashlib.sha256(content).hexdigest()
    for word in (WORD, *words):
        assert word in (piece.text or "")


@pytest.mark.parametrize("kind", WITH_MEMBERS)
def test_members_of_every_container_are_pieces_of_their_own(read: Read, kind: str) -> None:
    whole, member = read(WITH_MEMBERS[kind])
    assert (whole.part, whole.true_type, whole.problem) == ("2", kind, None)
    assert (member.part, member.problem) == ("2/1", None)
    assert WORD in (member.text or "")


def test_files_in_files_are_found_all_the_way_down(read: Read) -> None:
    inner = documents.zipped({"list.docx": documents.docx()})
    pieces = read(documents.eml(gzip.compress(documents.archived({"b.zip": inner}, "gnutar")), documents.eml()))
    assert [(p.part, p.true_type) for p in pieces] == [
        ("2", "eml"), ("2/1", "text"), ("2/2", "gz"), ("2/2/1", "tar"), ("2/2/1/1", "zip"), ("2/2/1/1/1", "docx"),
        ("2/3", "eml"), ("2/3/1", "text"),
    ]  # fmt: skip
    assert WORD in (pieces[5].text or "")
    assert "機密" in (pieces[0].text or "")
    assert "機密" in (pieces[1].text or "")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (documents.aes_zipped({"a.txt": TEXT}, "correct"), "zip"),
        (documents.archived({"a.txt": TEXT}, "zip", options="zip:encryption=zipcrypt", password="correct"), "zip"),
        (
            documents.archived({"a.txt": TEXT * 50_000}, "zip", options="zip:encryption=zipcrypt", password="correct"),
            "zip",
        ),
        (documents.archived({"a.txt": TEXT}, "zip", options="zip:encryption=aes256", password="correct"), "zip"),
    ],
)
def test_a_locked_archive_opens_by_a_password_and_else_still_tells_its_names(
    read: Read, content: bytes, kind: str
) -> None:
    whole, member = read(content, "wrong", "correct")
    assert (whole.true_type, whole.encrypted, whole.problem) == (kind, True, None)
    assert WORD in (member.text or "")
    whole, member = read(content, "wrong")
    assert (whole.encrypted, whole.problem) == (True, "encrypted")
    assert (member.name, member.encrypted, member.problem, member.text) == ("a.txt", True, "encrypted", None)


def test_a_locked_pdf_opens_by_a_password(read: Read) -> None:
    content = documents.pdf(password="correct")
    piece = read(content, "wrong", "correct")[0]
    assert (piece.encrypted, piece.problem) == (True, None)
    assert WORD in (piece.text or "")
    piece = read(content)[0]
    assert (piece.true_type, piece.encrypted, piece.problem, piece.text) == ("pdf", True, "encrypted", None)


@pytest.mark.parametrize("content", [documents.doc(encrypted=True), documents.xls(encrypted=True)])
def test_locked_old_office_files_are_encrypted(read: Read, content: bytes) -> None:
    piece = read(content, "any")[0]
    assert (piece.encrypted, piece.problem) == (True, "encrypted")


@pytest.mark.parametrize(("options", "names"), [((), ["a.txt"]), (("-mhe=on",), [])])
def test_a_locked_7z_is_encrypted_with_its_names_where_they_are_not_secret(
    read: Read, tmp_path: Path, options: tuple[str, ...], names: list[str]
) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    subprocess.run(["7zz", "a", "-psecret", *options, "a.7z", "a.txt"], cwd=tmp_path, check=True, capture_output=True)
    pieces = read((tmp_path / "a.7z").read_bytes())
    assert (pieces[0].true_type, pieces[0].encrypted, pieces[0].problem) == ("7z", True, "encrypted")
    assert [p.name for p in pieces[1:]] == names
    assert all(p.problem == "encrypted" for p in pieces)


@pytest.mark.parametrize(
    "content", [documents.docx(macros=True), documents.xlsx(macros=True), documents.doc(macros=True)]
)
def test_macros_are_seen(read: Read, content: bytes) -> None:
    assert read(content)[0].macros
    assert not read(documents.docx())[0].macros


def test_what_is_embedded_in_a_document_is_a_piece(read: Read) -> None:
    inside = documents.docx(
        more={"word/embeddings/x.bin": documents.xlsx(), "word/media/i.png": b"\x89PNG\r\n\x1a\n\0"}
    )
    assert [(p.part, p.true_type) for p in read(inside)] == [("2", "docx"), ("2/1", "xlsx")]
    pieces = read(documents.pdf(attachment=documents.docx()))
    assert [(p.name, p.true_type) for p in pieces] == [("name.bin", "pdf"), ("inside.docx", "docx")]
    pieces = read(documents.msg())
    assert (pieces[1].name, (pieces[1].text or "").strip()) == ("list.txt", "inside")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "png"),
        (b"MZ\x90\0\x03\0", "exe"),
        (b"\x7fELF\x02\x01\x01\0", "elf"),
        (b"\0\x01\x02", "unknown"),
    ],
)
def test_what_has_no_text_is_named_and_unsupported(read: Read, content: bytes, kind: str) -> None:
    (piece,) = read(content)
    assert (piece.true_type, piece.text, piece.problem) == (kind, None, "unsupported")


@pytest.mark.parametrize("charset", ["big5", "gb18030", "shift_jis", "iso-2022-jp", "euc-jp", "utf-8", "utf-16"])
@pytest.mark.parametrize("declared", [True, False])
def test_text_is_read_in_its_charset(read: Read, charset: str, declared: bool) -> None:
    if declared or charset != "euc-jp":
        text = "本日の会議資料です。社外秘の顧客名簿を添付します。" if charset in ("shift_jis", "iso-2022-jp", "euc-jp") else (
            "這是公司的機密文件，請勿外流。" if charset != "gb18030" else "这是公司的机密文件，请勿外流。谢谢大家的配合。")  # fmt: skip
        label = f"text/plain; charset={charset}" if declared else ""
        assert text in (read(text.encode(charset), content_type=label)[0].text or "")


@pytest.mark.parametrize(
    "start", [b"MZ\x90\0\x03\0" + bytes(500), b"\x89PNG\r\n\x1a\n" + bytes(100), b"GIF89a" + bytes(50)]
)
def test_an_archive_behind_something_else_is_read_too(read: Read, start: bytes) -> None:
    pieces = read(start + documents.zipped({"a.txt": TEXT}))
    assert [p.true_type for p in pieces][1:] == ["zip", "text"]
    assert WORD in (pieces[2].text or "")


def test_a_locked_word_file_opens_by_a_password(read: Read) -> None:
    content = documents.agile(documents.docx(), "correct")
    whole, inner = read(content, "wrong", "correct")
    assert (whole.encrypted, whole.problem, inner.true_type) == (True, None, "docx")
    assert WORD in (inner.text or "")
    (whole,) = read(content, "wrong")
    assert (whole.encrypted, whole.problem) == (True, "encrypted")


def test_a_declared_type_of_any_shape_is_no_trouble(read: Read) -> None:
    (piece,) = read(TEXT, content_type="text/plain; name=機密\r\n" + "x" * 100_000)
    assert (piece.problem, piece.content_type[:16]) == (None, "text/plain; name")


def test_compressed_rtf_is_read_as_the_specification_shows_it() -> None:
    # MS-OXRTFCP 4.1: "simple compressed RTF".
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0"
    )
    assert decompressed(packed) == rb"{\rtf1\ansi\ansicpg1252\pard hello world}" + b"\r\n"


def test_a_type_is_told_by_content_and_its_declaration_is_kept() -> None:
    assert true_type(documents.docx()) == "docx"
    assert true_type(b"MZ is how this sentence begins, no program") == "text"
    assert true_type(b"BM, too, and BZh as well") == "text"
    assert true_type(b"") == "text"


def test_each_piece_of_both_extractors_is_the_same(read: Read) -> None:
    found: list[tuple[Piece, ...]] = [read(content) for content, _ in WITH_TEXT.values()]
    assert all(pieces[0].part == "2" for pieces in found)
