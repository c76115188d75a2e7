"""The listeners: relay, submission with STARTTLS, submission over TLS; PROXY from named balancers; drain.

Where balancers are named, connections are accepted by hand, so that the PROXY
header is read from the socket before TLS or SMTP sees a byte, and only from them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Coroutine
from typing import Any

from services.common import log
from services.common.config import Address
from services.common.directory import Network
from services.common.errors import Unavailable
from services.ingress.adapters.connection import Connection
from services.ingress.adapters.desk import HANDSHAKE, Desk, Kind
from services.ingress.adapters.smtp import SmtpSession
from services.ingress.core import proxy

_log = log.get(__name__)
_HEADER_WITHIN = 10.0
_BACKLOG = 1024


class SmtpServer:
    """Every listener and session of this process."""

    def __init__(self, desk: Desk, *, balancers: tuple[Network, ...] = ()) -> None:
        self._desk, self._balancers = desk, balancers
        self._sessions: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._accepting: set[asyncio.Task[None]] = set()

    async def listen(self, address: Address, kind: Kind) -> Address:
        """Open a listener; returns where it is. Raises `Unavailable` when the address cannot be had."""
        try:
            listener = await _socket(address)
        except OSError as error:
            raise Unavailable(f"cannot listen on {address}") from error
        bound = listener.getsockname()
        if self._balancers:
            self._spawn(self._accept(listener, kind))
        else:
            loop = asyncio.get_running_loop()
            context, handshake = self._tls(kind)
            self._servers.append(
                await loop.create_server(
                    lambda: SmtpSession(self._desk, kind, self._sessions),
                    sock=listener,
                    backlog=_BACKLOG,
                    ssl=context,
                    ssl_handshake_timeout=handshake,
                )
            )
        return Address(bound[0], bound[1])

    @property
    def sessions(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    async def drain(self, timeout: float) -> None:
        """Take no connections, answer 421 4.3.2, let running content and accepts end, at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._desk.stopping = True
        for server in self._servers:
            server.close()
        for task in self._accepting:
            task.cancel()
        for session in list(self._sessions):
            session.shut_down()
        running = {s.running for s in self._sessions if s.running is not None}
        if running:
            await asyncio.wait(running, timeout=max(deadline - time.monotonic(), 0))
        await self._desk.receiver.drain(max(deadline - time.monotonic(), 0))
        for session in list(self._sessions):
            if session.transport is not None:
                session.transport.abort()
        rest = {s.running for s in self._sessions if s.running is not None and not s.running.done()}
        for handler in rest:
            handler.cancel()
        if rest:
            await asyncio.wait(rest)

    def _tls(self, kind: Kind) -> tuple[ssl.SSLContext | None, float | None]:
        """The TLS context and the seconds for its handshake, where TLS comes first."""
        return (self._desk.tls, min(self._desk.limits.idle, HANDSHAKE)) if kind == "submissions" else (None, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _accept(self, listener: socket.socket, kind: Kind) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, peer = await loop.sock_accept(listener)
                except OSError:
                    await asyncio.sleep(0.1)  # out of descriptors: the peers wait in the backlog
                    continue
                connection.setblocking(False)
                self._spawn(self._begin(connection, str(peer[0]), kind))

    async def _begin(self, connection: socket.socket, peer: str, kind: Kind) -> None:
        loop = asyncio.get_running_loop()
        source = peer
        try:
            if self._is_balancer(peer):
                async with asyncio.timeout(_HEADER_WITHIN):
                    source = (await read_header(connection)).address or peer
            context, handshake = self._tls(kind)
            await loop.connect_accepted_socket(
                lambda: SmtpSession(self._desk, kind, self._sessions, source=source),
                connection,
                ssl=context,
                ssl_handshake_timeout=handshake,
            )
        except (proxy.Malformed, TimeoutError, OSError, EOFError):
            _log.warning("smtp.proxy_refused")
            with contextlib.suppress(OSError):
                connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    def _is_balancer(self, peer: str) -> bool:
        ip = ipaddress.ip_address(peer.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        return any(ip.version == network.version and ip in network for network in self._balancers)


async def read_header(connection: socket.socket) -> proxy.Source:
    """Read a PROXY header and not one byte more. Raises `proxy.Malformed`, `EOFError` or `OSError`."""
    start = await _exactly(connection, len(proxy.V1_PREFIX))
    if start == proxy.V1_PREFIX:
        line = bytearray(start)
        while not line.endswith(b"\n"):
            if len(line) >= proxy.V1_LONGEST:
                raise proxy.Malformed
            line += await _exactly(connection, 1)
        return proxy.parse_v1(bytes(line))
    if not proxy.V2_SIGNATURE.startswith(start):
        raise proxy.Malformed
    fixed = start + await _exactly(connection, proxy.V2_FIXED - len(start))
    return proxy.parse_v2(fixed, await _exactly(connection, proxy.v2_length(fixed)))


async def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        more = await asyncio.get_running_loop().sock_recv(connection, length - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)


async def _socket(address: Address) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` takes both; IPv4 peers are then seen as mapped addresses and judged as IPv4.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
