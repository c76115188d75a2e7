"""What a rule asks of sealing, and what follows from it for a leg. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from services.common.directory import Directory
from services.common.ids import TenantId

type Format = Literal["zip", "pdf"]

_NESTED = """7z ace apk arc arj bz2 cab docm gz img iso jar lha lz lz4 lzh lzma rar tar tbz tgz txz wim xz z zip zst"""
NESTED = frozenset(_NESTED.split())
"""Extensions of archives, which Google does not take inside an encrypted one."""
_BLOCKED = """
ade adp appx appxbundle bat chm cmd com cpl dll dmg ex ex_ exe hta ins isp js jse lib lnk mde msc msi msix
msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vhd vxd wsc wsf wsh xll
"""
BLOCKED = frozenset(_BLOCKED.split())
"""Extensions that Google refuses in any archive (support.google.com/mail/answer/6590)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The `seal` of a rule. Unknown values are the safe ones: the policy service checked the document before."""

    format: Format = "zip"
    password: Literal["agreed", "random"] = "random"
    per_recipient: bool = False
    unless_tls: bool = False
    keep: tuple[str, ...] = ()
    language: str = ""
    hide_subject: bool = False

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Settings:
        """From a transform's settings."""
        keep = value.get("keep") or ()
        return cls(
            format="pdf" if value.get("format") == "pdf" else "zip",
            password="agreed" if value.get("password") == "agreed" else "random",
            per_recipient=value.get("per") == "recipient",
            unless_tls=value.get("unless_tls") is True,
            keep=tuple(str(k) for k in (keep if isinstance(keep, list | tuple) else [keep])),
            language=str(value.get("language") or ""),
            hide_subject=value.get("subject") == "hide",
        )

    def keeps(self, name: str) -> bool:
        """Whether an attachment of this name stays outside, unsealed."""
        return any(fnmatch.fnmatchcase(name.lower(), glob.lower()) for glob in self.keep)


def tls_is_certain(directory: Directory, tenant: TenantId, addresses: Sequence[str]) -> bool:
    """Whether the tenant's own routes require TLS on the way to each of them.

    What MX look-ups find is never certain: who forges DNS, or strips STARTTLS, reads along.
    """
    settings = directory.tenant(tenant)
    if settings is None or not addresses:
        return False
    for address in addresses:
        domain = directory.domain_of(address)
        mine = domain is not None and domain.tenant == tenant
        route = settings.next_hop if mine else settings.smarthost
        if route is None or route.tls != "required":
            return False
    return True


def at_google(addresses: Sequence[str], domains: Sequence[str]) -> bool:
    """Whether one of them is at a domain whose mail Google takes."""
    known = {d.lower() for d in domains}
    return any(a.rpartition("@")[2].lower() in known for a in addresses)


def partner_matches(partner: str, address: str) -> int:
    """How well an agreed password's partner fits an address: 2 the person, 1 the domain, 0 not."""
    partner, address = partner.lower(), address.lower()
    if "@" in partner:
        return 2 if partner == address else 0
    return 1 if address.rpartition("@")[2] == partner else 0


@dataclass(frozen=True, slots=True)
class Group:
    """Recipients (positions) that open what they get with one password; `agreed` is its id, else it is made."""

    positions: tuple[int, ...]
    agreed: str = ""


def grouped(recipients: Mapping[int, str], settings: Settings, best: Callable[[str], str]) -> tuple[Group, ...]:
    """Recipients by password. `best` gives the id of the password agreed with an address, or nothing."""
    agreed: dict[str, list[int]] = {}
    for position, address in recipients.items():
        agreed.setdefault(best(address) if settings.password == "agreed" else "", []).append(position)
    made = agreed.pop("", [])
    groups = [Group(tuple(positions), name) for name, positions in agreed.items()]
    if settings.per_recipient:
        groups += [Group((p,)) for p in made]
    elif made:
        groups.append(Group(tuple(made)))
    return tuple(sorted(groups, key=lambda g: g.positions))
