"""Whoever logs in to send mail is told to the audit log, and whoever guesses at a person."""

from __future__ import annotations

import pytest

from services.common.directory import Person
from services.ingress.adapters.auth import Authenticator
from services.ingress.core.reply import Refusal
from tests.unit.ingress.conftest import CHEAP, PASSWORD, directory


async def test_people_are_told_with_whether_it_was_good() -> None:
    """Not systems, and not names that nobody has."""
    view = directory()
    told: list[tuple[str, bool]] = []

    def hear(who: Person, good: bool) -> None:
        told.append((who.address, good))

    authenticator = Authenticator(lambda: view, hasher=CHEAP, told=hear)
    await authenticator.check("192.0.2.1", "a.lice@acme.example", PASSWORD)
    await authenticator.check("192.0.2.1", "exchange", PASSWORD)
    for login in ("alice@acme.example", "nobody@acme.example", "gone@acme.example"):
        with pytest.raises(Refusal):
            await authenticator.check("192.0.2.1", login, "wrong")
    authenticator.close()
    assert told == [("alice@acme.example", True), ("alice@acme.example", False)]
