"""MX and address look-ups with the configured servers only; bounded in time, cached by TTL."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import random
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

from services.common.components import DnsConfig
from services.common.config import Address
from services.common.errors import InvalidInput, Unavailable
from services.delivery.core import routes

_SYSTEM_RANDOM = random.SystemRandom()


class NoAnswer(Exception):
    """DNS says for certain: no such name, or nothing of that type."""

    def __init__(self, *, exists: bool) -> None:
        super().__init__("no data" if exists else "no such domain")
        self.exists = exists


def make_resolver(config: DnsConfig) -> dns.asyncresolver.Resolver:
    """A caching resolver of the configured servers, else the system's; raises `InvalidInput`."""
    resolver = dns.asyncresolver.Resolver(configure=not config.servers)
    if config.servers:
        servers: list[str | dns.nameserver.Nameserver] = []
        for text in config.servers:
            try:
                address = Address.parse(text) if not _is_ip(text) else Address(text, 53)
                ipaddress.ip_address(address.host)
            except ValueError as error:
                raise InvalidInput("dns.servers: expected IP[:PORT]", field="dns.servers") from error
            servers.append(dns.nameserver.Do53Nameserver(address.host, address.port))
        resolver.nameservers = servers
    resolver.timeout = min(2.0, config.timeout_seconds)
    resolver.lifetime = config.timeout_seconds
    resolver.cache = dns.resolver.LRUCache(10_000)
    return resolver


class Resolver:
    """Answers in the words of mail routing. Raises `NoAnswer` for certain, `Unavailable` when DNS gave no answer."""

    def __init__(self, config: DnsConfig) -> None:
        self._resolver = make_resolver(config)

    async def mx(self, domain: str) -> tuple[routes.Mx, ...]:
        """The MX records of a domain in random order among equals; without any the domain itself (RFC 5321 5.1)."""
        name = _name(domain)
        try:
            answer = await self._ask(name, "MX")
        except NoAnswer as nothing:
            if not nothing.exists:
                raise
            return (routes.Mx(0, name.to_text(omit_final_dot=True)),)
        records = [routes.Mx(r.preference, r.exchange.to_text(omit_final_dot=True)) for r in answer]
        return routes.in_order(records, _SYSTEM_RANDOM.shuffle)

    async def addresses(self, host: str, *, search: bool = False) -> tuple[str, ...]:
        """IPv4 and IPv6 addresses of a host; `search` tries the system's search list for a short name."""
        if _is_ip(host):
            return (host,)
        if host.lower().rstrip(".") == "localhost":
            return ("127.0.0.1", "::1")
        name = _name(host, absolute=not search)
        answers = await asyncio.gather(
            self._ask(name, "A", search=search), self._ask(name, "AAAA", search=search), return_exceptions=True
        )
        found = [r.address for a in answers if not isinstance(a, BaseException) for r in a]
        if found:
            return tuple(found)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, NoAnswer):
                raise answer
        raise NoAnswer(exists=any(isinstance(a, NoAnswer) and a.exists for a in answers))

    async def addresses_of(self, records: Sequence[routes.Mx]) -> dict[str, tuple[str, ...]]:
        """The addresses of each host that has any; raises `Unavailable` when none has and one may have."""
        answers = await asyncio.gather(*(self.addresses(r.host) for r in records), return_exceptions=True)
        found: dict[str, tuple[str, ...]] = {}
        doubt: BaseException | None = None
        for record, answer in zip(records, answers, strict=True):
            if not isinstance(answer, BaseException):
                found[record.host] = answer
            elif not isinstance(answer, NoAnswer):
                doubt = answer
        if not found and doubt is not None:
            raise doubt
        return found

    async def _ask(self, name: dns.name.Name, kind: str, *, search: bool = False) -> dns.resolver.Answer:
        try:
            return await self._resolver.resolve(name, kind, search=search)
        except dns.resolver.NXDOMAIN as error:
            raise NoAnswer(exists=False) from error
        except dns.resolver.NoAnswer as error:
            raise NoAnswer(exists=True) from error
        except (dns.exception.DNSException, OSError) as error:
            raise Unavailable("no answer from DNS", kind=kind, reason=type(error).__name__) from error


def _name(text: str, *, absolute: bool = True) -> dns.name.Name:
    with contextlib.suppress(dns.exception.DNSException, UnicodeError, ValueError):
        name = dns.name.from_unicode(text, origin=dns.name.root if absolute else None)
        if len(name.labels) > (1 if absolute else 0):
            return name
    raise NoAnswer(exists=False)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
