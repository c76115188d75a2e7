"""The embedded index of one machine: a small server that speaks OpenSearch and keeps all in memory.

It starts empty in milliseconds; the archive fills it again from the index
segments of the object store. It ends with its parent, however that dies.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from services.common import processes


def command(port: int, *, parent: int | None = None) -> list[str]:
    """The command that serves an empty index at 127.0.0.1:`port` until process `parent` (default: this one) is gone."""
    import osmem_server

    return [
        str(osmem_server.resolve_binary()),
        "-addr",
        f"127.0.0.1:{port}",
        "-parent-pid",
        str(os.getpid() if parent is None else parent),
        "-no-stdin-watch",
    ]


@dataclass(frozen=True, slots=True)
class EmbeddedIndex:
    """A running embedded index."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it and wait until it is gone."""
        self.process.kill()
        self.process.wait()


def start_index(port: int = 0) -> EmbeddedIndex:
    """Start an embedded index at 127.0.0.1:`port`, 0 for a free one; it answers within milliseconds."""
    chosen = port or processes.free_port()
    process = processes.spawn(command(chosen), output=subprocess.DEVNULL)
    return EmbeddedIndex(f"http://127.0.0.1:{chosen}", process)
