"""Pure rules: routing, verdicts, the PROXY header, throttles, replies."""

from __future__ import annotations

import dataclasses
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.throttle import Throttle
from services.ingress.adapters.desk import peer_key
from services.ingress.core import proxy, reply, routing
from services.ingress.core.address import Address, parse
from services.ingress.core.limits import Limits, too_slow
from services.ingress.core.throttle import Counts
from services.ingress.core.verdict import Accept, Incomplete, Later, LegView, Refuse, judge
from tests.unit.ingress.conftest import ACME, GLOBEX, directory

VIEW = directory()


def test_strangers_reach_hosted_domains_only() -> None:
    """Inbound, to the domain's tenant; no relaying; a second tenant later."""
    assert routing.route(VIEW, None, None, parse("a@acme.example")) == routing.Routed(ACME, "a@acme.example", "inbound")
    assert routing.route(VIEW, None, None, parse("a@ACME.example")) == routing.Routed(ACME, "a@ACME.example", "inbound")
    assert routing.route(VIEW, None, None, parse("a@sub.acme.example")) == routing.RELAYING_DENIED
    assert routing.route(VIEW, None, ACME, parse("a@elsewhere.example")) == routing.RELAYING_DENIED
    assert routing.route(VIEW, None, ACME, parse("a@globex.example")) == routing.OTHER_TENANT
    assert routing.route(VIEW, None, None, parse("a@shop.acme.example")) == routing.UNKNOWN_USER


def test_connectors_tenant_decides_whose_mail_it_is() -> None:
    """To another hosted tenant it is outbound mail of its own."""
    connector = VIEW.connectors[0]
    assert routing.route(VIEW, connector, None, parse("a@globex.example")) == routing.Routed(
        ACME, "a@globex.example", "outbound"
    )
    assert routing.route(VIEW, connector, ACME, parse("a@acme.example")) == routing.Routed(
        ACME, "a@acme.example", "internal"
    )
    forwarder = dataclasses.replace(connector, senders=("*@partner.example",))
    assert routing.check_sender(VIEW, forwarder, "x@partner.example") is None
    assert routing.check_sender(VIEW, forwarder, "x@acme.example") == routing.SENDER_DENIED


def test_suspended_tenant_takes_no_mail_for_now() -> None:
    """450: its senders try again."""
    view = directory(suspended=True)
    answer = routing.route(view, None, None, parse("a@acme.example"))
    assert answer == routing.SUSPENDED
    assert not answer.permanent


def test_bare_postmaster_finds_somebody() -> None:
    """The tenant's own where it is known, the installation's where one is set (RFC 5321 §4.5.1)."""
    bare = Address("postmaster", "")
    assert routing.route(VIEW, None, None, bare) == routing.UNKNOWN_USER
    known = routing.route(VIEW, VIEW.connectors[0], None, bare)
    assert known == routing.Routed(ACME, "postmaster@acme.example", "internal")
    set_ = routing.route(VIEW, None, None, bare, postmaster="ops@globex.example")
    assert set_ == routing.Routed(GLOBEX, "ops@globex.example", "inbound")


def legs(*parts: tuple[tuple[int, ...], bool]) -> list[LegView]:
    """Legs with a text each."""
    return [LegView(r, refused, f"text {n}" if refused else "") for n, (r, refused) in enumerate(parts)]


def test_verdict_of_the_dialogue() -> None:
    """Refusal for all refuses; for some accepts; added recipients do not save a mail."""
    assert judge("policy", legs(((0, 1), False)), envelope_recipients=2, recipients=2) == Accept()
    assert judge("policy", legs(((0,), True), ((1,), False)), envelope_recipients=2, recipients=2) == Accept()
    assert judge("policy", legs(((0,), True), ((1,), True)), envelope_recipients=2, recipients=2) == Refuse("text 0")
    assert judge("policy", legs(((0,), True), ((1,), False)), envelope_recipients=1, recipients=2) == Refuse("text 0")
    assert judge("tempfail", [], envelope_recipients=2, recipients=0) == Later()


@pytest.mark.parametrize("parts", [[], [((0,), False)], [((0, 1, 1), False)], [((0, 2), False)], [((-1, 0), False)]])
def test_decision_that_forgets_somebody_is_no_decision(parts: list[tuple[tuple[int, ...], bool]]) -> None:
    """Each recipient in exactly one leg, or it is a failure of ours."""
    with pytest.raises(Incomplete):
        judge("policy", legs(*parts), envelope_recipients=2, recipients=2)


