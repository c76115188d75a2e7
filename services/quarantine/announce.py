"""Tell people of holds: what comes together goes to each person as one mail, and a digest at set hours.

A notice is sent, then noted on the hold; a crash between repeats it, within a minute under the same id. What cannot be
sent now is sent by a later round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.common import log, notices, telemetry
from services.common.control_store import ControlStore
from services.common.directory import Directory
from services.common.errors import AlreadyExists, Conflict, Error
from services.common.ids import MailId, TenantId
from services.common.notices import Templates
from services.quarantine.core import holds
from services.quarantine.core.holds import Action
from services.quarantine.core.news import News, after, news
from services.quarantine.links import Links
from services.quarantine.onward import findings, inbound, leg_of, why
from services.quarantine.people import People
from services.quarantine.ports import Held, Holds, Mailer

_log = log.get(__name__)
_LISTED = 50
_KIND = "digest"


class Announcer:
    """Looks for news and sends it. `kick` says that there may be some."""

    def __init__(
        self,
        store: Holds,
        people: People,
        templates: Templates,
        mailer: Mailer,
        links: Links,
        control: ControlStore,
        directory: Callable[[], Directory],
        *,
        hostname: str,
        window: timedelta,
        digest_hours: tuple[int, ...],
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._people, self._templates, self._mailer = store, people, templates, mailer
        self._links, self._control, self._directory = links, control, directory
        self._hostname, self._window, self._hours, self._now = hostname, window, digest_hours, now
        self._kicked = asyncio.Event()

    def kick(self) -> None:
        """Look soon."""
        self._kicked.set()

    async def keep_telling(self, every: timedelta) -> None:
        """Tell what is new, a window after it came and at least so often, until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kicked.wait(), every.total_seconds())
            await asyncio.sleep(self._window.total_seconds())
            self._kicked.clear()
            await self.tell(list(self._directory().tenants))

    async def tell(self, tenants: Iterable[TenantId]) -> None:
        """Tell what is new, and the digest of the hour; one tenant's failure does not keep the others."""
        for tenant in tenants:
            try:
                everything = await self._store.all(tenant)
                await self._tell_news(tenant, [h for h in everything if h.hold.noticed < after(h.hold)])
                await self._tell_digest(tenant, [h for h in everything if h.hold.state in holds.OPEN])
            except Error as error:
                _log.warning("hold.notice_failed", tenant=tenant, code=error.code)

    async def _tell_news(self, tenant: TenantId, fresh: list[Held]) -> None:
        view = self._directory()
        mails: dict[tuple[str, str], list[tuple[Held, News]]] = {}
        for held in fresh:
            for one in news(held.hold, inbound=inbound(held.trace, leg_of(held))):
                if one.reader == "named":
                    readers = [one.address]
                elif one.reader == "sender":
                    readers = [held.hold.sender]
                else:
                    readers = await self._people.reviewers(view, tenant, held.hold)
                for address in readers:
                    mails.setdefault((address, one.notice), []).append((held, one))
        for (address, notice), told in mails.items():
            if len(told) == 1:
                await self._one(view, tenant, address, notice, *told[0])
            elif notice in ("hold.notice.reviewer", "hold.escalated", "hold.requested"):
                await self._digest(view, tenant, address, [h for h, _ in told], seed=notice)
            else:
                for mail in _by_mail([h for h, _ in told]):
                    await self._one(view, tenant, address, notice, mail[0], told[0][1], also=mail[1:])
        for held in fresh:
            with suppress(Conflict, AlreadyExists):  # it went on meanwhile: the next round looks again
                noted = replace(held.hold, noticed=after(held.hold))
                await self._store.put(tenant, replace(held, hold=noted), actor="service:quarantine")

    async def _tell_digest(self, tenant: TenantId, waiting: list[Held]) -> None:
        hour = self._now().astimezone(UTC)
        if hour.hour not in self._hours or not waiting:
            return
        key = f"{hour:%Y-%m-%d-%H}"
        if await self._control.get(tenant, _KIND, key) is not None:
            return
        view = self._directory()
        mine: dict[str, list[Held]] = {}
        for held in waiting:
            if held.hold.kind == "hold" and "sender" not in held.hold.reviewers:
                for address in await self._people.reviewers(view, tenant, held.hold):
                    mine.setdefault(address, []).append(held)
        for address, their in mine.items():
            await self._digest(view, tenant, address, their, seed=key)
        with suppress(AlreadyExists, Conflict):  # another member did the same under the same ids
            await self._control.put(tenant, _KIND, key, {}, expected=0, actor="service:quarantine")

    async def _one(
        self,
        view: Directory,
        tenant: TenantId,
        address: str,
        notice: str,
        held: Held,
        one: News,
        also: Iterable[Held] = (),
    ) -> None:
        hold = held.hold
        fields = {
            "mail_id": hold.mail_id,
            "received": _time(held.trace.envelope.received_at.ToDatetime(UTC)),
            "sender": held.trace.envelope.sender or "<>",
            "recipients": ", ".join(r for h in (held, *also) for r in _recipients(h)),
            "tenant": self._name(view, tenant),
            "rule": leg_of(held).rule,
        }
        known = notices.CATALOGUE[notice].fields
        if "reason" in known:
            fields |= {"reason": why(held), "expires": _time(hold.expires_at), "at_expiry": hold.on_expiry}
            fields |= await self._ways(tenant, address, notice, hold)
        if "findings" in known:
            fields["findings"] = "\n".join(findings(held))
        if "requester" in known:
            fields["requester"] = one.who
        if "outcome" in known:
            fields |= {"note": hold.note, "outcome": hold.state}
        elif "note" in known:
            fields["note"] = one.note
        seed = f"{notice}\0{address}\0{hold.id}\0{after(hold)}"
        await self._send(view, tenant, address, notice, fields, seed=seed)

    async def _ways(self, tenant: TenantId, address: str, notice: str, hold: holds.Hold) -> Mapping[str, str]:
        async def link(action: Action) -> str:
            return await self._links.make(tenant, address, hold, action)

        if notice == "delay.notice":
            return {"link": await link("cancel")}
        if notice == "hold.note":
            return {}  # who is told in passing decides nothing
        return {
            "link": self._links.page(hold.id),
            "release_link": await link("release"),
            "delete_link": await link("delete"),
        }

    async def _digest(self, view: Directory, tenant: TenantId, address: str, waiting: list[Held], *, seed: str) -> None:
        lines = [
            f"{_time(h.hold.held_at)}  {h.trace.envelope.sender or '<>'}  {', '.join(_recipients(h))[:200]}  "
            + h.hold.id
            for h in waiting[:_LISTED]
        ]
        if len(waiting) > _LISTED:
            lines.append("…")
        fields = {
            "number": str(len(waiting)),
            "items": "\n".join(lines),
            "link": self._links.page(),
            "tenant": self._name(view, tenant),
        }
        ids = ",".join(sorted(h.hold.id for h in waiting))
        await self._send(view, tenant, address, "hold.digest", fields, seed=f"{seed}\0{address}\0{ids}")

    async def _send(
        self, view: Directory, tenant: TenantId, address: str, notice: str, fields: Mapping[str, str], *, seed: str
    ) -> None:
        language = self._links.language(view, tenant)
        rendered = await self._templates.render(tenant, notice, language, fields)

        def build(own_id: MailId, now: datetime) -> bytes:
            return notices.build(rendered, own_id=own_id, hostname=self._hostname, to=[address], now=now)

        await self._mailer.send(tenant, [address], build, seed=f"hold:{seed}")
        telemetry.count("quarantine", "notice", tenant)

    @staticmethod
    def _name(view: Directory, tenant: TenantId) -> str:
        hosted = view.tenant(tenant)
        return hosted.name if hosted is not None else ""


def _by_mail(found: list[Held]) -> list[list[Held]]:
    """The legs of each mail together: one mail of a sender gives them one notice."""
    groups: dict[str, list[Held]] = {}
    for held in found:
        groups.setdefault(held.hold.mail_id, []).append(held)
    return list(groups.values())


def _recipients(held: Held) -> list[str]:
    everyone = held.trace.decision.recipients
    return [everyone[p].address for p in leg_of(held).recipients if 0 <= p < len(everyone)]


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
