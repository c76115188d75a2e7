"""SMTP replies as values: a basic code, an enhanced code, one line of text (RFC 5321 §4.2, RFC 3463)."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST = 450
"""Characters of text; a reply line holds 512 octets (RFC 5321 §4.5.3.1.5)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a peer is told."""

    code: int
    enhanced: str
    text: str

    @property
    def line(self) -> str:
        """The reply as it goes on the wire, without CRLF."""
        return f"{self.code} {self.enhanced} {self.text}" if self.enhanced else f"{self.code} {self.text}"

    @property
    def positive(self) -> bool:
        """Whether it says yes."""
        return self.code < 400

    @property
    def permanent(self) -> bool:
        """Whether it says no for ever."""
        return self.code >= 500


class Refusal(Exception):
    """What was asked is not acceptable; `reply` says so to the peer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.line)
        self.reply = reply


def public_text(text: str, *, utf8: bool, default: str) -> str:
    """Return a rule's text as it may stand in a reply: one printable line; `default` when nothing is left of it.

    UTF-8 is said only to a peer that asked for SMTPUTF8 (RFC 6531 §3.7.4.2).
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST]
    while len(line.encode()) > _LONGEST:
        line = line[:-1]
    if not line or not (utf8 or line.isascii()):
        return default
    return line


OK = Reply(250, "2.0.0", "ok")
SYNTAX = Reply(500, "5.5.2", "syntax error")
LINE_TOO_LONG = Reply(500, "5.5.2", "line too long")
UNKNOWN_COMMAND = Reply(500, "5.5.1", "command not recognised")
SEQUENCE = Reply(503, "5.5.1", "bad sequence of commands")
ARGUMENTS = Reply(501, "5.5.4", "bad arguments")
TEMPORARY = Reply(451, "4.3.0", "temporary failure, please try again later")
DOUBT = Reply(451, "4.7.1", "could not be inspected now, please try again later")
TOO_LARGE = Reply(552, "5.3.4", "message too large")
HEADER_TOO_LARGE = Reply(552, "5.3.4", "message header too large")
BARE = Reply(550, "5.5.2", "bare CR, bare LF or NUL in the message; end lines with CRLF")
LOOP = Reply(554, "5.4.6", "too many hops, this mail is in a loop")
SHUTDOWN = Reply(421, "4.3.2", "service is going down, please try again later")
IDLE = Reply(421, "4.4.2", "timeout, closing")
SLOW = Reply(421, "4.4.2", "too slow, closing")
TOO_MANY = Reply(421, "4.7.0", "too many connections, please try again later")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "too many errors, closing")
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "too many commands, closing")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "too many recipients")
