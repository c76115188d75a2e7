"""Settings of `delivery`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from services.common.config import Address, Bytes, setting

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DeliveryConfig:
    """How mail is handed to the next hop, and for how long."""

    hostname: str = setting("letterlock.localhost", "This installation's name in EHLO, Received and DSNs")
    retry_after: tuple[timedelta, ...] = setting(
        (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR),
        "Waits between attempts, comma-separated; the last one repeats",
    )
    give_up_after: timedelta = setting(timedelta(days=5), "Age in the queue at which the sender is told it failed")
    delay_notice_after: timedelta = setting(timedelta(hours=4), "Age at which the sender is told of the delay, once")
    fresh_for: timedelta = setting(
        timedelta(minutes=1),
        "Age up to which a mail that comes for the first time was given to nobody else; less than archive.sweep_after",
    )
    concurrency: int = setting(256, "Most mails handled at once by each consumer")
    connections_per_destination: int = setting(16, "Most connections to one destination from this process")
    mails_per_connection: int = setting(100, "Mails after which a connection is closed")
    recipients_per_transaction: int = setting(100, "Most recipients in one SMTP transaction (RFC 5321 4.5.3.1.8)")
    idle_close: timedelta = setting(timedelta(seconds=5), "How long an idle connection is kept")
    connect_timeout: timedelta = setting(timedelta(seconds=30), "Longest wait for a TCP connection and for TLS")
    command_timeout: timedelta = setting(timedelta(minutes=5), "Longest wait for a reply (RFC 5321 4.5.3.2)")
    data_timeout: timedelta = setting(timedelta(minutes=10), "Longest wait for the reply to the final dot")
    mx_port: int = setting(25, "Port of hosts found by MX look-up")
    mx_limit: int = setting(5, "Most addresses tried in one attempt")
    mx_allow_loopback: bool = setting(False, "Whether an MX may lead to a loopback address (tests on one machine)")
    own_addresses: tuple[str, ...] = setting((), "Public addresses of this installation's relay: an MX here is us")
    self_relay: Address = setting(Address("127.0.0.1", 2525), "Our own relay, for mail to another hosted tenant")
    address_preference: Literal["ipv4", "ipv6"] = setting("ipv4", "Which addresses of a host are tried first")
    verify_certificates: bool = setting(
        True, "Whether `tls: required` demands a certificate of the host's name from a trusted CA; false: any"
    )
    ca: Path | None = setting(None, "CA file for that; absent: the system's and the installation's")
    dsn_full_bytes: Bytes = setting(Bytes(10 * 1024 * 1024), "Largest mail that a DSN returns whole (RET=FULL)")
