"""MAIL and RCPT with their parameters: SIZE, BODY, SMTPUTF8, AUTH, and DSN's RET, ENVID, NOTIFY, ORCPT.

RFC 5321 §4.1.2 (syntax), 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8),
4954 §5 (AUTH=), 3461 §4 (DSN). A mistake is a `Refusal` that holds the reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.ingress.core import address
from services.ingress.core.reply import Refusal, Reply

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-]*")
_VALUE = re.compile(r"[^\x00-\x20=\x7f]+")
_XTEXT = re.compile(r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9\-]{1,64}")
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})


@dataclass(frozen=True, slots=True)
class MailCommand:
    """MAIL FROM: `sender` is empty for the null reverse-path; `size` 0 when it was not said."""

    sender: str
    size: int = 0
    body: str = "7BIT"
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True)
class RcptCommand:
    """RCPT TO: `address` has no domain for a bare `postmaster`."""

    address: address.Address
    notify: tuple[str, ...] = ()
    orcpt: str = ""


def _refuse(code: int, enhanced: str, text: str) -> Refusal:
    return Refusal(Reply(code, enhanced, text))


def _path_and_parameters(argument: str, keyword: str, *, esmtp: bool) -> tuple[str, dict[str, str | None]]:
    if argument[: len(keyword)].upper() != keyword:
        raise _refuse(501, "5.5.4", f"expected {keyword}<address>")
    try:
        # A blank after the colon is wrong but common, and changes no meaning.
        path, rest = address.split_path(argument[len(keyword) :].lstrip(" "))
    except address.Malformed as error:
        raise _refuse(501, "5.5.4", f"expected {keyword}<address>") from error
    parameters: dict[str, str | None] = {}
    for word in rest.split(" ") if rest else ():
        if not word:
            continue
        name, equals, value = word.partition("=")
        name = name.upper()
        if not _KEYWORD.fullmatch(name) or (equals and not _VALUE.fullmatch(value)):
            raise _refuse(501, "5.5.4", "malformed parameter")
        if name in parameters:
            raise _refuse(501, "5.5.4", "parameter given twice")
        parameters[name] = value if equals else None
    if parameters and not esmtp:
        raise _refuse(501, "5.5.4", "parameters need EHLO")
    return path, parameters


def _required(value: str | None, name: str) -> str:
    if value is None:
        raise _refuse(501, "5.5.4", f"{name} needs a value")
    return value


def unxtext(text: str) -> str | None:
    """Decode xtext (RFC 3461 §4); None when it is none or hides a control character."""
    if not _XTEXT.fullmatch(text):
        return None
    plain = re.sub(r"\+([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), text)
    return plain if plain.isascii() and plain.isprintable() else None


def parse_mail(argument: str, *, esmtp: bool, max_bytes: int) -> MailCommand:
    """Read what follows `MAIL `; raises `Refusal`."""
    path, parameters = _path_and_parameters(argument, "FROM:", esmtp=esmtp)
    smtputf8 = "SMTPUTF8" in parameters
    if smtputf8 and parameters.pop("SMTPUTF8") is not None:
        raise _refuse(501, "5.5.4", "SMTPUTF8 takes no value")
    try:
        sender = address.parse_reverse_path(path)
    except address.Malformed as error:
        raise _refuse(553, "5.1.7", "malformed sender address") from error
    if sender is not None and sender.utf8 and not smtputf8:
        raise _refuse(553, "5.6.7", "address needs SMTPUTF8")
    size, body, ret, envid = 0, "7BIT", "", ""
    for name, value in parameters.items():
        match name:
            case "SIZE":
                size = _size(_required(value, name), max_bytes)
            case "BODY":
                body = _required(value, name).upper()
                if body not in ("7BIT", "8BITMIME"):
                    raise _refuse(555, "5.5.4", "BODY can be 7BIT or 8BITMIME")
            case "RET":
                ret = _required(value, name).upper()
                if ret not in ("FULL", "HDRS"):
                    raise _refuse(501, "5.5.4", "RET can be FULL or HDRS")
            case "ENVID":
                envid = _required(value, name)
                if unxtext(envid) is None or len(envid) > 100:
                    raise _refuse(501, "5.5.4", "malformed ENVID")
            case "AUTH":
                # Who submitted it elsewhere is of no consequence here: checked and dropped (RFC 4954 §5).
                submitter = _required(value, name)
                if submitter != "<>" and unxtext(submitter) is None:
                    raise _refuse(501, "5.5.4", "malformed AUTH")
            case _:
                raise _refuse(555, "5.5.4", "parameter not recognised")
    return MailCommand(str(sender) if sender else "", size, body, smtputf8, ret, envid)


def _size(text: str, max_bytes: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise _refuse(501, "5.5.4", "malformed SIZE")
    if int(text) > max_bytes:
        raise _refuse(552, "5.3.4", "message too large")
    return int(text)


def parse_rcpt(argument: str, *, esmtp: bool, smtputf8: bool) -> RcptCommand:
    """Read what follows `RCPT `; raises `Refusal`."""
    path, parameters = _path_and_parameters(argument, "TO:", esmtp=esmtp)
    try:
        recipient = address.parse_forward_path(path)
    except address.Malformed as error:
        raise _refuse(553, "5.1.3", "malformed recipient address") from error
    if recipient.utf8 and not smtputf8:
        raise _refuse(553, "5.6.7", "address needs SMTPUTF8")
    notify: tuple[str, ...] = ()
    orcpt = ""
    for name, value in parameters.items():
        match name:
            case "NOTIFY":
                notify = _notify(_required(value, name))
            case "ORCPT":
                orcpt = _orcpt(_required(value, name), smtputf8=smtputf8)
            case _:
                raise _refuse(555, "5.5.4", "parameter not recognised")
    return RcptCommand(recipient, notify, orcpt)


def _notify(text: str) -> tuple[str, ...]:
    words = tuple(text.upper().split(","))
    if words == ("NEVER",) or (set(words) <= _NOTIFY and len(set(words)) == len(words)):
        return words
    raise _refuse(501, "5.5.4", "malformed NOTIFY")


def _orcpt(text: str, *, smtputf8: bool) -> str:
    kind, separator, value = text.partition(";")
    good = bool(separator and value and _ADDRESS_TYPE.fullmatch(kind)) and len(text) <= 500
    if good and kind.lower() == "utf-8":
        # RFC 6533 §3: utf-8-addr-xtext / utf-8-addr-unitext; \x{HEX} escapes are kept as written.
        good = all(c.isprintable() and c not in "=+" for c in value) and (smtputf8 or value.isascii())
    elif good:
        good = unxtext(value) is not None
    if not good:
        raise _refuse(501, "5.5.4", "malformed ORCPT")
    return text
