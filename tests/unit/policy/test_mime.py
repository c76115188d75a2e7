"""The MIME reader: never raises, never says more was read than was."""

from __future__ import annotations

import asyncio
import base64
import io
import time
import tracemalloc
import zipfile
from email.message import EmailMessage

import pytest
import pyzipper
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.extraction import File
from services.common.ids import TenantId
from services.common.testing.extraction import InProcessExtractor
from services.policy.core import mime
from services.policy.core.base64s import base64_of
from services.policy.core.extract import Limits, extracted
from services.policy.core.message import Message
from services.policy.core.slowmime import read_slowly
from tests.unit.policy.builders import mail, multipart


def _locked_zip() -> bytes:
    packed = io.BytesIO()
    with pyzipper.AESZipFile(packed, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"nobody knows")
        archive.writestr("a.txt", "secret")
    return packed.getvalue()


CHINESE = "機密文件，請勿外流。信用卡"
JAPANESE = "これは機密です。よろしく"


def text_of(message: Message) -> str:
    """All text a rule would see."""
    return "\n".join((*message.bodies, *(a.text for a in message.attachments if a.text), *message.hidden))


def opened(raw: bytes) -> Message:
    """The mail with its files read, as the sandbox reads them."""

    async def read(files: tuple[File, ...]) -> Message:
        pieces = await InProcessExtractor()(TenantId.new(), files, timeout=20)
        return extracted(found, pieces, Limits())

    found = mime.inspect(raw)
    return asyncio.run(read(found.files))


def reasons(message: Message) -> set[str]:
    """Why something was not inspected."""
    return {n.reason for n in message.not_inspected}


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("utf-8", "utf-8", CHINESE),
        ("big5", "big5", CHINESE),
        ("Big5-HKSCS", "big5hkscs", CHINESE),
        ("x-big5", "big5", CHINESE),
        ("gb2312", "gb18030", "机密文件㐀，请勿外传"),
        ("gb18030", "gb18030", "机密文件，请勿外传"),
        ("shift_jis", "cp932", JAPANESE + "①"),
        ("iso-2022-jp", "iso2022_jp", JAPANESE),
        ("iso-2022-kr", "iso2022_kr", "기밀 문서"),
        ("euc-kr", "cp949", "기밀 문서 똠"),
        ("hz-gb-2312", "hz", "机密文件"),
        ("utf-16", "utf-16", CHINESE),
        ("utf-7", "utf-7", CHINESE),
        ("koi8-r", "koi8-r", "секретно"),
        ("iso-8859-1", "latin-1", "Müller café"),
        ("us-ascii", "utf-8", CHINESE),
        ("", "utf-8", CHINESE),
        ("iso-8859-1", "utf-8", CHINESE),
        ("iso-8859-1", "big5", CHINESE),
        ("utf-8", "gb18030", "这是一份非常重要的机密文件,请勿外传"),
        ("utf-8", "big5", CHINESE),
        ("no-such-charset", "big5", CHINESE),
        ("", "iso2022_jp", JAPANESE),
        ("zlib", "utf-8", CHINESE),
    ],
)
def test_charsets_right_and_wrong(label: str, codec: str, text: str) -> None:
    """The text is read, whatever the label says, in base64 and in eight bits."""
    encoded = text.encode(codec)
    typed = f"text/plain; charset={label}" if label else "text/plain"
    wanted = text.replace("，", ",").replace("①", "1")
    message = mime.read(mail(base64.encodebytes(encoded), Content_Type=typed, Content_Transfer_Encoding="base64"))
    assert wanted in message.bodies[0]
    assert message.not_inspected == ()
    if codec != "utf-16":
        assert wanted in mime.read(mail(encoded, Content_Type=typed)).bodies[0]


def test_bytes_of_no_charset_are_broken() -> None:
    """Bytes that mean nothing under any reading are not called read."""
    noise = bytes(range(128, 256)) * 8
    assert reasons(mime.read(mail(noise, Content_Type="text/plain; charset=utf-8"))) <= {"broken"}
    half = ("機密文件" * 50).encode() + b"\xff\xfe\xff" * 100
    assert reasons(mime.read(mail(half, Content_Type="text/plain; charset=utf-8"))) <= {"broken"}


