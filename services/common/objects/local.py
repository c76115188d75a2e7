"""Objects as files on one machine: durable, created atomically, invisible until complete.

An object is written to a file in `.tmp` of the same file system, fsynced, linked to its name (a link never
replaces, so creation is the compare-and-set) and its folder fsynced. All of it runs in threads; a small object is
one hop. A process that dies leaves a file in `.tmp`, which no listing shows and which is removed after an hour.
"""

from __future__ import annotations

import asyncio
import builtins
import errno
import itertools
import os
import secrets
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from services.common import log
from services.common.errors import AlreadyExists, Busy, InvalidInput, NotFound, Unavailable
from services.common.objects import Meta, Writer
from services.common.objects.durable import Folders, make_folders
from services.common.objects.keys import check_folder, check_key, check_prefix

logger = log.get(__name__)

STALE_AFTER = 3600.0
"""Seconds without a write after which a file in `.tmp` is a dead writer's."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CHUNK = 256 * 1024
"""Bytes a writer gathers before it takes a thread."""

_PAGE = 1000


@contextmanager
def _translated(action: str) -> Iterator[None]:
    """`OSError` → `Busy` when there is no room, else `Unavailable`; no path in the message."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "unknown")
        if error.errno in _FULL:
            raise Busy(f"object store full: {action}: {name}", errno=name) from error
        raise Unavailable(f"object store: {action}: {name}", errno=name) from error


