"""rspamd and ClamAV beside the inspection: their protocols on real sockets, and what their silence means."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from letterlock.mail.v1 import mail_pb2

from services.common.config import Address
from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId
from services.policy.adapters.clamav import CHUNK, ClamAv
from services.policy.adapters.rspamd import Rspamd
from services.policy.core.extract import Limits
from services.policy.core.filters import UNKNOWN, FilterVerdict
from services.policy.core.message import Direction
from services.policy.decide import Bounds, Decider
from services.policy.filters import Filters
from services.policy.pool import FairPool
from services.policy.ports import Engine, InForce, Question
from tests.unit.policy.builders import mail, matches, rules, summary, transaction, verdict

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
TENANT = TenantId.new()


def question(raw: bytes = b"Subject: x\r\n\r\ny\r\n") -> Question:
    """A mail from a stranger."""
    return Question(
        "01JD", raw, "eve@world.example", ("alice@acme.example", "bob@acme.example"), "192.0.2.1", "mx.example"
    )


@asynccontextmanager
async def rspamd(answer: Callable[[web.Request, bytes], web.StreamResponse]) -> AsyncIterator[str]:
    """A server that answers `POST /checkv2`; its URL."""

    async def check(request: web.Request) -> web.StreamResponse:
        return answer(request, await request.read())

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/checkv2", check)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


class Clamd:
    """A server of INSTREAM: finds EICAR, refuses streams over its limit, remembers the sizes of the chunks."""

    def __init__(self, *, limit: int = 1 << 26, answer: bytes = b"") -> None:
        self.limit, self.answer, self.chunks = limit, answer, list[int]()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Address]:
        """Its address while it runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield Address(*server.sockets[0].getsockname()[:2])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
            body = b""
            while size := int.from_bytes(await reader.readexactly(4)):
                self.chunks.append(size)
                body += await reader.readexactly(size)
                if len(body) > self.limit:
                    writer.write(b"INSTREAM size limit exceeded. ERROR\0")
                    return
            found = b"stream: Eicar-Signature FOUND\0" if EICAR in body else b"stream: OK\0"
            writer.write(self.answer or found)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()


SPAM = {
    "score": 7.25,
    "symbols": {
        "R_SPF_FAIL": {},
        "R_DKIM_NA": {},
        "DMARC_POLICY_REJECT": {},
        "ARC_ALLOW": {},
        "PHISHING": {"score": 4},
    },
}


async def test_rspamd_is_told_the_envelope_and_its_symbols_are_results() -> None:
    """The mail as it came, the envelope in headers, symbols as results of RFC 8601."""
    heard: list[tuple[bytes, list[str], str | None]] = []

    def answer(request: web.Request, body: bytes) -> web.Response:
        heard.append((body, request.headers.getall("Rcpt"), request.headers.get("From")))
        return web.json_response(SPAM)

    async with rspamd(answer) as url:
        engine = Rspamd(url)
        said = await engine.ask(question())
        await engine.close()
    assert heard == [(question().raw, ["alice@acme.example", "bob@acme.example"], "eve@world.example")]
    assert said == FilterVerdict(spam=7.25, phishing=True, spf="fail", dkim="none", dmarc="fail", arc="pass")


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500), web.Response(text="no"), web.json_response({"score": "7", "symbols": {}}),
        web.json_response({"is_skipped": True, "score": 0.0, "symbols": {}}), web.json_response([]),
        web.Response(body=b" " * (1 << 21)),
    ],
    ids=["error", "no-json", "score", "skipped", "list", "endless"],
)  # fmt: skip
async def test_an_answer_of_rspamd_that_is_none_is_unavailable(answer: web.Response) -> None:
    """Never taken for a score of zero."""
    async with rspamd(lambda request, body: answer) as url:
        engine = Rspamd(url)
        with pytest.raises(Unavailable):
            await engine.ask(question())
        await engine.close()


