"""Ways in which a value is written so that a simple search misses it."""

from __future__ import annotations

from collections.abc import Callable

from services.policy.core.detectors import Detector


def _full_width(value: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in value)


def _grouped(value: str) -> str:
    plain = value.replace(" ", "").replace("-", "")
    return " ".join(plain[i : i + 4] for i in range(0, len(plain), 4))


def _dashed(value: str) -> str:
    return _grouped(value).replace(" ", "-")


def _zero_width(value: str) -> str:
    return "\u200b".join(value[i : i + 3] for i in range(0, len(value), 3))


def _soft_hyphen(value: str) -> str:
    half = len(value) // 2
    return f"{value[:half]}\u00ad{value[half:]}"


def _beside_han(value: str) -> str:
    return f"號{value}請"


DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "full-width": _full_width,
    "spaces": _grouped,
    "dashes": _dashed,
    "zero-width": _zero_width,
    "next to Han": _beside_han,
    "soft breaks": _soft_hyphen,
}


def applies(detector: Detector, disguise: str, value: str) -> bool:
    """Whether people write such a value in that way: groups only where any two digits may be apart."""
    if disguise in ("spaces", "dashes"):
        return all("(?:~[0-9])" in s.expression for s in detector.shapes) and not detector.words and "(" not in value
    if disguise == "next to Han":
        return not detector.words
    return True
