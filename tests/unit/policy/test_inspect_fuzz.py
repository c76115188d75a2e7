"""Any bytes are some mail: the readers never raise, keep their bounds, and lose no text silently."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.core.base64s import base64_odd, base64_of, base64_readings
from services.policy.core.carried import carried
from services.policy.core.content import signed_content, tail
from services.policy.core.extract import Limits
from services.policy.core.headers import oddities, readings
from services.policy.core.html import read_html
from services.policy.core.mime import inspect, read
from services.policy.core.passwords import candidates
from services.policy.core.text import normalise, original_span
from services.policy.core.union import every_part
from tests.unit.policy.builders import mail, multipart

PIECES = st.sampled_from(
    [
        b"Content-Type: text/plain\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/mixed;",
        b" boundary*0=", b" boundary=\"b", b"--b\r\n", b"--b--\r\n", b"--b", b"--", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\0",
        b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding : ",
        b"base64", b"(", b")", b"\"", b";", b"name*0*=utf-8''%E5", b"filename=", b"QUJD", b"QQ==", b"=3D", b"=\r\n",
        b"begin 644 x\r\n", b"#0V%T\r\n", b"end\r\n", b"=ybegin name=a\r\n", b"=yend", b"<!--", b"<b hidden>", b"</b>",
        b"<td style='display:none'>", b"\xa4\xa4", b"\xff", b"\xe2\x80\xae", b"4111", b"\x1b$B", b"Content_Type: x\r\n",
        b"Content-Type: application/pkcs7-mime\r\n", bytes.fromhex("308006092a864886f70d010702a080"), b"GIF89a", b"%PDF-1.",
        b"Content-Type: text/html; charset=big5; charset=utf-7\r\n",
    ]
)  # fmt: skip
MAILS = st.binary(max_size=200) | st.lists(PIECES | st.binary(max_size=6), max_size=40).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(MAILS)
def test_readers_never_raise(raw: bytes) -> None:
    """Each reader alone, so that no outer net hides what one of them does."""
    text = raw.decode("utf-8", "replace")
    assert inspect(raw).message.parts >= 0
    every_part(raw, Limits(), ())
    oddities(raw)
    readings([text], "boundary", "filename", "name", "charset")
    carried(raw)
    signed_content(raw)
    tail(raw)
    base64_readings(raw)
    read_html(text)
    candidates([text], [text])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_not_called_odd_decodes_alike(raw: bytes) -> None:
    """The fast check for odd base64 misses nothing that the careful one sees, but a lone last character."""
    decoded, sure = base64_of(raw)
    if not base64_odd(raw) and len(b"".join(raw.split()).rstrip(b"=")) % 4 != 1:
        assert sure
    if not sure and decoded:
        assert decoded in base64_readings(raw)


ODD_TEXT = st.lists(
    st.sampled_from(
        [
            "4",
            "11",
            "٤",
            "\u0336",
            "\u200b",
            "\u00ad",
            "ﬁ",
            "e\u0301",
            "機",
            " ",
            "\r\n",
            "\n",
            "-",
            "x" * 30,
            "４",
            "\x01",
            "𝟜",
        ]
    )
    | st.characters(),
    max_size=60,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(ODD_TEXT, st.data())
def test_a_span_leads_back_to_what_becomes_it(original: str, data: st.DataObject) -> None:
    """The normal form of the original span holds the span."""
    normal = normalise(original)
    if not normal:
        return
    start = data.draw(st.integers(0, len(normal) - 1))
    end = data.draw(st.integers(start + 1, len(normal)))
    first, last = original_span(original, start, end)
    assert 0 <= first <= last <= len(original)
    within = normalise(original[first:last]).replace("\r", "").replace("\n", "")
    wanted = normal[start:end].replace("\r", "").replace("\n", "")
    assert (
        wanted in within
        or normalise(within) != within
        or wanted.strip() in normalise(original[max(0, first - 1) : last + 1])
    )


def test_normal_form_is_stable() -> None:
    """What is normal stays as it is."""
    for text in ("plain", "４１", "e\u0301", "4\u0336", "x" * 60 + " 4111\r\n1111 y"):
        assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    "bomb",
    [
        multipart(*[b"Content-Transfer-Encoding : base64\r\n\r\nQUJD"] * 5_000),
        mail("--x\r\nContent-Type: a/b\r\n\r\n" * 20_000, Content_Type="multipart/mixed; boundary=a; boundary=b"),
        mail("".join(f"boundary=b{i}\r\n--b{i}\r\n" for i in range(20_000)), Content_Type="multipart/mixed"),
        mail("begin 644 x\r\n" * 20_000),
        mail("=ybegin name=a\r\n" * 20_000),
        mail("<b hidden>" * 50_000, Content_Type="text/html"),
        mail("<p style='display:none'>x</p>" * 20_000, Content_Type="text/html"),
        mail("<font color=white>x</font>" * 20_000, Content_Type="text/html"),
        mail("<!--" * 50_000, Content_Type="text/html"),
        mail("<a href='" * 50_000, Content_Type="text/html"),
        mail("4\r\n" * 100_000),
        mail("x" * 60 + "1\r\n1" * 100_000),
        mail("4\u0336" * 100_000, Content_Type="text/plain; charset=utf-8"),
        mail("\u202e" * 100_000, Content_Type="text/plain; charset=utf-8"),
        mail("x", Content_Type="text/plain; " + "name*1=a; " * 20_000),
        mail("x", Content_Type="text/plain; name=" + "(" * 50_000),
        mail("x", Content_Disposition="attachment; filename=" + '"\\' * 50_000),
        b"Content-Type : message/rfc822\r\n\r\n" * 5_000 + b"x",
    ],
    ids=range(18),
)  # fmt: skip
def test_bombs_end_soon_within_bounded_memory(bomb: bytes) -> None:
    """Time and memory stay in proportion to the mail."""
    tracemalloc.start()
    began = time.process_time()
    read(bomb)
    used = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 10
    assert peak < 100 * len(bomb) + 32_000_000
