"""What is on the broker, in one table: streams, consumers, buckets, and who may touch which subject.

Facts are kept until every consumer has acked them (interest). A full stream
refuses instead of forgetting, and does so per subject, that is per tenant, so
that one full tenant leaves the others free; what is refused, the sweeper finds.
`ensure.py` makes the broker look like this table, `broker.py` turns USERS into
the server's permissions, `nats.py` and the in-memory double follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from services.common.errors import InvalidInput

GIB = 1 << 30
DUPLICATE_WINDOW = 120.0
"""Seconds in which a second message with the same `Nats-Msg-Id` is the first one again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream; limits are per stream (`max_bytes`) and per subject, times in seconds, 0 for none."""

    subjects: tuple[str, ...]
    retention: Literal["interest", "workqueue", "limits"]
    max_bytes: int
    max_per_subject: int = 0
    max_age: float = 0
    scheduled: bool = False
    """Takes scheduled messages; the server then allows no `discard: new`, so such a stream has no limits at all."""


STREAMS: Mapping[str, Stream] = MappingProxyType(
    {
        "ACCEPTED": Stream(
            subjects=("mail.accepted.*",), retention="interest", max_bytes=8 * GIB, max_per_subject=20_000
        ),
        "DECIDED": Stream(
            subjects=("mail.decided.*",), retention="interest", max_bytes=16 * GIB, max_per_subject=20_000
        ),
        "RELEASED": Stream(
            subjects=("mail.released.*",), retention="interest", max_bytes=4 * GIB, max_per_subject=20_000
        ),
        "SEALED": Stream(subjects=("mail.sealed.*",), retention="interest", max_bytes=4 * GIB, max_per_subject=20_000),
        # One subject per mail: its last token is the mail id, so that its newest outcomes can be looked up.
        "OUTCOME": Stream(
            subjects=("mail.outcome.*.*",), retention="interest", max_bytes=8 * GIB, max_per_subject=10_000
        ),
        # Work queues keep a schedule, which no consumer takes; interest would drop it at once.
        "DELIVERY": Stream(
            subjects=("delivery.retry.*", "delivery.schedule.>"), retention="workqueue", max_bytes=0, scheduled=True
        ),
        "HOLDS": Stream(
            subjects=("quarantine.due.*", "quarantine.schedule.>"), retention="workqueue", max_bytes=0, scheduled=True
        ),
        "AUDIT": Stream(
            subjects=("audit.entry.*",), retention="interest", max_bytes=4 * GIB, max_per_subject=1_000_000
        ),
        "DEAD": Stream(subjects=("dead.>",), retention="limits", max_bytes=2 * GIB, max_age=30 * 86400),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A durable pull consumer; `ack_wait` and `backoff` in seconds, the last back-off repeats.

    `ack_wait` is how long a killed process's messages wait for another; a living one sends signs of life in time.
    `max_deliver` counts failures, not `Later` and not a process that died; it is kept by the consuming process.
    """

    stream: str
    subject: str
    service: str
    ack_wait: float = 20.0
    backoff: tuple[float, ...] = (1.0, 5.0, 15.0, 60.0)
    max_deliver: int = 30
    max_ack_pending: int = 512


# The archive's facts have no second source but a second delivery, so it tries for more than a day.
_PATIENT = 2000

CONSUMERS: Mapping[str, Consumer] = MappingProxyType(
    {
        "policy-accepted": Consumer(stream="ACCEPTED", subject="mail.accepted.*", service="policy"),
        "delivery-decided": Consumer(stream="DECIDED", subject="mail.decided.*", service="delivery"),
        "delivery-released": Consumer(stream="RELEASED", subject="mail.released.*", service="delivery"),
        "delivery-sealed": Consumer(stream="SEALED", subject="mail.sealed.*", service="delivery"),
        "delivery-retry": Consumer(stream="DELIVERY", subject="delivery.retry.*", service="delivery"),
        "encryption-decided": Consumer(
            stream="DECIDED", subject="mail.decided.*", service="encryption", max_ack_pending=4096
        ),
        "encryption-released": Consumer(stream="RELEASED", subject="mail.released.*", service="encryption"),
        "quarantine-decided": Consumer(stream="DECIDED", subject="mail.decided.*", service="quarantine"),
        "quarantine-due": Consumer(stream="HOLDS", subject="quarantine.due.*", service="quarantine"),
        "archive-decided": Consumer(
            stream="DECIDED", subject="mail.decided.*", service="archive", max_deliver=_PATIENT, max_ack_pending=4096
        ),
        "archive-released": Consumer(
            stream="RELEASED", subject="mail.released.*", service="archive", max_deliver=_PATIENT, max_ack_pending=4096
        ),
        "archive-sealed": Consumer(
            stream="SEALED", subject="mail.sealed.*", service="archive", max_deliver=_PATIENT, max_ack_pending=4096
        ),
        "archive-outcome": Consumer(
            stream="OUTCOME",
            subject="mail.outcome.*.*",
            service="archive",
            max_deliver=_PATIENT,
            max_ack_pending=8192,
        ),
        # An entry has no second source either.
        "audit-entry": Consumer(
            stream="AUDIT", subject="audit.entry.*", service="audit", max_deliver=_PATIENT, max_ack_pending=2048
        ),
    }
)

BUCKETS: Mapping[str, float] = MappingProxyType(
    {
        "control": 0.0,
        "factkeys": 8 * 86400.0,
        "nodes": 7 * 86400.0,
        "queue": 30 * 86400.0,
        "leases": 86400.0,
        "working": 3600.0,
    }
)
"""Each bucket and how long its values live, in seconds; 0: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one service may do on the bus; its consumers follow from CONSUMERS."""

    publishes: tuple[str, ...] = ("audit.entry.*",)
    schedules: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()
    looks_into: tuple[str, ...] = ()
    """Streams of which it may read single messages (`pending`)."""
    reads: tuple[str, ...] = ("control", "factkeys", "nodes")
    """Buckets it may read: what is in these is public inside or sealed."""
    writes: tuple[str, ...] = ("nodes",)
    """Buckets it may write."""


