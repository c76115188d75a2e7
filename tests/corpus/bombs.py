"""Makes files that ought to cost much: bombs, lies, depths, damage. Built when they are needed, kept nowhere."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib

from tests.corpus.documents import deflated, docx, pdf, xls, zipped


def nested(levels: int = 5, copies: int = 10, size: int = 10_000_000) -> bytes:
    """Each archive holds ten of the next; the last are zeros: 10^levels times `size`."""
    content = bytes(size)
    for _ in range(levels):
        content = zipped({f"{i}.zip": content for i in range(copies)})
    return content


def deep(levels: int = 60) -> bytes:
    """Archives in archives, with a text at the bottom that no reader reaches: what a quine looks like from outside."""
    content = b"4111 1111 1111 1111"
    for _ in range(levels):
        content = zipped({"a.zip": content})
    return content


def overlap(files: int = 2000, size: int = 20_000_000) -> bytes:
    """Every member of the directory is the same compressed bytes (David Fifield's idea, in its simplest form)."""
    data = bytes(size)
    body = deflated(data)
    check = zlib.crc32(data)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, check, len(body), size, 1, 0) + b"a"
    central = b"".join(
        struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 33, check, len(body), size, 1, 0, 0, 0, 0, 0, 0)
        + b"a"
        for _ in range(files)
    )
    start = local + body
    return start + central + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, files, files, len(central), len(start), 0)


def many(files: int = 60_000) -> bytes:
    """More members than anyone sends."""
    return zipped({f"{i}": b"" for i in range(files)}, method=zipfile.ZIP_STORED)


def gzip_of_zeros(size: int = 1_000_000_000) -> bytes:
    """A gigabyte in a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1_000_000)
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


def gzip_in_gzip() -> bytes:
    """Zeros compressed again and again."""
    content = bytes(50_000_000)
    for _ in range(4):
        content = gzip.compress(content, mtime=0)
    return content


def lying() -> bytes:
    """A member says in both headers that it has ten bytes, and has ten million."""
    honest = zipped({"a.txt": b"x" * 10_000_000})
    return honest.replace(struct.pack("<I", 10_000_000), struct.pack("<I", 10))


def unlisted() -> bytes:
    """The directory names one of two members: what streams the file sees both."""
    both = zipped({"hidden.txt": b"4111 1111 1111 1111", "shown.txt": b"nothing"})
    at = both.index(b"PK\x01\x02")
    second = both.index(b"PK\x01\x02", at + 4)
    end = both.index(b"PK\x05\x06")
    central = both[second:end]
    return both[:at] + central + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), at, 0)


def traversal() -> bytes:
    """Names that climb out of any folder."""
    return zipped({"../../../etc/passwd": b"root", "/etc/shadow": b"x", "C:\\windows\\a.exe": b"MZ\0\0", "a\0b": b"y"})


def truncated() -> dict[str, bytes]:
    """Whole files, cut in the middle."""
    whole = {"docx": docx(), "pdf": pdf(pages=20), "xls": xls(), "gz": gzip.compress(bytes(range(256)) * 400)}
    return {name: data[: len(data) // 2] for name, data in whole.items()}


def entities() -> bytes:
    """A Word file whose XML multiplies itself (the billion laughs)."""
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(10))
    return docx(more={"word/footnotes.xml": f"<!DOCTYPE x [{laughs}]><x>&l9;</x>"})
