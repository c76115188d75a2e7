"""Folders whose entries survive a power cut: fsync, shared by those that need it at the same time.

A file is durable when its bytes and the folder entry that names it are. Mails that finish together land in the
same folder, so one fsync of it serves all of them. Everything here blocks and belongs in threads.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress


def sync_folder(path: str) -> None:
    """Make the entries of one folder durable; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: str) -> None:
    """Make `path` and whatever is missing above it, durably; raises `OSError`."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    make_folders(parent)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    sync_folder(parent)


class _Round:
    """One fsync and everybody it serves."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: OSError | None = None


class _Folder:
    __slots__ = ("busy", "changed", "gathering", "users")

    def __init__(self, lock: threading.Lock) -> None:
        self.busy = False
        self.changed = threading.Condition(lock)
        self.gathering = _Round()
        self.users = 0


class Folders:
    """The folders of one store: made durably, synced in groups."""

    MOST_KNOWN = 100_000

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._folders: dict[str, _Folder] = {}
        self._known: set[str] = set()
        self.syncs = 0
        """How many fsyncs `sync` has made; fewer than calls when they were shared."""

    def sync(self, path: str) -> None:
        """Return after an fsync of `path` that began after this call; raises its `OSError`.

        While one fsync runs, later callers gather for the next: an fsync that has begun may miss their entry.
        """
        with self._lock:
            folder = self._folders.get(path)
            if folder is None:
                folder = self._folders[path] = _Folder(self._lock)
            folder.users += 1
            try:
                mine = folder.gathering
                while folder.busy and not mine.done:
                    folder.changed.wait()
                if not mine.done:
                    self._lead(path, folder, mine)
            finally:
                folder.users -= 1
                if not folder.users:
                    del self._folders[path]
        if mine.error is not None:
            raise OSError(mine.error.errno, mine.error.strerror)

    def _lead(self, path: str, folder: _Folder, mine: _Round) -> None:
        """Run the fsync of this round with the lock let go, then wake its members and the next leader."""
        folder.busy = True
        folder.gathering = _Round()
        self.syncs += 1
        # Until it has succeeded it has failed, whatever ends it.
        mine.error = OSError(errno.EIO, "fsync was interrupted")
        self._lock.release()
        try:
            sync_folder(path)
            mine.error = None
        except OSError as error:
            mine.error = error
        finally:
            self._lock.acquire()
            mine.done = True
            folder.busy = False
            folder.changed.notify_all()

    def ensure(self, path: str) -> None:
        """Make `path` and its missing parents below the root, durably; raises `OSError`.

        A folder that another process made may not be durable yet, so the first use here syncs its parent anyway.
        Folders are never removed, so what was durable once stays so.
        """
        if path in self._known:
            return
        missing: list[str] = []
        while path != self._root and path not in self._known:
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                if not os.path.isdir(folder):
                    raise NotADirectoryError(folder) from None
            self.sync(os.path.dirname(folder))
            if len(self._known) >= self.MOST_KNOWN:
                self._known = set()
            self._known.add(folder)

    def forget(self) -> None:
        """Take no folder's existence for granted any more: the volume may have been replaced."""
        self._known = set()
