"""Makes the corpus: mails of every dress, each with what a reader must find in it.

`python -m tests.corpus.make` writes the `.eml` files; a test proves that they are what is made here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.tricks import write

FOLDER = Path(__file__).parent
CARD = "4111 1111 1111 1111"


@dataclass(frozen=True, slots=True)
class Case:
    """A mail, words that its text must have, attachments' names, and why parts are not inspected."""

    name: str
    raw: bytes
    words: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    not_inspected: frozenset[str] = frozenset()
    cards: int = 0


def _head(subject: str, kind: str, encoding: str = "") -> bytes:
    lines = [
        "From: =?utf-8?b?6Zmz5aSn5paH?= <chen@acme.example>",
        "To: bob@world.example",
        f"Subject: {subject}",
        "Date: Tue, 24 Nov 2026 12:00:00 +0800",
        "Message-ID: <corpus@acme.example>",
        "MIME-Version: 1.0",
        f"Content-Type: {kind}",
    ]
    if encoding:
        lines.append(f"Content-Transfer-Encoding: {encoding}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _b64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _part(kind: str, body: bytes, *more: str) -> bytes:
    head = "\r\n".join([f"Content-Type: {kind}", *more])
    return head.encode() + b"\r\n\r\n" + body


def _multipart(subject: str, *parts: bytes, kind: str = "mixed") -> bytes:
    body = b"".join(b"--=_b\r\n" + p + b"\r\n" for p in parts) + b"--=_b--\r\n"
    return _head(subject, f'multipart/{kind}; boundary="=_b"') + body


def cases() -> Iterator[Case]:
    """Every case, always the same bytes."""
    yield Case("plain", _head("plain", "text/plain") + b"hello world\r\n", ("hello world",))
    yield Case(
        "big5", _head("=?big5?b?vvexS6TlpfM=?=", "text/plain; charset=big5", "8bit") + f"機密文件 {CARD} 謝謝\r\n".encode("big5"),
        ("機密文件",), cards=1,
    )  # fmt: skip
    yield Case(
        "gb18030-base64",
        _head("gb", "text/plain; charset=gb2312", "base64") + _b64("机密文件，请勿外传".encode("gb18030")),
        ("机密文件",),
    )
    yield Case(
        "shift-jis",
        _head("jp", "text/plain; charset=Shift_JIS", "8bit") + "これは機密です①".encode("cp932"),
        ("機密です1",),
    )
    yield Case(
        "iso-2022-jp",
        _head("jp", "text/plain; charset=ISO-2022-JP", "7bit") + "これは機密です".encode("iso2022_jp"),
        ("機密です",),
    )
    yield Case(
        "wrong-label",
        _head("wrong", "text/plain; charset=iso-8859-1", "8bit") + ("這是一份機密文件，請勿外流。" * 3).encode("big5"),
        ("機密文件",),
    )
    yield Case(
        "fullwidth-card",
        _head("fw", "text/plain; charset=utf-8", "8bit") + "卡號４１１１１１１１１１１１１１１１到期".encode(),
        ("卡號4111111111111111",),
        cards=1,
    )
    yield Case(
        "html-split-card",
        _head("html", "text/html; charset=utf-8", "quoted-printable")
        + b"<p>card <b>4111</b>1111<i>1111</i>1111</p>=\r\n<script>var x =3D 1</script>\r\n",
        ("card 4111111111111111",),
        cards=1,
    )
    yield Case(
        "attachments",
        _multipart(
            "files",
            _part("text/plain", b"see files"),
            _part("text/csv; name*=UTF-8''%E5%AE%A2%E6%88%B6.csv", _b64(f"name,{CARD}\r\n".encode()), "Content-Transfer-Encoding: base64"),
            _part("application/pdf; name=a.pdf", _b64(b"%PDF-1.7 \x00\x01"), "Content-Transfer-Encoding: base64"),
        ),
        ("see files",), ("客戶.csv", "a.pdf"), frozenset({"broken"}), cards=1,
    )  # fmt: skip
    yield Case(
        "forwarded",
        _multipart("fwd", _part("text/plain", b"fyi"), _part("message/rfc822", b"Subject: inner words\r\n\r\nsecret")),
        ("fyi", "inner words", "secret"),
        ("",),
    )
    yield Case(
        "cut-zip",
        _multipart(
            "zip",
            _part("application/zip; name=x.zip", _b64(b"PK\x03\x04\x14\x00\x01\x00" + b"\x99" * 40), "Content-Transfer-Encoding: base64"),
        ),
        (), ("x.zip",), frozenset({"broken"}),
    )  # fmt: skip
    yield Case(
        "broken-base64",
        _head("broken", "text/plain", "base64") + b"c2VjcmV0!!!!IHdvcmRz\r\n",
        ("secret words",),
        not_inspected=frozenset({"broken"}),
    )
    yield Case(
        "hidden-preamble",
        _multipart("pre", _part("text/plain", b"shown")).replace(b"\r\n\r\n--=_b", b"\r\n\r\nhidden words\r\n--=_b", 1),
        ("shown", "hidden words"),
    )
    yield Case(
        "bounce",
        _multipart(
            "Undelivered",
            _part("text/plain", b"failed"),
            _part("message/delivery-status", b"Reporting-MTA: dns; mx.acme.example\r\n\r\nFinal-Recipient: rfc822; nobody@world.example"),
            kind="report; report-type=delivery-status",
        ),
        ("failed", "nobody@world.example"),
    )  # fmt: skip


def main() -> None:
    """Write the files."""
    write()
    for case in cases():
        (FOLDER / f"{case.name}.eml").write_bytes(case.raw)


if __name__ == "__main__":
    main()
