"""The index in OpenSearch, or in the embedded server that speaks as it does.

A document is merged here and written whole, on condition that it has not
changed since it was read; who loses the race reads again. So writes are
idempotent and independent of order, and two archives may feed one index.
Indices are never made by writing: a write goes through its month's alias.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import (
    ConflictError,
    ConnectionError,
    ConnectionTimeout,
    NotFoundError,
    OpenSearchException,
    RequestError,
    TransportError,
)
from opensearchpy.helpers import async_streaming_bulk
from opensearchpy.serializer import JSONSerializer

from services.archive.adapters import mapping
from services.archive.config import ArchiveConfig
from services.archive.core.document import from_document, to_document
from services.archive.core.fold import MailState
from services.common import log
from services.common.errors import Busy, Corrupt, DeadlineExceeded, Unavailable
from services.common.ids import MailId, TenantId

_log = log.get(__name__)

_ROUNDS = 8
"""How often a write is tried again after it met another's."""
_CACHED = 5_000
_SLICE = 2_000
"""Documents that are merged and written together; they must fit into the cache."""
_PAGE = 500
_BULK_BYTES = 8 << 20

type _Key = tuple[str, str]


class _Serializer(JSONSerializer):
    """orjson instead of the standard library: a third of the time."""

    def dumps(self, data: Any) -> Any:
        """JSON text; strings pass, as the bulk helper wants."""
        return data if isinstance(data, str) else orjson.dumps(data, default=self.default).decode()

    def loads(self, s: str) -> Any:
        """The value of a JSON text."""
        return orjson.loads(s)


@dataclass(frozen=True, slots=True)
class _Known:
    """A document as it was last seen; `sequence` is -1 where there is none."""

    state: MailState | None
    sequence: int = -1
    term: int = 0


@contextmanager
def translated() -> Iterator[None]:
    """Raise what the client raises inside as our own errors."""
    try:
        yield
    except ConnectionTimeout as error:
        raise DeadlineExceeded("the index did not answer in time") from error
    except ConnectionError as error:
        raise Unavailable("the index cannot be reached") from error
    except TransportError as error:
        if error.status_code == 429:
            raise Busy("the index is too busy") from error
        raise Unavailable("the index refused", status=error.status_code) from error
    except OpenSearchException as error:
        raise Unavailable("the index answered strangely") from error


def connect(config: ArchiveConfig) -> AsyncOpenSearch:
    """A client of the index."""
    options: dict[str, Any] = {}
    if config.opensearch_user:
        options["http_auth"] = (config.opensearch_user, config.opensearch_password.reveal())
    if config.opensearch_ca:
        options["ca_certs"] = config.opensearch_ca
    return AsyncOpenSearch(
        hosts=[config.opensearch_url],
        serializer=_Serializer(),
        http_compress=not config.opensearch_url.startswith("http://127.0.0.1"),
        timeout=30,
        max_retries=0,
        retry_on_timeout=False,
        **options,
    )


