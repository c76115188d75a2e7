"""Errors across gRPC: `google.rpc.Status` with `ErrorInfo` and the fields at fault, and back to the same class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.common.errors import BY_CODE, Error, InvalidInput

DOMAIN = "letterlock"

_BY_STATUS: dict[grpc.StatusCode, str] = {
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "deadline_exceeded",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "busy",
    grpc.StatusCode.FAILED_PRECONDITION: "rejected",
    grpc.StatusCode.INVALID_ARGUMENT: "invalid_input",
    grpc.StatusCode.OUT_OF_RANGE: "invalid_input",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.ALREADY_EXISTS: "already_exists",
    grpc.StatusCode.ABORTED: "conflict",
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
    grpc.StatusCode.DATA_LOSS: "corrupt",
    grpc.StatusCode.UNIMPLEMENTED: "rejected",
    grpc.StatusCode.CANCELLED: "unavailable",
}


def invalid(violations: Sequence[tuple[str, str]]) -> InvalidInput:
    """Many mistakes as one error: (field, what is wrong) each; the message has them all."""
    message = "; ".join(f"{field}: {text}" if field else text for field, text in violations)
    return InvalidInput(message, field=violations[0][0] if violations else "", violations=tuple(violations))


def violations(error: BaseException) -> tuple[tuple[str, str], ...]:
    """The fields at fault and what is wrong with each; empty when the error names none."""
    if not isinstance(error, InvalidInput):
        return ()
    many = error.fields.get("violations")
    if many:
        return tuple((str(f), str(t)) for f, t in many)
    return ((error.field, error.public),) if error.field else ()


def to_status(error: BaseException) -> status_pb2.Status:
    """What a caller gets: the class and its public words; of an error without a name, only that it is ours."""
    known = error if isinstance(error, Error) else Error()
    status = status_pb2.Status(code=known.grpc_code.value[0], message=known.public)
    info = error_details_pb2.ErrorInfo(reason=known.code.upper(), domain=DOMAIN)
    _pack(status, info)
    found = violations(known)
    if found:
        field = error_details_pb2.BadRequest.FieldViolation
        bad = error_details_pb2.BadRequest(field_violations=[field(field=f, description=t) for f, t in found])
        _pack(status, bad)
    return status


def translate(error: grpc.RpcError) -> Error:
    """The error a callee raised, as the same class here."""
    code = error.code() if callable(getattr(error, "code", None)) else grpc.StatusCode.UNKNOWN
    message = str((error.details() if callable(getattr(error, "details", None)) else "") or "")
    reason, found = "", []
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        status = None  # a peer whose details do not match its code: believe the code
    for detail in status.details if status is not None else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason = info.reason.lower()
        elif detail.Unpack(bad):
            found = [(v.field, v.description) for v in bad.field_violations]
    kind = BY_CODE.get(reason) or BY_CODE.get(_BY_STATUS.get(code, ""), Error)
    if issubclass(kind, InvalidInput):
        return kind(message or kind.public, field=found[0][0] if found else "", violations=tuple(found))
    return kind(message, public=message or None)


def raise_for(error: grpc.RpcError) -> NoReturn:
    """Raise what the callee raised, as the same class here."""
    raise translate(error) from error


def _pack(status: status_pb2.Status, detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)
    status.details.append(packed)