class LocalStore:
    """The object store in a folder. Raises `Unavailable` when it cannot be opened."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)
        self._tmp = os.path.join(self._root, ".tmp")
        self._folders = Folders(self._root)
        self._count = itertools.count()
        # Writers wait for the disk, not for the CPU: more of them share each folder's fsync.
        self._writers = ThreadPoolExecutor(32, "objects-write")
        self._readers = ThreadPoolExecutor(8, "objects-read")
        with _translated("open"):
            make_folders(self._tmp)
            self._sweep()

    async def create(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        check_key(key)
        await self._run(self._writers, self._store, key, data, False)

    async def put(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        check_key(key)
        await self._run(self._writers, self._store, key, data, True)

    async def open_writer(self, key: str) -> Writer:
        """See `ObjectStore`."""
        check_key(key)
        writer = _LocalWriter(self, key)
        try:
            await self._run(self._writers, writer.begin)
        except asyncio.CancelledError:
            # The thread may have begun: its file has nobody else to close it.
            self._writers.submit(writer.end)
            raise
        return writer

    async def get(self, key: str) -> bytes:
        """See `ObjectStore`."""
        check_key(key)
        return await self._run(self._readers, self._read, key, 0, None)

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `ObjectStore`."""
        check_key(key)
        return await self._run(self._readers, self._read, key, start, length)

    async def head(self, key: str) -> Meta:
        """See `ObjectStore`."""
        check_key(key)
        return await self._run(self._readers, self._head, key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Meta]:
        """See `ObjectStore`."""
        check_prefix(prefix)
        found = self._walk(prefix.rpartition("/")[0], prefix, after)
        while page := await self._run(self._readers, lambda: builtins.list(itertools.islice(found, _PAGE))):
            for meta in page:
                yield meta

    async def list_folders(self, prefix: str) -> builtins.list[str]:
        """See `ObjectStore`."""
        check_folder(prefix)
        return await self._run(self._readers, self._list_folders, prefix)

    async def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        check_key(key)
        await self._run(self._writers, self._delete, key)

    async def check(self) -> None:
        """See `ObjectStore`; it tries to write, so a full or read-only disk shows."""
        await self._run(self._writers, self._probe)

    @property
    def folder_syncs(self) -> int:
        """How many folder fsyncs have been made so far."""
        return self._folders.syncs

    async def _run[**P, T](
        self, pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: call(*args, **kwargs))

    # Below: blocking, in threads.

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def open_temporary(self) -> tuple[str, int]:
        """A new file in `.tmp`: its path and descriptor."""
        path = f"{self._tmp}/{os.getpid()}-{next(self._count)}-{secrets.token_hex(8)}"
        with _translated("begin"):
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def _store(self, key: str, data: bytes, replace: bool) -> None:
        path, descriptor = self.open_temporary()
        try:
            with _translated("write"):
                try:
                    write_all(descriptor, data)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            self.publish(path, key, replace=replace)
        finally:
            with suppress(OSError):
                os.unlink(path)

    def publish(self, temporary: str, key: str, *, replace: bool) -> None:
        """Give a synced temporary file its name, durably; the caller removes `temporary`."""
        path = self._path(key)
        folder = os.path.dirname(path)
        with _translated("publish"):
            try:
                self._folders.ensure(folder)
                if replace:
                    os.replace(temporary, path)
                else:
                    os.link(temporary, path)
            except FileExistsError:
                raise AlreadyExists("this object exists") from None
            except (NotADirectoryError, IsADirectoryError):
                raise InvalidInput("an object cannot be a folder of another", field="key") from None
            except FileNotFoundError:
                self._folders.forget()
                raise
            try:
                self._folders.sync(folder)
            except OSError:
                # It may not survive, so it must not be seen: the caller will say that it failed.
                if not replace:
                    with suppress(OSError):
                        os.unlink(path)
                raise

    def _read(self, key: str, start: int, length: int | None) -> bytes:
        if start < 0 or (length is not None and length < 0):
            raise InvalidInput("a range begins and ends inside the object", field="range")
        with self._reading(), open(self._path(key), "rb", buffering=0) as file:
            if start:
                file.seek(start)
            if length is None:
                return file.readall()
            parts: list[bytes] = []
            while length > 0 and (part := file.read(length)):
                parts.append(part)
                length -= len(part)
            return b"".join(parts)

    def _head(self, key: str) -> Meta:
        with self._reading():
            meta = self._meta(key)
            if meta is None:
                raise FileNotFoundError(errno.ENOENT, "no file")
            return meta

    def _meta(self, key: str) -> Meta | None:
        status = os.stat(self._path(key), follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return None
        return Meta(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with _translated("read"):
            try:
                yield
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                # A volume that is not mounted has no `.tmp`: that is no proof that the object does not exist.
                os.stat(self._tmp)
                raise NotFound("no such object") from None

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[Meta]:
        """Yield the objects below `folder` in key order, which sorts a folder by its name and the slash."""
        base = f"{folder}/" if folder else ""
        with _translated("list"):
            try:
                with os.scandir(self._path(folder)) as entries:
                    names = sorted(
                        entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                        for entry in entries
                        if not entry.name.startswith(".")
                    )
            except (FileNotFoundError, NotADirectoryError):
                os.stat(self._tmp)
                return
        for name in names:
            key = base + name
            if name.endswith("/"):
                wanted = key.startswith(prefix) or prefix.startswith(key)
                if wanted and (key > after or after.startswith(key)):
                    yield from self._walk(key[:-1], prefix, after)
            elif key.startswith(prefix) and key > after:
                with _translated("list"), suppress(FileNotFoundError):
                    meta = self._meta(key)
                    if meta is not None:
                        yield meta

    def _list_folders(self, prefix: str) -> builtins.list[str]:
        with self._reading():
            try:
                with os.scandir(self._path(prefix)) as entries:
                    names = [e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
            except (FileNotFoundError, NotADirectoryError):
                os.stat(self._tmp)
                return []
        # A folder stays when its last object is deleted; elsewhere it would not exist.
        return sorted(n for n in names if next(self._walk(f"{prefix}{n}", f"{prefix}{n}/", ""), None))

    def _delete(self, key: str) -> None:
        path = self._path(key)
        with _translated("delete"):
            try:
                os.unlink(path)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                os.stat(self._tmp)
                return
            self._folders.sync(os.path.dirname(path))

    def _probe(self) -> None:
        path, descriptor = self.open_temporary()
        with _translated("check"):
            try:
                write_all(descriptor, bytes(4096))
            finally:
                os.close(descriptor)
                os.unlink(path)

    def _sweep(self) -> None:
        """Remove what dead writers left; those of living processes have been written to lately."""
        oldest = time.time() - STALE_AFTER
        removed = 0
        with os.scandir(self._tmp) as entries:
            for entry in entries:
                # Another process may sweep too, and a store that may only be read is still opened.
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)
                        removed += 1
        if removed:
            logger.info("objects.swept", removed=removed)


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write every byte; raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _LocalWriter:
    """A large object on its way to disk; memory holds one chunk of it."""

    def __init__(self, store: LocalStore, key: str) -> None:
        self._store, self._key, self._path = store, key, ""
        self._descriptor: int | None = None
        self._buffer = bytearray()
        # A cancelled caller leaves its thread running: the next call waits for it here.
        self._lock = threading.Lock()

    async def write(self, data: bytes) -> None:
        """See `Writer`."""
        self._buffer += data
        if len(self._buffer) >= _CHUNK:
            full, self._buffer = self._buffer, bytearray()
            await self._store._run(self._store._writers, self._flush, full)

    async def commit(self) -> None:
        """See `Writer`."""
        await self._store._run(self._store._writers, self._commit)

    async def abort(self) -> None:
        """See `Writer`."""
        await self._store._run(self._store._writers, self.end)

    def begin(self) -> None:
        """Open the file; in a thread."""
        with self._lock:
            self._path, self._descriptor = self._store.open_temporary()

    def _flush(self, data: bytearray) -> None:
        with self._lock, _translated("write"):
            write_all(self._open(), data)

    def _open(self) -> int:
        if self._descriptor is None:
            raise Unavailable("this writer is closed")
        return self._descriptor

    def _commit(self) -> None:
        with self._lock:
            descriptor = self._open()
            try:
                with _translated("write"):
                    write_all(descriptor, self._buffer)
                    os.fsync(descriptor)
                self._store.publish(self._path, self._key, replace=False)
            finally:
                self._close()

    def end(self) -> None:
        """Close and remove the file; in a thread."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._buffer = bytearray()
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):
                os.close(descriptor)
            with suppress(OSError):
                os.unlink(self._path)
