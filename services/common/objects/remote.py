"""Objects in a bucket: S3, GCS, Azure, through obstore.

Creation is a conditional put (`If-None-Match: *` or its like) and never a multipart upload, so an object is held
in memory while it is written. Writes are not retried here: a second try after a lost answer would meet its own
object and call it somebody else's.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError
from obstore.store import AzureStore, GCSStore, S3Store

from services.common.errors import AlreadyExists, Busy, InvalidInput, NotFound, Unavailable
from services.common.objects import Meta, Writer
from services.common.objects.keys import check_folder, check_key, check_prefix

type Remote = S3Store | GCSStore | AzureStore

_FULL = re.compile(r"\b(?:429|507)\b|SlowDown|TooManyRequests|ServerBusy|StorageFull|QuotaExceeded|InsufficientStorage")


@contextmanager
def _translated(action: str) -> Iterator[None]:
    """obstore's exceptions → ours; their texts hold addresses and keys, so only their class is repeated."""
    try:
        yield
    except AlreadyExistsError as error:
        raise AlreadyExists("this object exists") from error
    except FileNotFoundError as error:
        raise NotFound("no such object") from error
    except (InvalidPathError, ValueError) as error:
        raise InvalidInput("not an object key", field="key") from error
    except (BaseError, OSError) as error:
        kind = type(error).__name__
        if _FULL.search(str(error)):
            raise Busy(f"object store busy or full: {action}: {kind}") from error
        raise Unavailable(f"object store: {action}: {kind}") from error


class RemoteStore:
    """The object store in a bucket; `reading` may retry, `writing` may not."""

    def __init__(self, reading: Remote, writing: Remote) -> None:
        self._reading, self._writing = reading, writing

    async def create(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        await self._put(key, data, "create")

    async def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        await self._put(key, data, "overwrite")

    async def put_new(self, key: str, data: bytes | bytearray) -> None:
        """Like `create`, for a writer's buffer, which is not copied."""
        await self._put(key, data, "create")

    async def _put(self, key: str, data: bytes | bytearray, mode: Literal["create", "overwrite"]) -> None:
        check_key(key)
        with _translated(mode):
            try:
                await obstore.put_async(self._writing, key, data, mode=mode, use_multipart=False)
            except FileNotFoundError as error:
                # A put misses the bucket, never the object.
                raise Unavailable("object store: no such bucket") from error

    async def open_writer(self, key: str) -> Writer:
        """See `ObjectStore`."""
        check_key(key)
        return _RemoteWriter(self, key)

    async def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        check_key(key)
        with _translated("get"):
            result = await obstore.get_async(self._reading, key)
            return bytes(await result.bytes_async())

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        check_key(key)
        if start < 0 or length < 0:
            raise InvalidInput("a range begins and ends inside the object", field="range")
        # A range that begins at or after the end is an error of its own kind at each provider.
        length = min(length, (await self.head(key)).size - start)
        if length <= 0:
            return b""
        with _translated("get"):
            return bytes(await obstore.get_range_async(self._reading, key, start=start, length=length))

    async def head(self, key: str) -> Meta:
        """See `ObjectStore`."""
        check_key(key)
        with _translated("head"):
            found = await obstore.head_async(self._reading, key)
        return Meta(key, found["size"], found["last_modified"])

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Meta]:
        """See `ObjectStore`."""
        check_prefix(prefix)
        folder = prefix.rpartition("/")[0]
        with _translated("list"):
            stream = obstore.list(self._reading, folder or None, offset=after or None, chunk_size=1000)
            async for page in stream:
                for found in page:
                    key = found["path"]
                    if key.startswith(prefix) and key > after:
                        yield Meta(key, found["size"], found["last_modified"])
                    elif key > prefix and not key.startswith(prefix):
                        return

    async def list_folders(self, prefix: str) -> builtins.list[str]:
        """See `ObjectStore`."""
        check_folder(prefix)
        with _translated("list"):
            found = await obstore.list_with_delimiter_async(self._reading, prefix.rstrip("/") or None)
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])

    async def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        check_key(key)
        with _translated("delete"):
            try:
                await obstore.delete_async(self._writing, key)
            except FileNotFoundError:
                return

    async def check(self) -> None:
        """See `ObjectStore`."""
        with _translated("check"):
            try:
                await obstore.list_with_delimiter_async(self._writing, "health")
            except FileNotFoundError as error:
                raise Unavailable("object store: no such bucket") from error


class _RemoteWriter:
    """A large object in memory: a conditional put has to be one request."""

    def __init__(self, store: RemoteStore, key: str) -> None:
        self._store, self._key = store, key
        self._buffer: bytearray | None = bytearray()

    async def write(self, data: bytes) -> None:
        """See `Writer`."""
        self._open().extend(data)

    async def commit(self) -> None:
        """See `Writer`."""
        data = self._open()
        self._buffer = None
        await self._store.put_new(self._key, data)

    async def abort(self) -> None:
        """See `Writer`."""
        self._buffer = None

    def _open(self) -> bytearray:
        if self._buffer is None:
            raise Unavailable("this writer is closed")
        return self._buffer
