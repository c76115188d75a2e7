"""What of a mail is sealed, under which names, and what people see around it."""

from __future__ import annotations

import email
import email.policy
import io
import os
import re
from email.message import EmailMessage

import pyzipper
from hypothesis import given, settings
from hypothesis import strategies as st

from services.encryption.adapters import zip as adapter
from services.encryption.core import package, parts
from services.encryption.core.package import Entry
from services.encryption.core.parts import File
from services.encryption.core.settings import Settings, at_google, grouped, partner_matches

PICTURE = b"\x89PNG\r\n\x1a\n" + os.urandom(200)


def encrypted_zip() -> bytes:
    """An archive that its sender sealed."""
    sink = io.BytesIO()
    adapter.write(sink, [Entry("a.txt", b"a")], "theirs-and-long")
    return sink.getvalue()


def plain_zip(**more: object) -> bytes:
    """An archive that anybody opens."""
    sink = io.BytesIO()
    with pyzipper.ZipFile(sink, "w") as archive:
        archive.writestr("a.txt", b"a" * 100)
    return sink.getvalue()


def mail() -> bytes:
    """HTML and text, a picture inside, attachments with names that say much."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Alice <alice@acme.example>"
    message["To"] = "bob@partner.example"
    message["Bcc"] = "hidden@acme.example"
    message["Subject"] = "合約 budget"
    message["Message-ID"] = "<1@acme.example>"
    message["X-Internal"] = "project eagle"
    message.set_content("the eagle text")
    message.add_alternative('<p>the eagle <img src="cid:pic@acme"></p>', subtype="html")
    html = list(message.iter_parts())[1]
    html.add_related(PICTURE, "image", "png", cid="<pic@acme>")
    message.add_attachment(b"%PDF-1.7 eagle", maintype="application", subtype="pdf", filename="預算 eagle.pdf")
    message.add_attachment(b"logo", maintype="image", subtype="gif", filename="logo.gif")
    message.add_attachment(plain_zip(), maintype="application", subtype="zip", filename="eagle.zip")
    message.add_attachment(encrypted_zip(), maintype="application", subtype="zip", filename="theirs.zip")
    return message.as_bytes()


def arranged(raw: bytes, *, google: bool = False, keep: tuple[str, ...] = ()) -> package.Package:
    """The mail, sorted."""
    return package.arrange(parts.read(raw), raw, Settings(keep=keep), google=google)


def test_body_pictures_and_attachments_are_sealed_under_neutral_names() -> None:
    """Nothing of a name is in clear; the index page inside says the true ones."""
    found = arranged(mail())
    by_name = {e.name: e.content for e in found.sealed}
    assert list(by_name) == ["index.html", "1.html", "1.txt", "2.pdf", "3.gif", "4.zip"]
    assert b"the eagle text" in by_name["1.txt"]
    assert b"data:image/png;base64," in by_name["1.html"]
    assert b"cid:" not in by_name["1.html"]
    assert "預算 eagle.pdf" in by_name["index.html"].decode()
    assert by_name["2.pdf"] == b"%PDF-1.7 eagle"


def test_what_its_sender_encrypted_and_what_the_rule_keeps_stays_beside() -> None:
    """Not sealed twice; the glob is about names in any case."""
    assert [f.name for f in arranged(mail()).beside] == ["theirs.zip"]
    found = arranged(mail(), keep=("LOGO.*",))
    assert {f.name for f in found.beside} == {"logo.gif", "theirs.zip"}
    assert "3.gif" not in {e.name for e in found.sealed}


def test_google_is_shown_no_archive_and_no_program_inside() -> None:
    """It refuses encrypted archives that list such names: they are renamed, and the index says how to name them."""
    found = arranged(mail(), google=True)
    assert found.renamed == ("4.dat",)
    assert "save it as eagle.zip" in found.sealed[0].content.decode()
    assert at_google(["x@partner.example", "Y@GMail.com"], ["gmail.com"])
    assert not at_google(["x@notgmail.com"], ["gmail.com"])


def test_the_cover_keeps_what_programs_thread_by_and_nothing_else() -> None:
    """From, To, Date, Message-ID, Subject as they came; no other header, and of the content no word."""
    raw = mail()
    found = arranged(raw)
    made = package.cover(
        raw, words=("Encrypted mail", "how to\nopen", "<p>how to open</p>"), attachment=b"PK sealed", file="sealed.zip",
        type="application/zip", beside=found.beside, hide_subject=False, boundary="=_b",
    )  # fmt: skip
    opened = email.message_from_bytes(made, policy=email.policy.default)
    assert (opened["From"], opened["Message-ID"]) == ("Alice <alice@acme.example>", "<1@acme.example>")
    assert opened["Subject"] == "合約 budget"
    assert opened["Bcc"] is None
    assert opened["X-Internal"] is None
    assert b"eagle" not in made
    names = [p.get_filename() for p in opened.iter_attachments()]
    assert names == ["sealed.zip", "theirs.zip"]
    assert [p.get_content() for p in opened.iter_attachments()] == [b"PK sealed", encrypted_of(raw)]
    assert all(len(line) <= 998 for line in made.split(b"\r\n"))
    hidden = package.cover(
        raw, words=("Encrypted mail", "t", "h"), attachment=b"", file="f", type="x/y", beside=(), hide_subject=True,
        boundary="=_b",
    )  # fmt: skip
    assert email.message_from_bytes(hidden, policy=email.policy.default)["Subject"] == "Encrypted mail"


def encrypted_of(raw: bytes) -> bytes:
    """The attachment that came encrypted."""
    return next(f.content for f in parts.read(raw).files if f.name == "theirs.zip")


def test_names_that_attack_or_cannot_be_are_harmless() -> None:
    """No path, no control character, no header from a name; long and foreign ones survive in pieces."""
    message = EmailMessage()
    message.set_content("x")
    message.add_attachment(b"1", maintype="a", subtype="b", filename="../../etc/pass\x07wd.sh")
    found = arranged(message.as_bytes())
    assert [e.name for e in found.sealed][-1] == "2.sh"
    long = "長い名前" * 40 + ".txt"
    made = package.cover(
        b"From: a@b\r\n\r\n", words=("", "", ""), attachment=b"x", file="sealed.zip", type="nonsense\r\nX: y",
        beside=(File(long, "text/plain", b"z"),), hide_subject=True, boundary="=_b",
    )  # fmt: skip
    opened = email.message_from_bytes(made, policy=email.policy.default)
    assert [p.get_filename() for p in opened.iter_attachments()] == ["sealed.zip", long]
    assert b"\nX: y" not in made


def test_nothing_is_lost_of_a_mail_that_is_hardly_one() -> None:
    """Broken structure, empty mail, unknown charset: it is sealed, never dropped and never an exception."""
    for raw in (
        b"",
        b"\xff\xfe\x00",
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhidden eagle",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xe6\xa9\x9f eagle",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\neagle",
    ):
        found = arranged(raw)
        whole = b"".join(e.content for e in found.sealed)
        assert (b"eagle" in whole) == (b"eagle" in raw)


def test_a_signed_mail_goes_along_whole() -> None:
    """Its form is what the signature is about."""
    raw = (
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
        b"--b\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\r\nsig\r\n--b--\r\n"
    )
    assert raw in [e.content for e in arranged(raw).sealed]


def test_encrypted_means_that_it_can_be_seen_to_be() -> None:
    """In doubt a file is sealed: a PDF or an Office file may open with an empty password."""
    assert parts.is_encrypted(File("a.zip", "application/zip", encrypted_zip()))
    assert parts.is_encrypted(File("a.asc", "text/plain", b"-----BEGIN PGP MESSAGE-----\n..."))
    assert not parts.is_encrypted(File("a.zip", "application/zip", plain_zip()))
    assert not parts.is_encrypted(File("a.pdf", "application/pdf", b"%PDF-1.7 /Encrypt"))
    assert not parts.is_encrypted(File("p7m", "application/pkcs7-mime", b"said to be"))
    pgp = (
        b"Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\n"
        b"Version: 1\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n%s\r\n--b--\r\n"
    )
    assert parts.is_encrypted_mail(pgp % b"-----BEGIN PGP MESSAGE-----\r\n\r\nx")
    assert not parts.is_encrypted_mail(pgp % b"plain text that says it is")


def test_recipients_are_grouped_by_the_password_they_have() -> None:
    """A person's before a domain's; who has none shares one that is made, or has their own."""
    people = {0: "a@x.example", 1: "b@x.example", 2: "c@y.example", 3: "d@z.example"}
    known = {"a@x.example": "A", "b@x.example": "X"}

    def best(address: str) -> str:
        return known.get(address, "")

    groups = grouped(people, Settings(password="agreed"), best)
    assert [(g.positions, g.agreed) for g in groups] == [((0,), "A"), ((1,), "X"), ((2, 3), "")]
    assert [g.positions for g in grouped(people, Settings(), best)] == [(0, 1, 2, 3)]
    assert len(grouped(people, Settings(per_recipient=True), best)) == 4
    assert [partner_matches(p, "A@x.example") for p in ("a@X.example", "x.example", "y.example", "b@x.example")] == [
        2, 1, 0, 0,
    ]  # fmt: skip


_PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/related; boundary=\"b\"\r\n",
        b"Content-Type: text/html; charset=\xff\r\n", b"Content-Type: text/plain; charset=utf-16\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: image/png\r\nContent-ID: <x>\r\n", b"Content-Type: ;;=\r\n",
        b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n", b"Content-Disposition: attachment; filename*=utf-9''%ff%00\r\n",
        b"Content-Disposition: attachment; filename*0*=x''%e9; filename*2=y\r\n", b"Subject: =?utf-8?b?////?=\r\n",
        b"Subject: =?nonsense?q?x?=\r\n", b"From: \xe9\xff <\r\n", b"\r\n", b"--b\r\n", b"--b--\r\n", b"\x00\xff", b"cid:x ",
        b"begin 644 x\r\n", b"PK\x03\x04", b"=\r\n", b"QUJD\r\n", b"A",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(_PIECES, st.binary(max_size=8)), max_size=24).map(b"".join))
def test_no_mail_is_an_error(raw: bytes) -> None:
    """Whatever it is made of, it is sealed, and what carries it is one clean mail."""
    mail = parts.read(raw)
    parts.is_encrypted_mail(raw)
    found = package.arrange(mail, raw, Settings(), google=True)
    assert {"index.html"} <= {e.name for e in found.sealed}
    assert all(re.fullmatch(r"index\.html|\d+\.[a-z0-9]+", e.name) for e in found.sealed)
    made = package.cover(
        raw, words=("s", "t", "<p>t</p>"), attachment=b"x", file="sealed.zip", type="application/zip",
        beside=found.beside, hide_subject=True, boundary="=_b",
    )  # fmt: skip
    opened = email.message_from_bytes(made)
    assert opened.get_content_type() == "multipart/mixed"
    assert [p.get_filename() for p in opened.get_payload()][1] == "sealed.zip"  # type: ignore[union-attr]
