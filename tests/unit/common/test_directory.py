"""The view answers by the names that mail brings."""

from __future__ import annotations

import ipaddress

import pytest

from services.common.directory import Connector, Directory, Domain, Person
from services.common.ids import TenantId

ACME = TenantId.new(now=1, entropy=b"a" * 10)
VIEW = Directory(
    domains={
        "acme.example": Domain("acme.example", ACME),
        "xn--fsq.example": Domain("xn--fsq.example", ACME),
        "shop.acme.example": Domain("shop.acme.example", ACME, "listed"),
    },
    people={"lin@shop.acme.example": Person("lin@shop.acme.example", ACME)},
    connectors=(
        Connector("wide", ACME, networks=(ipaddress.ip_network("10.0.0.0/8"),)),
        Connector("narrow", ACME, networks=(ipaddress.ip_network("10.1.0.0/16"),), senders=("*@partner.example",)),
    ),
)


@pytest.mark.parametrize("address", ["x@ACME.example", "x@xn--fsq.example", "x@例.example"])
def test_a_hosted_domain_is_found_in_any_case_and_script(address: str) -> None:
    """A-labels and the spelling that people use mean the same domain."""
    assert VIEW.domain_of(address) is not None


@pytest.mark.parametrize("address", ["x@other.example", "x@例..example", "x@" + "例" * 70 + ".example", "x", ""])
def test_what_is_not_hosted_is_nobodys(address: str) -> None:
    """Also what is no domain at all."""
    assert VIEW.domain_of(address) is None


def test_a_listed_domain_has_its_people_and_postmaster_only() -> None:
    """Everybody else is unknown."""
    exists = [VIEW.recipient_exists(f"{name}@shop.acme.example") for name in ("lin", "postmaster", "ghost")]
    assert exists == [True, True, False]


def test_the_most_specific_network_says_who_a_peer_is() -> None:
    """Also for an IPv4 address in IPv6 form."""
    found = [VIEW.connector_for(peer) for peer in ("10.1.2.3", "::ffff:10.2.0.1", "192.0.2.1", "nonsense")]
    assert [c and c.name for c in found] == ["narrow", "wide", None, None]


def test_a_connector_sends_for_its_globs_or_its_own_domains() -> None:
    """And always for the null sender."""
    wide, narrow = VIEW.connectors
    assert VIEW.may_send_as(wide, "a@acme.example")
    assert not VIEW.may_send_as(wide, "a@partner.example")
    assert VIEW.may_send_as(narrow, "a@PARTNER.example")
    assert not VIEW.may_send_as(narrow, "a@acme.example")
    assert VIEW.may_send_as(narrow, "")
