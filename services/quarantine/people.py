"""Who a caller is to a hold: reviewer, deputy, sender or nobody."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from services.common.directory import Directory, Person
from services.common.ids import TenantId
from services.quarantine.core import routing
from services.quarantine.core.holds import Hold
from services.quarantine.core.routing import Caller
from services.quarantine.ports import Deputy, Settings


class People:
    """Answers from the directory and the deputies that reviewers named."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def caller(self, view: Directory, tenant: TenantId, address: str) -> Caller | None:
        """What a person is to holds; None when there is no such person of this tenant, or not any more."""
        person = view.person(address)
        if person is None or person.tenant != tenant or not person.active:
            return None
        own = frozenset({person.address, *person.aliases})
        stands_for: frozenset[str] = frozenset()
        if "reviewer" in person.roles:
            stands_for = frozenset(
                d.reviewer for d in await self.deputies(view, tenant) if d.deputy in own and d.reviewer not in own
            )
        return Caller(own, view.addresses_of(person), person.roles, stands_for)

    async def deputies(self, view: Directory, tenant: TenantId) -> list[Deputy]:
        """Deputies in force: their time is not over, and both are reviewers still."""
        now = datetime.now(UTC)
        return [
            d
            for d in await self._settings.deputies(tenant)
            if (d.until is None or now < d.until)
            and _reviews(view.person(d.reviewer), tenant)
            and _reviews(view.person(d.deputy), tenant)
        ]

    async def reviewers(self, view: Directory, tenant: TenantId, hold: Hold) -> list[str]:
        """Addresses of the people who may decide a hold now, deputies included; at most 200."""
        everyone = [p for p in view.people.values() if _reviews(p, tenant)]
        deputies = await self.deputies(view, tenant)

        def members(name: str) -> Collection[str]:
            return view.group(tenant, name)

        found = []
        for person in sorted(everyone, key=lambda p: p.address):
            own = frozenset({person.address, *person.aliases})
            stands_for = frozenset(d.reviewer for d in deputies if d.deputy in own)
            caller = Caller(own, view.addresses_of(person), person.roles, stands_for)
            if not routing.is_sender(hold, caller) and routing.routed_to(hold, caller, members):
                found.append(person.address)
        return found[:200]


def _reviews(person: Person | None, tenant: TenantId) -> bool:
    return person is not None and person.tenant == tenant and person.active and "reviewer" in person.roles
