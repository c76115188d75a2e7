"""Settings of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.common.config import setting


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """The tenants' logs."""

    origin: str = setting(
        "letterlock.audit", "What every log's origin begins with; `<origin>/<tenant id>` names a log and never changes"
    )
    advertise: str = setting(
        "", "HOST:PORT where other audit instances reach this one, so that they share the logs by turns; empty: alone"
    )
    witness_policy: Path | None = setting(
        None, "C2SP tlog-policy file: the witnesses with their URLs, and how many must cosign; empty: no witness"
    )
    witness_every: timedelta = setting(timedelta(seconds=5), "How often witnesses are asked for logs that have grown")
    unwitnessed_alarm: timedelta = setting(
        timedelta(minutes=10), "After so long without the quorum's cosignature an alarm is raised"
    )
