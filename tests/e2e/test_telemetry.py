"""What an installation says of itself while mail goes through it: spans, metrics and logs, on real parts."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

from services.common.bus.streams import CONSUMERS
from services.common.ids import MailId
from services.common.testing import eventually
from tests.harness import mails, world
from tests.harness.collector import collecting
from tests.harness.installation import Installation
from tests.harness.sink import Sink
from tests.harness.smtp import send_async

NONCE = "xyzzy2nonce8"
SERVICES = ("ingress", "policy", "quarantine", "delivery", "archive")


async def test_mails_are_traces_counts_and_bound_log_lines(tmp_path: Path) -> None:
    """A deferred mail and a held one: each is one trace over processes, counted per tenant, and nowhere named."""
    sink = await Sink().start()
    later = f"{NONCE}@partner.example"
    sink.refuse[later] = "450 4.2.0 later"
    places = world.two_tenants(acme=sink.address, acme_out=sink.address, globex=sink.address, globex_out=sink.address)
    async with collecting() as collector:
        settings = {"TELEMETRY__ENDPOINT": collector.endpoint, "DELIVERY__RETRY_AFTER": "1s"}
        installation = Installation(tmp_path / "data", places, settings=settings)
        try:
            await installation.start()
            relay = installation.host_port("relay")
            content = mails.plain("alice@acme.example", later, NONCE, NONCE)
            first = await send_async(*relay, "alice@acme.example", [later], content, source=world.ACME_PEER)
            card = mails.plain("alice@acme.example", "c@partner.example", NONCE, "card 4111-1111-1111-1111")
            second = await send_async(*relay, "alice@acme.example", ["c@partner.example"], card, source=world.ACME_PEER)
            log = tmp_path / "data" / "log.jsonl"
            await eventually(lambda: '"delivery.not_delivered"' in log.read_text(), timeout=30)
            sink.refuse.clear()
            await eventually(lambda: [m for m in sink.mails if m.mail_id == first.mail_id], timeout=30)
            page = str(await eventually(lambda: _metrics(installation), timeout=30))
        finally:
            await installation.stop()
            await sink.stop()
        retried = collector.of(f"{MailId(first.mail_id).number:032x}")
        held = collector.of(f"{MailId(second.mail_id).number:032x}")
    assert {s.name for s in retried} >= {
        "ingress.accept", "policy.decide", "delivery.fact", "delivery.retry", "archive.record",
    }  # fmt: skip
    names = {s.span_id: s.name for s in retried}
    caused = {(names.get(s.parent_span_id, ""), s.name) for s in retried}
    # Over a question, a fact and a schedule: the broker hands on the headers of each.
    assert caused >= {
        ("ingress.decide", "policy.decide"),
        ("ingress.publish", "delivery.fact"),
        ("delivery.fact", "delivery.retry"),
        ("delivery.retry", "archive.record"),
    }
    assert {s.name for s in held} >= {"ingress.accept", "policy.decide", "quarantine.hold", "archive.record"}
    assert collector.services >= {f"letterlock-{s}" for s in SERVICES}
    assert not [b for b in collector.bodies if NONCE.encode() in b or b".example" in b]

    for service, event in (("ingress", "accepted"), ("delivery", "deferred"), ("quarantine", "held")):
        assert re.search(rf'letterlock_events_total{{event="{event}",service="{service}",tenant="\w{{26}}"}}', page)
    assert re.search(r'letterlock_rpc_seconds_count{code="ok",method="/letterlock.keys.v1.KeyService/\w+"', page)

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    about = [e for e in lines if e.get("mail_id") == first.mail_id]
    assert {e["service"] for e in about} >= {"ingress", "policy", "delivery"}
    assert {e.get("trace_id") for e in about} == {f"{MailId(first.mail_id).number:032x}"}
    assert {len(e["tenant"]) for e in about} == {26}
    assert not [e for e in lines if NONCE in json.dumps(e)]


def _metrics(installation: Installation) -> str:
    with urllib.request.urlopen(f"http://{installation.ready['metrics']}/metrics") as answer:
        page = str(answer.read().decode())
    consumers = set(re.findall(r'letterlock_queue_lag{consumer="([a-z-]+)"}', page))
    return page if consumers == set(CONSUMERS) and 'event="delivered"' in page and 'event="held"' in page else ""
