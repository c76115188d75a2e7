"""The index's schema: versioned templates, closed mappings, monthly indices behind aliases.

A change of `properties` is a new VERSION: its indices stand beside the old
ones until the aliases move. Settings are sent every time.
"""

from __future__ import annotations

from typing import Any

VERSION = 1
MAIL = "letterlock-mail"
"""The alias of all mail indices; `MAIL-<yyyy-mm>` is the alias that a month is written through."""
META = f"letterlock-meta-v{VERSION}"

_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 256}
_TIME: dict[str, Any] = {"type": "date", "format": "epoch_millis"}
_STORED: dict[str, Any] = {"type": "keyword", "index": False, "doc_values": False}

_CODES = (
    "direction",
    "directions",
    "origin",
    "decision_origin",
    "dispositions",
    "transforms",
    "rules",
    "not_inspected",
    "states",
    "codes",
)

PROPERTIES: dict[str, Any] = {
    "tenant": {"type": "keyword"},
    "mail_id": {"type": "keyword"},
    "day": {"type": "keyword"},
    "received": _TIME,
    "decided": _TIME,
    "changed": _TIME,
    "finished": _TIME,
    "size": {"type": "long"},
    "recipients": {"type": "integer"},
    "attempts": {"type": "integer"},
    "revision": {"type": "long"},
    "final": {"type": "boolean"},
    "inspected": {"type": "boolean"},
    **dict.fromkeys(_CODES, _KEYWORD),
    "fates": _STORED,
    "segments": _STORED,
    "detail": {"type": "object", "enabled": False},
}


def month_alias(month: str) -> str:
    """What a month (`yyyy-mm`) is written and read by id through."""
    return f"{MAIL}-{month}"


def month_index(month: str) -> str:
    """The index of a month."""
    return f"{MAIL}-v{VERSION}-{month}"


def template(*, replicas: int, refresh_seconds: float) -> dict[str, Any]:
    """The index template of the mail indices."""
    return {
        "index_patterns": [f"{MAIL}-v{VERSION}-*"],
        "priority": 100,
        "version": VERSION,
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "number_of_replicas": replicas,
                    "refresh_interval": f"{int(refresh_seconds * 1000)}ms",
                }
            },
            "mappings": {"dynamic": "strict", "properties": PROPERTIES},
            "aliases": {MAIL: {}},
        },
    }


def meta(*, replicas: int) -> dict[str, Any]:
    """The index that knows what the others hold: one generation, and marks per tenant."""
    return {
        "settings": {"index": {"number_of_shards": 1, "number_of_replicas": replicas}},
        "mappings": {"dynamic": "strict", "properties": {"generation": _STORED, "mark": _STORED}},
    }