class OpenSearchIndex:
    """See `ports.Index`."""

    def __init__(self, config: ArchiveConfig) -> None:
        self._client = connect(config)
        # It warns of each 404 and 409, which are answers here; what is a failure is raised, and logged by who calls.
        logging.getLogger("opensearch").setLevel(logging.ERROR)
        self._config = config
        self._cache: OrderedDict[_Key, _Known] = OrderedDict()
        self._months: set[str] = set()
        self._seen = ""

    async def close(self) -> None:
        """Give up the connections."""
        await self._client.close()

    async def check(self) -> None:
        """See `ports.Index`."""
        with translated():
            await self._client.info(request_timeout=2)

    async def ensure(self) -> str:
        """See `ports.Index`."""
        with translated():
            generation = await self._generation()
            if not generation:
                generation = await self._make()
        if generation != self._seen:
            self._seen = generation
            self._months.clear()
            self._cache.clear()
        return generation

    async def write(self, states: Sequence[MailState]) -> int:
        """See `ports.Index`."""
        waiting: dict[_Key, MailState] = {}
        for state in states:
            key = state.tenant, state.mail_id
            waiting[key] = state if key not in waiting else waiting[key].merge(state)
        keys = list(waiting)
        slices = (keys[start : start + _SLICE] for start in range(0, len(keys), _SLICE))
        return sum([await self._write({key: waiting[key] for key in part}) for part in slices])

    async def _write(self, waiting: dict[_Key, MailState]) -> int:
        refused = 0
        for _ in range(_ROUNDS):
            if not waiting:
                return refused
            await self._load(k for k in waiting if k not in self._cache)
            changed: dict[_Key, MailState] = {}
            for key, state in waiting.items():
                known = self._cache.get(key) or _Known(None)
                merged = state if known.state is None else known.state.merge(state)
                if merged != known.state:
                    changed[key] = merged
            waiting = changed
            refused += await self._send(waiting)
        if waiting:
            raise Busy("documents changed faster than they could be written", mails=len(waiting))
        return refused

    async def read(self, tenant: TenantId, mail_ids: Collection[MailId]) -> dict[MailId, MailState]:
        """See `ports.Index`."""
        keys = [(str(tenant), str(m)) for m in mail_ids]
        found = {key: known.state async for key, known in self._get(keys)}
        with translated():
            # An index that came back empty knows nothing of these mails, which is not that there is nothing to know.
            if await self._generation() != self._seen:
                raise Unavailable("the index was lost")
        return {MailId(key[1]): state for key, state in found.items() if state is not None}

    async def present(self, tenant: TenantId, mail_ids: Collection[MailId]) -> set[MailId]:
        """See `ports.Index`."""
        found: set[MailId] = set()
        keys = [(str(tenant), str(m)) for m in mail_ids]
        for start in range(0, len(keys), _PAGE):
            for document in await self._mget(keys[start : start + _PAGE], source=["tenant"]):
                if document.get("found") and document["_source"]["tenant"] == tenant:
                    found.add(MailId(document["_id"]))
        return found

    async def days(self, tenant: TenantId) -> Mapping[date, int]:
        """See `ports.Index`."""
        body = {
            "size": 0,
            "query": {"bool": {"filter": [{"term": {"tenant": str(tenant)}}]}},
            "aggs": {"days": {"terms": {"field": "day", "size": 20_000}}},
        }
        with translated():
            if not await self._client.indices.exists_alias(name=mapping.MAIL):
                return {}
            await self._client.indices.refresh(index=mapping.MAIL)
            answer = await self._client.search(index=mapping.MAIL, body=body, params={"routing": str(tenant)})
        return {date.fromisoformat(b["key"]): b["doc_count"] for b in answer["aggregations"]["days"]["buckets"]}

    async def cursor(self, tenant: TenantId) -> str:
        """See `ports.Index`."""
        return await self._mark(f"cursor:{tenant}")

    async def set_cursor(self, tenant: TenantId, segment: str) -> None:
        """See `ports.Index`."""
        await self._set_mark(f"cursor:{tenant}", segment)

    async def floor(self, tenant: TenantId) -> date | None:
        """See `ports.Index`."""
        mark = await self._mark(f"floor:{tenant}")
        return date.fromisoformat(mark) if mark else None

    async def set_floor(self, tenant: TenantId, day: date) -> None:
        """See `ports.Index`."""
        await self._set_mark(f"floor:{tenant}", day.isoformat())

    async def _mark(self, name: str) -> str:
        with translated():
            try:
                answer = await self._client.get(index=mapping.META, id=name)
            except NotFoundError:
                return ""
        return str(answer["_source"]["mark"])

    async def _set_mark(self, name: str, value: str) -> None:
        body = {"doc": {"mark": value}, "doc_as_upsert": True}
        with translated():
            # Without its index the update would make one of its own, and the loss would not be seen.
            if not await self._client.indices.exists(index=mapping.META):
                raise Unavailable("the index was lost")
            await self._client.update(index=mapping.META, id=name, body=body, params={"retry_on_conflict": "3"})

    async def _make(self) -> str:
        await self._client.indices.put_index_template(
            name=f"{mapping.MAIL}-v{mapping.VERSION}",
            body=mapping.template(
                replicas=self._config.replicas, refresh_seconds=self._config.refresh_interval.total_seconds()
            ),
        )
        await self._create_index(mapping.META, mapping.meta(replicas=self._config.replicas))
        with suppress(ConflictError):  # another archive was first
            await self._client.create(index=mapping.META, id="generation", body={"generation": secrets.token_hex(8)})
        return await self._generation()

    async def _generation(self) -> str:
        try:
            answer = await self._client.get(index=mapping.META, id="generation")
        except NotFoundError:
            return ""
        return str(answer["_source"]["generation"])

    async def _create_index(self, name: str, body: dict[str, Any]) -> None:
        try:
            await self._client.indices.create(index=name, body=body)
        except RequestError as error:
            if error.error != "resource_already_exists_exception":
                raise

    async def _ensure_month(self, month: str) -> None:
        if month not in self._months:
            with translated():
                aliases = {"aliases": {mapping.month_alias(month): {"is_write_index": True}}}
                await self._create_index(mapping.month_index(month), aliases)
            self._months.add(month)

    async def _load(self, keys: Iterator[_Key]) -> None:
        wanted = list(keys)
        async for key, known in self._get(wanted):
            self._remember(key, known)

    async def _get(self, keys: Sequence[_Key]) -> AsyncIterator[tuple[_Key, _Known]]:
        for start in range(0, len(keys), _PAGE):
            page = keys[start : start + _PAGE]
            for key, document in zip(page, await self._mget(page), strict=True):
                if not document.get("found"):
                    yield key, _Known(None)
                    continue
                try:
                    state = from_document(document["_source"])
                except (KeyError, TypeError, ValueError) as error:
                    raise Corrupt("a document of the index is not ours", mail_id=key[1]) from error
                if (state.tenant, state.mail_id) == key:
                    yield key, _Known(state, document["_seq_no"], document["_primary_term"])

    async def _mget(self, keys: Sequence[_Key], *, source: list[str] | None = None) -> list[dict[str, Any]]:
        docs = [{"_index": _alias(k), "_id": k[1], "routing": k[0]} for k in keys]
        if not docs:
            return []
        with translated():
            params = {"_source_includes": ",".join(source)} if source else {}
            answer = await self._client.mget(body={"docs": docs}, params=params)
        documents: list[dict[str, Any]] = answer["docs"]
        for document in documents:
            error = document.get("error")
            if error is not None and error.get("type") != "index_not_found_exception":
                raise Unavailable("the index could not read", reason=str(error.get("type")))
        return documents

    async def _send(self, states: dict[_Key, MailState]) -> int:
        """Write what is in `states` and take out what needs no further try; returns how many were refused for good."""
        if not states:
            return 0
        for month in {_month(key) for key in states}:
            await self._ensure_month(month)
        by_id = {key[1]: key for key in states}
        refused, away = 0, ""
        bulk = async_streaming_bulk(
            self._client,
            [self._action(key, state) for key, state in states.items()],
            max_chunk_bytes=_BULK_BYTES,
            raise_on_error=False,
            raise_on_exception=False,
            max_retries=5,
            initial_backoff=0.5,
            max_backoff=5,
            params={"require_alias": "true"},
        )
        with translated():
            async for ok, item in bulk:
                ((_, result),) = item.items()
                key = by_id[result["_id"]]
                status = result.get("status")
                if ok:
                    self._remember(key, _Known(states.pop(key), result["_seq_no"], result["_primary_term"]))
                    continue
                self._cache.pop(key, None)
                if status == 409:
                    continue  # someone else wrote it: read again
                if status == 404:
                    self._months.clear()  # the index was lost
                    away = "index_not_found"
                elif not isinstance(status, int) or status == 429 or status >= 500:
                    away = str(status)
                else:
                    refused += 1
                    del states[key]
                    _log.error("index.document_refused", tenant=key[0], mail_id=key[1], status=status)
        if away:
            raise Unavailable("the index did not take all documents", reason=away)
        return refused

    def _action(self, key: _Key, state: MailState) -> dict[str, Any]:
        known = self._cache.get(key) or _Known(None)
        action: dict[str, Any] = {
            "_op_type": "create" if known.sequence < 0 else "index",
            "_index": _alias(key),
            "_id": key[1],
            "routing": key[0],
            "_source": to_document(state, made=MailId(key[1]).time),
        }
        if known.sequence >= 0:
            action |= {"if_seq_no": known.sequence, "if_primary_term": known.term}
        return action

    def _remember(self, key: _Key, known: _Known) -> None:
        self._cache[key] = known
        self._cache.move_to_end(key)
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)


def _month(key: _Key) -> str:
    return f"{MailId(key[1]).day:%Y-%m}"


def _alias(key: _Key) -> str:
    return mapping.month_alias(_month(key))
