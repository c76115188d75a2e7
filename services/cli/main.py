"""`letterlock NOUN VERB`: the entry.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 unavailable. An error is one line on stderr.
"""

from __future__ import annotations

import os
from collections.abc import Sequence


def run(argv: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    # gRPC's core reads this when it is imported; its own lines on stderr would stand beside our one.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from services.cli import running

    return running.run(argv)
