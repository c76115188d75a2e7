"""Nothing is lost: every process is killed at random moments while mail flows."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import smtplib
import time
from collections import Counter
from pathlib import Path

from services import runner
from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.api import archive
from tests.harness.installation import Installation
from tests.harness.sink import Sink
from tests.harness.smtp import send_async

MAILS = 520
SESSIONS = 4
KILLED = (*runner.SERVICES, "nats", "index")
ROUNDS = 2
_AWAY = 10.0
"""Seconds a killed process may take to be back, on a busy machine."""
_ON_ITS_WAY = 5.0
"""Seconds within which an outcome is recorded when nothing is away."""


async def _send_one(installation: Installation, number: int, content: bytes, recipients: list[str]) -> str:
    """Send until a 250; returns the mail id of the 250. A broken connection is tried again as a new mail."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            sent = await send_async(
                *installation.host_port("relay"), "s@elsewhere.example", recipients, content, timeout=20
            )
        except (OSError, smtplib.SMTPException):
            await asyncio.sleep(0.2)
            continue
        if sent.mail_id:
            return sent.mail_id
        assert 400 <= sent.code < 500, f"mail {number}: {sent}"
        await asyncio.sleep(0.2)
    raise AssertionError(f"mail {number} was never accepted")


def _content(number: int) -> bytes:
    size = (500, 4_000, 50_000, 300_000, 900_000)[(0, 1, 1, 1, 2, 1, 0, 1, 2, 3)[number % 10] if number % 97 else 4]
    return mails.sized("s@elsewhere.example", "alice@acme.example", f"nonce{number:05d}", size)


async def test_every_250_arrives_though_every_process_is_killed(tmp_path: Path) -> None:
    """≥ 500 mails in 4 sessions; each process, the broker and the index get SIGKILL twice, staggered."""
    sink, other = await Sink().start(), await Sink().start()
    places = world.two_tenants(acme=sink.address, acme_out=sink.address, globex=other.address, globex_out=other.address)
    settings = {"ARCHIVE__SWEEP_AFTER": "2s", "DELIVERY__RETRY_AFTER": "1s,1s,2s,2s,3s"}
    installation = await Installation(tmp_path / "data", places, settings=settings).start()
    accepted: dict[str, bytes] = {}
    numbers = itertools.count()
    kills: list[tuple[float, str]] = []

    async def session() -> None:
        # Mail flows for as long as anything is still to be killed.
        for number in numbers:
            if number >= MAILS and killing.done():
                return
            content = _content(number)
            recipients = ["alice@acme.example"] if number % 5 else ["alice@acme.example", "bob@acme.example"]
            accepted[await _send_one(installation, number, content, recipients)] = content

    async def killer() -> None:
        order = [name for _ in range(ROUNDS) for name in random.sample(KILLED, len(KILLED))]
        for name in order:
            await asyncio.sleep(random.uniform(0.3, 1.0))
            await eventually(lambda name=name: installation.kill(name), timeout=30)
            kills.append((time.monotonic(), name))

    try:
        killing = asyncio.create_task(killer())
        await asyncio.gather(*(session() for _ in range(SESSIONS)))
        await killing
        planted = await _plant(installation, next(iter(accepted)))
        missing = lambda: accepted.keys() - {m.mail_id for m in sink.mails}  # noqa: E731
        await eventually(lambda: not missing(), timeout=150)

        by_id = {m.mail_id: m for m in sink.mails}
        for mail_id, content in accepted.items():
            assert by_id[mail_id].original == content, f"{mail_id} is not byte for byte what was sent"
        objects = Counter(
            f.name for f in (installation.data / "objects").glob("*/mail/*/*/*/*") if ".tmp" not in f.parts
        )
        assert all(objects[mail_id] == 1 for mail_id in accepted)
        assert planted not in by_id

        async with archive(installation, world.ACME_ADMIN) as api:
            unfinished = set(accepted)

            async def all_final() -> bool:
                for mail_id in list(unfinished):
                    status = await api.status(mail_id)
                    if status is None or not status.final:
                        return False
                    assert all(r.state == "delivered" for r in status.recipients)
                    unfinished.discard(mail_id)
                return True

            await eventually(all_final, timeout=90)

            async def all_indexed() -> bool:
                coverage = await api.coverage()
                return coverage is not None and coverage.indexed >= len(accepted) and coverage.segments_behind == 0

            await eventually(all_indexed, timeout=60)
        killed = Counter(name for _, name in kills)
        assert all(killed[name] >= ROUNDS for name in KILLED)
        copies = sink.copies()
        unexplained = [again for again in _again(sink) if not _in_flight(again, kills)]
        print(
            f"\ncrash test: {len(accepted)} accepted, {len(copies)} deliveries expected and made, "
            f"{sum(n - 1 for n in copies.values())} duplicates, {len(unexplained)} of them not in flight at a kill; "
            f"kills {dict(killed)}"
        )
        assert unexplained == []
        assert await installation.stop() == 0
    finally:
        await installation.stop()
        await sink.stop()
        await other.stop()


async def _plant(installation: Installation, mail_id: str) -> str:
    """Copy a real object to another id's path, as somebody with the bucket in hand could."""
    source = next((installation.data / "objects").glob(f"*/mail/*/*/*/{mail_id}"))
    forged = mail_id[:-4] + "ZZZZ"
    await asyncio.to_thread(shutil.copy, source, source.with_name(forged))
    return forged


def _again(sink: Sink) -> list[tuple[float, float, str]]:
    """(arrived first, arrived again, mail id) of each copy too many."""
    first: dict[tuple[str, str], float] = {}
    again = []
    for mail in sink.mails:
        for recipient in mail.recipients:
            began = first.setdefault((mail.mail_id, recipient), mail.at)
            if began != mail.at:
                again.append((began, mail.at, mail.mail_id))
    return again


def _in_flight(again: tuple[float, float, str], kills: list[tuple[float, str]]) -> bool:
    """Whether a process on the way back from the next hop died between the first copy and its outcome's record.

    The outcome travels over delivery, the broker and the archive; with the broker or the archive away it travels until
    they are back, so a kill shortly before counts too.
    """
    first, second, _ = again
    return any(
        first - _AWAY <= at <= min(second, first + _ON_ITS_WAY)
        for at, name in kills
        if name in ("delivery", "nats", "archive")
    )
