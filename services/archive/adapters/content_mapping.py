"""The content index's schema: a versioned template, closed mappings, monthly indices behind aliases.

A change of `PROPERTIES` is a new VERSION: its indices are filled from the segments, and stand beside the old ones.
"""

from __future__ import annotations

from typing import Any

from services.archive.core.blinding import TOKEN_FIELDS

VERSION = 1
TEXT = "letterlock-text"
"""The alias of all content indices; `TEXT-<yyyy-mm>` is that of a month."""

_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 256}
_TOKENS: dict[str, Any] = {"type": "text", "analyzer": "whitespace", "index_options": "positions", "norms": False}

PROPERTIES: dict[str, Any] = {
    "id": {"type": "keyword"},
    "tenant": {"type": "keyword"},
    "month": {"type": "keyword"},
    "day": {"type": "keyword"},
    "received": {"type": "date", "format": "epoch_millis"},
    "size": {"type": "long"},
    **dict.fromkeys(("direction", "directions", "verdict", "verdicts", "flags", "unsearchable"), _KEYWORD),
    "summary": {"type": "keyword", "index": False, "doc_values": False},
    **dict.fromkeys(TOKEN_FIELDS, _TOKENS),
}


def month_alias(month: str) -> str:
    """What a month (`2026-11`) is written and searched through."""
    return f"{TEXT}-{month}"


def month_index(month: str) -> str:
    """The index of a month."""
    return f"{TEXT}-v{VERSION}-{month}"


def template(*, replicas: int, refresh_seconds: float) -> dict[str, Any]:
    """The index template. Tokens are looked for and never read back, so the stored source is without them."""
    return {
        "index_patterns": [f"{TEXT}-v{VERSION}-*"],
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
            "mappings": {
                "dynamic": "strict",
                "_source": {"excludes": list(TOKEN_FIELDS)},
                "properties": PROPERTIES,
            },
            "aliases": {TEXT: {}},
        },
    }
