"""Settings of `ingress`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.common.config import Address, Bytes, setting
from services.common.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class IngressConfig:
    """SMTP: where it listens and what one peer may cost."""

    relay_listen: Address = setting(
        Address("127.0.0.1", 2525), "SMTP for the internet and connectors (STARTTLS offered)"
    )
    submission_listen: Address = setting(Address("127.0.0.1", 2587), "SMTP submission (STARTTLS and AUTH required)")
    submissions_listen: Address = setting(Address("127.0.0.1", 2465), "SMTP submission over TLS (AUTH required)")
    hostname: str = setting("", "Name in the greeting; empty: this machine's")
    max_bytes: Bytes = setting(Bytes(50 * 1024 * 1024), "Largest mail, announced by SIZE")
    max_recipients: int = setting(1000, "Most recipients of one mail (a tenant may have its own); at least 100")
    max_hops: int = setting(50, "Most Received lines before a mail is taken for a loop")
    max_errors: int = setting(30, "Refused commands of one connection before it is closed")
    max_commands: int = setting(200, "Commands without an accepted mail before a connection is closed")
    max_connections: int = setting(4000, "Most connections of this process")
    max_connections_per_peer: int = setting(500, "Most connections of one IPv4 address or IPv6 /64")
    max_connections_per_tenant: int = setting(1000, "Most connections of one tenant (a tenant may have its own)")
    idle_timeout: timedelta = setting(timedelta(minutes=5), "Longest silence of a peer")
    transaction_timeout: timedelta = setting(timedelta(hours=1), "Longest time from MAIL to the end of the content")
    min_rate: Bytes = setting(Bytes(200), "Slowest content, bytes per second, after a grace of rate_grace")
    rate_grace: timedelta = setting(timedelta(minutes=1), "Time before the slowest rate counts")
    greeting_delay: timedelta = setting(timedelta(0), "Wait before the greeting; who speaks in it is refused. 0: none")
    decide_timeout: timedelta = setting(timedelta(seconds=5), "Longest wait for policy; then the queue decides")
    drain_timeout: timedelta = setting(timedelta(seconds=25), "Longest wait for running mails at shutdown")
    auth_failures_per_peer: int = setting(10, "Failed logins of a peer within auth_window before it must wait")
    auth_failures_per_account: int = setting(20, "Failed logins of an account within auth_window before it must wait")
    auth_window: timedelta = setting(timedelta(minutes=10), "Time over which failed logins are counted")
    proxy_networks: tuple[str, ...] = setting(
        (), "Networks of balancers, comma-separated; from them, and only them, a PROXY header is required"
    )
    postmaster: str = setting("", "Where strangers' mail for a bare `postmaster` goes; empty: it is refused")
    certificate: Path | None = setting(None, "Certificate chain, PEM; empty: ingress.pem of the tls folder")
    certificate_key: Path | None = setting(None, "Its private key, PEM; empty: ingress.key of the tls folder")
    client_ca: Path | None = setting(
        None, "CAs whose client certificates identify connectors (tls_client), PEM; empty: none are asked for"
    )

    def __post_init__(self) -> None:
        if self.max_recipients < 100:  # RFC 5321 §4.5.3.1.8
            raise InvalidInput("ingress.max_recipients must be at least 100", field="max_recipients")
