"""Files in the sandbox: what opens is inspected, and what fails there is never clean."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pytest
import pyzipper
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Busy, Unavailable
from services.common.extraction import Extractor, File, Piece
from services.common.ids import MailId, TenantId
from services.common.testing.extraction import InProcessExtractor
from services.policy.core.extract import Limits
from services.policy.core.message import Message
from services.policy.core.mime import Laborious, inspect
from services.policy.core.passwords import MOST, candidates
from services.policy.decide import Bounds, Decider
from services.policy.inspection import Opener
from services.policy.pool import FairPool
from services.policy.ports import InForce, Policies
from tests.unit.policy.builders import mail, matches, multipart, policy, rules, transaction

TENANT = TenantId.new()
CARD = "4111 1111 1111 1111"


def locked(password: str, text: str = CARD) -> bytes:
    """An AES ZIP of one text."""
    packed = io.BytesIO()
    with pyzipper.AESZipFile(packed, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        archive.writestr("card.txt", text)
    return packed.getvalue()


def with_file(body: str, content: bytes, kind: str = "application/zip; name=a.zip") -> bytes:
    """A mail with a text and a file."""
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode()
    text = f"Content-Type: text/plain; charset=utf-8\r\n\r\n{body}".encode()
    return multipart(text, head + base64.encodebytes(content))


class Agreed:
    """A password book; remembers who asked."""

    def __init__(self, *passwords: str, down: bool = False) -> None:
        self.passwords, self.down = passwords, down
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def for_mail(self, tenant: TenantId, sender: str, recipients: Sequence[str]) -> Sequence[str]:
        """The passwords."""
        if self.down:
            raise Unavailable("no book")
        self.asked.append((sender, tuple(recipients)))
        return self.passwords


class Recording:
    """An extractor that remembers what it was given."""

    def __init__(self, fails: BaseException | None = None, *, silent: bool = False, hangs: bool = False) -> None:
        self.files: list[File] = []
        self._fails, self._silent, self._hangs = fails, silent, hangs

    async def __call__(
        self, tenant: TenantId, files: Sequence[File], *, passwords: Sequence[str] = (), timeout: float
    ) -> tuple[Piece, ...]:
        """Fail as told, or read."""
        self.files += files
        if self._fails is not None:
            raise self._fails
        if self._hangs:
            await asyncio.Event().wait()
        if self._silent:
            return ()
        return await InProcessExtractor()(tenant, files, passwords=passwords, timeout=timeout)


async def look(
    raw: bytes, extract: Extractor | None = None, book: Agreed | None = None, seconds: float = 20
) -> Message:
    """One mail as the opener leaves it."""
    pool = FairPool(1, waiting=10, waiting_per_tenant=10)
    opener = Opener(extract or InProcessExtractor(), book or Agreed(), pool, Limits())
    deadline = time.monotonic() + seconds
    try:
        return await opener(
            TENANT, inspect(raw), sender="a@acme.example", recipients=["b@world.example"], deadline=deadline
        )
    finally:
        pool.close()


def texts(message: Message) -> str:
    """What the attachments say."""
    return "\n".join(a.text or "" for a in message.attachments)


@pytest.mark.parametrize(
    ("body", "password"),
    [
        ("Password: Tr0ub4dor&3", "Tr0ub4dor&3"),
        ("The password is hunter2.", "hunter2"),
        ("密碼：abc12345。謝謝", "abc12345"),
        ("密碼是「機密八八」", "機密八八"),
        ("パスワード： himitsu-1", "himitsu-1"),
        ("パスワードは\r\nXy9-klm\r\nです", "Xy9-klm"),
        ("pwd=letmein", "letmein"),
        ("I sent the file.\r\n\r\ncorrecthorse\r\n", "correcthorse"),
        ("use your birthday, 19700101", "19700101"),
    ],
)
async def test_a_password_in_the_mail_opens_the_file(body: str, password: str) -> None:
    """What a recipient can open with what the mail says is inspected."""
    message = await look(with_file(body, locked(password)))
    assert CARD in texts(message)
    assert message.not_inspected == ()
    assert any(a.encrypted for a in message.attachments)


async def test_an_agreed_password_is_asked_for_only_when_a_file_is_closed() -> None:
    """The book is asked for this sender and these recipients; what opens is inspected."""
    book = Agreed("agreed-1")
    assert CARD in texts(await look(with_file("hello", locked("agreed-1")), book=book))
    assert book.asked == [("a@acme.example", ("b@world.example",))]
    await look(with_file("hello", b"a,b", "text/csv; name=a.csv"), book=book)
    assert len(book.asked) == 1


@pytest.mark.parametrize("book", [Agreed("wrong"), Agreed(), Agreed(down=True)], ids=["wrong", "empty", "down"])
async def test_what_stays_closed_is_encrypted(book: Agreed) -> None:
    """A file that no password opens is never called inspected."""
    message = await look(with_file("hello", locked("nobody knows")), book=book)
    assert {n.reason for n in message.not_inspected} == {"encrypted"}
    assert CARD not in texts(message)


@pytest.mark.parametrize(
    ("extract", "reason"),
    [
        (Recording(Busy("full", tenant=TENANT)), "timeout"),
        (Recording(TimeoutError()), "timeout"),
        (Recording(Unavailable("dead")), "broken"),
        (Recording(RuntimeError("crash")), "broken"),
        (Recording(silent=True), "broken"),
        (Recording(hangs=True), "timeout"),
    ],
    ids=["busy", "late", "unavailable", "crash", "silent", "hangs"],
)
async def test_a_sandbox_that_fails_is_doubt(extract: Recording, reason: str) -> None:
    """The file stays an attachment, with the reason why it was not read."""
    message = await look(with_file("hello", b"PK\x03\x04"), extract, seconds=0.3)
    assert [(n.part, n.reason) for n in message.not_inspected] == [("2", reason)]
    assert [a.name for a in message.attachments] == ["a.zip"]


async def test_a_deadline_that_has_passed_begins_nothing() -> None:
    """Then the files are late, without a question to the sandbox."""
    extract = Recording()
    message = await look(with_file("hello", b"PK\x03\x04"), extract, seconds=0)
    assert (extract.files, [n.reason for n in message.not_inspected]) == ([], ["timeout"])


@pytest.mark.parametrize(
    "raw",
    [
        mail("hello"),
        mail("<p>hello", Content_Type="text/html"),
        multipart(b"\r\nhello", b"Content-Type: text/html\r\n\r\n<p>hello", kind="alternative"),
        with_file("hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "image/png; name=a.png"),
        with_file("hello", b"plain words", "text/plain; name=a.txt"),
        multipart(b"Content-Type: message/rfc822\r\n\r\nSubject: a\r\n\r\nhello"),
    ],
)
def test_a_mail_of_texts_and_pictures_needs_no_sandbox(raw: bytes) -> None:
    """The fast path stays in the process."""
    assert inspect(raw).files == ()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/plain; name=a.txt", b"MZ\x90" + b"\0" * 100),
        ("text/plain", b"%PDF-1.4 hidden as a text"),
        ("image/png; name=a.png", b"PK\x03\x04rest"),
        ("application/octet-stream", b"anything"),
        ("text/calendar", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
    ],
)
def test_what_is_no_text_goes_to_the_sandbox(kind: str, content: bytes) -> None:
    """By content, whatever the label says."""
    assert [f.content for f in inspect(with_file("hello", content, kind)).files] == [content]


def test_candidates_are_bounded_and_ordered() -> None:
    """At most so many, those that are called a password first; no text costs more than its length."""
    many = candidates([" ".join(f"tok{i}en!" for i in range(10_000))])
    assert len(many) == MOST
    assert candidates(["Order 12345678 shipped", "password: s3cret!"])[0] == "s3cret!"
    assert "8842" in candidates([""], ["invoice-8842.zip"])
    began = time.process_time()
    candidates(["password" + " " * 200_000, "pwd:" * 50_000, "is " * 60_000])
    assert time.process_time() - began < 5


class OnePolicy:
    """A tenant's policy, always the same."""

    def __init__(self, text: str) -> None:
        self._in_force = InForce(policy(text), 1)

    def current(self, tenant: TenantId) -> InForce:
        """It."""
        return self._in_force

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """Nobody."""
        return frozenset()