def test_headers_in_every_dress() -> None:
    """Encoded words over lines, raw Big5 and raw UTF-8 subjects, addresses behind names."""
    encoded = mime.read(
        mail(Subject="=?big5?Q?=A4=A4?=\r\n =?big5?Q?=A4=E5?=", From="=?utf-8?Q?a=2C_b?= <Eve@World.example>")
    )
    assert encoded.subject == "中文"
    assert encoded.header_from == ("eve@world.example",)
    raw = b"Subject: " + "機密文件".encode("big5") + b"\r\n\r\nx"
    assert mime.read(raw).subject == "機密文件"
    assert mime.read("Subject: 機密\r\n\r\nx".encode()).subject == "機密"
    assert mime.read(b"Subject: a\r\nsubject: b\r\n\r\n").subject == "a b"


def test_attachments_have_names_types_sizes_and_text() -> None:
    """RFC 2231 names, text attachments read, what is no real document is broken."""
    message = EmailMessage()
    message.set_content("body")
    message.add_attachment(b"secret,1\r\n", maintype="text", subtype="csv", filename="客戶.csv")
    message.add_attachment(b"%PDF-1.7 \x00 nothing", maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment(b"plain words", maintype="application", subtype="octet-stream", filename="x.bin")
    read = opened(message.as_bytes().replace(b"\n", b"\r\n"))
    assert [(a.name, a.content_type, a.text) for a in read.attachments] == [
        ("客戶.csv", "text/csv", "secret,1\r\n"),
        ("a.pdf", "application/pdf", None),
        ("x.bin", "application/octet-stream", "plain words"),
    ]
    assert read.attachments[1].size == 18
    assert [(n.part, n.reason) for n in read.not_inspected] == [("3", "broken")]


def test_html_is_what_a_reader_sees() -> None:
    """Tags inside a word do not split it, blocks do; scripts and hidden text are apart."""
    html = "<p>4111<b>1111</b>11111111</p><p>next</p><script>no()</script><span style='display:none'>hidden</span>&#x6a5f;密"
    message = mime.read(mail(html, Content_Type="text/html; charset=utf-8"))
    (body,) = message.bodies
    assert "4111111111111111\n" in body
    assert "hidden" not in body
    assert "hidden" in message.hidden
    assert "機密" in body
    assert "no()" not in body


def test_html_charset_of_the_page_counts_without_a_label() -> None:
    """A meta tag is what browsers go by."""
    page = b"<html><meta charset='big5'><p>" + CHINESE.encode("big5") + b"</p></html>"
    assert "機密文件" in mime.read(mail(page, Content_Type="text/html")).bodies[0]


def test_mails_in_mails_are_read_to_a_depth() -> None:
    """Forwarded mails are read with their subjects; beyond the depth it is said."""

    def nested(depth: int) -> bytes:
        raw = b"Subject: innermost\r\n\r\nsecret"
        for _ in range(depth):
            raw = b"Content-Type: message/rfc822\r\n\r\n" + raw
        return raw

    shallow = mime.read(nested(5))
    assert "secret" in text_of(shallow)
    assert "innermost" in text_of(shallow)
    assert shallow.not_inspected == ()
    assert reasons(mime.read(nested(20))) == {"too_large"}
    assert mime.read(nested(3000)).not_inspected != ()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (_locked_zip(), "application/zip"),
        (b"-----BEGIN PGP MESSAGE-----\r\nxx", "text/plain"),
        (b"0\x82\x01\x00\x06\t*\x86H\x86\xf7\r\x01\x07\x03", "application/pkcs7-mime"),
        (b"Version: 1", "application/pgp-encrypted"),
    ],
)
def test_encrypted_parts_are_said(content: bytes, kind: str) -> None:
    """What only a key opens is never called inspected."""
    part = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode() + base64.encodebytes(content)
    assert reasons(opened(multipart(b"\r\nhello", part))) == {"encrypted"}