_OUTCOME, _AUDIT = "mail.outcome.*.*", "audit.entry.*"

ACCESS: Mapping[str, Access] = MappingProxyType(
    {
        "ingress": Access(
            publishes=("mail.accepted.*", "mail.decided.*", _OUTCOME, _AUDIT),
            asks=("policy.decide",),
            writes=("factkeys", "nodes"),
        ),
        "policy": Access(
            publishes=("mail.decided.*", _OUTCOME, _AUDIT),
            serves=("policy.decide",),
            writes=("control", "factkeys", "nodes"),
        ),
        "quarantine": Access(
            publishes=("mail.decided.*", "mail.released.*", _OUTCOME, _AUDIT),
            schedules=("quarantine.due.*",),
            asks=("archive.fates",),
            looks_into=("OUTCOME",),
            writes=("control", "factkeys", "nodes"),
        ),
        "encryption": Access(
            publishes=("mail.decided.*", "mail.sealed.*", _OUTCOME, _AUDIT),
            writes=("control", "factkeys", "nodes"),
        ),
        "delivery": Access(
            publishes=("mail.decided.*", _OUTCOME, _AUDIT),
            schedules=("delivery.retry.*",),
            asks=("archive.fates",),
            looks_into=("OUTCOME",),
            reads=("control", "factkeys", "nodes", "queue", "working"),
            writes=("control", "factkeys", "nodes", "queue", "working"),
        ),
        "archive": Access(
            publishes=("mail.accepted.*", "mail.decided.*", _OUTCOME, _AUDIT),
            serves=("archive.fates",),
            looks_into=("OUTCOME",),
            writes=("control", "factkeys", "nodes"),
        ),
        "audit": Access(
            publishes=(_AUDIT,),
            listens=("audit.>",),
            looks_into=("AUDIT",),
            reads=("control", "factkeys", "nodes", "leases"),
            writes=("factkeys", "nodes", "leases"),
        ),
        "admin": Access(asks=("archive.fates",), writes=("control", "factkeys", "nodes")),
        "portal": Access(),
    }
)

SETUP = "setup"
"""The user of `ensure.py`: the whole JetStream API, no fact, no question."""


@dataclass(frozen=True, slots=True)
class User:
    """One NATS user: the only subjects it may publish and subscribe; `answers` lets it reply to what it received."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool


def schedule_subject(subject: str, key: str) -> str:
    """Where the schedule `key` for `subject` is kept: `delivery.retry.<tid>` → `delivery.schedule.<tid>.<key>`."""
    tokens = subject.split(".")
    if len(tokens) != 3 or not any(s.scheduled and matches(s.subjects[0], subject) for s in STREAMS.values()):
        raise InvalidInput("this subject takes no schedules", field="subject")
    if not key or any(c.isspace() or c in "*>" for c in key) or "" in key.split("."):
        raise InvalidInput("a schedule's key has no spaces, wildcards or empty parts", field="key")
    return f"{tokens[0]}.schedule.{tokens[2]}.{key}"


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject matches a NATS pattern (`*` one token, `>` the rest)."""
    wanted, have = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(have) > index
        if index >= len(have) or token not in ("*", have[index]):
            return False
    return len(wanted) == len(have)


def stream_of(subject: str, streams: Mapping[str, Stream] = STREAMS) -> str:
    """The name of the stream that keeps a subject; raises `InvalidInput` when none does."""
    for name, stream in streams.items():
        if any(matches(pattern, subject) for pattern in stream.subjects):
            return name
    raise InvalidInput("no stream keeps this subject", field="subject")


def inbox_prefix(service: str) -> str:
    """The prefix of a service's reply subjects: nobody else may subscribe to it."""
    return f"_INBOX_{service}"


def _schedules_of(pattern: str) -> str:
    return f"{pattern.split('.')[0]}.schedule.>"


def _user(service: str, access: Access) -> User:
    publish = [*access.publishes, *access.asks, *(_schedules_of(s) for s in access.schedules)]
    for name, consumer in CONSUMERS.items():
        if consumer.service == service:
            publish += [
                f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{name}",
                f"$JS.API.CONSUMER.INFO.{consumer.stream}.{name}",
                f"$JS.ACK.{consumer.stream}.{name}.>",
                f"$JS.ACK.*.*.{consumer.stream}.{name}.>",  # the second form, with domain and account (ADR-15)
                f"dead.{name}.>",
            ]
    for stream in access.looks_into:
        publish.append(f"$JS.API.DIRECT.GET.{stream}")
    for bucket in access.reads:
        publish += [
            f"$JS.API.STREAM.INFO.KV_{bucket}",
            f"$JS.API.DIRECT.GET.KV_{bucket}",
            f"$JS.API.DIRECT.GET.KV_{bucket}.>",
        ]
    publish += [f"$KV.{bucket}.>" for bucket in access.writes]
    subscribe = [f"{inbox_prefix(service)}.>", *access.serves, *access.listens, *(f"kv.{b}.>" for b in access.reads)]
    return User(tuple(publish), tuple(subscribe), bool(access.serves))


USERS: Mapping[str, User] = MappingProxyType(
    {name: _user(name, access) for name, access in ACCESS.items()}
    | {SETUP: User(("$JS.API.>",), (f"{inbox_prefix(SETUP)}.>",), False)}
)
"""Every NATS user by name: the services, and `setup`."""
