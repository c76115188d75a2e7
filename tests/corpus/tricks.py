"""Makes mails that programs read differently, or that hide a number from machines: each with what it is called.

`python -m tests.corpus.make` writes them beside the other files; a test proves that each number is found.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path

from tests.unit.policy.builders import mail, multipart

FOLDER = Path(__file__).parent


def place(trick: str) -> Path:
    """The file of a trick."""
    return FOLDER / f"trick-{re.sub('[^a-z0-9]+', '-', trick.lower()).strip('-')}.eml"


def write() -> None:
    """Write the files."""
    for trick, (raw, _) in TRICKS.items():
        place(trick).write_bytes(raw)


SECRET = "4111111111111111"
B64 = base64.b64encode(f"card {SECRET} end".encode()).decode()
UU = "begin 644 x.txt\r\n" + binascii.b2a_uu(f"card {SECRET}".encode()).decode() + "`\r\nend\r\n"
YENC = (
    b"=ybegin line=128 size=21 name=a.txt\r\n"
    + bytes((c + 42) % 256 for c in f"card {SECRET}".encode())
    + b"\r\n=yend size=21\r\n"
)


def part(*header: str, body: str | bytes = "") -> bytes:
    """A part of the given header lines."""
    return (
        "".join(f"{line}\r\n" for line in header).encode()
        + b"\r\n"
        + (body if isinstance(body, bytes) else body.encode())
    )


def nested(outer: str, body: str) -> bytes:
    """A mail of one Content-Type and a body as written."""
    return f"From: a@acme.example\r\nSubject: x\r\nContent-Type: {outer}\r\n\r\n{body}".encode()


TEXT = f"Content-Type: text/plain\r\n\r\ncard {SECRET}\r\n"
CODED = f"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n{B64}\r\n"

TRICKS: Mapping[str, tuple[bytes, str]] = {
    "two encodings, base64 first": (multipart(part("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 7bit", body=B64)), "encoding-repeated"),
    "two encodings, base64 last": (multipart(part("Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64", body=B64)), "encoding-repeated"),
    "an encoding with a comment": (multipart(part("Content-Transfer-Encoding: (a) base64 (b)", body=B64)), "header-comment"),
    "an encoding in quotes": (multipart(part('Content-Transfer-Encoding: "base64"', body=B64)), "encoding-unknown"),
    "an encoding with a semicolon": (multipart(part("Content-Transfer-Encoding: base64;", body=B64)), "encoding-unknown"),
    "an encoding on the next line": (multipart(part("Content-Transfer-Encoding:", " base64", body=B64)), "header-folded"),
    "an encoding after an empty fold": (multipart(part("Content-Transfer-Encoding:", " ", " base64", body=B64)), "header-odd"),
    "a space before the colon": (multipart(part("Content-Transfer-Encoding : base64", body=B64)), "header-odd"),
    "an underscore in the name": (multipart(part("Content_Transfer_Encoding: base64", body=B64)), "header-odd"),
    "an unknown encoding": (multipart(part("Content-Transfer-Encoding: x-base64", body=B64)), "encoding-unknown"),
    "a line that is no header": (multipart(part("Content-Type: text/plain", "junk", "Content-Transfer-Encoding: base64", body=B64)), "header-broken"),
    "NUL in a header": (multipart(part("Content-Type: text/plain\0", "Content-Transfer-Encoding: base64", body=B64)), "header-odd"),
    "junk in base64": (multipart(part("Content-Transfer-Encoding: base64", body=B64[:10] + "!*" + B64[10:])), "base64-odd"),
    "padding inside base64": (multipart(part("Content-Transfer-Encoding: base64", body="QQ==" + B64)), "base64-odd"),
    "base64 line by line": (
        multipart(part("Content-Transfer-Encoding: base64", body=f"QUI=\r\n{B64}")), "base64-odd"),
    "base64 after text": (multipart(part("Content-Transfer-Encoding: base64", body=f"see below:\r\n\r\n{B64}")), "base64-odd"),
    "quoted-printable that is base64": (
        multipart(part("Content-Transfer-Encoding: quoted-printable", "Content-Transfer-Encoding: base64", body="=34=31=31=31" + SECRET[4:])),
        "encoding-repeated"),
    "two types": (multipart(part("Content-Type: text/plain", "Content-Type: text/html", body="4111<b>1111</b>11111111")), "type-repeated"),
    "a type without a subtype": (multipart(part("Content-Type: html", "Content-Transfer-Encoding: base64", body=B64)), "type-odd"),
    "two boundaries": (nested("multipart/mixed; boundary=a; boundary=b", f"--a\r\n\r\nx\r\n--a--\r\n--b\r\n{CODED}--b--\r\n"), "boundary-repeated"),
    "two boundaries, the other one": (nested("multipart/mixed; boundary=a; boundary=b", f"--a\r\n{CODED}--a--\r\n--b\r\n\r\nx\r\n--b--\r\n"), "boundary-repeated"),
    "a boundary in pieces": (nested("multipart/mixed; boundary*0=a; boundary*1=b", f"--ab\r\n{CODED}--ab--\r\n"), ""),
    "a boundary in percent signs": (nested("multipart/mixed; boundary*=us-ascii''a%62", f"--ab\r\n{CODED}--ab--\r\n"), ""),
    "a boundary in pieces and another": (
        nested("multipart/mixed; boundary=c; boundary*0=a; boundary*1=b", f"--c\r\n\r\nx\r\n--c--\r\n--ab\r\n{CODED}--ab--\r\n"), "boundary-repeated"),
    "no boundary": (nested("multipart/mixed", f"--x\r\n{CODED}--x--\r\n"), "boundary-missing"),
    "a boundary that is not there": (nested("multipart/mixed; boundary=zz", f"--x\r\n{CODED}--x--\r\n"), "boundary-missing"),
    "no closing boundary": (nested("multipart/mixed; boundary=x", f"--x\r\n{CODED}"), ""),
    "a boundary with a tail": (nested("multipart/mixed; boundary=x", f"--x\r\n\r\nhi\r\n--xy\r\n{CODED}--x--\r\n"), "boundary-odd"),
    "parts after the end": (nested("multipart/mixed; boundary=x", f"--x\r\n\r\nhi\r\n--x--\r\n--x\r\n{CODED}--x--\r\n"), "after-close"),
    "an inner part of the outer boundary": (
        nested("multipart/mixed; boundary=x", f"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--x\r\n{CODED}--y--\r\n--x--\r\n"), "boundary-missing"),
    "an inner multipart with the wrong boundary": (
        nested("multipart/mixed; boundary=x", f"--x\r\nContent-Type: multipart/mixed; boundary=no\r\n\r\n--y\r\n{CODED}--y--\r\n--x--\r\n"), "boundary-missing"),
    "text before the parts": (nested("multipart/mixed; boundary=x", f"card {SECRET}\r\n--x\r\n\r\nhi\r\n--x--\r\n"), "text-outside"),
    "text after the parts": (nested("multipart/mixed; boundary=x", f"--x\r\n\r\nhi\r\n--x--\r\ncard {SECRET}\r\n"), "text-outside"),
    "a comment in the type": (nested("multipart/mixed (boundary=a); boundary=b", f"--b\r\n{CODED}--b--\r\n"), "header-comment"),
    "a boundary in a comment": (nested("multipart/mixed (boundary=a); boundary=b", f"--a\r\n{CODED}--a--\r\n"), "header-comment"),
    "a piece of a mail": (nested("message/partial; id=a; number=1; total=2", CODED), "message-partial"),
    "uuencode": (mail(UU), "uuencode"),
    "yEnc": (mail(b"see\r\n" + YENC), "yenc"),
    "a mail coded as a part": (
        multipart(part("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", body=base64.encodebytes(b"Subject: a\r\n" + CODED.encode()))), ""),
    "a trick in a coded mail": (
        multipart(part("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64",
                       body=base64.encodebytes(f"Content-Transfer-Encoding : base64\r\n\r\n{B64}".encode()))), "header-odd"),
    "two charsets": (
        multipart(part("Content-Type: text/plain; charset=us-ascii; charset=utf-7", "Content-Transfer-Encoding: 7bit", body=b"+" + base64.b64encode(SECRET.encode("utf-16-be")).rstrip(b"=") + b"-")), "charset-repeated"),
    "a picture with an archive behind it": (
        multipart(part("Content-Type: image/gif", "Content-Transfer-Encoding: base64", body=base64.encodebytes(
            b"GIF89a" + b"\0" * 50 + b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj"))), "polyglot"),
    "invisible characters": (mail("4111\u200b1111\u00ad1111\u20601111", Content_Type="text/plain; charset=utf-8"), ""),
    "digits of another script": (mail("٤١١١١١١١١١١١१११1", Content_Type="text/plain; charset=utf-8"), ""),
    "digits with marks": (mail("4\u03361\u03361\u03361\u0336" + SECRET[4:], Content_Type="text/plain; charset=utf-8"), ""),
    "controls in a number": (mail(f"{SECRET[:7]}\x01{SECRET[7:]}"), ""),
    "the wrong way round": (mail(f"\u202e{SECRET[::-1]}\u202c", Content_Type="text/plain; charset=utf-8"), ""),
    "a full line in a number": (mail("x" * 60 + f" {SECRET[:8]}\r\n{SECRET[8:]} y"), ""),
    "tags in a number": (mail("4111<b>1111</b><i></i>1111<span>1111</span>", Content_Type="text/html"), ""),
    "a comment in a number": (mail("41111111<!-- no -->11111111", Content_Type="text/html"), ""),
    "hidden text in a number": (mail("41111111<b style='display:none'>9</b>11111111", Content_Type="text/html"), ""),
    "half a number hidden": (mail("41111111<b style='font-size:0'>11111111</b>", Content_Type="text/html"), ""),
    "a number in a comment": (mail(f"hi<!-- {SECRET} -->", Content_Type="text/html"), ""),
    "a number for one program": (mail("hi<!--[if mso]><p>4111<b>1111</b>11111111</p><![endif]-->", Content_Type="text/html"), ""),
    "hidden text": (mail(f"hi<div hidden>{SECRET}</div>", Content_Type="text/html"), ""),
    "white on white": (mail(f"hi<font color=white>{SECRET}</font>", Content_Type="text/html"), ""),
    "a number beside a picture": (mail(f"hi<img alt='{SECRET}'>", Content_Type="text/html"), ""),
    "a number in a field": (mail(f"hi<input value={SECRET}>", Content_Type="text/html"), ""),
    "a number in a link": (mail(f"hi<a href='https://x.example/{SECRET}'>x</a>", Content_Type="text/html"), ""),
    "a number in a script": (mail(f"hi<script>var a='{SECRET}'</script>", Content_Type="text/html"), ""),
    "a file in an address": (mail(f"hi<a href='data:text/plain;base64,{B64}'>x</a>", Content_Type="text/html"), "data-address"),
    "a multipart in base64": (b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(f"--x\r\n{CODED}--x--\r\n".encode()), "boundary-missing"),
    "a uuencoded part": (multipart(part("Content-Type: application/octet-stream; name=a.txt", "Content-Transfer-Encoding: uuencode", body=UU)), "uuencode"),
    "a page's own charset": (mail("<meta charset=utf-7>+" + base64.b64encode(SECRET.encode("utf-16-be")).decode().rstrip("=") + "-", Content_Type="text/html"), "charset-repeated"),
    "the wrong way round in a page": (mail(f"<bdo dir=rtl>{SECRET[::-1]}</bdo>", Content_Type="text/html"), ""),
    "a digit in each cell": (mail("<table><tr>" + "".join(f"<td>{c}</td>" for c in SECRET) + "</tr></table>", Content_Type="text/html"), ""),
    "entities": (mail("".join(f"&#{ord(c)};" for c in SECRET), Content_Type="text/html"), ""),
}  # fmt: skip
"""Each with the code that the ambiguity has; empty: programs agree."""
