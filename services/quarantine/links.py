"""Action links of notices: made for a person, checked when they are followed, and used once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from services.common import actionlinks
from services.common.actionlinks import Link
from services.common.directory import Directory
from services.common.errors import AlreadyExists, NotFound
from services.common.ids import TenantId
from services.common.notices import language_of
from services.common.objects import ObjectStore
from services.quarantine.core.holds import Action, Hold
from services.quarantine.ports import LinkKeys

ACTIONS: tuple[Action, ...] = ("release", "delete", "return", "cancel")
"""What a link can do; a forward or a seal needs more than a click."""
_LASTS = timedelta(days=14)


class Links:
    """Links under the tenants' own keys. `base` is the portal's address; without one there are no links."""

    def __init__(self, keys: LinkKeys, objects: ObjectStore, base: str, *, now: Callable[[], datetime]) -> None:
        self._keys, self._objects, self._base, self._now = keys, objects, base.rstrip("/"), now

    async def make(self, tenant: TenantId, person: str, hold: Hold, action: Action) -> str:
        """The address of a page that offers the action while the hold lasts; empty without a portal.

        It follows from the hold as it is, so that a notice that is built again is the same one.
        """
        if not self._base:
            return ""
        expires = hold.expires_at or hold.held_at + _LASTS
        link = Link(tenant, person, hold.id, action, expires, str(len(hold.steps)))
        return f"{self._base}/act/{actionlinks.sign(link, await self._keys.key(tenant))}"

    def page(self, hold_id: str = "") -> str:
        """The address of the page of a hold, or of all of them; empty without a portal."""
        return f"{self._base}/holds{'/' + hold_id if hold_id else ''}" if self._base else ""

    async def check(self, view: Directory, token: str) -> Link:
        """The link of a token; raises `NotFound` when it is not ours, over or used, or its person is gone."""
        tenant = actionlinks.tenant_of(token)
        hosted = view.tenant(tenant)
        if hosted is None or hosted.suspended:
            raise NotFound("no such link", public="this link is not valid, is over, or was used")
        link = actionlinks.verify(token, await self._keys.key(tenant), now=self._now())
        try:
            await self._objects.head(actionlinks.used_key(link))
        except NotFound:
            return link
        raise NotFound("used link", public="this link is not valid, is over, or was used")

    async def use(self, link: Link) -> None:
        """The link has acted. Raises `Unavailable`."""
        try:
            await self._objects.create(actionlinks.used_key(link), b"")
        except AlreadyExists:
            return  # two clicks at once: the action is the same one

    @staticmethod
    def action(link: Link) -> Action:
        """What a link does; raises `NotFound` for one of another kind."""
        if link.action not in ACTIONS:
            raise NotFound("no such link", public="this link is not valid, is over, or was used")
        return link.action

    @staticmethod
    def language(view: Directory, tenant: TenantId) -> str:
        """The language that a tenant's people are told things in."""
        hosted = view.tenant(tenant)
        return language_of(hosted.language if hosted is not None else "")
