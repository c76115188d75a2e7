"""The content index in OpenSearch, or in the embedded server that speaks as it does: see `ports.ContentIndex`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from opensearchpy.exceptions import ConflictError, NotFoundError, RequestError

from services.archive.adapters import content_mapping, mapping
from services.archive.adapters.opensearch import connect, translated
from services.archive.config import ArchiveConfig
from services.archive.content.segments import Document
from services.archive.ports import Hit
from services.common import log
from services.common.errors import InvalidInput, Unavailable
from services.common.ids import TenantId

_log = log.get(__name__)

_BULK_BYTES = 8 << 20
_PAGE = 1000
_KEEP = "1m"
_FIELDS = ["id", "month", "received", "size", "direction", "verdict", "summary"]
_SORT = [{"received": "desc"}, {"id": "asc"}]
_MARKS = f"text-v{content_mapping.VERSION}"


class OpenSearchContentIndex:
    """See `ports.ContentIndex`."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._client, self._config = connect(config), config
        self._months: set[str] = set()
        self._seen = ""

    async def close(self) -> None:
        """Give up the connections."""
        await self._client.close()

    async def ensure(self) -> str:
        """See `ports.ContentIndex`."""
        with translated():
            generation = await self._mark("generation")
            if not generation:
                refresh = self._config.refresh_interval.total_seconds()
                await self._client.indices.put_index_template(
                    name=f"{content_mapping.TEXT}-v{content_mapping.VERSION}",
                    body=content_mapping.template(replicas=self._config.replicas, refresh_seconds=refresh),
                )
                await self._create_index(mapping.META, mapping.meta(replicas=self._config.replicas))
                with suppress(ConflictError):  # another archive was first
                    made = {"mark": secrets.token_hex(8)}
                    await self._client.create(index=mapping.META, id=f"{_MARKS}:generation", body=made)
                generation = await self._mark("generation")
        if generation != self._seen:
            self._seen = generation
            self._months.clear()
        return generation

    async def write(self, tenant: TenantId, documents: Sequence[Document]) -> int:
        """See `ports.ContentIndex`."""
        refused, lines, size = 0, [], 0
        for document in documents:
            await self._ensure_month(document.month)
            alias = content_mapping.month_alias(document.month)
            lines.append(f'{{"index":{{"_index":"{alias}","_id":"{document.id}","routing":"{tenant}"}}}}')
            lines.append(document.source.decode())
            size += len(document.source)
            if size >= _BULK_BYTES:
                refused += await self._bulk(tenant, lines)
                lines, size = [], 0
        return refused + await self._bulk(tenant, lines)

    async def _bulk(self, tenant: TenantId, lines: list[str]) -> int:
        if not lines:
            return 0
        with translated():
            answer = await self._client.bulk(body="\n".join(lines) + "\n", params={"require_alias": "true"})
        refused, away = 0, ""
        for item in answer["items"] if answer["errors"] else ():
            status = item["index"].get("status")
            if isinstance(status, int) and status < 300:
                continue
            if status == 404:
                self._months.clear()  # the index was lost
            if not isinstance(status, int) or status in (404, 429) or status >= 500:
                away = str(status)
                continue
            refused += 1
            _log.error("content.document_refused", tenant=tenant, status=status)
        if away:
            raise Unavailable("the index did not take all documents", reason=away)
        return refused

    async def present(self, tenant: TenantId, month: str, ids: Collection[str]) -> set[str]:
        """See `ports.ContentIndex`."""
        wanted, found = list(ids), set()
        for start in range(0, len(wanted), _PAGE):
            docs = [
                {"_index": content_mapping.month_alias(month), "_id": one, "routing": str(tenant)}
                for one in wanted[start : start + _PAGE]
            ]
            with translated():
                answer = await self._client.mget(body={"docs": docs}, params={"_source_includes": "tenant"})
            for document in answer["docs"]:
                error = document.get("error")
                if error is not None and error.get("type") != "index_not_found_exception":
                    raise Unavailable("the index could not read", reason=str(error.get("type")))
                if document.get("found") and document["_source"]["tenant"] == tenant:
                    found.add(document["_id"])
        return found

    async def search(self, month: str, query: Mapping[str, Any], *, tenant: TenantId) -> AsyncGenerator[list[Hit]]:
        """See `ports.ContentIndex`."""
        alias, routing = content_mapping.month_alias(month), {"routing": str(tenant)}
        body: dict[str, Any] = {"size": _PAGE, "query": query, "sort": _SORT, "_source": _FIELDS}
        with translated():
            try:
                answer = await self._client.search(index=alias, body=body, params=routing)
            except NotFoundError:
                return
            except RequestError as error:
                raise InvalidInput("the query is too large for the index", field="query") from error
            hits = answer["hits"]["hits"]
            if len(hits) < _PAGE:
                yield [_hit(h["_source"]) for h in hits]
                return
            # More than a page: one moment's view of all of it, or a mail that comes in would shift the rest.
            made = await self._client.create_pit(index=alias, params={"keep_alive": _KEEP, **routing})
        pit = str(made["pit_id"])
        try:
            while True:
                paged = {**body, "pit": {"id": pit, "keep_alive": _KEEP}}
                with translated():
                    answer = await self._client.search(body=paged)
                hits = answer["hits"]["hits"]
                if hits:
                    yield [_hit(h["_source"]) for h in hits]
                if len(hits) < _PAGE:
                    return
                body["search_after"] = hits[-1]["sort"]
        finally:
            with suppress(Exception):  # it ends by itself
                await self._client.delete_pit(body={"pit_id": [pit]})

    async def counts(self, tenant: TenantId, first: date, last: date) -> tuple[int, Mapping[tuple[str, str], int]]:
        """See `ports.ContentIndex`."""
        span = {"range": {"day": {"gte": first.isoformat(), "lte": last.isoformat()}}}
        # A terms aggregation inside another: two requests, for the embedded server has no multi_terms.
        body = {
            "size": 0,
            "track_total_hits": True,
            "query": {"bool": {"filter": [{"term": {"tenant": str(tenant)}}, span]}},
            "aggs": {
                "reasons": {
                    "terms": {"field": "unsearchable", "size": 20},
                    "aggs": {"days": {"terms": {"field": "day", "size": 20_000}}},
                }
            },
        }
        with translated():
            if not await self._client.indices.exists_alias(name=content_mapping.TEXT):
                return 0, {}
            answer = await self._client.search(index=content_mapping.TEXT, body=body, params={"routing": str(tenant)})
        found = {
            (reason["key"], day["key"]): day["doc_count"]
            for reason in answer["aggregations"]["reasons"]["buckets"]
            for day in reason["days"]["buckets"]
        }
        return answer["hits"]["total"]["value"], found

    async def refresh(self) -> None:
        """Let a search see all that was written: for tests and benchmarks."""
        with translated():
            await self._client.indices.refresh(index=content_mapping.TEXT)

    async def cursor(self, tenant: TenantId) -> str:
        """See `ports.ContentIndex`."""
        with translated():
            return await self._mark(f"cursor:{tenant}")

    async def set_cursor(self, tenant: TenantId, segment: str) -> None:
        """See `ports.ContentIndex`."""
        await self._set_mark(f"cursor:{tenant}", segment)

    async def floor(self, tenant: TenantId) -> date | None:
        """See `ports.ContentIndex`."""
        with translated():
            mark = await self._mark(f"floor:{tenant}")
        return date.fromisoformat(mark) if mark else None

    async def set_floor(self, tenant: TenantId, day: date) -> None:
        """See `ports.ContentIndex`."""
        await self._set_mark(f"floor:{tenant}", day.isoformat())

    async def _mark(self, name: str) -> str:
        try:
            answer = await self._client.get(index=mapping.META, id=f"{_MARKS}:{name}")
        except NotFoundError:
            return ""
        return str(answer["_source"]["mark"])

    async def _set_mark(self, name: str, value: str) -> None:
        body = {"doc": {"mark": value}, "doc_as_upsert": True}
        with translated():
            if not await self._client.indices.exists(index=mapping.META):
                raise Unavailable("the index was lost")
            params = {"retry_on_conflict": "3"}
            await self._client.update(index=mapping.META, id=f"{_MARKS}:{name}", body=body, params=params)

    async def _ensure_month(self, month: str) -> None:
        if month not in self._months:
            with translated():
                aliases = {"aliases": {content_mapping.month_alias(month): {"is_write_index": True}}}
                await self._create_index(content_mapping.month_index(month), aliases)
            self._months.add(month)

    async def _create_index(self, name: str, body: dict[str, Any]) -> None:
        try:
            await self._client.indices.create(index=name, body=body)
        except RequestError as error:
            if error.error != "resource_already_exists_exception":
                raise


def _hit(source: Mapping[str, Any]) -> Hit:
    return Hit(**{name: source[name] for name in _FIELDS})
