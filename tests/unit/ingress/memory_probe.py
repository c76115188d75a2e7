"""An ingress over the store at a URL in a process of its own that says what it weighs: run by `test_memory.py`.

Prints its port; then for each line on stdin prints the peak of the resident
set since the line before and the resident set now, in KiB.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import uvloop
from letterlock.mail.v1 import mail_pb2

from services.common import log
from services.common.config import Address
from services.common.directory import Directory, Domain, Tenant
from services.common.ids import TenantId
from services.common.objects import open_store
from services.common.testing.keys import FakeKeys
from services.ingress.adapters.auth import Authenticator
from services.ingress.adapters.desk import Desk
from services.ingress.adapters.server import SmtpServer
from services.ingress.app import SealTo
from services.ingress.receive import Receiver

_TENANT = TenantId("01JD0000000000000000000000")
_VIEW = Directory(tenants={_TENANT: Tenant(_TENANT, "acme")}, domains={"acme.example": Domain("acme.example", _TENANT)})


class _Policy:
    async def decide(self, envelope: mail_pb2.Envelope, raw: bytes | None, *, timeout: float) -> mail_pb2.Decision:
        leg = mail_pb2.Leg(number=1, recipients=[0], disposition=mail_pb2.DISPOSITION_DELIVER)
        return mail_pb2.Decision(
            tenant=envelope.tenant, mail_id=envelope.mail_id, recipients=envelope.recipients, legs=[leg]
        )

    async def publish(self, trace: mail_pb2.Trace, raw: bytes | None) -> None:
        """Nobody listens."""


def _weigh() -> tuple[int, int]:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    return int(status["VmHWM"].split()[0]), int(status["VmRSS"].split()[0])


async def _main(store: str) -> None:
    keys, policy = FakeKeys(), _Policy()
    receiver = Receiver(
        objects=open_store(store),
        keys=SealTo(keys.public),
        signer=keys.signer("ingress"),
        decider=policy,
        publisher=policy,
        hostname="mx.test",
    )
    desk = Desk(
        hostname="mx.test",
        directory=lambda: _VIEW,
        receiver=receiver,
        authenticator=Authenticator(lambda: _VIEW),
        tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    )
    server = SmtpServer(desk)
    print((await server.listen(Address("127.0.0.1", 0), "relay")).port, flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(*_weigh(), flush=True)
    await server.drain(5)


log.configure("ingress", level="error")
uvloop.run(_main(sys.argv[1]))
