"""What one peer may cost: numbers a session is held to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one SMTP session; times in seconds, rates in bytes per second."""

    max_bytes: int = 50 * 1024 * 1024
    max_recipients: int = 1000
    max_hops: int = 50
    max_errors: int = 30
    max_commands: int = 200
    idle: float = 300.0
    transaction: float = 3600.0
    min_rate: int = 200
    rate_grace: float = 60.0


def too_slow(limits: Limits, received: int, elapsed: float) -> bool:
    """Whether content comes in below the minimum rate, after a grace for slow starts."""
    return elapsed > limits.rate_grace and received < limits.min_rate * elapsed