def test_proxy_v1() -> None:
    """TCP4, TCP6, UNKNOWN."""
    assert proxy.parse_v1(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n") == proxy.Source("1.2.3.4", 1)
    assert proxy.parse_v1(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n") == proxy.Source("2001:db8::1", 1)
    assert proxy.parse_v1(b"PROXY UNKNOWN whatever\r\n") == proxy.Source(None, None)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY \r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2" + b" " * 90 + b"\r\n",
    ],
)
def test_malformed_proxy_v1_is_refused(line: bytes) -> None:
    """Anything else is not a header."""
    with pytest.raises(proxy.Malformed):
        proxy.parse_v1(line)


def v2(command: int, family: int, body: bytes) -> tuple[bytes, bytes]:
    """A version 2 header in its two parts."""
    return proxy.V2_SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body)), body


def test_proxy_v2() -> None:
    """TCP over IPv4 and IPv6 with extras behind, LOCAL, UNSPEC."""
    four = bytes([1, 2, 3, 4, 5, 6, 7, 8]) + struct.pack("!HH", 9, 10) + b"\x04\x00\x00"
    assert proxy.parse_v2(*v2(1, 0x11, four)) == proxy.Source("1.2.3.4", 9)
    six = ipaddress.IPv6Address("2001:db8::5").packed + bytes(16) + struct.pack("!HH", 9, 10)
    assert proxy.parse_v2(*v2(1, 0x21, six)) == proxy.Source("2001:db8::5", 9)
    assert proxy.parse_v2(*v2(0, 0x00, b"")) == proxy.Source(None, None)
    assert proxy.parse_v2(*v2(1, 0x00, b"")) == proxy.Source(None, None)
    for bad in (v2(1, 0x11, four[:11]), v2(2, 0x11, four), v2(1, 0x31, bytes(216))):
        with pytest.raises(proxy.Malformed):
            proxy.parse_v2(*bad)


@given(st.binary(max_size=150), st.binary(max_size=60))
def test_no_bytes_break_the_proxy_parsers(fixed: bytes, rest: bytes) -> None:
    """They answer or raise `Malformed`."""

    def v1(head: bytes) -> proxy.Source:
        return proxy.parse_v1(head + b"\r\n")

    def v2(head: bytes) -> proxy.Source:
        return proxy.parse_v2(head[:16], rest)

    for start in (b"", proxy.V1_PREFIX, b"PROXY TCP4 ", proxy.V2_SIGNATURE + b"\x21"):
        for read in (v1, v2):
            try:
                source = read(start + fixed)
            except proxy.Malformed:
                continue
            assert source.address is None or ipaddress.ip_address(source.address)


def test_throttle_slides_and_forgets() -> None:
    """Failures count within the window; memory is bounded; success clears."""
    throttle = Throttle(2, 10.0, keys=2)
    throttle.fail("a", 0)
    assert not throttle.blocked("a", 1)
    throttle.fail("a", 5)
    assert throttle.blocked("a", 9)
    assert not throttle.blocked("a", 11)
    throttle.fail("b", 11)
    throttle.fail("c", 12)
    assert not throttle.blocked("a", 12)
    throttle.fail("c", 12)
    assert throttle.blocked("c", 12)
    throttle.succeed("c")
    assert not throttle.blocked("c", 12)


def test_counts_come_back_to_nothing() -> None:
    """What entered leaves; the limit holds."""
    counts = Counts()
    assert [counts.enter("k", 2) for _ in range(3)] == [True, True, False]
    counts.leave("k")
    assert counts.enter("k", 2)
    for _ in range(2):
        counts.leave("k")
    assert not counts._counts


def test_slowness_has_a_grace() -> None:
    """Below the rate only counts after the grace."""
    limits = Limits(min_rate=100, rate_grace=10)
    assert not too_slow(limits, 0, 9)
    assert too_slow(limits, 999, 10.1)
    assert not too_slow(limits, 1100, 10.1)


@given(st.text(), st.booleans())
def test_rule_texts_become_one_harmless_line(text: str, utf8: bool) -> None:
    """No control character, no second line, at most 512 octets, ASCII unless the peer asked for UTF-8."""
    line = reply.Reply(550, "5.7.1", reply.public_text(text, utf8=utf8, default="refused by policy")).line
    assert line.isprintable()
    assert len(line.encode()) <= 510
    assert utf8 or line.isascii()


@pytest.mark.parametrize(
    ("address", "key"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64")],
)
def test_peers_are_counted_as_one_who_owns_the_address(address: str, key: str) -> None:
    """An IPv6 host has a /64."""
    assert peer_key(address) == key
