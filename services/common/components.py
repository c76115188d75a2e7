"""Settings that several services share, one dataclass per component."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.common.config import Address, Bytes, setting


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """The object store: the only truth."""

    url: str = setting("", "file:///…, s3://…, gs://… or az://…; empty: `objects` under the data directory")


@dataclass(frozen=True, slots=True)
class NatsConfig:
    """The broker."""

    url: str = setting("", "nats://… or tls://…, comma-separated; empty in `dev`: an embedded nats-server")
    keys: Path | None = setting(
        None, "Folder with one nkey seed per service; empty: `nats/keys` under the data directory"
    )
    replicas: int = setting(1, "Replicas of each stream and bucket: 1, 3 or 5")
    ca: Path | None = setting(None, "CA file for tls:// addresses")


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """Where every look-up goes."""

    servers: tuple[str, ...] = setting((), "HOST[:PORT] of each server, comma-separated; empty: the system's")
    timeout_seconds: float = setting(5.0, "Longest wait for one answer, seconds")


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """gRPC."""

    listen: Address = setting(
        Address("127.0.0.1", 2550), "Where the API listens; several services in one process take the ports after it"
    )
    services: tuple[str, ...] = setting(
        (), "Other services' gRPC addresses as NAME=HOST:PORT, comma-separated; filled in by `dev`"
    )


@dataclass(frozen=True, slots=True)
class PortalConfig:
    """The web pages for people. This version has none yet: the address is kept free of others."""

    listen: Address = setting(Address("127.0.0.1", 2580), "Where the portal will listen; nothing does yet")
    url: str = setting("", "Where people reach the portal, https://…, for links in notices; empty: notices have none")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """`/metrics`, `/healthz`, `/readyz`."""

    listen: Address = setting(Address("127.0.0.1", 2590), "Where health and metrics are served")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Logs, on stderr."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "Least important level that is logged")
    format: Literal["auto", "json", "console"] = setting("auto", "auto: console on a terminal, JSON otherwise")


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """OpenTelemetry spans along a mail."""

    endpoint: str = setting("", "OTLP/HTTP traces endpoint; empty: off")
    tenant_labels: int = setting(200, "Most distinct tenants in metrics labels; the others count as `other`")


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Certificates; what is not given is made at first start under a CA of the installation."""

    directory: Path | None = setting(
        None, "Folder with ca.pem and NAME.pem/NAME.key; empty: `tls` under the data directory"
    )


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """Whose signatures on stored objects are believed, and this installation's keys."""

    directory: Path | None = setting(
        None, "Folder with writers.json and each writer's NAME.seed; empty: `trust` under the data directory"
    )


@dataclass(frozen=True, slots=True)
class ExtractionConfig:
    """Reading attachments: confined processes, and the bounds on what a stranger can make them do."""

    workers: int = setting(0, "Processes that read files, each one file at a time; 0: one per core, at least 2")
    queue: int = setting(64, "Most mails that wait for a worker, of all tenants; one tenant may have half of them")
    jobs: int = setting(500, "Mails after which a worker is replaced")
    memory: Bytes = setting(Bytes(256 * 1024**2), "Most memory that reading one mail's files may take in a worker")
    depth: int = setting(8, "Most archives, mails and documents inside one another")
    files: int = setting(1000, "Most files found in one mail's files, itself included")
    total: Bytes = setting(Bytes(256 * 1024**2), "Most bytes unpacked from one mail's files, all levels together")
    member: Bytes = setting(Bytes(64 * 1024**2), "Largest unpacked file that is read")
    ratio: int = setting(200, "Most bytes unpacked for each byte of an archive, beyond the first MiB")
    text: int = setting(4_000_000, "Most characters of text taken from one file; four times that from one mail's files")


COMPONENTS: dict[str, type] = {
    "store": StoreConfig,
    "nats": NatsConfig,
    "dns": DnsConfig,
    "api": ApiConfig,
    "portal": PortalConfig,
    "metrics": MetricsConfig,
    "log": LogConfig,
    "telemetry": TelemetryConfig,
    "tls": TlsConfig,
    "trust": TrustConfig,
    "extraction": ExtractionConfig,
}
