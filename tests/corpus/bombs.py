"""Makes files that ought to cost much: bombs, lies, depths, damage. Built when they are needed, kept nowhere."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable

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


def tags() -> bytes:
    """A page of two million elements."""
    return b"<html>" + b"<p>hello <b>x</b></p>" * 1_000_000


def quine() -> bytes:
    """A ZIP whose one member is itself, so that it unpacks for ever (after Russ Cox, "Zip files all the way down").

    Deflate as a language of two words of five bytes each: `say(n)` prints the n bytes after it (a stored block),
    `again(n)` the last n bytes printed (a block of one or two matches). The check sum is a fixed point: CRC-32 is
    affine over GF(2), and the places where it stands are known.
    """
    name = b"quine".rjust(26, b"-") + b".zip"

    def say(size: int) -> bytes:
        return b"\0" + struct.pack("<HH", size, size ^ 0xFFFF)

    def again(size: int) -> bytes:
        bits = "010"
        # Length and distance with their extra bits (RFC 1951 3.2.5); Huffman codes go the other way round.
        one, times = {20: ("0001000" + "01000" + "110", 2), 65: ("0010100" + "011" + "01100" + "00000", 1),
                      258: ("11000101" + "10000" + "1000000", 1)}[size]  # fmt: skip
        bits += one * times + "0000000"
        # An empty block fills what is left of the five bytes.
        bits += ("010" + "0000000") * ((40 - len(bits)) // 10)
        return int(bits[::-1], 2).to_bytes(5, "little")

    def whole(check: int, size: int, packed: int) -> bytes:
        facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, check, packed, size, len(name), 0)
        prefix = b"PK\x03\x04" + facts + name
        central = b"PK\x01\x02\x14\0" + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
        start = len(prefix) + packed
        end = b"\1\0\0\xff\xff" + central
        end += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), start, 253 - len(end) - 22)
        suffix = end.ljust(253, b".")
        first, last, four, one = say(65), say(258), say(20), say(5)
        ahead, back, tail = again(65), again(20), again(258)
        return b"".join((
            prefix, first, prefix, first, ahead, one, ahead, one, one, four, ahead, one, one, four, back,
            four, back, four, back, four, back, four, back, one, last, one, back, one, last, one, last,
            last, tail, suffix, tail, suffix,
        ))  # fmt: skip

    size = len(whole(0, 0, 0))
    packed = size - 60 - (253 - 5)
    return whole(_fixed_point(lambda check: zlib.crc32(whole(check, size, packed))), size, packed)


def _fixed_point(check: Callable[[int], int]) -> int:
    """The x with check(x) = x, where check is affine over 32 bits: Gaussian elimination."""
    base = check(0)
    rows = [0] * 32
    for column in range(32):
        effect = check(1 << column) ^ base ^ (1 << column)
        for row in range(32):
            rows[row] |= (effect >> row & 1) << column
    rows = [row | (base >> i & 1) << 32 for i, row in enumerate(rows)]
    answer, done = 0, 0
    pivots: list[int] = []
    for column in range(32):
        pick = next((i for i in range(done, 32) if rows[i] >> column & 1), None)
        if pick is None:
            continue
        rows[done], rows[pick] = rows[pick], rows[done]
        for i in range(32):
            if i != done and rows[i] >> column & 1:
                rows[i] ^= rows[done]
        pivots.append(column)
        done += 1
    for i, column in enumerate(pivots):
        answer |= (rows[i] >> 32 & 1) << column
    return answer
