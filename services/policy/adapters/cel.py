"""Expressions: CEL over the published message model (`model.proto`), typed when a document is applied.

An expression is compiled against the model's types, so a wrong field or type is found before a mail is. It sees
no text of the mail. What does not fit into the model's bounds makes an expression that asks for it fail, so that
nothing hides behind a hundred attachments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import re2
from cel_expr_python import cel
from letterlock.policy.v1 import model_pb2

from services.policy.core.detectors import CONFIDENCES
from services.policy.core.expression import Outline, outline
from services.policy.core.facts import MailFacts
from services.policy.core.filters import FIELDS, VerdictUnknown
from services.policy.core.known import BadExpression
from services.policy.core.patterns import options

MAX_TEXT = 4000
"""Characters of one text in the model."""
MAX_ITEMS = 100
"""Items of one list in the model."""
_MAIL, _RECIPIENT = "letterlock.policy.v1.MailModel", "letterlock.policy.v1.MailRecipient"
_GROWING = (b"add_string", b"add_list", b"add_bytes")
_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*?)(?:\n|$)")


class ExpressionFailed(Exception):
    """An expression had no truth: a fault such as a division by zero, or a mail beyond the model's bounds."""


@dataclass(frozen=True, slots=True)
class CelProgram:
    """A compiled expression."""

    expression: Any
    outline: Outline

    @property
    def personal(self) -> bool:
        """Whether it asks about the recipient at hand."""
        return "recipient" in self.outline.names

    @property
    def asks_filters(self) -> bool:
        """Whether it needs what the filters said."""
        return "verdict" in self.outline.names

    @property
    def detectors(self) -> frozenset[str]:
        """The detectors it asks."""
        return self.outline.detectors

    def __call__(self, facts: MailFacts, recipient: str) -> bool:
        """Its truth for the recipient at hand; raises `ExpressionFailed` or `VerdictUnknown`."""
        names = self.outline.names
        mail = _mail(facts, self.outline)
        if self.asks_filters and (missing := [f for f in FIELDS if f in names and getattr(facts.filters, f) is None]):
            raise VerdictUnknown(", ".join(missing))
        data: dict[str, Any] = {"mail": mail, "recipient": _recipient(facts, recipient)}
        try:
            value = self.expression.eval(_environment().Activation(data))
            if value.type() != cel.Type.BOOL:
                raise ExpressionFailed(str(value.value())[:200])
        except RuntimeError as error:
            raise ExpressionFailed(str(error)[:200]) from error
        return value.value() is True


def compile_expression(source: str) -> CelProgram:
    """The program of an expression; raises `BadExpression` with the place and the reason."""
    found = outline(source)
    for pattern in found.patterns:
        _check_pattern(pattern)
    try:
        expression = _environment().compile(source)
    except RuntimeError as error:
        raise BadExpression(_said(str(error))) from error
    if expression.return_type() != cel.Type.BOOL:
        raise BadExpression(f"its value is {expression.return_type().name()}, not true or false")
    checked = expression.serialize()
    if any(word in checked for word in _GROWING):
        raise BadExpression("texts and lists cannot be joined by +")
    return CelProgram(expression, found)


@cache
def _environment() -> Any:
    # The default pool knows the model because model_pb2 is imported.
    return cel.NewEnv(variables={"mail": cel.Type(_MAIL), "recipient": cel.Type(_RECIPIENT)})


def _check_pattern(source: str) -> None:
    try:
        re2.compile(source, options())
    except re2.error as error:
        raise BadExpression(f"not a safe (RE2) pattern: {source[:80]!r}") from error


def _said(error: str) -> str:
    found = _PLACE.search(error)
    if found:
        return f"line {found[1]}, column {found[2]} of the expression: {found[3].removesuffix(' [INVALID_ARGUMENT]')}"
    return error.splitlines()[0].partition(": ")[2] or "not an expression"


def _mail(facts: MailFacts, asked: Outline) -> model_pb2.MailModel:
    """The model, filled with what expressions on this mail asked for so far."""
    key = f"cel {sorted(asked.headers)} {sorted(asked.detectors)}"
    model = facts.shared.get(key)
    if model is None:
        model = facts.shared[key] = _base(facts)
        for name in asked.headers:
            model.headers[name] = _text("\n".join(facts.message.headers.get(name.lower(), ())))
        for name in asked.detectors:
            hits = [h for _, h in facts.hits(name) if CONFIDENCES.index(h.confidence) >= 1]
            found = model.detectors[name]
            found.count, found.unique = len(hits), len({h.value for h in hits})
            found.high = sum(h.confidence == "high" for h in hits)
    _within_bounds(facts, asked.names)
    return model


def _base(facts: MailFacts) -> model_pb2.MailModel:
    message, transaction = facts.message, facts.transaction
    said = facts.filters
    model = model_pb2.MailModel(
        size=transaction.size,
        tls=transaction.tls,
        sender=_address(transaction.sender),
        header_from=[_address(a) for a in message.header_from[:MAX_ITEMS]],
        recipients=len(transaction.recipients),
        any_external=any(r.direction == "outbound" for r in transaction.recipients),
        subject=message.subject[:MAX_TEXT],
        attachments=[
            model_pb2.MailAttachment(
                name=a.name[:MAX_TEXT],
                type=a.content_type[:MAX_TEXT],
                true_type=a.true_type,
                size=a.size,
                encrypted=a.encrypted,
                macros=a.macros,
            )
            for a in message.attachments[:MAX_ITEMS]
        ],
        parts=message.parts,
        not_inspected=sorted({n.reason for n in message.not_inspected}),
        ambiguities=message.ambiguities[:MAX_ITEMS],
        verdict=model_pb2.MailVerdict(**{f: v for f in FIELDS if (v := getattr(said, f)) is not None}),
    )
    model.received_at.FromDatetime(transaction.at)
    return model


def _within_bounds(facts: MailFacts, names: frozenset[str]) -> None:
    message = facts.message
    beyond: Sequence[tuple[str, bool]] = (
        (
            "attachments",
            len(message.attachments) > MAX_ITEMS or any(len(a.name) > MAX_TEXT for a in message.attachments),
        ),
        ("header_from", len(message.header_from) > MAX_ITEMS),
        ("subject", len(message.subject) > MAX_TEXT),
        ("ambiguities", len(message.ambiguities) > MAX_ITEMS),
    )
    for name, too_much in beyond:
        if too_much and name in names:
            raise ExpressionFailed(f"more {name} than an expression is shown")


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ExpressionFailed("a header longer than an expression is shown")
    return text


def _address(address: str) -> model_pb2.MailAddress:
    address = address.lower()
    local, _, domain = address.rpartition("@")
    return model_pb2.MailAddress(address=address, local=local, domain=domain)


def _recipient(facts: MailFacts, recipient: str) -> model_pb2.MailRecipient:
    address = recipient.lower()
    local, _, domain = address.rpartition("@")
    return model_pb2.MailRecipient(
        address=address, local=local, domain=domain, direction=facts.direction_of(recipient) if recipient else ""
    )
