"""SearchService (proto/letterlock/archive/v1/search.proto): archived mail, inside a grant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from letterlock.archive.v1 import search_pb2, search_pb2_grpc

from services.archive.adapters.wire import timestamp
from services.archive.ports import Hit, Opened
from services.archive.reveal import Found, Reveal
from services.common import rpc
from services.common.errors import Denied, InvalidInput, NotFound
from services.common.ids import MailId, TenantId

_PART = 500
_CHUNK = 256 * 1024


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Answers from `Reveal`."""

    def __init__(self, reveal: Reveal) -> None:
        self._reveal = reveal

    async def Search(self, request: search_pb2.SearchRequest, context: Any) -> AsyncIterator[search_pb2.SearchResponse]:
        """See the proto."""
        tenant, actor = _caller(request.tenant)
        found = await self._reveal.search(tenant, actor, request.grant_id)
        pairs = list(zip(found.hits, found.summaries, strict=False))
        for start in range(0, len(pairs), _PART):
            yield search_pb2.SearchResponse(items=[_item(h, s) for h, s in pairs[start : start + _PART]])
        yield search_pb2.SearchResponse(summary=_summary(found))

    async def Open(self, request: search_pb2.OpenRequest, context: Any) -> AsyncIterator[search_pb2.OpenResponse]:
        """See the proto."""
        tenant, actor = _caller(request.tenant)
        mail_id = _mail(request.mail_id)
        async with aclosing(self._reveal.open(tenant, actor, request.grant_id, mail_id)) as parts:
            async for part in parts:
                if isinstance(part, Opened):
                    yield search_pb2.OpenResponse(mail=_opened(mail_id, part))
                    continue
                for chunk in _chunks(part):
                    yield search_pb2.OpenResponse(chunk=chunk)

    async def Export(self, request: search_pb2.ExportRequest, context: Any) -> AsyncIterator[search_pb2.ExportResponse]:
        """See the proto."""
        tenant, actor = _caller(request.tenant)
        skip = frozenset(request.skip)
        async with aclosing(self._reveal.export(tenant, actor, request.grant_id, skip)) as parts:
            async for mail_id, total, part in parts:
                if isinstance(part, Opened):
                    yield search_pb2.ExportResponse(mail_id=mail_id, total=total, mail=_opened(mail_id, part))
                    continue
                for chunk in _chunks(part):
                    yield search_pb2.ExportResponse(mail_id=mail_id, total=total, chunk=chunk)


def _caller(named: str) -> tuple[TenantId, str]:
    caller = rpc.principal()
    if caller.kind != "person":
        raise Denied("not a person", public="only people read archived mail")
    return rpc.tenant(named), caller.address


def _mail(text: str) -> MailId:
    try:
        return MailId.parse(text)
    except InvalidInput as error:
        raise NotFound("no such mail", public="no such mail") from error


def _chunks(data: bytes) -> list[bytes]:
    return [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]


def _item(hit: Hit, summary: Mapping[str, Any]) -> search_pb2.FoundMail:
    return search_pb2.FoundMail(
        mail_id=str(summary.get("mail_id", "")),
        received=timestamp(hit.received),
        to=[str(a) for a in summary.get("to", ())],
        subject=str(summary.get("subject", "")),
        size=hit.size,
        direction=hit.direction,
        verdict=hit.verdict,
        **{"from": str(summary.get("from", ""))},
    )


def _summary(found: Found) -> search_pb2.SearchSummary:
    complete = found.completeness
    missing = [
        search_pb2.Missing(reason=reason, day=day, count=count)
        for (reason, day), count in sorted(complete.unsearchable.items())
    ]
    return search_pb2.SearchSummary(
        total=len(found.hits),
        commitment=found.commitment,
        completeness=search_pb2.Completeness(
            in_scope=complete.in_scope, indexed=complete.indexed, unsearchable=missing
        ),
        days=found.days,
        directions=found.directions,
    )


def _opened(mail_id: MailId, part: Opened) -> search_pb2.OpenedMail:
    return search_pb2.OpenedMail(
        mail_id=mail_id,
        size=part.size,
        sha256=part.sha256,
        sender=part.sender,
        recipients=part.recipients,
        received=timestamp(part.received),
    )