def test_text_around_an_encrypted_block_is_read() -> None:
    """An armoured message hides only itself."""
    message = mime.read(mail("secret\r\n-----BEGIN PGP MESSAGE-----\r\nxx"))
    assert "secret" in message.bodies[0]
    assert reasons(message) == {"encrypted"}


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (mail("QUJD!!REVG", Content_Transfer_Encoding="base64"), "ABCDEF"),
        (mail("QUJDR", Content_Transfer_Encoding="base64"), "ABC"),
        (mail("QUI=QUJD", Content_Transfer_Encoding="base64 (x)"), "AB"),
        (b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\nU0VDUkVU", "SECRET"),
        (mail("U0VDUkVU", Content_Transfer_Encoding="x-own"), "U0VDUkVU"),
        (mail("secret", Content_Type="multipart/mixed"), "secret"),
        (mail("secret", Content_Type="multipart/mixed; boundary=zz"), "secret"),
        (b"Subject: a\r\nno header\r\nContent-Transfer-Encoding: base64\r\n\r\nU0VDUkVU", "U0VDUkVU"),
    ],
)
def test_what_programs_read_differently_is_broken_and_still_looked_at(raw: bytes, seen: str) -> None:
    """A damaged part does not hide what can be had of it, and does not pass as inspected."""
    message = mime.read(raw)
    assert seen in text_of(message)
    assert "broken" in reasons(message)


def test_missing_padding_is_harmless() -> None:
    """Every program reads base64 without its last signs alike."""
    message = mime.read(mail("U0VDUkVUUw", Content_Transfer_Encoding="base64"))
    assert (message.bodies, message.not_inspected) == (("SECRETS",), ())


def test_text_between_the_parts_is_read() -> None:
    """Nobody is shown a preamble or an epilogue, which makes it a place to hide."""
    inner = b'Content-Type: multipart/alternative; boundary="in"\r\n\r\nPREAMBLE2\r\n--in\r\n\r\nbody\r\n--in--\r\nEPILOGUE2'
    raw = multipart(inner).replace(b"\r\n\r\n--b0", b"\r\n\r\nPREAMBLE1\r\n--b0", 1) + b"EPILOGUE1"
    text = text_of(mime.read(raw))
    assert all(word in text for word in ("PREAMBLE1", "EPILOGUE1", "PREAMBLE2", "EPILOGUE2", "body"))


def test_limits_are_kept_and_said() -> None:
    """Parts, text and size beyond the limits are too_large."""
    many = multipart(*[b"\r\nx"] * 50)
    assert reasons(mime.read(many, Limits(max_parts=20))) == {"too_large"}
    assert reasons(mime.read(mail("x" * 5000), Limits(max_text=1000))) == {"too_large"}
    assert reasons(mime.read(mail("x" * 5000), Limits(max_bytes=1000))) == {"too_large"}
    assert mime.read(mail("x" * 5000), Limits(max_bytes=1000)).subject == "hi"


def test_a_uuencoded_file_in_a_text_is_said() -> None:
    """Old programs carry files that way: it is an attachment."""
    message = opened(mail("begin 644 x.doc\r\n#0V%T\r\n`\r\nend\r\n"))
    assert [(a.name, a.text) for a in message.attachments] == [("x.doc", "Cat")]
    assert (message.not_inspected, message.ambiguities) == ((), ("uuencode",))


def test_line_ends_do_not_matter() -> None:
    """A mail with bare LF is read alike."""
    raw = multipart(b"Content-Type: text/plain\r\n\r\nhello", b"Content-Type: text/html\r\n\r\n<p>you")
    assert mime.read(raw.replace(b"\r\n", b"\n")).bodies == ("hello", "you")


def test_base64_leniently() -> None:
    """The lenient decoder says when programs would disagree."""
    assert base64_of(b"QUJD") == (b"ABC", True)
    assert base64_of(b"QUI") == (b"AB", True)
    assert base64_of(b"QU!I=") == (b"AB", False)
    assert base64_of(b"Q") == (b"", False)


def test_hostile_shapes_cost_little() -> None:
    """Bombs of boundaries, headers and nests end soon and within bounded memory."""
    bombs = [
        multipart(*[b"\r\n"] * 20_000),
        b"".join(f'Content-Type: multipart/mixed; boundary="b{i}"\r\n\r\n--b{i}\r\n'.encode() for i in range(2000)),
        b"X: y\r\n" * 50_000 + b"\r\nbody",
        mail("<div>" * 400_000, Content_Type="text/html"),
        mail("=?utf-8?Q?" * 20_000, Subject="=?utf-8?B?" * 5_000),
        mail(Content_Type="multipart/mixed; " + "boundary=" * 5_000),
        mail(From="<" * 50_000 + "a@b" * 1000),
    ]
    for bomb in bombs:
        tracemalloc.start()
        began = time.process_time()
        mime.read(bomb)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert time.process_time() - began < 5
        assert peak < 64 * len(bomb) + 32_000_000


