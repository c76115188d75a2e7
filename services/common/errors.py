"""One taxonomy of failures, split by what the caller can do, with three translations.

A failure answers four questions: which code, is a retry useful, what may the
peer read (`public`), which fields belong in the log (`fields`). Libraries'
exceptions stop at the adapter that called the library. In doubt a failure is
ours and passes: mail is deferred, never dropped.
"""

from __future__ import annotations

from typing import Any, ClassVar

import grpc


class Error(Exception):
    """A failure this system can name."""

    code: ClassVar[str] = "internal"
    retry: ClassVar[bool] = True
    public: str = "internal error"
    grpc_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    smtp: ClassVar[str] = "451 4.3.0"

    def __init__(self, message: str = "", *, public: str | None = None, **fields: Any) -> None:
        super().__init__(message or type(self).public)
        if public is not None:
            self.public = public
        self.fields = fields


class Unavailable(Error):
    """A part we need does not answer; later it may."""

    code, public = "unavailable", "temporarily unavailable"
    grpc_code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(Unavailable):
    """No answer in time; whether it took effect is unknown."""

    code = "deadline_exceeded"
    grpc_code = grpc.StatusCode.DEADLINE_EXCEEDED


class NoResponders(Unavailable):
    """Nobody at all serves the subject that was asked."""

    code = "no_responders"


class Busy(Unavailable):
    """The part is there and has no room: a full stream, a full queue, a full disk."""

    code, public = "busy", "too busy, try again later"
    grpc_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Rejected(Error):
    """The request is wrong, and will be tomorrow."""

    code, retry, public = "rejected", False, "not accepted"
    grpc_code = grpc.StatusCode.FAILED_PRECONDITION
    smtp = "554 5.7.0"


class InvalidInput(Rejected):
    """The request is malformed; `field` says where."""

    code, public = "invalid_input", "invalid input"
    grpc_code = grpc.StatusCode.INVALID_ARGUMENT
    smtp = "501 5.5.4"

    def __init__(self, message: str, *, field: str = "", **fields: Any) -> None:
        super().__init__(message, public=message, field=field, **fields)
        self.field = field


class TooLarge(Rejected):
    """Bigger than a limit allows."""

    code, public = "too_large", "too large"
    grpc_code = grpc.StatusCode.INVALID_ARGUMENT
    smtp = "552 5.3.4"


class NotFound(Rejected):
    """No such thing, or it belongs to another tenant, which is the same."""

    code, public = "not_found", "not found"
    grpc_code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(Rejected):
    """A create met something that is there."""

    code, public = "already_exists", "already exists"
    grpc_code = grpc.StatusCode.ALREADY_EXISTS


class Conflict(Rejected):
    """It changed since it was read: read again, then try again."""

    code, public = "conflict", "changed meanwhile"
    grpc_code = grpc.StatusCode.ABORTED


class Unauthenticated(Rejected):
    """Nobody we know."""

    code, public = "unauthenticated", "unknown or missing token"
    grpc_code = grpc.StatusCode.UNAUTHENTICATED
    smtp = "535 5.7.8"


class Denied(Rejected):
    """Known, and not allowed."""

    code, public = "denied", "not allowed"
    grpc_code = grpc.StatusCode.PERMISSION_DENIED
    smtp = "550 5.7.1"


class Corrupt(Rejected):
    """Stored or received bytes are not what their seal or signature says."""

    code, public = "corrupt", "not accepted"
    grpc_code = grpc.StatusCode.DATA_LOSS


BY_CODE: dict[str, type[Error]] = {
    c.code: c
    for c in (
        Error, Unavailable, DeadlineExceeded, NoResponders, Busy, Rejected, InvalidInput, TooLarge,
        NotFound, AlreadyExists, Conflict, Unauthenticated, Denied, Corrupt,
    )
}  # fmt: skip


def smtp_reply(error: BaseException) -> str:
    """Return the reply line a peer gets: code, enhanced code, and nothing internal (RFC 3463)."""
    if isinstance(error, Error) and not error.retry:
        return f"{error.smtp} {error.public}"
    return "451 4.3.0 temporary failure, please try again later"


def retryable(error: BaseException) -> bool:
    """Whether trying the same again can help; unknown exceptions count as ours, so yes."""
    return error.retry if isinstance(error, Error) else True
