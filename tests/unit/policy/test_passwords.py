"""The password book as policy asks it: once for mails that come together, never the other tenant's, never in vain."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from letterlock.encryption.v1 import encryption_pb2 as pb

from services.common.errors import Unavailable
from services.common.ids import TenantId
from services.common.testing import eventually
from services.policy.adapters.passwords import RemotePasswords

ACME, OTHER = TenantId.new(), TenantId.new()


class Book:
    """Answers with the tenant's passwords; remembers the questions."""

    def __init__(self, **passwords: list[str]) -> None:
        self.passwords, self.asked, self.down = passwords, list[pb.PasswordsForRequest](), False
        self.gate = asyncio.Event()
        self.gate.set()

    async def PasswordsFor(self, request: Any, timeout: float) -> pb.PasswordsForResponse:
        """One answer."""
        self.asked.append(request)
        async with asyncio.timeout(timeout):
            await self.gate.wait()
        if self.down:
            empty: Any = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty, "away")
        return pb.PasswordsForResponse(passwords=self.passwords.get(request.tenant, []))


async def test_an_answer_is_kept_for_the_same_people_of_the_same_tenant() -> None:
    """Case and order do not matter; another tenant or sender is another question."""
    book = Book(**{ACME: ["one", "two", "one", ""]})
    passwords = RemotePasswords(book)
    assert await passwords.for_mail(ACME, "a@acme.example", ["B@x.example", "c@x.example"]) == ("one", "two")
    assert await passwords.for_mail(ACME, "A@acme.example", ["c@x.example", "b@x.example"]) == ("one", "two")
    assert len(book.asked) == 1
    assert await passwords.for_mail(OTHER, "a@acme.example", ["b@x.example", "c@x.example"]) == ()
    assert [r.tenant for r in book.asked] == [ACME, OTHER]


async def test_mails_that_come_together_ask_once() -> None:
    """And who gives up does not take the answer from the others."""
    book = Book(**{ACME: ["one"]})
    book.gate.clear()
    passwords = RemotePasswords(book)
    waiting = [asyncio.create_task(passwords.for_mail(ACME, "a@acme.example", ["b@x.example"])) for _ in range(3)]
    await eventually(lambda: bool(book.asked))
    waiting[0].cancel()
    book.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [("one",), ("one",)]
    assert len(book.asked) == 1


async def test_a_book_that_is_away_is_asked_again() -> None:
    """Failures, also by time, are `Unavailable` (the file stays encrypted) and are not kept."""
    book = Book(**{ACME: ["one"]})
    passwords = RemotePasswords(book, seconds=0.01)
    book.down = True
    with pytest.raises(Unavailable):
        await passwords.for_mail(ACME, "", ["b@x.example"])
    book.down = False
    book.gate.clear()
    with pytest.raises(Unavailable):
        await passwords.for_mail(ACME, "", ["b@x.example"])
    book.gate.set()
    assert await passwords.for_mail(ACME, "", ["b@x.example"]) == ("one",)


async def test_what_is_tried_is_bounded() -> None:
    """Each password is a slow derivation for each file."""
    book = Book(**{ACME: [f"p{i}" for i in range(1000)]})
    assert len(await RemotePasswords(book).for_mail(ACME, "", [f"u{i}@x.example" for i in range(5000)])) == 64
    assert len(book.asked[0].recipients) == 100
