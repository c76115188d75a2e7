"""What only a real broker does: die, come back, grow out of an older configuration."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.common import processes
from services.common.bus import Message
from services.common.bus.broker import ensure_keys
from services.common.bus.connection import Connection
from services.common.bus.ensure import ensure
from services.common.bus.nats import connect_bus
from services.common.bus.streams import BUCKETS, CONSUMERS, SETUP, STREAMS, Consumer
from services.common.errors import DeadlineExceeded, Error, Unavailable
from services.common.ids import TenantId
from services.common.testing import eventually
from services.common.testing.broker import running_broker

ACME = TenantId.new()
FAST = {n: replace(c, backoff=(0.05,), ack_wait=1.0) for n, c in CONSUMERS.items()}


async def test_nothing_acked_is_lost_when_the_broker_is_killed_and_restarted(tmp_path: Path) -> None:
    """Publishing and consuming go on through three SIGKILLs; every message whose publish returned is handled."""
    handled: set[bytes] = set()
    stored: set[bytes] = set()
    stop = asyncio.Event()

    async def handle(message: Message) -> None:
        handled.add(message.data)

    async with running_broker(tmp_path, consumers=FAST) as running:
        ingress, policy = await running.connect("ingress"), await running.connect("policy")
        numbers = itertools.count()

        async def send() -> None:
            while not stop.is_set():
                data = b"%d" % next(numbers)
                while not stop.is_set():
                    try:
                        await ingress.publish(f"mail.accepted.{ACME}", data, msg_id=data.decode(), timeout=1)
                    except Unavailable:
                        await asyncio.sleep(0.02)
                    else:
                        stored.add(data)
                        break

        async with policy.consume("policy-accepted", handle):
            senders = [asyncio.create_task(send()) for _ in range(8)]
            for _ in range(3):
                before = len(handled)
                await eventually(lambda before=before: len(handled) > before + 100)  # type: ignore[misc]
                await running.kill()
                await eventually(lambda: not ingress.connected)
                running.spawn()
                await eventually(lambda: ingress.connected and policy.connected)
            before = len(handled)
            await eventually(lambda: len(handled) > before + 100)
            stop.set()
            await asyncio.gather(*senders)
            await eventually(lambda: stored <= handled, timeout=30)
    assert len(stored) > 400


async def test_a_message_in_work_is_not_begun_again_when_the_broker_comes_back(tmp_path: Path) -> None:
    """Its `ack_wait` passed while the broker was dead; a second delivery joins the handler that runs, and is acked."""
    begun, release, got = asyncio.Event(), asyncio.Event(), list[Message]()

    async def handle(message: Message) -> None:
        got.append(message)
        begun.set()
        await release.wait()

    async with running_broker(tmp_path, consumers=FAST) as running:
        ingress, policy = await running.connect("ingress"), await running.connect("policy")
        await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="1")
        async with policy.consume("policy-accepted", handle):
            await begun.wait()
            await running.kill()
            dead = asyncio.get_running_loop().time()
            await eventually(lambda: asyncio.get_running_loop().time() > dead + 2 * FAST["policy-accepted"].ack_wait)
            back = datetime.now(UTC).isoformat()
            running.spawn()
            await eventually(lambda: policy.connected)

            async def in_work_again() -> bool:
                # Delivered again (as the first time, where the kill took the consumer's state), or before that kept
                # by the handler's sign of life: which of them comes first is a race.
                setup = await Connection.open(running.url, SETUP, keys=running.keys)
                subject = "$JS.API.CONSUMER.INFO.ACCEPTED.policy-accepted"
                info = json.loads((await setup.request(subject, b"", timeout=5)).data)
                await setup.close()
                return int(info["num_ack_pending"]) == 1 and str(info["delivered"].get("last_active", "")) > back

            await eventually(in_work_again)
            release.set()

            async def done() -> bool:
                return await policy.lag("policy-accepted") == 0

            await eventually(done)
    assert len(got) == 1


async def test_a_request_in_flight_ends_with_the_connection(tmp_path: Path) -> None:
    """Who waits is told at once, and while the broker is away every call fails at once."""
    async with running_broker(tmp_path) as running, AsyncExitStack() as stack:
        ingress, policy = await running.connect("ingress"), await running.connect("policy")
        asked, over = asyncio.Event(), asyncio.Event()

        async def never(_: Message) -> bytes:
            asked.set()
            await over.wait()
            return b""

        await stack.enter_async_context(policy.serve("policy.decide", never))
        stack.callback(over.set)
        question = asyncio.create_task(ingress.request("policy.decide", b"", timeout=60))
        await asked.wait()
        began = asyncio.get_running_loop().time()
        await running.kill()
        with pytest.raises(Unavailable):
            await question
        await eventually(lambda: not ingress.connected)
        with pytest.raises(Unavailable):
            await ingress.publish(f"mail.accepted.{ACME}", b"", msg_id="1")
        assert asyncio.get_running_loop().time() - began < 5


async def test_a_broker_that_says_nothing_is_told_from_a_late_member(tmp_path: Path) -> None:
    """It is away (`Unavailable`), and the same connection goes on when it speaks again."""
    async with running_broker(tmp_path) as running:
        ingress, policy = await running.connect("ingress"), await running.connect("policy")
        late = asyncio.Event()

        async def answer(_: Message) -> bytes:
            await late.wait()
            return b"done"

        async with policy.serve("policy.decide", answer):
            with pytest.raises(DeadlineExceeded):
                await ingress.request("policy.decide", b"", timeout=0.2)
            os.kill(running.pid, signal.SIGSTOP)
            try:
                with pytest.raises(Unavailable) as caught:
                    await ingress.request("policy.decide", b"", timeout=0.2)
                assert not isinstance(caught.value, DeadlineExceeded)
            finally:
                os.kill(running.pid, signal.SIGCONT)
            late.set()
            assert await ingress.request("policy.decide", b"", timeout=30) == b"done"


async def test_a_member_serves_again_after_the_broker_came_back(tmp_path: Path) -> None:
    """Nobody subscribes twice, nobody is forgotten."""
    async with running_broker(tmp_path) as running:
        ingress, policy = await running.connect("ingress"), await running.connect("policy")

        async def answer(message: Message) -> bytes:
            return message.data

        async with policy.serve("policy.decide", answer):
            await running.kill()
            await eventually(lambda: not ingress.connected)
            running.spawn()

            async def answered() -> bool:
                return await ingress.request("policy.decide", b"again", timeout=1) == b"again"

            await eventually(answered)


async def test_a_schedule_survives_the_broker(tmp_path: Path) -> None:
    """What is due while the broker is dead fires once it is back."""
    got: list[Message] = []

    async def handle(message: Message) -> None:
        got.append(message)

    async with running_broker(tmp_path) as running:
        delivery = await running.connect("delivery")
        due = datetime.now(UTC) + timedelta(seconds=0.3)
        await delivery.schedule(f"delivery.retry.{ACME}", b"due", at=due, key="m.1")
        await delivery.schedule(f"delivery.retry.{ACME}", b"later", at=due + timedelta(hours=1), key="m.2")
        await running.kill()
        await eventually(lambda: datetime.now(UTC) > due)
        running.spawn()
        async with delivery.consume("delivery-retry", handle):
            await eventually(lambda: got, timeout=20)
    assert [m.data for m in got] == [b"due"]


async def test_a_watch_goes_on_after_the_broker_came_back(tmp_path: Path) -> None:
    """A change made after the restart reaches a watcher from before it."""
    async with running_broker(tmp_path) as running:
        admin, ingress = await running.connect("admin"), await running.connect("ingress")
        bucket, told = admin.bucket("control"), dict[str, bytes | None]()
        await bucket.put("a", b"1")

        async def watch() -> None:
            async for entry in ingress.bucket("control").watch():
                if entry is not None:
                    told[entry.key] = entry.value

        watching = asyncio.create_task(watch())
        await eventually(lambda: told == {"a": b"1"})
        await running.kill()
        await eventually(lambda: not admin.connected)
        running.spawn()

        async def put() -> bool:
            return bool(await bucket.put("b", b"2"))

        await eventually(put)
        await eventually(lambda: told == {"a": b"1", "b": b"2"})
        watching.cancel()


async def test_a_bucket_made_anew_is_told_from_the_start(tmp_path: Path) -> None:
    """Revisions that begin again do not blind a watcher."""
    async with running_broker(tmp_path) as running:
        admin = await running.connect("admin")
        bucket, told = admin.bucket("control"), dict[str, bytes | None]()
        for number in range(5):
            await bucket.put("a", b"%d" % number)

        async def watch() -> None:
            async for entry in bucket.watch():
                if entry is not None:
                    told[entry.key] = entry.value

        watching = asyncio.create_task(watch())
        await eventually(lambda: told == {"a": b"4"})
        setup = await Connection.open(running.url, SETUP, keys=running.keys)
        await setup.request("$JS.API.STREAM.DELETE.KV_control", b"", timeout=5)
        await setup.close()
        await running.ensure()
        await bucket.put("a", b"new")
        await eventually(lambda: told == {"a": b"new"})
        watching.cancel()


async def test_an_older_configuration_is_brought_up_to_date(tmp_path: Path) -> None:
    """Limits, consumers and buckets change in place; what is kept stays; a consumer out of the table goes."""
    old_streams = {**STREAMS, "DECIDED": replace(STREAMS["DECIDED"], max_per_subject=5, max_bytes=1 << 20)}
    old_consumers = {
        **{n: replace(c, ack_wait=5.0, max_ack_pending=10) for n, c in CONSUMERS.items() if n != "archive-sealed"},
        "archive-gone": Consumer(stream="DECIDED", subject="mail.decided.*", service="archive"),
    }
    async with running_broker(tmp_path, streams=old_streams, consumers=old_consumers) as running:
        policy = await running.connect("policy")
        await policy.publish(f"mail.decided.{ACME}", b"kept", msg_id="1")
        for _ in range(2):
            await ensure(running.url, keys=running.keys)
        setup = await Connection.open(running.url, SETUP, keys=running.keys)

        async def ask(subject: str) -> dict[str, object]:
            answer: dict[str, object] = json.loads((await setup.request(f"$JS.API.{subject}", b"", timeout=5)).data)
            return answer

        stream = await ask("STREAM.INFO.DECIDED")
        consumer = await ask("CONSUMER.INFO.DECIDED.archive-decided")
        gone = await ask("CONSUMER.INFO.DECIDED.archive-gone")
        new = await ask("CONSUMER.INFO.SEALED.archive-sealed")
        await setup.close()
    assert stream["config"]["max_msgs_per_subject"] == STREAMS["DECIDED"].max_per_subject  # type: ignore[index]
    assert stream["state"]["messages"] == 1  # type: ignore[index]
    assert consumer["config"]["max_ack_pending"] == CONSUMERS["archive-decided"].max_ack_pending  # type: ignore[index]
    assert "error" in gone
    assert "error" not in new


async def test_every_stream_and_bucket_is_of_the_table(tmp_path: Path) -> None:
    """Facts wait in files, refuse when full and cannot be purged; schedules are allowed where they are needed."""
    async with running_broker(tmp_path) as running:
        setup = await Connection.open(running.url, SETUP, keys=running.keys)
        for name in (*STREAMS, *(f"KV_{b}" for b in BUCKETS)):
            config = json.loads((await setup.request(f"$JS.API.STREAM.INFO.{name}", b"", timeout=5)).data)["config"]
            assert config["storage"] == "file"
            if name in ("DELIVERY", "HOLDS"):
                assert config["allow_msg_schedules"]
            else:
                assert config["discard"] == "new"
        await setup.close()


def test_keys_are_private_and_made_once(tmp_path: Path) -> None:
    """Mode 0600, one per user, unchanged the second time."""
    first = ensure_keys(tmp_path / "keys")
    assert ensure_keys(tmp_path / "keys") == first
    assert len(set(first.values())) == len(first)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()} == {0o600}


async def test_without_a_broker_connecting_fails_in_time(tmp_path: Path) -> None:
    """Not for ever, and in our words."""
    ensure_keys(tmp_path)
    with pytest.raises(Unavailable):
        await connect_bus(f"nats://127.0.0.1:{processes.free_port()}", "ingress", keys=tmp_path, within=0.5)


async def test_the_broker_dies_with_its_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent leaves no orphan."""
    program = (
        "import subprocess, sys, time; from pathlib import Path; from services.common import processes;"
        "from services.common.bus import broker;"
        "c = broker.command(Path(sys.argv[1]), port=processes.free_port());"
        "print(processes.spawn(c, output=subprocess.DEVNULL).pid, flush=True); time.sleep(60)"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        child = int(await parent.stdout.readline())
        assert _runs(child)
    finally:
        parent.kill()
        await parent.wait()
    await eventually(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_a_message_larger_than_the_broker_takes_is_refused_for_good(tmp_path: Path) -> None:
    """No retry can help, so it is no `Unavailable`."""
    async with running_broker(tmp_path) as running:
        ingress = await running.connect("ingress")
        with pytest.raises(Error) as caught:
            await ingress.publish(f"mail.accepted.{ACME}", os.urandom((1 << 20) + 1), msg_id="1")
    assert caught.value.code == "too_large"
