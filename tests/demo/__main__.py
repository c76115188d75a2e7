"""`make demo`: start Letterlock with two tenants, send a dozen real mails, show what became of each recipient."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from services.common.processes import free_port
from tests.demo import gateway
from tests.harness import mails, world
from tests.harness.installation import Installation
from tests.harness.sink import Sink
from tests.harness.smtp import Sent, send_async

_SETTLED = {"delivered", "held", "deferred", "returned", "refused", "deleted"}


@dataclass(frozen=True)
class Mail:
    """One mail of the demo, and who may look up what became of it."""

    what: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    source: str = world.STRANGER
    login: tuple[str, str] | None = None
    token: str = world.ACME_ADMIN
    expect: str = "delivered"


def demo_mails() -> list[Mail]:
    """The dozen."""
    out, inside, alice = world.ACME_PEER, "someone@elsewhere.example", "alice@acme.example"
    card = "please charge 4111 1111 1111 1111 today"
    password = (alice, "correct horse battery staple")
    return [
        Mail("plain text", inside, (alice,), mails.plain(inside, alice, "Hello", "Good morning.")),
        Mail("HTML", inside, (alice,), mails.html(inside, alice, "Your invoice", "The invoice is attached.")),
        Mail("Chinese in Big5", inside, (alice,), mails.big5(inside, alice, "會議通知", "明天下午三點開會。\n")),
        Mail("Chinese in UTF-8", alice, ("lee@partner.example",),
             mails.plain(alice, "lee@partner.example", "報價單", "您好，附上報價。"), out),
        Mail("with an attachment", inside, ("bob@acme.example",),
             mails.with_attachment(inside, "bob@acme.example", "照片", "See the picture.", "photo.jpg", bytes(range(256)) * 64)),
        Mail("three recipients, one BCC", alice, ("a@partner.example", "b@partner.example", "hidden@partner.example"),
             mails.plain(alice, "a@partner.example, b@partner.example", "To you all", "Hello both."), out),
        Mail("refused by the next hop", alice, ("nobody@partner.example",),
             mails.plain(alice, "nobody@partner.example", "Are you there?", "Hello?"), out, expect="returned"),
        Mail("to an unknown user", inside, ("ghost@shop.acme.example",),
             mails.plain(inside, "ghost@shop.acme.example", "Hi", "Anybody?"), expect="rejected"),
        Mail("to a dead destination", "carol@globex.example", ("x@nowhere.example",),
             mails.plain("carol@globex.example", "x@nowhere.example", "Ping", "Ping."), world.GLOBEX_PEER,
             token=world.GLOBEX_ADMIN, expect="deferred"),
        Mail("refused by policy", alice, ("rival@partner.example",),
             mails.plain(alice, "rival@partner.example", "機密文件", "這是公司機密。"), out, expect="rejected"),
        Mail("held by policy", alice, ("shop@partner.example",),
             mails.plain(alice, "shop@partner.example", "Order", card), out, expect="held"),
        Mail("an id in a docx in a zip", alice, ("ids@partner.example",),
             mails.with_attachment(alice, "ids@partner.example", "Staff", "As agreed.", "staff.zip",
                                   gateway.document_in_archive("身分證字號 A123456789")), out, expect="held"),
        Mail("sealed by policy", alice, (gateway.SEALED,),
             mails.with_attachment(alice, gateway.SEALED, "Offer", "Our offer.", "offer.txt", b"1,000 pieces\r\n"), out),
        Mail("submitted with a password", alice, ("bob@acme.example",),
             mails.plain(alice, "bob@acme.example", "Lunch?", "At noon?"), login=password),
    ]  # fmt: skip


async def fates(installation: Installation, mail: Mail, sent: Sent) -> list[tuple[str, str, str]]:
    """(recipient, state, detail) of a mail once each is settled; what the dialogue refused is told by its reply."""
    rows = [(recipient, "rejected", f"{code} {text}") for recipient, (code, text) in sent.refused.items()]
    if not sent.mail_id:
        return rows or [(r, "rejected", f"{sent.code} {sent.text}") for r in mail.recipients]
    deadline = time.monotonic() + 30
    while True:
        answer = await installation.cli("mail", "status", sent.mail_id, "-o", "json", token=mail.token)
        recipients = answer.json["recipients"] if answer.status == 0 else []
        if recipients and all(r["state"] in _SETTLED for r in recipients):
            return rows + [(r["address"], r["state"], r.get("detail", "")) for r in recipients]
        if time.monotonic() > deadline:
            return [*rows, (mail.recipients[0], "unknown", answer.err.strip() or answer.out[:200])]
        await asyncio.sleep(0.2)


async def run() -> int:
    """Run the demo; returns 0 when every recipient met the fate that the text promises."""
    inside, outside, globex = await Sink().start(), await Sink().start(), await Sink().start()
    outside.refuse["nobody@partner.example"] = "550 5.1.1 no such user here"
    places = world.two_tenants(
        acme=inside.address, acme_out=outside.address, globex=globex.address, globex_out=f"127.0.0.1:{free_port()}"
    )
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="letterlock-demo-") as folder:
        installation = Installation(Path(folder), places)
        print("Starting Letterlock: two tenants, acme and globex, every service its own process …", flush=True)
        try:
            began = time.monotonic()
            await installation.start()
            print(f"ready after {time.monotonic() - began:.1f} s: SMTP on {installation.ready['relay']}\n")
            sent = []
            for mail in demo_mails():
                where = installation.host_port("submission" if mail.login else "relay")
                sent.append(
                    await send_async(
                        *where, mail.sender, mail.recipients, mail.content, source=mail.source, login=mail.login
                    )
                )
            print(f"{'mail':<27}{'recipient':<26}{'fate':<11}why")
            for mail, answer in zip(demo_mails(), sent, strict=True):
                for recipient, state, detail in await fates(installation, mail, answer):
                    mark = "" if state == mail.expect else f"   <- expected {mail.expect}"
                    wrong += bool(mark)
                    print(
                        f"{mail.what:<27}{recipient:<26}{state:<11}{detail.splitlines()[0][:90] if detail else ''}{mark}"
                    )
            held = next(a.mail_id for m, a in zip(demo_mails(), sent, strict=True) if m.what == "held by policy")
            print(f"\n{await gateway.open_sealed(inside, outside)}")
            print(await gateway.release(installation, outside, held, "shop@partner.example"))
            bounces = [m for m in inside.mails if b"multipart/report" in m.content[:4096]]
            print(f"\nNext hops got {len(inside.mails) + len(outside.mails) + len(globex.mails)} mails; "
                  f"{len(bounces)} of them a delivery status notification to the sender of the refused mail.")  # fmt: skip
            wrong += not bounces
        finally:
            await installation.stop()
            for sink in (inside, outside, globex):
                await sink.stop()
    print(_NEXT)
    if wrong:
        print(f"error: {wrong} recipients met another fate than expected", file=sys.stderr)
    return 1 if wrong else 0


_NEXT = """
Go on by hand:
  make dev                                               keep it running (world: tests/demo/world.yaml)
  . .venv/bin/activate                                   then, in another terminal:
  export LETTERLOCK_TOKEN=acme-admin-0123456789abcdef
  letterlock mail status MAILID                          what became of a mail
  letterlock policy get                                  the rules in force
  LETTERLOCK_TOKEN=acme-lin-0123456789abcdef letterlock hold list
  letterlock --help                                      everything else"""

if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