async def test_clamav_gets_the_mail_in_chunks_and_names_what_it_finds() -> None:
    """At most 256 KiB each."""
    clamd = Clamd()
    async with clamd.running() as address:
        engine = ClamAv(address)
        clean = await engine.ask(question(b"x" * (2 * CHUNK + 7)))
        dirty = await engine.ask(question(b"x" + EICAR))
    assert (clamd.chunks[:3], max(clamd.chunks)) == ([CHUNK, CHUNK, 7], CHUNK)
    assert clean == FilterVerdict(malware=False)
    assert dirty == FilterVerdict(malware=True, signature="Eicar-Signature")


@pytest.mark.parametrize(
    "clamd",
    [
        Clamd(limit=1000),
        Clamd(answer=b"UNKNOWN COMMAND\0"),
        Clamd(answer=b"stream: " + b"x" * 9000 + b" FOUND\0"),
        Clamd(answer=b"stream"),
    ],
    ids=["too-large", "error", "endless", "cut"],
)
async def test_an_answer_of_clamav_that_is_none_is_unavailable(clamd: Clamd) -> None:
    """A mail that it did not read to the end is not clean."""
    async with clamd.running() as address:
        with pytest.raises(Unavailable):
            await ClamAv(address).ask(question(b"x" * 3_000_000))


