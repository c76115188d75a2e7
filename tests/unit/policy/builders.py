"""Short ways to make mails, transactions and policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from services.policy.adapters.cel import compile_expression
from services.policy.core.document import parse
from services.policy.core.evaluate import Match, evaluate
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.known import Known
from services.policy.core.lattice import Verdict, join
from services.policy.core.message import Direction, Message, Recipient, Transaction
from services.policy.core.mime import read
from services.policy.core.rules import Policy

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
"""A Tuesday, noon in Taipei."""


def mail(body: str | bytes = "hello\r\n", **headers: str) -> bytes:
    """A small mail; header names with _ for -."""
    lines = {"From": "Alice <alice@acme.example>", "To": "bob@world.example", "Subject": "hi"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{n}: {v}\r\n" for n, v in lines.items())
    return head.encode() + b"\r\n" + (body.encode() if isinstance(body, str) else body)


def multipart(*parts: bytes, boundary: str = "b0", kind: str = "mixed") -> bytes:
    """A multipart mail of parts that have their own headers."""
    inner = b"".join(f"--{boundary}\r\n".encode() + p + b"\r\n" for p in parts)
    return mail(inner + f"--{boundary}--\r\n".encode(), Content_Type=f'multipart/{kind}; boundary="{boundary}"')


def transaction(
    *recipients: tuple[str, Direction],
    sender: str = "alice@acme.example",
    tls: bool = True,
    size: int = 1000,
    at: datetime = NOON,
) -> Transaction:
    """A transaction, by default outbound to one recipient."""
    named = recipients or (("bob@world.example", "outbound"),)
    return Transaction(sender, tuple(Recipient(a, d) for a, d in named), tls, size, at)


def policy(text: str) -> Policy:
    """A policy from its rules, given as the lines of a YAML list."""
    document = text if text.startswith("version") else f"version: 1\nrules:\n{text}"
    checked = parse(document, Known(compile=compile_expression))
    assert checked.policy is not None, [str(m) for m in checked.mistakes]
    return checked.policy


def rules(*lines: str, **top: str) -> Policy:
    """A policy of rules in flow form, each without its id: `{when: …, then: …}`."""
    listed = "".join(f"  - {{id: r{i}, {line}}}\n" for i, line in enumerate(lines, 1))
    head = "".join(f"{k}: {v}\n" for k, v in top.items())
    return policy(f"version: 1\n{head}rules:\n{listed}")


GROUPS = {"legal": frozenset({"lin@acme.example"})}


def matches(
    of: Policy, raw: bytes | Message, by: Transaction, *, filters: FilterVerdict = UNKNOWN
) -> tuple[Match, ...]:
    """What each rule says."""
    message = raw if isinstance(raw, Message) else read(raw)
    return evaluate(of, message, by, lambda name: GROUPS.get(name, frozenset()), filters=filters)


def direction_of(address: str) -> Direction:
    """Addresses at acme.example are ours."""
    return "internal" if address.endswith("@acme.example") else "outbound"


def verdict(of: Policy, raw: bytes | Message, by: Transaction, *, queued: bool = False) -> Verdict:
    """What becomes of everybody."""
    message = raw if isinstance(raw, Message) else read(raw)
    return join(of, matches(of, message, by), message, by, queued=queued, direction_of=direction_of)


def summary(of: Verdict) -> list[tuple[str, Sequence[int]]]:
    """Legs as (disposition, recipients)."""
    return [(leg.treatment.disposition, leg.recipients) for leg in of.legs]
