"""Builds `ingress` from its parts, opens the listeners, and drains."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from letterlock.mail.v1 import mail_pb2

from services.common import log
from services.common.app import Context
from services.common.audit_calls import AuditedCalls
from services.common.auth import Principal
from services.common.components import TlsConfig
from services.common.directory import Network, Person
from services.common.errors import InvalidInput, Unavailable
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.common.sealing import keys, writers
from services.common.sealing.factkeys import FactKeys
from services.ingress.adapters.auth import Authenticator
from services.ingress.adapters.desk import Desk
from services.ingress.adapters.server import SmtpServer
from services.ingress.config import IngressConfig
from services.ingress.core.limits import Limits
from services.ingress.receive import Receiver

_log = log.get(__name__)


class FactBus:
    """`Decider` and `Publisher` over the facts."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def decide(self, envelope: mail_pb2.Envelope, raw: bytes | None, *, timeout: float) -> mail_pb2.Decision:
        """See `Decider`."""
        return await self._facts.ask_decide(envelope, raw, timeout=timeout)

    async def publish(self, trace: mail_pb2.Trace, raw: bytes | None) -> None:
        """See `Publisher`."""
        mail_id = trace.envelope.mail_id
        if trace.HasField("decision"):
            await self._facts.publish("decided", trace, raw=raw, msg_id=f"{mail_id}:d:0")
        else:
            await self._facts.publish("accepted", trace, raw=raw, msg_id=f"{mail_id}:a:0")


class SealTo:
    """`PublicKeys` of this service over the installation's."""

    def __init__(self, public: keys.PublicKeys) -> None:
        self._public = public

    async def recipients(self, tenant: TenantId, mail_id: MailId) -> list[str]:
        """See `PublicKeys`."""
        return [await self._public.archive(tenant), await self._public.pipeline(mail_id.day)]


def limits_of(config: IngressConfig) -> Limits:
    """The session limits the settings ask for."""
    return Limits(
        max_bytes=config.max_bytes,
        max_recipients=config.max_recipients,
        max_hops=config.max_hops,
        max_errors=config.max_errors,
        max_commands=config.max_commands,
        idle=config.idle_timeout.total_seconds(),
        transaction=config.transaction_timeout.total_seconds(),
        min_rate=config.min_rate,
        rate_grace=config.rate_grace.total_seconds(),
    )


def tls_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """The server side of TLS, 1.2 and up; raises `InvalidInput` for files that are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput("ingress: the TLS certificate cannot be used", field="certificate") from error
    return context


async def renew(context: ssl.SSLContext, certificate: Path, key: Path, *, every: float = 60.0) -> None:
    """Load a certificate that was replaced, for the handshakes to come; runs until cancelled."""
    seen = _stamp(certificate, key)
    while True:
        await asyncio.sleep(every)
        now = _stamp(certificate, key)
        if now == seen or not now:
            continue
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError):
            _log.warning("smtp.certificate_unusable")  # half written, perhaps: the old one stays
        else:
            seen = now
            _log.info("smtp.certificate_renewed")


def _stamp(*files: Path) -> tuple[int, ...]:
    try:
        return tuple(f.stat().st_mtime_ns for f in files)
    except OSError:
        return ()


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The balancers' networks; raises `InvalidInput`."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise InvalidInput(f"ingress.proxy_networks: {error}", field="proxy_networks") from error


def _tell(calls: AuditedCalls, who: Person, good: bool) -> None:
    caller = Principal("person", who.tenant, who.address, who.roles)
    if good:
        calls.seen(caller)
    else:
        calls.failed(caller)


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Receive mail while the context lives; leaving it drains."""
    config = ctx.settings.of(IngressConfig)
    limits = limits_of(config)
    hostname = config.hostname or socket.gethostname()
    trusted = writers.load_writers(ctx.settings)
    public = keys.PublicKeys(ctx.objects, trusted)
    bus = FactBus(Facts(ctx.bus, FactKeys(ctx.bus.bucket("factkeys"), public)))
    receiver = Receiver(
        objects=ctx.objects,
        keys=SealTo(public),
        signer=writers.load_signer(ctx.settings, "ingress"),
        decider=bus,
        publisher=bus,
        hostname=hostname,
        limits=limits,
        decide_within=config.decide_timeout.total_seconds(),
    )
    authenticator = Authenticator(
        lambda: ctx.control.directory,
        peer_failures=config.auth_failures_per_peer,
        account_failures=config.auth_failures_per_account,
        window=config.auth_window.total_seconds(),
        told=partial(_tell, ctx.calls) if ctx.calls is not None else None,
    )
    folder = ctx.settings.of(TlsConfig).directory or ctx.settings.data / "tls"
    certificate = config.certificate or folder / "ingress.pem"
    key = config.certificate_key or folder / "ingress.key"
    desk = Desk(
        hostname=hostname,
        directory=lambda: ctx.control.directory,
        receiver=receiver,
        authenticator=authenticator,
        tls=tls_context(certificate, key, config.client_ca),
        limits=limits,
        max_connections=config.max_connections,
        max_connections_per_peer=config.max_connections_per_peer,
        max_connections_per_tenant=config.max_connections_per_tenant,
        greeting_delay=config.greeting_delay.total_seconds(),
        postmaster=config.postmaster,
    )
    server = SmtpServer(desk, balancers=networks(config.proxy_networks))

    async def listening() -> None:
        if desk.stopping:
            raise Unavailable("draining")

    renewing = asyncio.create_task(renew(desk.tls, certificate, key))
    ctx.health.add("keys", public.check)
    ctx.health.add("listeners", listening)
    try:
        ctx.addresses["relay"] = str(await server.listen(config.relay_listen, "relay"))
        ctx.addresses["submission"] = str(await server.listen(config.submission_listen, "submission"))
        ctx.addresses["submissions"] = str(await server.listen(config.submissions_listen, "submissions"))
        yield
    finally:
        renewing.cancel()
        await server.drain(config.drain_timeout.total_seconds())
        authenticator.close()
