"""Trick → found: what a reader of any common program could see is in the model, whatever is done to hide it."""

from __future__ import annotations

import base64

import pytest

from services.policy.core.message import Message
from tests.corpus.tricks import SECRET, TRICKS, part, place
from tests.unit.policy.builders import mail, multipart
from tests.unit.policy.test_mime import opened, reasons, text_of


@pytest.mark.parametrize("trick", TRICKS)
def test_the_secret_is_found(trick: str) -> None:
    """Some text of the model has the number whole, and an ambiguity is named; the file is what is made."""
    raw, code = TRICKS[trick]
    assert place(trick).read_bytes() == raw
    message = opened(raw)
    if trick != "a picture with an archive behind it":
        assert SECRET in text_of(message)
    if code:
        assert code in message.ambiguities
    else:
        assert message.ambiguities == ()


NAMES = {
    'attachment; filename="evil.exe"': {"evil.exe"},
    "attachment; filename=a.txt; filename*=utf-8''evil.exe": {"a.txt", "evil.exe"},
    "attachment; filename*0=ev; filename*1=il.exe": {"evil.exe"},
    "attachment; filename*1=il.exe; filename*0=ev": {"evil.exe"},
    "attachment; filename*0*=utf-8''ev; filename*1*=%69l.exe": {"evil.exe"},
    'attachment; filename="a.txt"; filename="evil.exe"': {"a.txt", "evil.exe"},
    "attachment; filename=a.txt evil.exe": {"a.txt", "a.txt evil.exe"},
    'attachment; filename="=?utf-8?B?ZXZpbC5leGU=?="': {"evil.exe"},
    'attachment; filename="evil%2Eexe"': {"evil.exe"},
    'attachment; filename="ev\\il.exe"': {"evil.exe"},
    "attachment (x); filename(y)=evil.exe": {"evil.exe"},
}


@pytest.mark.parametrize("disposition", NAMES)
def test_every_name_is_a_name(disposition: str) -> None:
    """Each name that a program may show is one of an attachment."""
    message = opened(multipart(part("Content-Type: text/plain", f"Content-Disposition: {disposition}", body="x")))
    assert {a.name for a in message.attachments} >= NAMES[disposition]


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?B?c2VjcmV0?=",
        "=?utf-8?B?c2VjcmV?=t",
        "=?utf-8?Q?sec ret?= =?utf-8?Q?s=65cret?=",
        '"=?utf-8?Q?s=65cret?="',
        "x=?us-ascii?q?s=65cret?=y",
        "=?utf-8*en?Q?s=65cret?=",
        "=?x-unknown?B?c2VjcmV0?=",
    ],
)
def test_words_of_a_subject_are_decoded_as_the_most_lenient_program_does(subject: str) -> None:
    """Whatever the parser leaves as it stands."""
    assert "secret" in opened(mail(Subject=subject)).subject


def test_two_dispositions_are_both_read() -> None:
    """The second may be the one that counts."""
    raw = multipart(
        part("Content-Disposition: inline; filename=a.txt", "Content-Disposition: attachment; filename=b.exe")
    )
    message = opened(raw)
    assert {a.name for a in message.attachments} >= {"a.txt", "b.exe"}
    assert "disposition-repeated" in message.ambiguities


SIGNED = bytes.fromhex("3080 06092a864886f70d010702 a080 3080 020101 3100 3080 06092a864886f70d010701 a080 2480")


@pytest.mark.parametrize(
    "kind", ["application/pkcs7-mime; smime-type=signed-data", "application/octet-stream; name=smime.p7m"]
)
def test_what_is_only_signed_is_read(kind: str) -> None:
    """Opaque S/MIME hides nothing: its text may be cut into pieces of a few bytes."""
    entity = f"Content-Type: text/plain\r\n\r\ncard {SECRET}".encode()
    pieces = b"".join(bytes([4, len(p)]) + p for p in (entity[i : i + 30] for i in range(0, len(entity), 30)))
    coded = base64.encodebytes(SIGNED + pieces + b"\0" * 12)
    message = opened(multipart(part(f"Content-Type: {kind}", "Content-Transfer-Encoding: base64", body=coded)))
    assert SECRET in text_of(message)


def test_an_ordinary_mail_is_not_called_ambiguous() -> None:
    """What every program makes: folded types, a notice before the parts, an umlaut in a name."""
    raw = mail(
        "This is a multi-part message in MIME format.\r\n--b\r\nContent-Type: text/plain;\r\n\tcharset=\"utf-8\"\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nhello =3D\r\n--b\r\nContent-Type: image/png;\r\n name=\"a b.png\"\r\n"
        "Content-Disposition: attachment;\r\n filename=\"a b.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n",
        MIME_Version="1.0", Content_Type='multipart/mixed;\r\n boundary="b"',
    )  # fmt: skip
    message: Message = opened(raw)
    assert message.ambiguities == ()
    assert [a.name for a in message.attachments] == ["a b.png"]
    assert message.attachments[0].true_type == "png"
    assert reasons(message) == {"unsupported"}