RULE = "  - {id: cards, when: {detector: {name: payment_card, at_least: 1}}, then: {hold: {reviewers: legal}}}\n"


@pytest.mark.parametrize("queued", [False, True])
async def test_the_decision_waits_for_the_sandbox(queued: bool) -> None:
    """A number in a file in an encrypted archive is found in the dialogue and from the queue alike."""
    pool = FairPool(2, waiting=10, waiting_per_tenant=10)
    opener = Opener(InProcessExtractor(), Agreed(), pool, Limits())
    decider = Decider(cast(Policies, OnePolicy(RULE)), pool, Bounds(Limits(), 65536), opener=opener)
    raw = with_file("the password is hunter2!", locked("hunter2"))
    envelope = mail_pb2.Envelope(tenant=TENANT, mail_id=MailId.new(), sender="a@acme.example", size=len(raw))
    envelope.received_at.FromDatetime(datetime.now(UTC))
    envelope.recipients.add(address="b@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
    decision = await decider(envelope, raw, queued=queued, timeout=20)
    assert decision.legs[0].disposition == mail_pb2.DISPOSITION_HOLD
    assert any(span.startswith("part 2/1 0-19") for w in decision.why for p in w.predicates for span in p.spans)
    assert decision.coverage.complete
    failing = Opener(Recording(RuntimeError("x")), Agreed(), pool, Limits())
    doubtful = Decider(cast(Policies, OnePolicy(RULE)), pool, Bounds(Limits(), 65536), opener=failing)
    decision = await doubtful(envelope, raw, queued=queued, timeout=20)
    assert not decision.coverage.complete
    assert decision.origin == "on_doubt"
    pool.close()


@pytest.mark.parametrize(
    ("raw", "laborious"),
    [
        (mail("hello"), False),
        (mail("<p>hello</p>" * 100, Content_Type="text/html"), False),
        (multipart(*[b"\r\nx"] * 500), True),
        (mail("QUI=QUJD", Content_Transfer_Encoding="base64"), True),
        (mail("x", Content_Type="multipart/mixed"), True),
        (mail("<p>" * 5000, Content_Type="text/html"), True),
    ],
)
def test_what_takes_long_is_not_read_on_the_loop(raw: bytes, laborious: bool) -> None:
    """The quick way gives up before it costs, and the mail is read in a thread."""
    if laborious:
        with pytest.raises(Laborious):
            inspect(raw, quick=True)
    else:
        assert inspect(raw, quick=True) == inspect(raw)


def test_hidden_text_counts_for_detectors_and_any_text_only() -> None:
    """A reader is not shown it, and it leaves all the same."""
    raw = mail("hi<div hidden>top secret 4111 1111 1111 1111</div>", Content_Type="text/html")
    asked = rules(
        "when: {detector: {name: payment_card, at_least: 1}}, then: {hold: {reviewers: legal}}",
        "when: {any_text: {contains: [top secret]}}, then: {hold: {reviewers: legal}}",
        "when: {text: {contains: [top secret]}}, then: {hold: {reviewers: legal}}",
    )
    assert [bool(m.recipients) for m in matches(asked, raw, transaction())] == [True, True, False]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("卡號 ４１１１\u200b１１１１ １１１１１１１１ 到期", "４１１１\u200b１１１１ １１１１１１１１"),
        ("x" * 60 + " 卡 41111111\r\n11111111 y", "41111111\r\n11111111"),
        ("e\u0301 4111\u03361111\u0336 11111111", "4111\u03361111\u0336 11111111"),
        ("plain 4111 1111 1111 1111", CARD),
    ],
)
def test_reasons_point_into_the_text_as_it_was_written(body: str, shown: str) -> None:
    """A reviewer finds the span in the mail, not in our normal form of it."""
    asked = rules("when: {detector: {name: payment_card, at_least: 1}}, then: {hold: {reviewers: legal}}")
    (match,) = matches(asked, mail(body, Content_Type="text/plain; charset=utf-8"), transaction())
    span = next(s for w in match.why for s in w.spans)
    start, end = (int(n) for n in span.removeprefix("body 1 ").partition(":")[0].split("-"))
    assert body[start:end] == shown
