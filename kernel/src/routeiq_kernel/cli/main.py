"""The command `kernel` (alias `routeiq`). `--help` and `--version` import neither the SDK nor the configuration."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, NoReturn

from .. import __version__
from . import config, control, doctor, explain, plugins, serve
from .command import command, complain, guarded

MODULES = (serve, control, explain, config, plugins, doctor)
GROUP = "routeiq.commands"
EXIT_INTERRUPTED = 130


class Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """With the nearest command, as `suggest_on_error` of Python 3.14."""
        from ..config.problems import nearest

        wrong = re.search(r"COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", message)
        super().error(message + (nearest(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""))


def main(argv: Sequence[str] | None = None) -> int:
    arguments = joined(sys.argv[1:] if argv is None else list(argv))
    parser, commands = _parser()
    if not arguments or arguments[0] not in (*commands.choices, "--version"):
        _add_foreign(commands)
    try:
        args = parser.parse_args(arguments)
        return guarded(args.func, args)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return 1


def joined(arguments: Sequence[str]) -> list[str]:
    """`--plugins -x,+y` as `--plugins=-x,+y`: argparse takes a value that begins with a minus for an option."""
    out: list[str] = []
    for argument in arguments:
        if out and out[-1] == "--plugins" and argument[:1] == "-" and argument[:2] != "--":
            out[-1] += f"={argument}"
        else:
            out.append(argument)
    return out


def _parser() -> tuple[ArgumentParser, Any]:
    parser = Parser(prog="kernel", description="RouteIQ: an LLM gateway made of plugins.")
    parser.add_argument("--version", action="version", version=f"routeiq {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in MODULES:
        module.add_parser(commands)
    command(commands, "version", _version, "the version of the kernel", has_json=False)
    return parser, commands


def _add_foreign(commands: Any) -> None:
    """Commands of installed packages: entry points whose value is a function `add_parser(subparsers)`."""
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            point.load()(commands)
        except (ImportError, AttributeError, TypeError, ValueError, ArgumentError) as error:
            complain([f"command {point.name} of {point.value} cannot be loaded: {error}"], "warning")


def _version(args: Namespace) -> int:
    print(__version__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
