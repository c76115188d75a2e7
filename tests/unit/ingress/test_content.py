"""Content across any chunk borders: the end of DATA, dots, bare line ends; and the header's completion."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingress.core import header
from services.ingress.core.content import DataDecoder, NewlineScanner

TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r", b"..", b"a", b"\0", b"text"])
).map(b"".join)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    places = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def decode(chunks: list[bytes]) -> tuple[bytes, bytes, bool]:
    """Content, what follows it, and whether the end was seen."""
    decoder, out, chunks = DataDecoder(), b"", list(chunks)
    while chunks and not decoder.done:
        out += decoder.feed(chunks.pop(0))
    return out, decoder.rest + b"".join(chunks), decoder.done


def reference(stream: bytes) -> tuple[bytes, bytes, bool]:
    """The same by the book: lines end at CRLF, a line of one dot ends it, a leading dot goes."""
    end = (b"\r\n" + stream).find(b"\r\n.\r\n")
    if end < 0:
        return b"", b"", False
    content, rest = stream[:end], stream[end + 3 :]
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:], rest, True


@given(TRICKY, TRICKY, st.lists(st.integers(0, 10_000), max_size=8))
def test_end_of_data_is_found_wherever_it_is_cut(content: bytes, after: bytes, cuts: list[int]) -> None:
    """Whole, byte by byte and in random pieces: the same content, the same rest, only at CRLF.CRLF."""
    stream = content + b"\r\n.\r\n" + after
    expected = reference(stream)
    assert decode([stream]) == expected
    assert decode([stream[i : i + 1] for i in range(len(stream))]) == expected
    assert decode(pieces(stream, cuts)) == expected


@given(TRICKY)
def test_stuffed_content_comes_back(content: bytes) -> None:
    """What a client stuffs as RFC 5321 §4.5.2 says is what is stored."""
    content += b"\r\n"
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    assert decode([stuffed + b".\r\n"]) == (content, b"", True)


@given(TRICKY, st.lists(st.integers(0, 10_000), max_size=8))
def test_content_without_end_is_never_done(content: bytes, cuts: list[int]) -> None:
    """Nothing but CRLF.CRLF ends it: no LF.LF, no CR.CR."""
    if b"\r\n.\r\n" in b"\r\n" + content:
        return
    assert not decode(pieces(content, cuts))[2]


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n\x00.\r\n"])
def test_smuggled_ends_do_not_end(end: bytes) -> None:
    """The ends other servers fall for (CVE-2023-51764 and its kin)."""
    assert not decode([b"x" + end + b"MAIL FROM:<a@b>\r\n"])[2]


@given(TRICKY, st.lists(st.integers(0, 10_000), max_size=8))
def test_bare_line_ends_are_seen_wherever_they_are_cut(content: bytes, cuts: list[int]) -> None:
    """The counting scanner agrees with the regular expression on any pieces."""
    expected = re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", content) is not None
    for chunks in ([content], [content[i : i + 1] for i in range(len(content))], pieces(content, cuts)):
        scanner = NewlineScanner()
        for chunk in chunks:
            scanner.feed(chunk)
        scanner.finish()
        assert scanner.bare == expected


DATE, MESSAGE_ID = "Tue, 24 Nov 2026 06:00:00 +0000", "<id@acme.example>"


def completed(head: bytes) -> bytes:
    """`head` as submission completes it."""
    return header.complete(head, date=DATE, message_id=MESSAGE_ID)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Date: x\r\nMessage-ID: <y>\r\n\r\nbody", b"Date: x\r\nMessage-ID: <y>\r\n\r\nbody"),
        (b"DATE : x\r\nmessage-id:<y>\r\n\r\n", b"DATE : x\r\nmessage-id:<y>\r\n\r\n"),
        (b"Date: x\r\n\r\nMessage-ID: body", b"Message-ID: <id@acme.example>\r\nDate: x\r\n\r\nMessage-ID: body"),
        (
            b"A: b\r\nBCC: x\r\n\ty\r\n z\r\nC: d\r\n\r\nBcc: stays\r\n",
            b"Date: Tue, 24 Nov 2026 06:00:00 +0000\r\nMessage-ID: <id@acme.example>\r\n"
            b"A: b\r\nC: d\r\n\r\nBcc: stays\r\n",
        ),
        (b"Date: x\r\nMessage-ID: y\r\nBcc: x\r\n\r\n", b"Date: x\r\nMessage-ID: y\r\n\r\n"),
        (b"Date: x\r\nMessage-ID: y\r\nBcc: x", b"Date: x\r\nMessage-ID: y\r\n"),
        (b"Date: x\r\nMessage-ID: y\r\nX-Bcc: x\r\n\r\n", b"Date: x\r\nMessage-ID: y\r\nX-Bcc: x\r\n\r\n"),
    ],
)
def test_submission_is_completed_by_the_smallest_edit(head: bytes, expected: bytes) -> None:
    """Bcc goes with its folded lines, what is missing comes first, every other byte stays."""
    assert completed(head) == expected


def test_content_without_header_gets_one() -> None:
    """A body alone, a blank line first, nothing at all."""
    new = b"Date: Tue, 24 Nov 2026 06:00:00 +0000\r\nMessage-ID: <id@acme.example>\r\n"
    assert completed(b"hello there\r\n") == new + b"\r\nhello there\r\n"
    assert completed(b"\r\nhello\r\n") == new + b"\r\nhello\r\n"
    assert completed(b"") == new


@given(TRICKY)
def test_no_content_breaks_completion(content: bytes) -> None:
    """It always answers, and its answer is complete: a second time changes nothing."""
    once = completed(content)
    assert completed(once) == once
