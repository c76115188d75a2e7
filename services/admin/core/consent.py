"""Which roles take effect when somebody gives them, and which wait; and that a tenant keeps who watches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.common.auth import WATCHED_ROLES, WATCHING_ROLES


def held(before: Mapping[str, Any] | None, after: Mapping[str, Any], giver: str) -> dict[str, Any]:
    """A person's document with the roles that are new to them and read or approve moved to `pending`.

    `before` is the document in force, None when there is none. What was taken away is neither in force nor waits. Who
    first asked for what waits stays its giver.
    """
    if "roles" not in after:
        return dict(after)
    known = before or {}
    wanted, had = set(after["roles"]), set(known.get("roles") or ("user",)) if before is not None else set()
    waiting = sorted((wanted & WATCHED_ROLES) - had)
    value = {k: v for k, v in after.items() if k not in ("pending", "pending_by")}
    value["roles"] = sorted(wanted - set(waiting))
    if waiting:
        same = waiting == sorted(known.get("pending") or ())
        value["pending"] = waiting
        value["pending_by"] = known.get("pending_by") if same and known.get("pending_by") else giver
    return value


def asked(value: Mapping[str, Any]) -> list[str]:
    """Every role of a person, in force or waiting."""
    return sorted({*(value.get("roles") or ()), *(value.get("pending") or ())})


def watches(value: Mapping[str, Any] | None) -> bool:
    """Whether a person's document makes somebody who may consent."""
    if value is None or not value.get("active", True):
        return False
    return bool(WATCHING_ROLES & set(value.get("roles") or ()))


def loses_last_watcher(before: Iterable[Mapping[str, Any] | None], after: Iterable[Mapping[str, Any] | None]) -> bool:
    """Whether a tenant that has somebody who may consent would have nobody: then everything could be done unseen."""
    return any(map(watches, before)) and not any(map(watches, after))
