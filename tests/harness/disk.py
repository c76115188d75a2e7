"""The object store's disk of an installation, which fills up or goes read-only when a test says so.

Where this process may mount, the store is a tmpfs of its own: every service
meets the same full or read-only disk. Elsewhere the kernel's limit on file
sizes is set on ingress, whose writes then fail as on a full disk.
"""

from __future__ import annotations

import os
import resource
import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.common.testing import eventually
from tests.harness.installation import Installation

_ROOMY = 512 * 1024 * 1024
_CHUNK = 64 * 1024


@dataclass
class Disk:
    """The folder `objects` of a data directory. `attach` before the installation starts, `detach` at the end."""

    folder: Path
    mounted: bool = False

    def attach(self) -> Disk:
        """Mount a disk of its own if that is allowed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mounted = os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", f"size={_ROOMY}", "tmpfs", str(self.folder))
        return self

    def detach(self) -> None:
        """Take it away."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)
            self.mounted = False

    async def fill(self, installation: Installation) -> None:
        """Leave no room; may be called again for what was freed meanwhile."""
        if not self.mounted:
            forbid_writing(installation)
            return
        free = os.statvfs(self.folder)
        if free.f_bavail * free.f_frsize > 4 * _CHUNK:
            used = (free.f_blocks - free.f_bfree) * free.f_frsize
            await eventually(lambda: self._resize(used + _CHUNK), timeout=30)
        with (self.folder / ".ballast").open("ab", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:
                return

    async def lock(self, installation: Installation) -> None:
        """Make it read-only; the kernel lets it happen when nobody writes at that moment."""
        if not self.mounted:
            forbid_writing(installation)
            return
        await eventually(lambda: _mount("-o", "remount,ro", str(self.folder)), timeout=30)

    async def recover(self, installation: Installation) -> None:
        """Room to write again."""
        if not self.mounted:
            allow_writing(installation)
            return
        await eventually(lambda: self._resize(_ROOMY), timeout=30)
        (self.folder / ".ballast").unlink(missing_ok=True)

    def _resize(self, size: int) -> bool:
        return _mount("-o", f"remount,rw,size={size}", str(self.folder))


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0


def forbid_writing(installation: Installation) -> None:
    """No file of ingress may grow, its log included: each write fails as on a full disk."""
    pid = installation.pids()["ingress"]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))


def allow_writing(installation: Installation) -> None:
    """As it was before."""
    pid = installation.pids()["ingress"]
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
