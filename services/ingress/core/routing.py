"""Who may send what to whom, whose mail it is and which way it goes.

A peer is a stranger, a connector or a person who logged in. The tenant of a
connector or person decides whose mail it is; from a stranger, the recipients
do, and one transaction holds those of one tenant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.common.directory import Connector, Directory, Person
from services.common.ids import TenantId
from services.ingress.core.address import Address
from services.ingress.core.reply import Reply

type Direction = Literal["inbound", "outbound", "internal"]
type Peer = Connector | Person | None
"""None is a stranger."""

RELAYING_DENIED = Reply(550, "5.7.1", "relaying denied")
UNKNOWN_USER = Reply(550, "5.1.1", "no such user here")
SENDER_DENIED = Reply(550, "5.7.1", "you may not send as this address")
OTHER_TENANT = Reply(452, "4.5.3", "this recipient needs a transaction of its own")
SUSPENDED = Reply(450, "4.7.1", "mail is not accepted at the moment")


@dataclass(frozen=True, slots=True)
class Routed:
    """A recipient that is accepted."""

    tenant: TenantId
    address: str
    direction: Direction


def check_sender(directory: Directory, peer: Peer, sender: str) -> Reply | None:
    """The refusal of this MAIL FROM, or None. Strangers may say anything: policy judges them."""
    match peer:
        case None:
            return None
        case Connector():
            allowed = directory.may_send_as(peer, sender)
        case Person():
            allowed = sender.lower() in directory.addresses_of(peer)
    return None if allowed else SENDER_DENIED


def route(
    directory: Directory, peer: Peer, tenant: TenantId | None, recipient: Address, *, postmaster: str = ""
) -> Routed | Reply:
    """Where RCPT TO goes, or its refusal. `tenant` is that of the transaction's earlier recipients.

    `postmaster` is the installation's own, for strangers that name no domain (RFC 5321 §4.5.1).
    """
    own = peer.tenant if peer is not None else tenant
    text = str(recipient) if recipient.domain else _postmaster(directory, own, postmaster)
    if not text:
        return UNKNOWN_USER
    domain = directory.domain_of(text)
    if peer is None:
        if domain is None:
            return RELAYING_DENIED
        if tenant is not None and domain.tenant != tenant:
            return OTHER_TENANT
    owner = peer.tenant if peer is not None else domain.tenant if domain is not None else None
    if owner is None:
        return RELAYING_DENIED
    record = directory.tenant(owner)
    if record is None or record.suspended:
        return SUSPENDED
    if domain is None or domain.tenant != owner:
        return Routed(owner, text, "outbound")
    if not directory.recipient_exists(text):
        return UNKNOWN_USER
    return Routed(owner, text, "inbound" if peer is None else "internal")


def _postmaster(directory: Directory, tenant: TenantId | None, default: str) -> str:
    domains = sorted(d.name for d in directory.domains.values() if d.tenant == tenant)
    return f"postmaster@{domains[0]}" if domains else default
