"""The `letterlock` command: the runner's verbs are here, every other noun is the API's command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

# We fork only to exec: gRPC need not prepare for more, and says so on stderr if asked to.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

RUNNER = ("serve", "dev", "config", "setup", "witness")
_VALUED = frozenset(
    {
        "--bootstrap",
        "--data",
        "--processes",
        "--config",
        "--output",
        "-o",
        "--name",
        "--key",
        "--state",
        "--log",
        "--listen",
    }
)
"""The runner's options that take the next word."""


class _Parser(argparse.ArgumentParser):
    """Says a mistake on one line, as every other command does."""

    def error(self, message: str) -> Never:
        self.exit(2, f"error: {message} (see: {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="letterlock", description="Run Letterlock's services.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="run the named services against the configured store, NATS and OpenSearch")
    serve.add_argument(
        "services", nargs="*", metavar="SERVICE", help="default: the environment's SERVICE (images set it)"
    )
    serve.add_argument("--config", type=Path, metavar="FILE", help="a YAML tree of settings")
    setup = verbs.add_parser("setup", help="create the broker's streams, consumers and buckets (idempotent)")
    setup.add_argument("--config", type=Path, metavar="FILE", help="a YAML tree of settings")
    dev = verbs.add_parser("dev", help="run every service on this machine with an embedded broker and index")
    dev.add_argument("--bootstrap", type=Path, metavar="FILE", help="a world file to apply when all of it answers")
    dev.add_argument("--data", type=Path, metavar="DIR", help="data directory (default ./.letterlock)")
    dev.add_argument("--processes", choices=("one", "many"), default="one", help="one process, or one per service")
    dev.add_argument("--config", type=Path, metavar="FILE", help="a YAML tree of settings")
    config = verbs.add_parser("config", help="print or check the settings without starting")
    config.add_argument("action", choices=("show", "check", "docs"))
    config.add_argument("--config", type=Path, metavar="FILE", help="a YAML tree of settings")
    config.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="yaml", help="how `show` prints")
    witness = verbs.add_parser(
        "witness", help="cosign audit logs, on a machine that is not the logs' (C2SP tlog-witness)"
    )
    witness.add_argument("--name", required=True, help="the witness's name, such as witness.acme.example")
    witness.add_argument("--log", action="append", default=[], metavar="VKEY", help="a log's verifier key; repeatable")
    witness.add_argument("--key", type=Path, default=Path("witness.key"), metavar="FILE", help="made when missing")
    witness.add_argument("--state", type=Path, default=Path("witness.json"), metavar="FILE", help="what was cosigned")
    witness.add_argument("--listen", default="127.0.0.1:2591", metavar="HOST:PORT")
    return parser


def _verb_first(words: Sequence[str]) -> list[str]:
    """The runner's words with its verb in front, since options may stand before it; unchanged for other commands."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        position += 2 if words[position] in _VALUED else 1
    if position < len(words) and words[position] in RUNNER:
        return [words[position], *words[:position], *words[position + 1 :]]
    return list(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status of CONTRACT: 0 done, 1 failed, 2 wrong usage, 5 unavailable."""
    words = _verb_first(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in RUNNER:
        from services.cli.main import run

        return run(words)
    from services.common.errors import Error, InvalidInput, Unavailable

    options = _parser().parse_args(words)
    try:
        return _run(options)
    except InvalidInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 5
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.verb == "witness":
        return _witness(options)
    from services import runner
    from services.common.errors import InvalidInput

    environment = dict(os.environ)
    if getattr(options, "data", None):
        environment["LETTERLOCK_DATA"] = str(options.data)
    settings = runner.load_settings(environment, options.config)
    if options.verb == "config":
        if options.action == "docs":
            from services.config_docs import render

            print(render(runner.registry()), end="")
        elif options.action == "show":
            print(_shown({"data": str(settings.data), **settings.show()}, options.output), end="")
        return 0
    import uvloop

    if options.verb == "setup":
        uvloop.run(runner.ensure_broker(settings))
        return 0
    if options.verb == "dev":
        from services import dev

        return uvloop.run(
            dev.run(settings, bootstrap=options.bootstrap, processes=options.processes, file=options.config)
        )
    names = options.services or environment.get("SERVICE", "").split()
    unknown = [name for name in names if name not in runner.SERVICES]
    if not names:
        raise InvalidInput(f"name a service: {', '.join(runner.SERVICES)}")
    if unknown:
        raise InvalidInput(f"unknown service {', '.join(unknown)}: expected {', '.join(runner.SERVICES)}")
    uvloop.run(runner.serve(names, settings))
    return 0


def _witness(options: argparse.Namespace) -> int:
    import asyncio

    from services.audit.witness import serve
    from services.common import log
    from services.common.config import Address
    from services.common.errors import InvalidInput

    log.configure("witness")
    try:
        listen = Address.parse(options.listen)
    except ValueError as error:
        raise InvalidInput(f"--listen: {error}") from None
    return asyncio.run(serve.run(options.name, options.key, options.state, options.log, listen))


def _shown(tree: dict[str, Any], output: str) -> str:
    if output == "json":
        import json

        return json.dumps(tree, ensure_ascii=False, indent=2) + "\n"
    import yaml

    return str(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
