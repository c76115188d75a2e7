"""The demo's two organisations, with their next hops put where a test listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

OPERATOR = "op-0123456789abcdef"
ACME_ADMIN = "acme-admin-0123456789abcdef"
ACME_REVIEWER = "acme-lin-0123456789abcdef"
GLOBEX_ADMIN = "globex-admin-0123456789abcdef"
ACME_PEER, GLOBEX_PEER, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.9"
"""Source addresses: acme's connector, globex's connector, somebody from the internet."""


def two_tenants(*, acme: str, acme_out: str, globex: str, globex_out: str) -> dict[str, Any]:
    """The world of `tests/demo/world.yaml` with these `host:port` next hops and smarthosts."""
    world: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "demo" / "world.yaml").read_text())
    for tenant, (inside, outside) in zip(world["tenants"], ((acme, acme_out), (globex, globex_out)), strict=True):
        tenant["next_hop"]["address"] = inside
        tenant["smarthost"]["address"] = outside
    return world
