"""Between protobuf and plain values: what a request gives, with its field mask, and what a document shows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import field_mask_pb2
from letterlock.directory.v1 import directory_pb2 as pb

from services.common.control import Document
from services.common.errors import InvalidInput

_MOST = 1000
_USUAL = 100


@dataclass(frozen=True, slots=True)
class Noun:
    """One kind of resource: which message fields may be given, as what, and how a document is shown."""

    kind: str
    given: Mapping[str, tuple[str, Callable[[Any], Any]]]
    show: Callable[[Document], Any]

    def values(self, message: Any, mask: field_mask_pb2.FieldMask | None = None) -> dict[str, Any]:
        """The values a request gives: those of the mask; without one all, but a password only when there is one."""
        paths = list(mask.paths) if mask is not None else []
        unknown = [p for p in paths if p not in self.given]
        if unknown:
            raise InvalidInput(f"cannot change {', '.join(unknown)}", field="update_mask")
        found: dict[str, Any] = {}
        for path in paths or self.given:
            key, read = self.given[path]
            value = read(message)
            if path in ("password", "name") and not paths and value is None:
                continue
            found[key] = value
        return found


def _text(name: str) -> Callable[[Any], Any]:
    return lambda message: getattr(message, name) or None


def _plain(name: str) -> Callable[[Any], Any]:
    return lambda message: getattr(message, name)


def _list(name: str) -> Callable[[Any], Any]:
    return lambda message: list(getattr(message, name))


def _route(name: str) -> Callable[[Any], Any]:
    def read(message: Any) -> dict[str, str] | None:
        if not message.HasField(name):
            return None
        route = getattr(message, name)
        return {"address": route.address, "tls": route.tls or "opportunistic"}

    return read


def _show_route(value: Mapping[str, Any], name: str) -> pb.Route | None:
    route = value.get(name)
    return pb.Route(address=route["address"], tls=route.get("tls", "opportunistic")) if route else None


def _tenant(document: Document) -> pb.Tenant:
    value = document.value or {}
    return pb.Tenant(
        id=document.tenant,
        name=str(value.get("name", "")),
        next_hop=_show_route(value, "next_hop"),
        smarthost=_show_route(value, "smarthost"),
        keep_refused=bool(value.get("keep_refused", False)),
        bare_newlines=value.get("bare_newlines", "refuse"),
        retention=value.get("retention", ""),
        approvals=int(value.get("approvals", 1)),
        suspended=bool(value.get("suspended", False)),
        limits={k: int(v) for k, v in (value.get("limits") or {}).items()},
        revision=document.revision,
        language=str(value.get("language", "")),
    )


def _domain(document: Document) -> pb.Domain:
    value = document.value or {}
    return pb.Domain(name=document.key, recipients=value.get("recipients", "any"), revision=document.revision)


def _connector(document: Document) -> pb.Connector:
    value = document.value or {}
    return pb.Connector(
        name=document.key,
        networks=value.get("networks", ()),
        tls_client=value.get("tls_client", ()),
        senders=value.get("senders", ()),
        username=value.get("username", ""),
        revision=document.revision,
    )


def _person(document: Document) -> pb.Person:
    value = document.value or {}
    return pb.Person(
        address=document.key,
        roles=value.get("roles", ("user",)),
        pending_roles=value.get("pending", ()),
        aliases=value.get("aliases", ()),
        has_password=bool(value.get("password_hash")),
        disabled=not value.get("active", True),
        revision=document.revision,
    )


def _group(document: Document) -> pb.Group:
    value = document.value or {}
    return pb.Group(
        name=document.key,
        members=value.get("members", ()),
        address=value.get("address", ""),
        revision=document.revision,
    )


def _api_key(document: Document) -> pb.ApiKey:
    value = document.value or {}
    operator = document.kind == "operator"
    key = pb.ApiKey(
        id=(str(value.get("digest", "")) if operator else document.key)[:16],
        name=str(value.get("name", "")),
        owner=document.key if operator else str(value.get("owner", "")),
        operator=operator,
        limited=bool(value.get("limited", False)),
        revision=document.revision,
    )
    key.created_at.FromDatetime(document.at)
    return key


TENANT = Noun(
    "tenant",
    {
        "name": ("name", _text("name")),
        "next_hop": ("next_hop", _route("next_hop")),
        "smarthost": ("smarthost", _route("smarthost")),
        "keep_refused": ("keep_refused", _plain("keep_refused")),
        "bare_newlines": ("bare_newlines", _text("bare_newlines")),
        "retention": ("retention", _plain("retention")),
        "language": ("language", _text("language")),
        "approvals": ("approvals", _text("approvals")),
        "suspended": ("suspended", _plain("suspended")),
        "limits": ("limits", lambda message: dict(message.limits)),
    },
    _tenant,
)
DOMAIN = Noun("domain", {"recipients": ("recipients", _text("recipients"))}, _domain)
CONNECTOR = Noun(
    "connector",
    {
        "networks": ("networks", _list("networks")),
        "tls_client": ("tls_client", _list("tls_client")),
        "senders": ("senders", _list("senders")),
        "username": ("username", _text("username")),
        "password": ("password", _text("password")),
    },
    _connector,
)
PERSON = Noun(
    "person",
    {
        "roles": ("roles", lambda message: list(message.roles) or None),
        "aliases": ("aliases", _list("aliases")),
        "password": ("password", _text("password")),
        "disabled": ("active", lambda message: not message.disabled),
    },
    _person,
)
GROUP = Noun("group", {"members": ("members", _list("members")), "address": ("address", _text("address"))}, _group)
API_KEY = Noun("apikey", {"name": ("name", _text("name"))}, _api_key)


def page(documents: Sequence[Document], size: int, token: str) -> tuple[Sequence[Document], str]:
    """The page after `token` of documents in the order of their keys, and the next token; empty at the end."""
    if size < 0:
        raise InvalidInput("expected a positive number", field="page_size")
    size = min(size or _USUAL, _MOST)
    after = ""
    if token:
        try:
            after = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise InvalidInput("not a page token of ours", field="page_token") from error
    rest = [d for d in documents if _order(d) > after]
    chosen = rest[:size]
    more = len(rest) > size
    return chosen, base64.urlsafe_b64encode(_order(chosen[-1]).encode()).decode() if more else ""


def _order(document: Document) -> str:
    # Tenants' documents share one key and are listed by name.
    return str((document.value or {}).get("name", "")) if document.kind == "tenant" else document.key