PARTS = st.sampled_from(
    [
        b"Content-Type: text/plain\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n", b"--b--\r\n", b"\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n", b"QUJD\r\n", b"=?utf-8?B?//8=?=",
        b"Content-Type: text/html; charset=big5\r\n", b"<p>\xa4\xa4", b"\xff\x00", b"Subject: ", b"charset=", b"\x1b$B",
        b"Content-Disposition: attachment; filename*0*=utf-8''%ff\r\n", b"PK\x03\x04", b"begin 644 x\r\n", b"\r", b"\n",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300) | st.lists(PARTS | st.binary(max_size=8), max_size=40).map(b"".join))
def test_nothing_escapes(raw: bytes) -> None:
    """Whatever bytes come, the answer is a message."""
    assert isinstance(mime.read(raw), Message)
    assert read_slowly(raw, Limits()) is not None


@settings(max_examples=150, deadline=None)
@given(
    st.text(
        min_size=1, max_size=60, alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="-")
    )
)
def test_a_word_is_never_lost(word: str) -> None:
    """A text in any part, however coded, is in the model, or the part is said not to be inspected."""
    for raw in (
        multipart(b"\r\nfirst", b"\r\nx " + word.encode() + b" y"),
        multipart(b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(word.encode())),
        multipart(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nz " + word.encode()),
    ):
        message = mime.read(raw)
        assert word in text_of(message) or message.not_inspected


def test_files_in_a_zip_are_attachments_too() -> None:
    """What an archive holds is seen with name, size, type, hash and text."""

    def part(names: dict[str, bytes]) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in names.items():
                archive.writestr(name, content)
        head = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        return head + base64.encodebytes(packed.getvalue())

    read = opened(multipart(b"\r\nx", part({"dir/run.EXE": b"MZ\x90" + b"\0" * 70, "b.txt": b"secret words"})))
    assert [(a.part, a.name.rpartition("/")[2], a.size) for a in read.attachments] == [
        ("2", "a.zip", read.attachments[0].size), ("2/1", "run.EXE", 73), ("2/2", "b.txt", 12),
    ]  # fmt: skip
    assert read.attachments[2].text == "secret words"
    assert [a.true_type for a in read.attachments[::2]] == ["zip", "text"]
    assert len(read.attachments[2].sha256) == 64


def test_a_mail_attached_as_a_file_is_read() -> None:
    """An .eml is a mail, whatever its type says, with what is coded inside it."""
    inner = b"Subject: inside\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"top secret")
    for kind in ("application/octet-stream; name=x.eml", "message/global"):
        part = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode() + base64.encodebytes(inner)
        text = text_of(mime.read(multipart(b"\r\nhello", part)))
        assert "top secret" in text
        assert "inside" in text


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (b"Content-Type: text/plain; charset=utf-16le\r\n\r\n" + CHINESE.encode("utf-16-le"), set()),
        (b"Content-Type: text/plain\r\n\r\nab\x00\x01\x02cd", {"broken"}),
        (b"Content-Type: text/plain; name=a.doc\r\n\r\nab\x00\x01\x02cd", {"unsupported"}),
        (b"Content-Type: text/rtf\r\n\r\n{\\rtf1 hidden}", {"unsupported"}),
        (b"Content-Type: message/partial; id=a; number=1\r\n\r\npiece", {"broken"}),
        (b"Content-Type: text/plain; charset=windows-1251\r\n\r\n" + "секретный документ".encode("cp1251"), set()),
        (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx", {"broken"}),
    ],
)
def test_texts_that_are_none(part: bytes, expected: set[str]) -> None:
    """A body that cannot be read as the text it is said to be is never clean."""
    assert reasons(mime.read(multipart(part))) >= expected
    assert bool(mime.read(multipart(part)).not_inspected) == bool(expected)
