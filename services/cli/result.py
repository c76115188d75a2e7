"""What a command ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Result:
    """What is printed, and how it ended."""

    document: Any
    view: Callable[[Any], str] | None = None
    status: int = 0
    error: str = ""
