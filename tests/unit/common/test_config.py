"""Settings: environment over file, loud about every mistake at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from services.common.config import Address, Bytes, Secret, load, setting
from services.common.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Toy:
    """A toy."""

    listen: Address = setting(Address("127.0.0.1", 1), "where")
    size: Bytes = setting(Bytes(5), "how big")
    wait: timedelta = setting(timedelta(seconds=1), "how long")
    names: tuple[str, ...] = setting((), "who")
    times: tuple[timedelta, ...] = setting((), "when")
    password: Secret = setting(Secret(""), "what")
    maybe: str | None = setting(None, "perhaps")


def test_environment_wins_over_file(tmp_path: Path) -> None:
    """Both are read, with units; the environment has the last word."""
    file = tmp_path / "settings.yaml"
    file.write_text("toy: {size: 10MB, wait: 5m, names: [a, b]}\n")
    environment = {"LETTERLOCK_TOY__SIZE": "50MiB", "LETTERLOCK_TOY__TIMES": "1s,2m", "LETTERLOCK_DATA": str(tmp_path)}
    toy = load({"toy": Toy}, environment, file).of(Toy)
    assert (toy.size, toy.wait, toy.names) == (50 * 1024**2, timedelta(minutes=5), ("a", "b"))
    assert toy.times == (timedelta(seconds=1), timedelta(minutes=2))


def test_every_mistake_is_reported_at_once() -> None:
    """Unknown component, unknown key and a wrong value are all named."""
    environment = {"LETTERLOCK_TOI__X": "1", "LETTERLOCK_TOY__SISE": "1", "LETTERLOCK_TOY__LISTEN": "nowhere"}
    with pytest.raises(InvalidInput) as refused:
        load({"toy": Toy}, environment)
    assert all(name in str(refused.value) for name in environment)


def test_a_secret_does_not_show_itself() -> None:
    """Neither in repr nor in `config show`."""
    settings = load({"toy": Toy}, {"LETTERLOCK_TOY__PASSWORD": "hunter2"})
    assert "hunter2" not in repr(settings.of(Toy)) + str(settings.show())
    assert settings.of(Toy).password.reveal() == "hunter2"
