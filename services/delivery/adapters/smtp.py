"""The transport: finds a destination's hosts, keeps connections to them, and makes one attempt."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from services.common import log
from services.common.config import Address
from services.common.errors import Unavailable
from services.delivery.adapters import session as sessions
from services.delivery.adapters.dns import NoAnswer, Resolver
from services.delivery.adapters.gate import Gate
from services.delivery.adapters.session import ConnectFailed, Disconnected, Session, Timeouts
from services.delivery.config import DeliveryConfig
from services.delivery.core import routes
from services.delivery.core.destinations import Destinations
from services.delivery.core.replies import Result, deferred, failed
from services.delivery.core.routes import ByMx, Destination, Fixed, Host, Way
from services.delivery.ports import Outgoing, Overflow

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class _Way:
    """Where to go, in order, and how."""

    hosts: tuple[Host, ...]
    tls: Way


class SmtpTransport:
    """Makes attempts; connections are pooled by host and TLS mode, destinations limited and remembered.

    `own_ca`: the installation's, believed beside the system's where no other is configured.
    """

    def __init__(
        self, config: DeliveryConfig, resolver: Resolver, destinations: Destinations, *, own_ca: Path | None = None
    ) -> None:
        self._config, self._resolver, self._destinations = config, resolver, destinations
        self._gate = Gate(destinations)
        self._own = frozenset({*config.own_addresses})
        self._timeouts = Timeouts(
            config.connect_timeout.total_seconds(),
            config.command_timeout.total_seconds(),
            config.data_timeout.total_seconds(),
        )
        self._stopping = asyncio.Event()
        self._pool = Pool(config.idle_close.total_seconds(), config.mails_per_connection)
        self._unverified = _unverified()
        self._verified = _verified(config.ca, own_ca)
        self._required = self._verified if config.verify_certificates else self._unverified

    async def send(self, destination: Destination, mail: Outgoing) -> list[Result]:
        """One attempt; a result for each recipient, in order. Raises `Overflow` when it did not even begin."""
        if self._stopping.is_set():
            raise Overflow(1.0)
        key = destination.key
        down = self._destinations.down(key, time.monotonic())
        if down is not None:
            return [down] * len(mail.recipients)
        async with self._gate.slot(key):
            down = self._destinations.down(key, time.monotonic())
            if down is not None:
                return [down] * len(mail.recipients)
            began = time.monotonic()
            way = await self._find(destination)
            if isinstance(way, Result):
                if way.fate == "deferred":
                    self._destinations.unreachable(key, way, time.monotonic())
                return [way] * len(mail.recipients)
            results, reached = await self._attempt(way, mail)
            if reached:
                self._destinations.answered(key, time.monotonic() - began, time.monotonic())
            else:
                self._destinations.unreachable(key, results[0], time.monotonic())
                _log.info("delivery.unreachable", code=results[0].code, failures=self._destinations.get(key).failures)
            return results

    def stop(self) -> None:
        """Begin nothing more: who still waits for a connection comes back later, what is being sent ends."""
        self._stopping.set()

    async def close(self) -> None:
        """Close idle connections."""
        await self._pool.close()

    async def _attempt(self, way: _Way, mail: Outgoing) -> tuple[list[Result], bool]:
        """Results of the first host that answers, and whether any did."""
        last = deferred("connect_failed", "4.4.1", "no host to connect to")
        for host in way.hosts:
            try:
                return await self._with(host, way.tls, mail), True
            except ConnectFailed as error:
                last = error.result
            except Disconnected as error:
                remote = str(Address(host.address, host.port))
                last = deferred("disconnected", "4.4.2", str(error), remote=remote)
                if error.begun:
                    # It may have taken the mail: another host now would risk a double. And it may be this mail
                    # that it stumbles over, so that others may still go there.
                    return [last] * len(mail.recipients), True
        return [last] * len(mail.recipients), False

    async def _with(self, host: Host, tls: Way, mail: Outgoing) -> list[Result]:
        """One transaction with a host, on a kept connection if there is one that still works."""
        key = (host, tls)
        session = self._pool.take(key)
        if session is not None:
            try:
                return await self._use(key, session, mail)
            except Disconnected as error:
                if error.begun:
                    raise
        return await self._use(key, await self._connect(host, tls), mail)

    async def _use(self, key: tuple[Host, Way], session: Session, mail: Outgoing) -> list[Result]:
        try:
            return await session.send(mail)
        finally:
            await self._pool.give(key, session)

    async def _connect(self, host: Host, tls: Way) -> Session:
        try:
            return await self._dial(host, tls)
        except ConnectFailed as error:
            if tls != "opportunistic" or not error.tls:
                raise
            return await self._dial(host, "none")

    async def _dial(self, host: Host, tls: Way) -> Session:
        """Connect, unless we are to stop first."""
        contexts = {"required": self._required, "verified": self._verified}
        context, tls = contexts.get(tls, self._unverified), "required" if tls == "verified" else tls
        dialling = asyncio.ensure_future(
            sessions.connect(host, helo=self._config.hostname, tls=tls, context=context, timeouts=self._timeouts)
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({dialling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not dialling.done():
                raise Overflow(1.0)
            return dialling.result()
        finally:
            stopping.cancel()
            if not dialling.done():
                dialling.cancel()
                await asyncio.gather(dialling, return_exceptions=True)

    async def _find(self, destination: Destination) -> _Way | Result:
        """The hosts of a destination, or the result that there are none."""
        match destination:
            case Fixed(address, tls):
                return await self._fixed(address, tls)
            case ByMx(tls="verified"):
                # What DNS names is not proved to be the recipient's: this mail waits until its tenant has a route.
                return deferred("tls_unavailable", "4.7.10", "the mail needs a route with TLS that can be verified")
            case ByMx(domain, hosted):
                way = await self._by_mx(domain)
                if hosted and isinstance(way, Result) and way.code != "null_mx":
                    # DNS leads here, or nowhere: the domain is another tenant's, so its mail comes in by our relay.
                    relay = self._config.self_relay
                    return await self._fixed(str(relay), "opportunistic")
                return way

    async def _fixed(self, address: str, tls: Way) -> _Way | Result:
        try:
            where = Address.parse(address)
            found = await self._resolver.addresses(where.host, search=True)
        except NoAnswer:
            return deferred("dns_failed", "4.4.4", "the route's host does not exist")
        except Unavailable:
            return deferred("dns_failed", "4.4.3", "no answer from DNS for the route's host")
        except ValueError:
            return deferred("route_invalid", "4.3.5", "the route is not HOST:PORT")
        preferred = routes.by_preference(found, self._config.address_preference)
        hosts = tuple(Host(where.host, a, where.port) for a in preferred)
        return _Way(hosts[: self._config.mx_limit], tls)

    async def _by_mx(self, domain: str) -> _Way | Result:
        config = self._config
        address = routes.literal(domain)
        if address is not None:
            if routes.forbidden(address, own=self._own, allow_loopback=config.mx_allow_loopback):
                return failed("loop", "5.4.6", "the address is our own")
            return _Way((Host(address, address, config.mx_port),), "opportunistic")
        try:
            records = await self._resolver.mx(domain)
            if routes.is_null_mx(records):
                return failed("null_mx", "5.1.10", "the domain takes no mail (RFC 7505)")
            kept = routes.usable(records, own_names=frozenset({config.hostname.lower()}))
            if not kept:
                return failed("loop", "5.4.6", "mail for the domain leads back to us")
            found = await self._resolver.addresses_of(kept)
        except NoAnswer:
            return failed("no_such_domain", "5.1.2", "the domain does not exist in DNS")
        except Unavailable:
            return deferred("dns_failed", "4.4.3", "no answer from DNS")
        allowed = {
            name: [
                a for a in addresses if not routes.forbidden(a, own=self._own, allow_loopback=config.mx_allow_loopback)
            ]
            for name, addresses in found.items()
        }
        hosts = routes.hosts(
            kept, allowed, port=config.mx_port, preference=config.address_preference, limit=config.mx_limit
        )
        if hosts:
            return _Way(hosts, "opportunistic")
        if any(found.values()):
            return failed("loop", "5.4.6", "mail for the domain leads back to us")
        return failed("no_host", "5.4.4", "no host of the domain has an address")


class Pool:
    """Kept connections, each closed when it was idle for a while or has carried its share of mails."""

    def __init__(self, idle: float, mails: int) -> None:
        self._idle, self._mails = idle, mails
        self._kept: dict[tuple[Host, Way], list[tuple[Session, asyncio.TimerHandle]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, key: tuple[Host, Way]) -> Session | None:
        """A connection that still seems to stand, the youngest first; it is the caller's now."""
        kept = self._kept.get(key, [])
        while kept:
            session, timer = kept.pop()
            timer.cancel()
            if not kept:
                del self._kept[key]
            if session.usable:
                return session
            self._close(session)
        return None

    async def give(self, key: tuple[Host, Way], session: Session) -> None:
        """Keep a connection, or close it when it is broken or has done enough."""
        if not session.usable:
            await session.close(polite=False)
        elif session.mails >= self._mails or self._idle <= 0:
            self._close(session)
        else:
            timer = asyncio.get_running_loop().call_later(self._idle, self._expire, key, session)
            self._kept.setdefault(key, []).append((session, timer))

    async def close(self) -> None:
        """Close all of them."""
        for kept in list(self._kept.values()):
            for session, timer in kept:
                timer.cancel()
                self._close(session)
        self._kept.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _expire(self, key: tuple[Host, Way], session: Session) -> None:
        kept = [k for k in self._kept.get(key, []) if k[0] is not session]
        if kept:
            self._kept[key] = kept
        else:
            self._kept.pop(key, None)
        self._close(session)

    def _close(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _verified(ca: Path | None, own_ca: Path | None) -> ssl.SSLContext:
    """For hosts that must prove their name (RFC 6125)."""
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if ca is None and own_ca is not None and own_ca.exists():
        context.load_verify_locations(cafile=str(own_ca))
    return context


def _unverified() -> ssl.SSLContext:
    """For opportunistic TLS, which keeps listeners out: who forges certificates can strip STARTTLS too (RFC 7435)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
