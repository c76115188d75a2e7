"""Log-ins and refused calls, for the audit log: told by the guard of every RPC, bounded, never waited for."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.auth import Principal
from services.common.ids import INSTALLATION

_LOGIN_EVERY = 3600.0
"""Seconds in which a person's calls count as one log-in to a service."""
_REFUSED_EVERY = 60.0
"""Seconds in which one person's refusals by one RPC are one entry."""
_REMEMBERED = 20_000
_A_MINUTE = 600
"""Entries a minute of one process at most: who floods us does not flood the log."""


class AuditedCalls:
    """What the guard tells: `service` is who was called. An operator's are in the installation's log."""

    def __init__(self, trail: AuditTrail, service: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._trail, self._service, self._clock = trail, service, clock
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._window, self._spent = 0.0, 0

    def seen(self, caller: Principal) -> None:
        """A call by a token that is somebody's."""
        self._tell(caller, "login", "", "done", _LOGIN_EVERY)

    def failed(self, caller: Principal) -> None:
        """A log-in as somebody with a wrong password."""
        self._tell(caller, "login", "", "denied", _REFUSED_EVERY)

    def refused(self, caller: Principal, method: str) -> None:
        """A call that its caller may not make."""
        self._tell(caller, "rpc.refused", method, "denied", _REFUSED_EVERY)

    def _tell(self, caller: Principal, action: str, method: str, outcome: str, every: float) -> None:
        if caller.kind not in ("person", "operator"):
            return
        key, now = (caller.name, action + outcome, method), self._clock()
        last = self._told.get(key)
        if last is not None and now - last < every:
            return
        if now - self._window >= 60:
            self._window, self._spent = now, 0
        if self._spent >= _A_MINUTE:
            return
        self._spent += 1
        self._told[key] = now
        self._told.move_to_end(key)
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        detail = {"service": self._service, **({"method": method} if method else {})}
        self._trail.record(AuditEntry(caller.tenant or INSTALLATION, action, caller.name, detail, outcome=outcome))
