"""Words to a command and its values. Options may stand anywhere: before, between and after noun and verb."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Never

from services.cli.command import Argument, Command, Usage
from services.cli.table import COMMANDS, NOUNS

_GLOBAL = (
    Argument("--server", "", "HOST:PORT of the API (LETTERLOCK_SERVER; default 127.0.0.1:2550)"),
    Argument("--token", "", "an API key (LETTERLOCK_TOKEN; default $LETTERLOCK_DATA/operator.key)"),
    Argument("--tenant", "", "name or id of the tenant, for those who have none or many (LETTERLOCK_TENANT)"),
    Argument("--output", "", "how answers are printed", "choice", ("table", "json", "yaml"), "-o"),
    Argument("--timeout", "", "how long an answer may take, such as 30s"),
)

_COMMANDS_OF = {noun: tuple(c for c in COMMANDS if c.noun == noun) for noun in NOUNS}


@dataclass(frozen=True, slots=True)
class Help:
    """What was asked for is help."""

    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command, its own values by `Argument.key`, and the options of every command."""

    command: Command
    values: dict[str, Any]
    options: dict[str, Any]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise Usage(f"{message} (see: {self.prog} --help)")


def parse(words: Sequence[str]) -> Parsed | Help:
    """The command that `words` are; raises `Usage`."""
    options, positionals = _split(words)
    asks = any(o in ("-h", "--help") for o in options)
    if not positionals:
        if asks:
            return Help(overview())
        raise Usage("a command is needed (see: letterlock --help)")
    noun, rest = positionals[0], positionals[1:]
    if noun not in _COMMANDS_OF:
        raise Usage(f"unknown command {noun!r} (see: letterlock --help)")
    commands = {c.verb: c for c in _COMMANDS_OF[noun]}
    if "" in commands:
        command = commands[""]
    elif not rest:
        if asks:
            return Help(noun_help(noun))
        raise Usage(f"{noun} needs a verb: {', '.join(commands)} (see: letterlock {noun} --help)")
    elif rest[0] not in commands:
        raise Usage(f"{noun} has no verb {rest[0]!r}: {', '.join(commands)} (see: letterlock {noun} --help)")
    else:
        command, rest = commands[rest[0]], rest[1:]
    parser = command_parser(command)
    if asks:
        return Help(parser.format_help())
    named = [a for a in command.arguments if a.positional]
    most = len(named)
    if len(rest) > most and not any(a.kind == "list" for a in named):
        raise Usage(f"unexpected word {rest[most]!r} (see: letterlock {command.name} --help)")
    found = vars(parser.parse_args([*options, "--", *rest] if rest else options))
    mine = {a.key for a in command.arguments}
    return Parsed(
        command,
        {k: v for k, v in found.items() if k in mine and v is not None},
        {a.key: found[f"global_{a.key}"] for a in _GLOBAL},
    )


def overview() -> str:
    """The help of the whole."""
    width = max(map(len, NOUNS)) + 2
    lines = ["usage: letterlock NOUN VERB [words and options, in any order]", ""]
    for noun, about in NOUNS.items():
        verbs = [c.verb for c in _COMMANDS_OF[noun] if c.verb]
        lines.append(f"  {noun:<{width}}{about or _COMMANDS_OF[noun][0].help}")
        if verbs:
            lines.append(f"  {'':<{width}}{' · '.join(verbs)}")
    lines += ["", "to run it: letterlock dev | serve | setup | config | witness (see: letterlock dev --help)"]
    lines += ["", "options of every command:"]
    for option in _GLOBAL:
        lines.append(f"  {', '.join(option.flags):<{width + 8}}{option.help}")
    lines += ["", "exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 unavailable"]
    lines += ["letterlock NOUN --help and letterlock NOUN VERB --help say more."]
    return "\n".join(lines) + "\n"


def noun_help(noun: str) -> str:
    """The help of one noun: its verbs."""
    lines = [f"usage: letterlock {noun} VERB …", "", f"{noun}: {NOUNS[noun]}", ""]
    for command in _COMMANDS_OF[noun]:
        words = " ".join(a.metavar if a.required else f"[{a.metavar}]" for a in command.arguments if a.positional)
        lines.append(f"  {f'{command.verb} {words}'.strip():<24}{command.help}")
    lines += ["", f"letterlock {noun} VERB --help names its options."]
    return "\n".join(lines) + "\n"


def command_parser(command: Command) -> argparse.ArgumentParser:
    """argparse's parser of one command."""
    parser = _Parser(f"letterlock {command.name}", description=command.help, allow_abbrev=False)
    for argument in command.arguments:
        _add(parser, argument, argument.key)
    every = parser.add_argument_group("options of every command")
    for argument in _GLOBAL:
        _add(every, argument, f"global_{argument.key}")
    return parser


def _add(parser: argparse._ActionsContainer, argument: Argument, key: str) -> None:
    if argument.positional:
        kind = int if argument.kind == "number" else str
        # A list of words may be empty, and takes all that are left.
        nargs = "*" if argument.kind == "list" else None if argument.required else "?"
        parser.add_argument(key, nargs=nargs, metavar=argument.metavar, help=argument.help, type=kind)
        return
    settings: dict[str, Any] = {"dest": key, "help": argument.help, "default": None}
    match argument.kind:
        case "flag":
            settings |= {"action": "store_true"}
        case "switch":
            settings |= {"action": argparse.BooleanOptionalAction}
        case "number":
            settings |= {"type": int, "metavar": "N"}
        case "choice":
            settings |= {"choices": argument.choices}
        case "list" | "pair":
            settings |= {"action": "append", "metavar": argument.metavar or "X"}
        case _:
            settings |= {"metavar": argument.metavar or argument.key.upper()}
    parser.add_argument(*argument.flags, required=argument.required, **settings)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options with their values, and the other words; `--` ends the options."""
    valued = {f for c in COMMANDS for a in (*c.arguments, *_GLOBAL) if a.takes_value for f in a.flags}
    options: list[str] = []
    positionals: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return options, positionals + rest
        if not word.startswith("-") or word == "-":
            positionals.append(word)
            continue
        options.append(word)
        if word in valued and rest:
            # Joined, so that a value that begins with a dash stays a value.
            value = rest.pop(0)
            if word.startswith("--"):
                options[-1] = f"{word}={value}"
            else:
                options.append(value)
    return options, positionals
