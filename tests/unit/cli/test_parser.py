"""Words to a command: options anywhere, mistakes in one sentence."""

from __future__ import annotations

import itertools

import pytest

from services.cli.command import Usage
from services.cli.parser import Help, Parsed, parse


def parsed(*words: str) -> Parsed:
    """The command, which is no help."""
    found = parse(words)
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_options_stand_anywhere(order: tuple[int, ...]) -> None:
    """Before, between and after noun and verb, long and short, joined or not."""
    parts = [["-o", "json"], ["--tenant=acme"], ["--note", "was fine"], ["hold", "release", "01X.1"]]
    words = [word for position in order for word in parts[position]]
    found = parsed(*words)
    assert found.command.name == "hold release"
    assert found.values == {"hold": ["01X.1"], "note": "was fine"}
    assert (found.options["output"], found.options["tenant"]) == ("json", "acme")


def test_options_stand_inside_the_words() -> None:
    """`hold --note x release ID` too."""
    found = parsed("hold", "--note", "x", "release", "-o", "yaml", "ID")
    assert (found.command.name, found.values) == ("hold release", {"hold": ["ID"], "note": "x"})


def test_values_may_begin_with_a_dash() -> None:
    """An option's next word is its value, whatever it looks like; `--` ends the options."""
    assert parsed("queue", "fail", "M", "--note", "--really").values["note"] == "--really"
    assert parsed("policy", "check", "-f", "-").values["file"] == "-"
    assert parsed("tenant", "get", "--", "-x").values["name"] == "-x"


def test_lists_flags_and_switches() -> None:
    """Repeated options gather; what is not given is absent."""
    found = parsed("person", "update", "a@b", "--role", "user,reviewer", "--role", "auditor", "--no-disabled")
    assert found.values == {"address": "a@b", "role": ["user,reviewer", "auditor"], "disabled": False}
    assert parsed("apply", "-f", "x", "--dry-run").values == {"file": "x", "dry_run": True}
    assert parsed("apply", "-f", "x").values == {"file": "x"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "command is needed"),
        ("nonsense", "unknown command 'nonsense'"),
        ("person", "needs a verb: list, get"),
        ("person drop", "no verb 'drop'"),
        ("person get", "ADDRESS"),
        ("person get a b", "unexpected word 'b'"),
        ("person get a --color red", "unexpected word 'red'"),
        ("person get a --color", "--color"),
        ("person get a -o xml", "xml"),
        ("policy rollback three", "three"),
        ("policy check", "--file"),
        ("status --output", "--output"),
        ("mail status M --note x", "--note"),
    ],
)
def test_wrong_usage_says_what_and_where_help_is(words: str, said: str) -> None:
    """And is one line."""
    with pytest.raises(Usage) as caught:
        parse(words.split())
    assert said in str(caught.value)
    assert "--help" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_of_the_whole_names_every_noun() -> None:
    """`--help` wins over missing words."""
    found = parse(["--help"])
    assert isinstance(found, Help)
    for word in (
        "tenant",
        "apikey",
        "list · get · create",
        "apply",
        "letterlock dev",
        "LETTERLOCK_TOKEN",
        "5 unavailable",
    ):
        assert word in found.text
