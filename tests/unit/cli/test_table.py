"""Every row of the table fits the protos, and the command line has no two meanings."""

from __future__ import annotations

import pytest

from services.cli.command import Argument, Command
from services.cli.parser import _GLOBAL, Help, parse
from services.cli.session import _method
from services.cli.special import RUN
from services.cli.table import COMMANDS, NOUNS

CALLS = [c for c in COMMANDS if c.rpc]


@pytest.mark.parametrize("command", CALLS, ids=lambda c: c.name)
def test_row_fits_its_rpc(command: Command) -> None:
    """The RPC exists, each argument is a field of its request, each item a field of its answer."""
    method = _method(command.rpc)
    for argument in command.arguments:
        if not argument.path and command.run:
            continue  # the command's own, which asks for more than one thing
        message = method.input_type
        *way, last = argument.path.split(".")
        for step in way:
            message = message.fields_by_name[step].message_type
        assert last in message.fields_by_name, argument.path
    for name in filter(None, (command.items, command.one, "update_mask" if command.update else "")):
        assert name in (method.input_type if name == "update_mask" else method.output_type).fields_by_name
    if command.items:
        assert {"page_token"} <= set(method.input_type.fields_by_name)


@pytest.mark.parametrize("command", [c for c in CALLS if c.columns and (c.one or c.items)], ids=lambda c: c.name)
def test_columns_exist(command: Command) -> None:
    """A column that no answer has would always be empty."""
    message = _method(command.rpc).output_type.fields_by_name[command.one or command.items].message_type
    names = {command.rename.get(n, n) for n in message.fields_by_name}
    assert set(command.columns) <= names


def test_option_takes_a_value_everywhere_or_nowhere() -> None:
    """Options may stand before the noun: so a name must be read alike for every command."""
    found: dict[str, bool] = {}
    arguments: list[Argument] = [a for c in COMMANDS for a in (*c.arguments, *_GLOBAL) if not a.positional]
    for argument in arguments:
        for flag in argument.flags:
            assert found.setdefault(flag, argument.takes_value) == argument.takes_value, flag


def test_names_are_unique_and_special_runs_exist() -> None:
    """One row per noun and verb."""
    assert len({c.name for c in COMMANDS}) == len(COMMANDS)
    assert {c.run for c in COMMANDS} - {""} == set(RUN)
    assert {c.noun for c in COMMANDS} == set(NOUNS)


def test_nouns_and_verbs_of_the_contract_are_there() -> None:
    """What scripts may rely on."""
    verbs = {noun: {c.verb for c in COMMANDS if c.noun == noun} for noun in NOUNS}
    for noun in ("tenant", "domain", "connector", "person", "group", "apikey"):
        assert verbs[noun] >= {"list", "get", "create", "update", "delete"}
    assert verbs["person"] >= {"consent", "code", "enrol"}
    assert verbs["case"] == {"create", "list", "close"}
    assert verbs["access"] >= {"request", "list", "approve", "refuse", "revoke", "sod-report"}
    assert verbs["policy"] >= {"get", "apply", "check", "history", "rollback", "trace", "shadow-report"}
    assert verbs["policy"] >= {"lint", "replay-why"}
    assert verbs["detector"] == {"list", "test", "create", "get", "update", "delete"}
    assert verbs["dataset"] == {"list", "get", "create", "delete", "upload", "add", "remove"}
    assert verbs["hold"] >= {"list", "show", "release", "delete", "return", "forward", "seal", "cancel"}
    assert (verbs["mail"], verbs["queue"]) == ({"status", "why"}, {"list", "retry", "fail"})


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_every_command_has_help(command: Command) -> None:
    """Of the whole, the noun and the command."""
    found = parse([*command.name.split(), "--help"])
    assert isinstance(found, Help)
    assert " ".join(command.help.split()) in " ".join(found.text.split())
    noun = parse([command.noun, "-h"])
    assert isinstance(noun, Help)
    assert not command.verb or f"  {command.verb}" in noun.text