async def test_engine_that_is_away_is_unavailable() -> None:
    """Nobody listens."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    server.close()
    await server.wait_closed()
    engine = Rspamd(f"http://{host}:{port}")
    for away in (ClamAv(Address(host, port)), engine):
        with pytest.raises(Unavailable):
            await away.ask(question())
    await engine.close()


class Says:
    """An engine that says one thing, or nothing ever."""

    def __init__(self, verdict: FilterVerdict | None) -> None:
        self._verdict = verdict
        self.asked = 0
        self.answers = frozenset({"spam", "malware"})

    async def ask(self, question: Question) -> FilterVerdict:
        """Say it."""
        self.asked += 1
        if self._verdict is None:
            await asyncio.Event().wait()
        return self._verdict or UNKNOWN

    async def close(self) -> None:
        """Nothing."""


async def test_engine_that_never_answers_leaves_its_fields_unknown_and_the_others_known() -> None:
    """Within the time of the decision."""
    said = await Filters([Says(None), Says(FilterVerdict(spam=1.0))])(TENANT, question(), timeout=0.05)
    assert said == FilterVerdict(spam=1.0)


@pytest.mark.parametrize(
    ("asked", "said", "truth"),
    [
        ("{spam: '>=6'}", FilterVerdict(spam=6.0), True),
        ("{spam: '<6'}", FilterVerdict(spam=6.0), False),
        ("{malware: true, phishing: false}", FilterVerdict(malware=True, phishing=False), True),
        ("{spf: [fail, softfail], dkim: none}", FilterVerdict(spf="softfail", dkim="none"), True),
        ("{spf: [fail, softfail], dkim: none}", FilterVerdict(spf="softfail", dkim="pass"), False),
        ("{malware: true, spam: '>1'}", FilterVerdict(malware=False), False),
        ("{malware: true, spam: '>1'}", FilterVerdict(malware=True), None),
        ("{spam: '>=6'}", UNKNOWN, None),
    ],
)
def test_verdict_is_met_by_what_was_said_and_fails_on_what_was_not(
    asked: str, said: FilterVerdict, truth: bool | None
) -> None:
    """What is known to be otherwise decides; only then the unknown is a fault."""
    (match,) = matches(rules(f"when: {{verdict: {asked}}}, then: {{hold: {{}}}}"), mail(), transaction(), filters=said)
    assert (bool(match.recipients), match.error) == ((truth, "") if truth is not None else (True, "VerdictUnknown"))


@pytest.mark.parametrize(
    ("direction", "on_error", "expected"),
    [
        ("outbound", "", "hold"),
        ("inbound", "", "tempfail"),
        ("outbound", "on_error: pass, ", "deliver"),
        ("inbound", "on_error: hold, ", "hold"),
    ],
)
def test_unknown_verdict_is_answered_by_on_error(direction: Direction, on_error: str, expected: str) -> None:
    """By default hold outbound, tempfail inbound."""
    policy = rules(f"{on_error}when: {{verdict: {{malware: true}}}}, then: {{refuse: {{}}}}")
    found = verdict(policy, mail(), transaction(("bob@world.example", direction)))
    assert ("tempfail" if found.tempfail else summary(found)[0][0]) == expected


class OneTenant:
    """One tenant with one policy."""

    def __init__(self, policy: InForce) -> None:
        self._policy = policy

    def current(self, tenant: TenantId) -> InForce:
        """It."""
        return self._policy

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """No groups."""
        return frozenset()

    def direction_of(self, tenant: TenantId, address: str, *, from_stranger: bool) -> Direction:
        """Everybody is outside."""
        return "outbound"


async def decided(engine: Engine, *policy: str, always: bool = False) -> mail_pb2.Decision:
    """The decision about a small mail."""
    envelope = mail_pb2.Envelope(tenant=TENANT, mail_id=MailId.new(), sender="alice@acme.example", size=100)
    envelope.recipients.add(address="bob@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
    pool = FairPool(2, waiting=4, waiting_per_tenant=4)
    try:
        decider = Decider(
            OneTenant(InForce(rules(*policy), 1)),
            pool,
            Bounds(Limits(), 65536),
            filters=Filters([engine], always=always),
        )
        return await decider(envelope, mail(), queued=False, timeout=5)
    finally:
        pool.close()


async def test_engines_are_asked_only_where_a_rule_in_force_asks() -> None:
    """Not for drafts, not for tenants that never ask, but always where the setting says so."""
    engine = Says(FilterVerdict(malware=True, signature="Eicar"))
    await decided(engine, "then: {pass: {}}", "mode: draft, when: {verdict: {malware: true}}, then: {delete: {}}")
    assert engine.asked == 0
    found = await decided(engine, "when: {verdict: {malware: true}}, then: {delete: {}}")
    assert (engine.asked, found.legs[0].disposition) == (1, mail_pb2.DISPOSITION_DELETE)
    assert list(found.why[0].predicates[0].spans) == ["malware Eicar"]
    await decided(engine, "then: {pass: {}}", always=True)
    assert engine.asked == 2


@pytest.mark.skipif(shutil.which("clamd") is None, reason="no clamd on PATH")
async def test_real_clamd_finds_what_it_must(tmp_path: Path) -> None:
    """With a database of one signature, so that nothing is downloaded."""
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "one.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
    conf = tmp_path / "clamd.conf"
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    conf.write_text(f"DatabaseDirectory {tmp_path}/db\nTCPSocket {port}\nTCPAddr 127.0.0.1\nForeground yes\n")
    process = subprocess.Popen(["clamd", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        engine = ClamAv(Address("127.0.0.1", port))
        async with asyncio.timeout(60):
            while True:
                try:
                    assert (await engine.ask(question(EICAR))).malware is True
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
        assert await engine.ask(question(b"Subject: hello\r\n\r\nworld\r\n")) == FilterVerdict(malware=False)
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(shutil.which("rspamd") is None, reason="no rspamd on PATH")
async def test_real_rspamd_answers(tmp_path: Path) -> None:
    """With one worker and no modules; GTUBE is spam everywhere."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    conf = tmp_path / "rspamd.conf"
    conf.write_text(
        f'options {{ pidfile = "{tmp_path}/pid"; filters = ""; }}\nlogging {{ type = "console"; }}\n'
        f'worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}\n'
    )
    process = subprocess.Popen(
        ["rspamd", "-f", "-i", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    engine = Rspamd(f"http://127.0.0.1:{port}")
    try:
        gtube = b"Subject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
        async with asyncio.timeout(60):
            while True:
                try:
                    assert (await engine.ask(question(gtube))).spam is not None
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
    finally:
        await engine.close()
        process.terminate()
        process.wait()
