"""Makes the broker look like `streams.py`; run at every start and upgrade, by the user `setup`.

What exists is updated in place, with what we do not speak of left as it is; a
consumer that is no longer in the table is removed, for it would keep every fact.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.common import log
from services.common.bus.connection import Connection
from services.common.bus.streams import (
    BUCKETS,
    CONSUMERS,
    DUPLICATE_WINDOW,
    SETUP,
    STREAMS,
    Consumer,
    Stream,
)
from services.common.errors import Busy, Unavailable

_log = log.get(__name__)
_SECOND = 1_000_000_000
_NOT_FOUND = 404


async def ensure(
    url: str,
    *,
    keys: Path,
    ca: Path | None = None,
    replicas: int = 1,
    streams: Mapping[str, Stream] = STREAMS,
    consumers: Mapping[str, Consumer] = CONSUMERS,
    buckets: Mapping[str, float] = BUCKETS,
    within: float = 30.0,
) -> None:
    """Create or update streams, consumers and buckets; idempotent.

    Waits up to `within` seconds for the broker. Raises `Unavailable` when it does not answer or refuses a change.
    """
    connection = await Connection.open(url, SETUP, keys=keys, ca=ca, within=within)
    try:
        async with asyncio.timeout(within):
            await _ready(connection)
            for name, stream in streams.items():
                await _ensure_stream(connection, name, stream_config(name, stream, replicas))
            for name, ttl in buckets.items():
                await _ensure_stream(connection, f"KV_{name}", bucket_config(name, ttl, replicas))
            for name, consumer in consumers.items():
                await _ensure_consumer(connection, name, consumer)
            for name in streams:
                await _remove_strangers(connection, name, {c for c, spec in consumers.items() if spec.stream == name})
    except TimeoutError:
        raise Unavailable("the broker did not take its configuration in time") from None
    finally:
        await connection.close()


def stream_config(name: str, stream: Stream, replicas: int) -> dict[str, Any]:
    """A stream's configuration in the server's words (times in ns)."""
    config: dict[str, Any] = {
        "name": name,
        "subjects": list(stream.subjects),
        "retention": stream.retention,
        "storage": "file",
        "discard": "old" if stream.scheduled else "new",
        "max_bytes": stream.max_bytes or -1,
        "max_age": int(stream.max_age * _SECOND),
        "max_msgs_per_subject": stream.max_per_subject or -1,
        "num_replicas": replicas,
        "duplicate_window": int(DUPLICATE_WINDOW * _SECOND),
        "allow_direct": True,
    }
    if stream.max_per_subject:
        config["discard_new_per_subject"] = True
    if stream.scheduled:
        # A later schedule replaces an earlier one on its subject (roll-up), and a short-lived nothing removes it.
        config |= {"allow_msg_schedules": True, "allow_msg_ttl": True, "allow_rollup_hdrs": True}
    else:
        config |= {"deny_delete": True, "deny_purge": True}
    return config


def bucket_config(name: str, ttl: float, replicas: int) -> dict[str, Any]:
    """A bucket: a stream that keeps the newest message per key and repeats what it stored on `kv.<bucket>.<key>`.

    Watchers listen to the repetition, which carries the revision, so they need no consumer of their own.
    """
    return {
        "name": f"KV_{name}",
        "subjects": [f"$KV.{name}.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "max_bytes": -1,
        "max_age": int(ttl * _SECOND),
        "num_replicas": replicas,
        "allow_direct": True,
        "deny_delete": True,
        # What says that a key was deleted goes away by itself.
        "allow_msg_ttl": True,
        "republish": {"src": f"$KV.{name}.>", "dest": f"kv.{name}.>"},
    }


def consumer_config(name: str, consumer: Consumer) -> dict[str, Any]:
    """A durable pull consumer; the consuming side counts failures and backs off, so the server never gives up."""
    return {
        "name": name,
        "durable_name": name,
        "filter_subject": consumer.subject,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": int(consumer.ack_wait * _SECOND),
        "max_deliver": -1,
        "max_ack_pending": consumer.max_ack_pending,
        "max_waiting": 512,
    }


async def _api(connection: Connection, subject: str, body: object = None) -> dict[str, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads((await connection.request(f"$JS.API.{subject}", data, timeout=10.0)).data)
    return answer


def _check(answer: dict[str, Any], what: str) -> None:
    if error := answer.get("error"):
        kind = Busy if error.get("err_code") in (10023, 10047) else Unavailable
        raise kind(f"the broker refused {what}: {error.get('description')}", err_code=error.get("err_code"))


async def _ready(connection: Connection) -> None:
    # JetStream comes up a moment after the listener.
    while True:
        try:
            if "error" not in await _api(connection, "INFO"):
                return
        except Unavailable:
            pass
        await asyncio.sleep(0.1)


async def _ensure_stream(connection: Connection, name: str, config: dict[str, Any]) -> None:
    present = await _api(connection, f"STREAM.INFO.{name}")
    if (present.get("error") or {}).get("code") == _NOT_FOUND:
        _check(await _api(connection, f"STREAM.CREATE.{name}", config), f"stream {name}")
        _log.info("bus.stream_created", stream=name)
        return
    _check(present, f"stream {name}")
    old = present["config"]
    if all(old.get(key) == value for key, value in config.items()):
        return
    _check(await _api(connection, f"STREAM.UPDATE.{name}", {**old, **config}), f"stream {name}")
    _log.info("bus.stream_updated", stream=name)


async def _ensure_consumer(connection: Connection, name: str, consumer: Consumer) -> None:
    present = await _api(connection, f"CONSUMER.INFO.{consumer.stream}.{name}")
    config = consumer_config(name, consumer)
    old: dict[str, Any] = {}
    if "error" not in present:
        old = present["config"]
        if all(old.get(key) == value for key, value in config.items()):
            return
    body = {"stream_name": consumer.stream, "config": {**old, **config}}
    subject = f"CONSUMER.CREATE.{consumer.stream}.{name}.{consumer.subject}"
    _check(await _api(connection, subject, body), f"consumer {name}")
    _log.info("bus.consumer_set", consumer=name)


async def _remove_strangers(connection: Connection, stream: str, wanted: set[str]) -> None:
    offset = 0
    extra: list[str] = []
    while True:
        answer = await _api(connection, f"CONSUMER.NAMES.{stream}", {"offset": offset})
        _check(answer, f"the list of consumers of {stream}")
        names = answer.get("consumers") or []
        extra += [name for name in names if name not in wanted]
        offset += len(names)
        if not names or offset >= answer["total"]:
            break
    for name in extra:
        _check(await _api(connection, f"CONSUMER.DELETE.{stream}.{name}"), f"the removal of consumer {name}")
        _log.warning("bus.consumer_removed", consumer=name)
