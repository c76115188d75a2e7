"""What a peer hears of a failure, and whether trying again helps."""

from __future__ import annotations

import pytest

from services.common.errors import (
    BY_CODE,
    Corrupt,
    Denied,
    Error,
    InvalidInput,
    TooLarge,
    Unavailable,
    retryable,
    smtp_reply,
)


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (Unavailable("nats://user:pw@host timeout"), "451 4.3.0 temporary failure, please try again later"),
        (RuntimeError("secret dsn"), "451 4.3.0 temporary failure, please try again later"),
        (TooLarge(), "552 5.3.4 too large"),
        (Denied(public="relaying denied"), "550 5.7.1 relaying denied"),
        (InvalidInput("bad address"), "501 5.5.4 bad address"),
        (Corrupt("bit 7 of object x"), "554 5.7.0 not accepted"),
    ],
)
def test_a_peer_hears_nothing_internal(error: Exception, reply: str) -> None:
    """Failures of ours are 451; the text of an exception stays inside."""
    assert smtp_reply(error) == reply


def test_in_doubt_a_failure_passes() -> None:
    """An unknown exception is worth a retry: mail is deferred, never dropped."""
    assert retryable(ValueError("?"))
    assert not retryable(Corrupt())


def test_codes_are_unique() -> None:
    """Every class has a code of its own."""
    assert len({c.code for c in BY_CODE.values()}) == len(BY_CODE) == len(set(_subclasses(Error))) + 1


def _subclasses(kind: type[Error]) -> list[type[Error]]:
    found = []
    for child in kind.__subclasses__():
        if child.__module__ == Error.__module__:
            found += [child, *_subclasses(child)]
    return found
